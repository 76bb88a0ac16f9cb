// Changes the dashboards as the settings say.
local promql = import 'promql.libsonnet';
local shipped = import 'shipped.libsonnet';

// The thresholds that panels draw, by the title of the panel.
local drawn = {
  'exporter.json': {
    'Longest time since last run': ['myunisoft:stale_probe:seconds'],
    'Longest time since last run, in intervals': ['myunisoft:stale_probe:intervals'],
  },
  'key.json': {
    'Last duration': ['myunisoft:slow_probe:seconds'],
    'Probe duration': ['myunisoft:slow_probe:seconds'],
    'Requests left': ['myunisoft:low_budget:requests'],
    'Request budget': ['myunisoft:low_budget:requests'],
    'Probes skipped for the budget': ['myunisoft:low_budget_skips:ratio'],
  },
  'overview.json': {
    Availability: ['myunisoft:api_availability_objective:ratio'],
    'Certificates expire in': ['myunisoft:certificate_critical:seconds', 'myunisoft:certificate_warning:seconds'],
    'Lowest budgets': ['myunisoft:low_budget:requests'],
    'Probe duration': ['myunisoft:slow_probe:seconds'],
  },
};

local step(step, names, settings) =
  local hits = [name for name in names if std.objectHas(step, 'value') && step.value == shipped.thresholds[name]];
  if hits == [] then step else step { value: settings.thresholds[hits[0]] };

local matchers(metric, settings) =
  // Some alerts have no labels of a target. All come from the rules of this mixin, which contain the selector.
  local isAlerts = std.member(['ALERTS', 'ALERTS_FOR_STATE'], metric);
  local cluster = '%s=~"$cluster%s"' % [settings.clusterLabel, if isAlerts then '|' else ''];
  if std.member(shipped.constants, metric) then ''
  else std.join(', ', [
    matcher
    for matcher in [if isAlerts then '' else settings.selector, if settings.clusterLabel == null then '' else cluster]
    if matcher != ''
  ]);

local expression(expr, settings) =
  if settings.keepsQueries then expr
  else promql.rewrite(expr, function(metric) matchers(metric, settings), settings.labelToAdd);

// A link to another dashboard keeps the selected clusters.
local link(url, settings) =
  if settings.clusterLabel == null then url
  else std.strReplace(url, '${job:queryparam}', '${cluster:queryparam}&${job:queryparam}');

// A new severity has the colour of the one that it replaces.
local mapping(mapping, settings) =
  local replaced(severity) =
    [rule.labels.severity for rule in shipped.alertRules if settings.severity(rule) == severity][0];
  mapping {
    options+: {
      [severity]: mapping.options[replaced(severity)] { text: severity }
      for severity in std.set([settings.severity(rule) for rule in shipped.alertRules])
      if std.objectHas(mapping.options, replaced(severity))
    },
  };

local isMapping(value) = std.objectHas(value, 'type') && value.type == 'value' && std.objectHas(value, 'options');

// Changes a part of a dashboard and everything in it. `names` are the thresholds that it draws.
local rewrite(value, names, settings, field='') =
  if std.isArray(value) then
    [if field == 'steps' then step(item, names, settings) else rewrite(item, names, settings) for item in value]
  else if std.isObject(value) then
    local changed = { [name]: rewrite(value[name], names, settings, name) for name in std.objectFields(value) };
    if isMapping(value) then mapping(changed, settings) else changed
  else if field == 'expr' then expression(value, settings)
  else if field == 'url' then link(value, settings)
  else value;

// label_values(metric{…}, label)
local labelValues(query, settings) =
  local start = std.length('label_values(');
  local comma = std.findSubstr(',', query);
  local end = comma[std.length(comma) - 1];
  'label_values(' + expression(std.substr(query, start, end - start), settings) + std.substr(query, end, std.length(query));

local variable(variable, settings) =
  if variable.type != 'query' then variable
  else variable { query+: { query: labelValues(super.query, settings) } };

local clusterVariable(job, settings) =
  local metric = expression('myunisoft_exporter_build_info', settings { clusterLabel: null });
  job {
    name: 'cluster',
    label: 'Cluster',
    description: 'The clusters with an exporter.',
    query+: { query: 'label_values(%s, %s)' % [metric, settings.clusterLabel] },
  };

local dashboard(file, settings) =
  local plain = shipped.dashboards[file];
  local thresholds(panel) = if std.objectHas(drawn[file], panel.title) then drawn[file][panel.title] else [];
  local variables(shipped) =
    (if settings.clusterLabel != null && shipped.name == 'job' then [clusterVariable(shipped, settings)] else [])
    + [variable(shipped, settings)];
  plain {
    panels: [rewrite(panel, thresholds(panel), settings) for panel in plain.panels],
    templating+: { list: std.flattenArrays([variables(it) for it in plain.templating.list]) },
  };

{
  all(settings):: { [file]: dashboard(file, settings) for file in std.objectFields(shipped.dashboards) },
}
