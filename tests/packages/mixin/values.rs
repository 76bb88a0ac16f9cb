//! Other thresholds, links and severities.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{DEFAULT, Mixin, mixin};
use crate::support::monitoring::shipped;

/// The settings with a number, and their shipped values.
fn settings(plain: &Mixin) -> BTreeMap<String, f64> {
    let constants = plain.all_rules().into_iter().filter_map(|rule| {
        let product = rule["expr"].as_str()?.strip_prefix("vector(")?.strip_suffix(')')?;
        let value = product.split('*').map(|factor| factor.trim().parse::<f64>().unwrap()).product();
        let is_setting = rule["labels"].is_null() && rule["record"] != "myunisoft:recording_rules:loaded";
        is_setting.then(|| (rule["record"].as_str().unwrap().to_owned(), value))
    });
    constants.collect()
}

/// The values of all steps in a part of a dashboard.
fn steps(value: &Value) -> Vec<f64> {
    let own = value["steps"].as_array().into_iter().flatten().filter_map(|step| step["value"].as_f64());
    let nested: Vec<f64> = match value {
        Value::Array(items) => items.iter().flat_map(steps).collect(),
        Value::Object(fields) => fields.values().flat_map(steps).collect(),
        _ => Vec::new(),
    };
    own.chain(nested).collect()
}

#[test]
#[expect(clippy::float_cmp, reason = "the numbers are copied, not computed")]
fn other_thresholds_change_their_series_and_every_panel_that_draws_them() {
    let plain = Mixin::plain();
    let settings = settings(&plain);
    let other = |value: f64| ((value * 2.0 + 1.0) * 1e6).round() / 1e6;
    let config: Vec<_> =
        settings.iter().map(|(name, value)| format!("'{name}': {}", other(*value))).collect();
    let changed = mixin(&format!("myunisoftThresholds+: {{ {} }}", config.join(", ")));
    for (name, value) in &settings {
        assert_eq!(changed.recorded(name), format!("vector({})", other(*value)));
    }
    // The burn rates and the HTTP statuses are no settings.
    let fixed = ["Burn rate", "Last HTTP status"];
    let mut drawn = BTreeSet::new();
    for ((_, before), (_, after)) in plain.panels().into_iter().zip(changed.panels()) {
        let title = before["title"].as_str().unwrap();
        for (before, after) in steps(before).into_iter().zip(steps(after)) {
            let is_setting = settings.values().any(|value| *value == before) && !fixed.contains(&title);
            let expected = if is_setting { other(before) } else { before };
            assert_eq!(after, expected, "{title}: a step of {before}");
            drawn.extend(is_setting.then_some(before.to_bits()));
        }
    }
    assert!(drawn.len() >= 8, "the panels draw eight different thresholds");
}

#[test]
fn an_alert_fires_at_another_threshold() {
    let target = r#"job="myunisoft",instance="exporter:10698""#;
    let in_17_days = 17 * 86_400;
    let test = |expected: Value| {
        json!({
            "interval": "1m",
            "input_series": [
                {
                    "series": format!(r#"myunisoft_tls_certificate_expiry_timestamp_seconds{{{target},host="api"}}"#),
                    "values": format!("{in_17_days}x60"),
                },
            ],
            "promql_expr_test": [{
                "eval_time": "30m",
                "expr": r#"count by (severity) (ALERTS{alertstate="firing",alertname=~".*Certificate.*"})"#,
                "exp_samples": expected,
            }],
        })
    };
    let (success, output) = DEFAULT.test(&test(json!([])));
    assert!(success, "{output}");
    let changed = mixin("myunisoftThresholds: { 'myunisoft:certificate_warning:seconds': 20 * 86400 }");
    let (success, output) = changed.test(&test(json!([{"labels": r#"{severity="warning"}"#, "value": 1}])));
    assert!(success, "{output}");
}

#[test]
fn other_addresses_change_the_links_in_the_alerts() {
    let changed = mixin("myunisoftLinks+: { grafana: 'https://grafana.example' }");
    let rule = changed.all_rules().into_iter().find(|rule| rule["record"] == "myunisoft:links:info").unwrap();
    assert_eq!(rule["labels"]["grafana"], "https://grafana.example");
    assert_eq!(rule["labels"]["exporter"], "http://INSTANCE");
}

#[test]
fn the_language_changes_the_texts_of_the_alerts_only() {
    let french = mixin("myunisoftLanguage: 'fr'");
    let shipped: Value = serde_saphyr::from_str(&shipped("fr/alerts.rules.yml")).unwrap();
    assert_eq!(french.alerts, shipped);
    assert_eq!(french.rules, Mixin::plain().rules);
}

#[test]
fn other_severities_change_every_alert_and_the_table_of_alerts() {
    let plain = Mixin::plain();
    let changed = mixin(
        "myunisoftSeverities: {
            critical: 'page',
            MyUnisoftKeyOutdated: 'ticket',
            MyUnisoftCanaryFailing: { warning: 'ticket' },
        }",
    );
    for (before, after) in plain.all_rules().into_iter().zip(changed.all_rules()) {
        let expected = match (before["alert"].as_str(), before["labels"]["severity"].as_str()) {
            (Some("MyUnisoftKeyOutdated"), _) | (Some("MyUnisoftCanaryFailing"), Some("warning")) => {
                Some("ticket")
            }
            (_, Some("critical")) => Some("page"),
            (_, severity) => severity,
        };
        assert_eq!(after["labels"]["severity"].as_str(), expected, "{after}");
    }
    assert_eq!(changed.alerts_named("MyUnisoftCanaryFailing").len(), 2);

    let panels = changed.panels();
    let (_, table) = panels.into_iter().find(|(_, panel)| panel["title"] == "Firing alerts").unwrap();
    let overrides = table["fieldConfig"]["overrides"].as_array().unwrap();
    let severity = overrides.iter().find(|it| it["matcher"]["options"] == "severity").unwrap();
    let colours = &severity["properties"][0]["value"][0]["options"];
    assert_eq!(colours["page"]["text"], "page");
    assert_eq!(colours["page"]["color"], colours["critical"]["color"]);
    assert!(colours["ticket"]["color"].is_string());
}
