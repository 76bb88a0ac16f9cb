//! The queries of the panels.

use std::collections::BTreeSet;

use myunisoft_exporter::reference::{self, MetricKind};
use serde_json::Value;

use super::{ALERTS, RECORDING, SETTINGS, dashboards, list, panels, text};

/// Every query of every panel, with its panel's title.
pub(super) fn queries(dashboard: &Value) -> Vec<(&str, &str)> {
    panels(dashboard)
        .into_iter()
        .flat_map(|panel| {
            list(&panel["targets"]).iter().map(|target| (text(&panel["title"]), text(&target["expr"])))
        })
        .collect()
}

/// The names of the metrics in an expression: its words without strings, selectors, durations, functions, operators and
/// label lists.
pub(super) fn metrics_in(expr: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut rest = expr;
    while let Some(begin) = rest.chars().next() {
        rest = if begin == '{' {
            after_selector(rest)
        } else if begin == '[' {
            rest.split_once(']').unwrap().1
        } else if begin == '"' {
            after_string(rest)
        } else if begin.is_alphanumeric() || "_:$".contains(begin) {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "_:.$".contains(c)));
            let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
            after_word(word, behind, &mut found)
        } else {
            &rest[begin.len_utf8()..]
        };
    }
    found
}

/// The text after `"…"`. A backslash escapes the next character.
fn after_string(rest: &str) -> &str {
    let mut escaped = true;
    for (at, c) in rest.char_indices() {
        if c == '"' && !escaped {
            return &rest[at + 1..];
        }
        escaped = c == '\\' && !escaped;
    }
    panic!("an unclosed string: {rest}")
}

/// The text after `{…}`. The strings inside can contain braces.
fn after_selector(rest: &str) -> &str {
    let mut quoted = false;
    for (at, c) in rest.char_indices() {
        quoted ^= c == '"';
        if c == '}' && !quoted {
            return &rest[at + 1..];
        }
    }
    panic!("an unclosed selector: {rest}")
}

/// Adds the word to `found` if it is the name of a metric, and returns the text to read next.
fn after_word<'a>(word: &'a str, behind: &'a str, found: &mut BTreeSet<&'a str>) -> &'a str {
    let called = ["(", "by (", "without ("].iter().any(|next| behind.trim_start().starts_with(next));
    if ["by", "on", "ignoring", "without", "group_left", "group_right"].contains(&word) {
        return if called { behind.split_once(')').unwrap().1 } else { behind };
    }
    let operator = ["and", "or", "unless", "offset", "bool"].contains(&word);
    if !called && !operator && !word.starts_with(|c: char| c.is_numeric() || c == '$') {
        found.insert(word);
    }
    behind
}

/// The metrics of the exporter, of the recording rules, and of Prometheus itself.
fn known_metrics() -> BTreeSet<String> {
    let served = reference::metrics().flat_map(|family| match family.kind {
        MetricKind::Histogram => {
            ["_bucket", "_count", "_sum"].map(|end| format!("{}{end}", family.name)).to_vec()
        }
        MetricKind::Counter | MetricKind::Gauge => vec![family.name.to_owned()],
    });
    let recorded = [SETTINGS, RECORDING, ALERTS]
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| Some(line.trim().strip_prefix("- record: ")?.to_owned()));
    let of_prometheus = ["ALERTS", "ALERTS_FOR_STATE", "up"].map(str::to_owned);
    // Its labels are those that operators choose.
    let labels = ["myunisoft_key_labels".to_owned()];
    served.chain(recorded).chain(of_prometheus).chain(labels).collect()
}

#[test]
fn metric_names_are_found_in_an_expression() {
    let expr = r#"max by (job, key) (a_total{x=~"}|b"}) * on (key) group_left () clamp_min(c:d, 1e3)
        or 1000 * (rate(e[$__rate_interval]) > 0 unless f offset $__range) or label_replace(g, "h", "i\"j", "", "")"#;
    assert_eq!(metrics_in(expr), BTreeSet::from(["a_total", "c:d", "e", "f", "g"]));
}

#[test]
fn every_query_uses_existing_metrics() {
    let known = known_metrics();
    for dashboard in dashboards() {
        for (panel, expr) in queries(&dashboard) {
            let read = metrics_in(expr);
            assert!(!read.is_empty(), "{panel} uses no metric");
            for name in read {
                let standard = name.starts_with("process_") || name.starts_with("scrape_");
                assert!(standard || known.contains(name), "{panel} uses {name}, which does not exist");
            }
        }
    }
}

#[test]
fn every_metric_is_on_a_dashboard_or_listed_as_not_shown() {
    let shown: BTreeSet<_> = dashboards()
        .iter()
        .flat_map(|dashboard| {
            queries(dashboard)
                .into_iter()
                .flat_map(|(_, expr)| metrics_in(expr))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    for family in reference::metrics() {
        let is_shown = shown.iter().any(|name| name.starts_with(family.name));
        let recorded = RECORDING.contains(family.name);
        assert!(
            is_shown || recorded || NOT_SHOWN.contains(&family.name),
            "{} is on no dashboard",
            family.name
        );
    }
}

/// Metrics that no panel needs: alerts and the restoration from Prometheus read the API of an exporter; the alert of a secret
/// says since when; a request budget starts again every few seconds; and a wrong clock, an unreadable credential, a broken key
/// and a key whose probes are all refused each have an alert.
const NOT_SHOWN: [&str; 7] = [
    "myunisoft_exporter_api_info",
    "myunisoft_secret_state_since_timestamp_seconds",
    "myunisoft_rate_limit_reset_timestamp_seconds",
    "myunisoft_exporter_clock_timestamp_seconds",
    "myunisoft_exporter_credential_unreadable",
    "myunisoft_key_broken_since_timestamp_seconds",
    "myunisoft_key_refused_probes",
];

#[test]
fn every_query_filters_by_the_selected_job_and_instance() {
    for dashboard in dashboards() {
        for (panel, expr) in queries(&dashboard) {
            let setting = metrics_in(expr).iter().all(|name| SETTINGS.contains(&format!("record: {name}\n")));
            assert!(setting || expr.contains(r#"job=~"$job"#), "{panel} does not filter by job: {expr}");
            assert!(
                setting || expr.contains(r#"instance=~"$instance"#),
                "{panel} does not filter by instance: {expr}"
            );
            assert!(!expr.contains("job=\""), "{panel} has a fixed job name: {expr}");
        }
    }
}
