//! The rules of Grafana's dashboard-linter, and a few of our own about queries and values.

use serde_json::{Value, json};

use super::queries::{metrics_in, queries};
use super::{SETTINGS, dashboards, list, nested, panels, text};

/// The variable with this name.
fn variable<'a>(dashboard: &'a Value, name: &str) -> &'a Value {
    let variables = list(&dashboard["templating"]["list"]);
    variables.iter().find(|variable| variable["name"] == name).unwrap_or_else(|| panic!("no variable {name}"))
}

/// One use of a metric in an expression.
#[derive(Debug)]
struct Use<'a> {
    name: &'a str,
    /// The expression before it.
    before: &'a str,
    /// What is in its braces.
    matchers: &'a str,
    /// The expression after it.
    after: &'a str,
}

fn is_part_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || "_:".contains(c)
}

/// Every use of every metric in an expression. Names in strings do not occur in our dashboards.
fn uses(expr: &str) -> Vec<Use<'_>> {
    metrics_in(expr)
        .into_iter()
        .flat_map(|name| expr.match_indices(name))
        .filter_map(|(at, name)| use_at(expr, at, name))
        .collect()
}

fn use_at<'a>(expr: &'a str, at: usize, name: &'a str) -> Option<Use<'a>> {
    let (before, rest) = (&expr[..at], &expr[at + name.len()..]);
    if before.ends_with(is_part_of_a_name) || rest.starts_with(is_part_of_a_name) {
        return None;
    }
    let braces = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let (matchers, after) = braces.unwrap_or(("", rest));
    Some(Use { name, before, matchers, after })
}

/// Settings are recorded without the labels of a target.
fn is_setting(name: &str) -> bool {
    SETTINGS.contains(&format!("record: {name}\n"))
}

fn is_counter(name: &str) -> bool {
    !name.contains(':') && ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end))
}

#[test]
fn no_dashboard_can_be_edited_in_place() {
    for dashboard in dashboards() {
        assert_eq!(dashboard["editable"], false, "{}: a change in Grafana would be lost", dashboard["title"]);
    }
}

#[test]
fn each_dashboard_selects_its_data_source_job_and_instance_like_other_mixins() {
    for dashboard in dashboards() {
        let source = variable(&dashboard, "datasource");
        let found = json!([source["type"], source["query"], source["label"]]);
        assert_eq!(found, json!(["datasource", "prometheus", "Data source"]));
        for (name, label) in [("job", "Job"), ("instance", "Instance")] {
            let target = variable(&dashboard, name);
            let found = json!([
                target["type"],
                target["label"],
                target["multi"],
                target["includeAll"],
                target["allValue"]
            ]);
            assert_eq!(found, json!(["query", label, true, true, ".+"]), "{name}");
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{name}");
        }
    }
}

#[test]
fn every_series_in_a_query_is_one_of_the_selected_job_and_instance() {
    for dashboard in dashboards() {
        for (panel, expr) in queries(&dashboard) {
            for found in uses(expr).iter().filter(|found| !is_setting(found.name)) {
                // Alerts about several targets have neither label.
                let or_none = if found.name.starts_with("ALERTS") { "|" } else { "" };
                for label in ["job", "instance"] {
                    let matcher = format!("{label}=~\"${label}{or_none}\"");
                    assert!(found.matchers.contains(&matcher), "{panel}: {} has no {matcher}", found.name);
                }
            }
        }
    }
}

/// The series of a key's state begins with its first change, which `increase()` does not see.
const READ_AS_A_NUMBER: &str = "myunisoft_key_state_changes_total";

#[test]
fn a_counter_is_read_as_a_rate_over_the_interval_that_grafana_chooses() {
    for dashboard in dashboards() {
        for (panel, expr) in queries(&dashboard) {
            for found in uses(expr).iter().filter(|it| is_counter(it.name) && it.name != READ_AS_A_NUMBER) {
                let is_rate = ["rate(", "increase("].iter().any(|function| found.before.ends_with(function));
                assert!(is_rate, "{panel}: {} is a counter without rate() or increase()", found.name);
                assert!(
                    found.after.starts_with("[$__rate_interval]"),
                    "{panel}: {} has a fixed range",
                    found.name
                );
            }
        }
    }
}

#[test]
fn a_share_has_an_upper_end() {
    for dashboard in dashboards() {
        for panel in panels(&dashboard) {
            let defaults = &panel["fieldConfig"]["defaults"];
            let is_share =
                |unit: &Value| ["percent", "percentunit"].contains(&unit.as_str().unwrap_or_default());
            let needs_max = is_share(&defaults["unit"]) || panel["type"] == "gauge";
            assert!(!needs_max || defaults["max"].is_number(), "{}: no max", panel["title"]);
            for change in list(&panel["fieldConfig"]["overrides"]) {
                let properties = list(&change["properties"]);
                let has = |id: &str| properties.iter().any(|it| it["id"] == id);
                let share = properties.iter().any(|it| it["id"] == "unit" && is_share(&it["value"]));
                assert!(!share || has("max"), "{}, {}: no max", panel["title"], change["matcher"]["options"]);
            }
        }
    }
}

#[test]
fn an_empty_cell_of_a_table_never_says_what_the_empty_table_says() {
    for dashboard in dashboards() {
        for table in panels(&dashboard).into_iter().filter(|panel| panel["type"] == "table") {
            let overrides = list(&table["fieldConfig"]["overrides"]);
            let empty = overrides
                .iter()
                .find(|change| change["matcher"] == json!({"id": "byRegexp", "options": ".*"}));
            let empty = empty.unwrap_or_else(|| panic!("{}: no text for an empty cell", table["title"]));
            assert_eq!(empty["properties"], json!([{"id": "noValue", "value": "–"}]), "{}", table["title"]);
        }
    }
}

#[test]
fn a_column_that_holds_a_code_or_a_request_id_is_wide_enough() {
    for dashboard in dashboards() {
        for table in panels(&dashboard).into_iter().filter(|panel| panel["type"] == "table") {
            let has = |name: &str| nested(table).iter().any(|part| part["indexByName"].get(name).is_some());
            // At this size, the longest code and the longest form of a request ID fit.
            for (column, shown, wide) in
                [("code", "code", 305), ("why", "why", 305), ("request_id", "request-id", 370)]
            {
                let change = list(&table["fieldConfig"]["overrides"])
                    .iter()
                    .filter(|change| change["matcher"]["options"] == shown)
                    .flat_map(|change| list(&change["properties"]))
                    .find(|property| ["custom.width", "custom.minWidth"].contains(&text(&property["id"])));
                let width = change.and_then(|property| property["value"].as_i64());
                assert!(!has(column) || width >= Some(wide), "{}: {shown}: {width:?}", table["title"]);
            }
        }
    }
}
