//! The dashboards are compared with the schema of Grafana, the metrics and states of the exporter, and the alerts.

mod links;
mod lint;
mod queries;
mod schema;
mod states;
mod thresholds;

use serde_json::Value;

const SETTINGS: &str = include_str!("../../alerts/settings.rules.yml");
const RECORDING: &str = include_str!("../../alerts/recording.rules.yml");
const ALERTS: &str = include_str!("../../alerts/alerts.rules.yml");

const OVERVIEW: &str = include_str!("../../dashboards/overview.json");
const KEY: &str = include_str!("../../dashboards/key.json");
const EXPORTER: &str = include_str!("../../dashboards/exporter.json");

fn read(dashboard: &str) -> Value {
    serde_json::from_str(dashboard).unwrap()
}

fn dashboards() -> [Value; 3] {
    [OVERVIEW, KEY, EXPORTER].map(read)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The panels without rows.
fn panels(dashboard: &Value) -> Vec<&Value> {
    list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row").collect()
}

/// A value and all values nested in it.
fn nested(value: &Value) -> Vec<&Value> {
    let children: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    [vec![value], children.into_iter().flat_map(nested).collect()].concat()
}
