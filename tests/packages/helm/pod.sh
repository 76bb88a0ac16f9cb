#!/bin/sh
# Runs a program as a container of Kubernetes does: pod.sh ROOT PROGRAM USER [VOLUME=PATH:ro|rw]... -- ARGUMENT...
# Inside a mount namespace of its own: the root file system has the machine's libraries and nothing else, is read-only,
# and has the volumes at their paths. The program has this user and group, no capability, and the variables of
# ROOT.env, one a line.
set -eu
root=$1 program=$2 user=$3
shift 3
mount -t tmpfs -o mode=0755 tmpfs "$root"
for directory in usr bin lib lib64; do
    if [ -L "/$directory" ]; then
        ln -s "$(readlink "/$directory")" "$root/$directory"
    elif [ -d "/$directory" ]; then
        mkdir "$root/$directory"
        mount --bind "/$directory" "$root/$directory"
    fi
done
mkdir -p "$root/proc" "$root/dev" "$root/etc/ssl"
mount --bind /proc "$root/proc"
mount --bind /etc/ssl "$root/etc/ssl"
for device in null urandom; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
: >"$root/exporter"
mount --bind "$program" "$root/exporter"
while [ "$1" != -- ]; do
    volume=${1%%=*} path=${1#*=} mode=${1##*:}
    path=${path%:*}
    mkdir -p "$root$path"
    mount --bind "$volume" "$root$path"
    [ "$mode" = rw ] || mount -o "remount,bind,$mode" "$root$path"
    shift
done
shift
mount -o remount,ro "$root"
# The variables have no spaces.
# shellcheck disable=SC2046
exec chroot "$root" /usr/bin/setpriv --reuid="$user" --regid="$user" --groups="$user" --bounding-set=-all --no-new-privs \
    env -i $(cat "$root.env") /exporter "$@"
