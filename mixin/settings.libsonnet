// Checks `_config` and gives its values. A name that `_config` does not give has its shipped value, for example after
// `myunisoftThresholds: {…}` in place of `myunisoftThresholds+: {…}`.
local promql = import 'promql.libsonnet';
local shipped = import 'shipped.libsonnet';

local known = ['myunisoftSelector', 'myunisoftLanguage', 'myunisoftLinks', 'myunisoftThresholds', 'myunisoftSeverities'];

// The names of all `objects` that are not known.
local unknown(objects, known) = [
  name
  for object in objects
  for name in std.objectFields(object)
  if !std.member(known, name)
];

// Other mixins can share `_config`, so only names like our own are checked.
local ours(config) = {
  [name]: null
  for name in std.objectFields(config)
  if std.length(std.findSubstr('unisoft', std.asciiLower(name))) > 0
};

// The first mistake in `_config`, or null.
local mistake(config) =
  local thresholds = config.myunisoftThresholds;
  local severities = config.myunisoftSeverities;
  local perSeverity = [severities[name] for name in std.objectFields(severities) if std.isObject(severities[name])];
  local severityNames = [
    name
    for object in [severities] + perSeverity
    for name in std.objectFields(object)
    if !std.isString(object[name]) && !std.isObject(object[name])
  ];
  local removed = std.setInter(std.set(promql.names(config.myunisoftSelector)), shipped.removedLabels);
  local found = [
    ['_config: unknown names', unknown([ours(config)], known)],
    ['_config.myunisoftLanguage: not en or fr', [config.myunisoftLanguage for _ in [0] if !std.member(['en', 'fr'], config.myunisoftLanguage)]],
    ['_config.myunisoftLinks: unknown names', unknown([config.myunisoftLinks], std.objectFields(shipped.links))],
    ['_config.myunisoftThresholds: unknown names', unknown([thresholds], std.objectFields(shipped.thresholds))],
    [
      '_config.myunisoftThresholds: not a number',
      [name for name in std.objectFields(thresholds) if !std.isNumber(thresholds[name])],
    ],
    ['_config.myunisoftSeverities: unknown names', unknown([severities], shipped.severities + shipped.alertNames)],
    ['_config.myunisoftSeverities: unknown severities', unknown(perSeverity, shipped.severities)],
    ['_config.myunisoftSeverities: not a string', severityNames],
    ['_config.myunisoftSelector: the rules remove these labels, so they cannot select targets', removed],
  ];
  local mistakes = ['%s: %s' % [what[0], std.join(', ', what[1])] for what in found if what[1] != []];
  if mistakes == [] then null else std.join('; ', mistakes);

local value(object, name, otherwise) = if std.objectHas(object, name) then object[name] else otherwise;

{
  from(config)::
    local problem = mistake(config);
    local selector = config.myunisoftSelector;
    local links = shipped.links + config.myunisoftLinks;
    local thresholds = shipped.thresholds + config.myunisoftThresholds;
    local severities = config.myunisoftSeverities;
    local clusterLabel = if config.showMultiCluster then config.clusterLabel;
    if problem != null then error problem else {
      selector: selector,
      alerts: if config.myunisoftLanguage == 'fr' then shipped.frenchAlerts else shipped.alerts,
      links: links,
      thresholds: thresholds,

      // Null without clusters.
      clusterLabel: clusterLabel,

      // Reading all queries takes seconds.
      keepsQueries: selector == '' && clusterLabel == null,

      severity(rule)::
        local general = value(severities, rule.labels.severity, rule.labels.severity);
        local own = value(severities, rule.alert, general);
        if std.isObject(own) then value(own, rule.labels.severity, general) else own,

      // The label to add to a list of labels to keep: whoever tells targets apart must also tell clusters apart.
      labelToAdd(list)::
        local names = promql.names(list);
        local namesTarget = std.member(names, 'job') || std.member(names, 'instance');
        if clusterLabel == null || !namesTarget || std.member(names, clusterLabel) then '' else clusterLabel,
    },
}
