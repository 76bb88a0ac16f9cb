// The rules and dashboards of the exporter as a monitoring mixin. README.md tells how to use it.
local dashboards = import 'dashboards.libsonnet';
local rules = import 'rules.libsonnet';
local settings = import 'settings.libsonnet';
local shipped = import 'shipped.libsonnet';

(import 'config.libsonnet') + {
  prometheusRules+:: { groups+: rules.groups(shipped.settings + shipped.recording, settings.from($._config)) },
  prometheusAlerts+:: { groups+: rules.groups(settings.from($._config).alerts, settings.from($._config)) },
  grafanaDashboards+:: dashboards.all(settings.from($._config)),
}
