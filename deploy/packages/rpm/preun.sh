# $1 is 0 at the removal and 1 at an upgrade.
if [ "$1" = 0 ] && command -v systemctl >/dev/null; then
	systemctl --no-reload disable myunisoft-exporter.service || :
	if [ -d /run/systemd/system ]; then
		systemctl stop myunisoft-exporter.service || :
	fi
fi
