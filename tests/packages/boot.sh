# Boots a copy of this machine's system with systemd. The copy has its own processes, mounts and control groups. It shares
# the network with the tests. What it writes is kept in memory, and is gone when it ends.
#
# Usage: boot.sh DIRECTORY PACKAGES
# DIRECTORY is an empty directory to work in. The copy has PACKAGES as /packages.
set -eu
scratch=$1
packages=$2

# The copy's control groups are below a group of its own, whose name is that of this process.
group=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)/packages-test-$$
mkdir "$group"
echo $$ >"$group/cgroup.procs"

exec unshare --cgroup --mount --pid --fork --uts --ipc --kill-child sh -euc '
scratch=$1
packages=$2
root=$scratch/root
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/changes" "$scratch/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/changes,workdir=$scratch/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mountpoint -q "$root/sys/fs/cgroup" || mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --bind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir "$root/packages"
mount --bind "$packages" "$root/packages"
# In an image for containers, these files prevent that packages start services and install documents.
rm -rf "$root/usr/sbin/policy-rc.d" "$root"/etc/dpkg/dpkg.cfg.d/*
# Neither the services nor the file systems of this machine start in the copy.
rm -rf "$root/etc/fstab" "$root"/etc/systemd/system/* "$root"/usr/lib/systemd/system/*.wants
# A process in a chroot cannot create the user namespaces of PrivateUsers=.
mkdir "$root/old"
cd "$root"
pivot_root . old
umount -l old
rmdir old
# systemd mounts credentials in another mount namespace, and expects them to appear here.
mount --make-rshared /
export container=packages-test
exec /lib/systemd/systemd --system --unit=basic.target --log-target=null --show-status=no
' sh "$scratch" "$packages"
