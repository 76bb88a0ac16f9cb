//! What a person sees on the dashboards, drawn with Grafana's own components: three of 300 keys are broken.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::drawing::{Drawing, View, shipped_dashboards};
use crate::support::history::{self, DISCONNECTED, FORBIDDEN, INSTANCE, KeyName, MENDED, REVOKED};
use crate::support::monitoring::Prometheus;

/// A laptop's width. The height has room for all panels, because text in a hidden panel is not drawn.
const SIZE: (u32, u32) = (1366, 3200);

/// Panels about something that the story does not have, so that they may be empty: dashboard, panel.
const MAY_BE_EMPTY: [(&str, &str); 6] = [
    ("overview", "Skipped probes"),
    ("key", "Labels"),
    ("key", "Skipped probes"),
    ("key", "Token expires in"),
    ("exporter", "List of stale probes"),
    ("exporter", "Restore from Prometheus"),
];

/// The story in Prometheus, and the end of the story.
struct Scene {
    prometheus: Prometheus,
    at: u64,
}

impl Scene {
    async fn draw(&self, drawing: &Drawing, board: &str) -> Value {
        let (partner, key) = REVOKED;
        let key = format!("partner={partner}&key={key}");
        let more = if board == "key" { &*key } else { "" };
        let url = self.prometheus.url();
        let view = View { prometheus: &url, at: self.at, board, more, size: SIZE, dark: true };
        let (browser, report) = drawing.draw(&view).await;
        browser.close().await;
        report
    }
}

fn panels(report: &Value) -> &[Value] {
    report["panels"].as_array().unwrap()
}

fn panel<'a>(report: &'a Value, title: &str) -> &'a Value {
    panels(report).iter().find(|panel| panel["title"] == title).unwrap_or_else(|| panic!("no panel {title}"))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// What a panel shows wrongly.
fn faults_of(board: &str, panel: &Value) -> Vec<String> {
    let title = text(panel, "title");
    let mut faults = Vec::new();
    if let Some(problem) = panel["problem"].as_str() {
        faults.push(format!("cannot be drawn: {problem}"));
    }
    if panel["is_empty"] == true && !MAY_BE_EMPTY.contains(&(board, title)) {
        faults.push("is empty".to_owned());
    }
    let cut: Vec<_> = panel["cut"].as_array().unwrap().iter().map(Value::to_string).collect();
    if !cut.is_empty() {
        faults.push(format!("cuts {}", cut.join(", ")));
    }
    let cells = panel["rows"].as_array().unwrap().iter().flat_map(|row| row.as_object().unwrap());
    for (column, _) in cells.filter(|(_, text)| panel["nothing"].is_string() && **text == panel["nothing"]) {
        faults.push(format!("says {} in the column {column} of a row", panel["nothing"]));
    }
    faults.into_iter().map(|fault| format!("{board}, {title}: {fault}")).collect()
}

fn faults(board: &str, report: &Value) -> Vec<String> {
    panels(report).iter().flat_map(|panel| faults_of(board, panel)).collect()
}

/// A row of a table, as far as its columns are named.
fn columns<'a>(row: &'a Value, names: &[&str]) -> Vec<&'a str> {
    names.iter().map(|name| text(row, name)).collect()
}

fn rows<'a>(report: &'a Value, title: &str, names: &[&str]) -> Vec<Vec<&'a str>> {
    panel(report, title)["rows"].as_array().unwrap().iter().map(|row| columns(row, names)).collect()
}

/// The first 20 rows of *Overview*: is the API up, how many keys need someone, which, since when, and why?
fn assert_overview_answers_at_once(report: &Value) {
    let answers = [
        ("API", "UP"),
        ("API in this state since", "2 hours ago"),
        ("Need someone", "3"),
        ("Keys monitored", "300"),
        ("Secrets refused", "0"),
        ("Exporter", "UP"),
        ("Alerts firing", "3"),
    ];
    for (title, answer) in answers {
        assert_eq!(text(panel(report, title), "text").trim(), answer, "{title}");
    }
    let expected = [
        ["disconnected", DISCONNECTED.1, DISCONNECTED.0, "ERR-THIRD-PARTY-DISCONNECTED"],
        ["revoked", REVOKED.1, REVOKED.0, "ERR-API-TOKEN-NOT-FOUND"],
        ["probe fails", FORBIDDEN.1, FORBIDDEN.0, "ERR-FORBIDDEN-ROUTE"],
    ];
    assert_eq!(rows(report, "Who needs someone", &["state", "key", "partner", "why"]), expected);
    for row in rows(report, "Who needs someone", &["since", "request-id"]) {
        assert!(row[0].ends_with(" ago"), "{row:?}");
        assert!(row[1].starts_with("req-"), "{row:?}");
    }
    let changed = rows(report, "What changed lately", &["state", "key"]);
    assert_eq!(changed, [["revoked", REVOKED.1], ["disconnected", DISCONNECTED.1], ["active", MENDED.1]]);
    let last = panel(report, "What changed lately")["bottom"].as_f64().unwrap();
    assert!(last <= report["bottom_of_row_20"].as_f64().unwrap(), "the answers need more than 20 rows");
}

/// The addresses to which a table links a key.
fn assert_links(report: &Value, title: &str, (partner, key): KeyName, starts: &[&str]) {
    let links: Vec<_> =
        panel(report, title)["links"].as_array().unwrap().iter().map(|it| text_at(it, 1)).collect();
    for start in starts {
        let found = links.iter().any(|link| {
            link.starts_with(start)
                && link.contains(&format!("partner={partner}"))
                && link.contains(&format!("key={key}"))
        });
        assert!(found, "{title} has no link to {start} for {key}: {links:#?}");
    }
}

fn text_at(value: &Value, index: usize) -> &str {
    value[index].as_str().unwrap()
}

/// *Key*: first the verdict and why, then the life of the key, then its probes.
fn assert_key_begins_with_the_verdict(report: &Value) {
    assert_eq!(text(panel(report, "State"), "text").trim(), "revoked");
    assert!(text(panel(report, "In this state since"), "text").trim().ends_with(" ago"));
    let why = rows(report, "Why probes fail", &["probe", "why"]);
    let code = "ERR-API-TOKEN-NOT-FOUND";
    assert_eq!(why, [["exercices", code], ["key_info", code]]);
    let bottom = |title: &str| panel(report, title)["bottom"].as_f64().unwrap();
    assert!(bottom("State") < bottom("Key state over time"));
    assert!(bottom("Key state over time") < bottom("Probes"));
    let life = text(panel(report, "Key state over time"), "text");
    assert!(life.contains("active") && life.contains("revoked"), "{life}");
}

/// One exporter that has all keys is one shard of one.
fn assert_exporter_shows_its_shard(report: &Value) {
    for (title, answer) in
        [("Shards scraped", "1"), ("Shards configured", "1"), ("Restore from Prometheus", "Not configured")]
    {
        assert_eq!(text(panel(report, title), "text").trim(), answer, "{title}");
    }
    let shards = rows(report, "Keys per shard", &["instance", "shard", "shards", "keys"]);
    assert_eq!(shards, [[INSTANCE, "0", "1", "300"]]);
}

/// Copies the dashboards, with mistakes in *Overview*.
fn with_mistakes(folder: &Path) {
    let read = |name: &str| std::fs::read_to_string(shipped_dashboards().join(name)).unwrap();
    let mut overview: Value = serde_json::from_str(&read("overview.json")).unwrap();
    for panel in overview["panels"].as_array_mut().unwrap() {
        match panel["title"].as_str().unwrap() {
            "Keys monitored" => panel["targets"][0]["expr"] = "myunisoft_no_such_metric".into(),
            "Firing alerts" => {
                panel["fieldConfig"]["overrides"][0]["properties"] = json!([]);
            }
            "Who needs someone" => narrow(panel, "why"),
            _ => {}
        }
    }
    std::fs::write(folder.join("overview.json"), overview.to_string()).unwrap();
}

/// Makes a column of a table too narrow.
fn narrow(panel: &mut Value, column: &str) {
    let overrides = panel["fieldConfig"]["overrides"].as_array_mut().unwrap();
    let found = overrides.iter_mut().find(|change| change["matcher"]["options"] == column).unwrap();
    found["properties"][0]["value"] = 120.into();
}

#[tokio::test]
async fn the_dashboards_show_at_once_who_is_broken_and_no_cell_misleads() {
    let folder = tempfile::tempdir().unwrap();
    let (prometheus, at) = history::start(folder.path()).await;
    let scene = Scene { prometheus, at };
    let drawing = Drawing::start(&shipped_dashboards()).await;
    let overview = scene.draw(&drawing, "overview").await;
    let key = scene.draw(&drawing, "key").await;
    let exporter = scene.draw(&drawing, "exporter").await;

    let found: Vec<_> = [("overview", &overview), ("key", &key), ("exporter", &exporter)]
        .into_iter()
        .flat_map(|(board, report)| faults(board, report))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    assert_overview_answers_at_once(&overview);
    let page = format!("http://{INSTANCE}/key?");
    assert_links(&overview, "Who needs someone", REVOKED, &["/d/myunisoft-key?", &page]);
    assert_key_begins_with_the_verdict(&key);
    assert_links(&key, "Key details", REVOKED, &[&page]);
    assert_exporter_shows_its_shard(&exporter);

    // Each kind of fault is found.
    let broken = tempfile::tempdir().unwrap();
    with_mistakes(broken.path());
    let found = faults("overview", &scene.draw(&Drawing::start(broken.path()).await, "overview").await);
    let expected = [
        "overview, Keys monitored: is empty",
        "overview, Who needs someone: cuts \"ERR-THIRD-PARTY-DISCONNECTED\"",
        "overview, Firing alerts: says \"No alert is firing\" in the column probe",
    ];
    for start in expected {
        assert!(found.iter().any(|fault| fault.starts_with(start)), "{start} is not in {found:#?}");
    }
}
