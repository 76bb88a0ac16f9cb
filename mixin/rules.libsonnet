// Changes the rules as the settings say.
local promql = import 'promql.libsonnet';
local shipped = import 'shipped.libsonnet';

local expression(rule, settings) =
  local name = if std.objectHas(rule, 'record') then rule.record else '';
  local selector(metric) = if std.member(shipped.constants, metric) then '' else settings.selector;
  if std.objectHas(shipped.thresholds, name) && settings.thresholds[name] != shipped.thresholds[name] then
    'vector(%.12g)' % settings.thresholds[name]
  else if settings.keepsQueries then rule.expr
  else promql.rewrite(rule.expr, selector, settings.labelToAdd);

// The dashboard that an alert links to shows the cluster of the alert.
local dashboardUrl(url, cluster) =
  local job = 'var-job={{ $labels.job | urlquery }}';
  if cluster == null then url
  else std.strReplace(url, job, 'var-cluster={{ $labels.%s | urlquery }}&%s' % [cluster, job]);

local rewrite(rule, settings) =
  rule { expr: expression(rule, settings) } + (
    if std.objectHas(rule, 'alert') then {
      labels+: { severity: settings.severity(rule) },
      annotations+: { dashboard_url: dashboardUrl(super.dashboard_url, settings.clusterLabel) },
    }
    else if rule.record == 'myunisoft:links:info' then { labels: settings.links }
    else {}
  );

{
  groups(groups, settings):: [group { rules: [rewrite(rule, settings) for rule in group.rules] } for group in groups],
}
