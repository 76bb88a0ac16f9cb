# $1 is 0 at the removal and 1 at an upgrade.
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
	if [ "$1" -ge 1 ]; then
		systemctl try-restart myunisoft-exporter.service || :
	fi
fi
# The state, the secrets and the user stay, as is usual for an .rpm. Empty directories go.
if [ "$1" = 0 ]; then
	share=/usr/share
	rmdir $share/myunisoft-exporter/alerts/examples $share/myunisoft-exporter/alerts/fr $share/myunisoft-exporter/alerts $share/myunisoft-exporter/dashboards \
		$share/myunisoft-exporter $share/doc/myunisoft-exporter/docs/install $share/doc/myunisoft-exporter/docs \
		$share/doc/myunisoft-exporter $share/licenses/myunisoft-exporter \
		/etc/myunisoft-exporter/secrets /etc/myunisoft-exporter 2>/dev/null || :
fi
