//! The dashboards: held against Grafana's schema, the code's metrics and states, and the alerts.

mod links;
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
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The panels that show something: rows apart.
fn panels(dashboard: &Value) -> Vec<&Value> {
    list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row").collect()
}

/// Everything in a dashboard, and everything in that.
fn nested(value: &Value) -> Vec<&Value> {
    let within: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    [vec![value], within.into_iter().flat_map(nested).collect()].concat()
}
