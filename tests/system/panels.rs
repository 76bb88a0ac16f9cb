//! Every query of every panel and variable, asked of a real Prometheus that watches the demo.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::support::monitoring::{Prometheus, lay_out_rules};
use crate::support::server::{BINARY, Exporter, Server};

/// The demo's story has a lap of 90 seconds; in two of them everything has happened.
const PATIENCE: Duration = Duration::from_mins(4);

/// Panels that show something only when something is wrong that never is in the demo: dashboard, panel, why.
const SILENT: &[(&str, &str, &str)] =
    &[("MyUnisoft / Exporter", "List of stale probes", "no probe of the demo is stale")];

fn is_silent_for_good(query: &Query) -> bool {
    SILENT.iter().any(|(dashboard, panel, _)| query.place.starts_with(&format!("{dashboard}, {panel}, ")))
}

/// One query of a dashboard.
#[derive(Debug)]
struct Query {
    /// Dashboard, panel or variable, and which of its queries.
    place: String,
    expr: String,
    is_instant: bool,
    /// The labels that its legend shows.
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

/// What Grafana puts in the place of variables where "All" is chosen. (The steps of subqueries, less than
/// a scrape interval as shipped, are hastened too.)
fn filled_in(expr: &str) -> String {
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
    assert!(!expr.contains('$'), "a variable that this test does not know: {expr}");
    expr
}

/// `label_values(metric, label)`, as what has to give something for it.
fn of_variable(query: &str) -> String {
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
            expr: filled_in(&of_variable(query)),
            is_instant: true,
            legend: BTreeSet::new(),
        })
    });
    let panels =
        list(dashboard, "/panels").flat_map(|panel| std::iter::once(panel).chain(list(panel, "/panels")));
    let targets = panels.flat_map(|panel| {
        list(panel, "/targets").map(|target| Query {
            place: [title, text(panel, "title"), text(target, "refId")].join(", "),
            expr: filled_in(target["expr"].as_str().unwrap()),
            is_instant: target["instant"] == true,
            legend: labels_of(target["legendFormat"].as_str().unwrap_or_default()),
        })
    });
    variables.chain(targets).collect()
}

/// The series that a query gives, asked as Grafana asks.
async fn answer(prometheus: &Prometheus, query: &Query) -> Vec<Value> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (start, end) = ((now - 300).to_string(), now.to_string());
    let asked = if query.is_instant {
        prometheus.ask("query", &[("query", &query.expr)]).await
    } else {
        let span = [("query", &*query.expr), ("start", &start), ("end", &end), ("step", "5")];
        prometheus.ask("query_range", &span).await
    };
    let answer = asked.unwrap_or_default();
    assert_eq!(answer["status"], "success", "{}: {}: {answer}", query.place, query.expr);
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

fn has_labels(series: &Value, labels: &BTreeSet<String>) -> bool {
    labels.iter().all(|label| series["metric"][label].is_string())
}

#[tokio::test]
async fn every_dashboard_query_returns_the_labels_of_its_legend() {
    let server = Server::spawn(Command::new(BINARY).args(["demo", "--web.listen-address=127.0.0.1:0"]));
    let exporter = Exporter::listening(server).await;
    let folder = tempfile::tempdir().unwrap();
    let config = lay_out_rules(folder.path(), 10);
    let target = exporter.url.trim_start_matches("http://");
    let prometheus = Prometheus::start(folder.path(), &config.replace("localhost:10698", target)).await;

    let all: Vec<_> = dashboards().iter().flat_map(queries).collect();
    assert!(all.len() > 60, "{}", all.len());
    let mut silent: Vec<_> = all.iter().collect();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && silent.iter().any(|query| !is_silent_for_good(query)) {
        let mut still = Vec::new();
        for query in silent {
            let series = answer(&prometheus, query).await;
            if !series.iter().any(|series| has_labels(series, &query.legend)) {
                still.push(query);
            }
        }
        silent = still;
        sleep(Duration::from_secs(1)).await;
    }
    let unexpected = silent.iter().filter(|query| !is_silent_for_good(query));
    let unexpected: Vec<_> = unexpected.map(|query| (&query.place, &query.expr)).collect();
    assert!(unexpected.is_empty(), "nothing in {PATIENCE:?}: {unexpected:#?}");
    println!("{} queries of {} panels and variables answered", all.len() - silent.len(), all.len());
    for (dashboard, panel, _) in SILENT {
        let shown = silent.iter().any(|query| query.place.starts_with(&format!("{dashboard}, {panel}, ")));
        assert!(shown, "{dashboard}, {panel}: it does show something; take it from the list");
    }
}
