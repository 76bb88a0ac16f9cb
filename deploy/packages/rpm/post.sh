# $1 is 1 at the installation and 2 at an upgrade. An upgrade does not change what the administrator decided.
if [ "$1" = 1 ]; then
	install -d -m 0750 -g myunisoft-exporter /etc/myunisoft-exporter /etc/myunisoft-exporter/secrets
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
fi
# The distribution's presets decide whether a new service is enabled.
if [ "$1" = 1 ] && command -v systemctl >/dev/null; then
	systemctl --no-reload preset myunisoft-exporter.service || :
fi
