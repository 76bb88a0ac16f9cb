//! Every query of every panel and variable, sent to a real Prometheus that scrapes the demo.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::support::monitoring::{Prometheus, write_rules};
use crate::support::server::Exporter;

/// The events of the demo repeat every 100 seconds (in a test). After two rounds, all of them have happened.
const TIMEOUT: Duration = Duration::from_mins(4);

/// Panels that show only problems that the demo does not have: dashboard, panel, reason.
const EMPTY: &[(&str, &str, &str)] = &[
    ("MyUnisoft / Exporter", "List of stale probes", "no probe of the demo is stale"),
    ("MyUnisoft / Exporter", "Restore from Prometheus", "the demo restores nothing"),
];

/// A panel about what the configuration can have or not: dashboard, panel.
const MAY_BE_EMPTY: (&str, &str) = ("MyUnisoft / Key", "Labels");

fn may_be_empty(query: &Query) -> bool {
    let panels = EMPTY.iter().map(|(dashboard, panel, _)| (*dashboard, *panel)).chain([MAY_BE_EMPTY]);
    panels.into_iter().any(|(dashboard, panel)| query.place.starts_with(&format!("{dashboard}, {panel}, ")))
}

/// One query of a dashboard.
#[derive(Debug)]
struct Query {
    /// Dashboard, panel or variable, and the reference of the query.
    place: String,
    expr: String,
    is_instant: bool,
    /// The labels in its legend.
    legend: BTreeSet<String>,
}

fn dashboards() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.map(|file| serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()).collect()
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Replaces the variables as Grafana does if "All" is selected. The steps of subqueries are divided like the scrape
/// interval, because they must be shorter than it.
fn with_variables(expr: &str) -> String {
    let fixed = [
        ("$__rate_interval", "30s"),
        ("$__range_s", "300"),
        ("$__range", "300s"),
        ("$__interval", "5s"),
        (":10s]", ":1s]"),
        (":5s]", ":1s]"),
    ];
    let names = ["job", "instance", "partner", "key"].map(|name| (format!("${name}"), ".*"));
    let expr = fixed.iter().fold(expr.to_owned(), |expr, (name, value)| expr.replace(name, value));
    let expr = names.iter().fold(expr, |expr, (name, value)| expr.replace(name, value));
    // `$1` is a group of label_replace().
    let is_variable = |rest: &str| rest.starts_with(|c: char| !c.is_ascii_digit());
    assert!(!expr.split('$').skip(1).any(is_variable), "a variable that this test does not know: {expr}");
    expr
}

/// A query that returns a series for each value of `label_values(metric, label)`.
fn variable_query(query: &str) -> String {
    let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let (series, label) =
        inside.and_then(|inside| inside.rsplit_once(',')).unwrap_or_else(|| panic!("{query}"));
    format!("group by ({label}) ({series})")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn labels_of(legend: &str) -> BTreeSet<String> {
    legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap().trim().to_owned()).collect()
}

fn queries(dashboard: &Value) -> Vec<Query> {
    let title = dashboard["title"].as_str().unwrap();
    let variables = list(dashboard, "/templating/list").filter_map(|variable| {
        let query = variable["query"]["query"].as_str().or(variable["query"].as_str())?;
        query.starts_with("label_values").then(|| Query {
            place: [title, "variable", text(variable, "name")].join(", "),
            expr: with_variables(&variable_query(query)),
            is_instant: true,
            legend: BTreeSet::new(),
        })
    });
    let panels =
        list(dashboard, "/panels").flat_map(|panel| std::iter::once(panel).chain(list(panel, "/panels")));
    let targets = panels.flat_map(|panel| {
        list(panel, "/targets").map(|target| Query {
            place: [title, text(panel, "title"), text(target, "refId")].join(", "),
            expr: with_variables(target["expr"].as_str().unwrap()),
            is_instant: target["instant"] == true,
            legend: labels_of(target["legendFormat"].as_str().unwrap_or_default()),
        })
    });
    variables.chain(targets).collect()
}

/// The series of a query, requested as Grafana does.
async fn series_of(prometheus: &Prometheus, query: &Query) -> Vec<Value> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (start, end) = ((now - 300).to_string(), now.to_string());
    let response = if query.is_instant {
        prometheus.get("query", &[("query", &query.expr)]).await
    } else {
        let parameters = [("query", &*query.expr), ("start", &start), ("end", &end), ("step", "5")];
        prometheus.get("query_range", &parameters).await
    };
    let response = response.unwrap_or_default();
    assert_eq!(response["status"], "success", "{}: {}: {response}", query.place, query.expr);
    response["data"]["result"].as_array().cloned().unwrap_or_default()
}

fn has_labels(series: &Value, labels: &BTreeSet<String>) -> bool {
    labels.iter().all(|label| series["metric"][label].is_string())
}

#[tokio::test]
async fn every_dashboard_query_returns_the_labels_of_its_legend() {
    let exporter = Exporter::start_demo(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = write_rules(folder.path(), 10);
    let target = exporter.url.trim_start_matches("http://");
    let prometheus = Prometheus::start(folder.path(), &config.replace("localhost:10698", target)).await;

    let all: Vec<_> = dashboards().iter().flat_map(queries).collect();
    assert!(all.len() > 60, "{}", all.len());
    let mut empty: Vec<_> = all.iter().collect();
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline && empty.iter().any(|query| !may_be_empty(query)) {
        let mut remaining = Vec::new();
        for query in empty {
            let series = series_of(&prometheus, query).await;
            if !series.iter().any(|series| has_labels(series, &query.legend)) {
                remaining.push(query);
            }
        }
        empty = remaining;
        sleep(Duration::from_secs(1)).await;
    }
    let unexpected = empty.iter().filter(|query| !may_be_empty(query));
    let unexpected: Vec<_> = unexpected.map(|query| (&query.place, &query.expr)).collect();
    assert!(unexpected.is_empty(), "no data within {TIMEOUT:?}: {unexpected:#?}");
    println!("{} of {} queries of panels and variables returned data", all.len() - empty.len(), all.len());
    for (dashboard, panel, _) in EMPTY {
        let is_empty = empty.iter().any(|query| query.place.starts_with(&format!("{dashboard}, {panel}, ")));
        assert!(is_empty, "{dashboard}, {panel}: the panel has data; remove it from the list");
    }
}
