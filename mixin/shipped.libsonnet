// The plain files of alerts/ and dashboards/, and what the mixin must know about them. They are the source: the mixin
// has no rule and no panel of its own.

local promql = import 'promql.libsonnet';
local yaml = import 'yaml.libsonnet';

local settings = yaml.parse(importstr '../alerts/settings.rules.yml').groups;
local recording = yaml.parse(importstr '../alerts/recording.rules.yml').groups;
local alerts = yaml.parse(importstr '../alerts/alerts.rules.yml').groups;

// The same alerts with French texts.
local frenchAlerts = yaml.parse(importstr '../alerts/fr/alerts.rules.yml').groups;

local rulesOf(groups) = std.flattenArrays([group.rules for group in groups]);
local rules = rulesOf(settings + recording + alerts);
local alertRules = std.filter(function(rule) std.objectHas(rule, 'alert'), rules);

// The number in `vector(14 * 86400)`.
local number(expr) =
  local factors = std.split(std.substr(expr, std.length('vector('), std.length(expr) - std.length('vector()')), '*');
  std.foldl(function(product, factor) product * std.parseJson(factor), factors, 1);

local links = [rule.labels for rule in rulesOf(settings) if std.objectHas(rule, 'labels')][0];
local thresholds = { [rule.record]: number(rule.expr) for rule in rulesOf(settings) if !std.objectHas(rule, 'labels') };

// The series without the labels of a target, because they are computed from constants (`vector(1)`). A selector would
// never match them.
local constants = std.foldl(
  function(known, rule)
    local others = [name for name in promql.names(rule.expr) if !std.member(known, name)];
    if others == [] && std.objectHas(rule, 'record') then known + [rule.record] else known,
  rules,
  []
);

// The labels that at least one rule removes: no selector can contain them.
local removedLabels = std.set(std.flattenArrays([promql.labels(rule.expr, 'without') for rule in rules]));

local alertNames = std.set([rule.alert for rule in alertRules]);
local severities = std.set([rule.labels.severity for rule in alertRules]);
local dashboards = {
  'exporter.json': import '../dashboards/exporter.json',
  'key.json': import '../dashboards/key.json',
  'overview.json': import '../dashboards/overview.json',
};

// jsonnet 0.18 computes a field each time it is read, and a local once.
{
  settings: settings,
  recording: recording,
  alerts: alerts,
  frenchAlerts: frenchAlerts,
  alertRules: alertRules,
  dashboards: dashboards,
  links: links,
  thresholds: thresholds,
  constants: constants,
  removedLabels: removedLabels,
  alertNames: alertNames,
  severities: severities,
}
