// What you can change. By default, the mixin's output is equal to the plain files.
local shipped = import 'shipped.libsonnet';

{
  _config+:: {
    // Matchers of the targets that the rules and dashboards read, for example 'job="myunisoft"'. Only labels of the
    // targets can be used, and none that the rules remove (`instance`, `pod`).
    myunisoftSelector: '',

    // For a Prometheus with exporters of several clusters, as in other mixins: the dashboards get the variable `cluster`,
    // and targets of different clusters are not joined.
    showMultiCluster: false,
    clusterLabel: 'cluster',

    // The language of the alerts' texts: 'en' or 'fr'.
    myunisoftLanguage: 'en',

    // The base URLs of the links in the alerts: `grafana`, `exporter` and `runbooks`.
    myunisoftLinks: shipped.links,

    // The values of the settings, by the name of their series: { 'myunisoft:slow_probe:seconds': 4 }. They also move the
    // lines and colours of the panels.
    myunisoftThresholds: shipped.thresholds,

    // The severity to use in place of each shipped one ({ critical: 'page' }), or for one alert
    // ({ MyUnisoftApiDown: 'page' }). For an alert with two severities: { MyUnisoftCanaryFailing: { warning: 'ticket' } }.
    myunisoftSeverities: { [severity]: severity for severity in shipped.severities },
  },
}
