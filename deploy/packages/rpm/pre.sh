# Before the files are unpacked, because some of them belong to the group.
getent group myunisoft-exporter >/dev/null || groupadd --system myunisoft-exporter
getent passwd myunisoft-exporter >/dev/null ||
	useradd --system --gid myunisoft-exporter --no-create-home --home-dir /var/lib/myunisoft-exporter \
		--shell /usr/sbin/nologin --comment "MyUnisoft exporter" myunisoft-exporter
exit 0
