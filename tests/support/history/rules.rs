//! The recorded series of the story, from the shipped rules.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::super::monitoring::{Prometheus, shipped};
use super::{SCRAPE_INTERVAL, promtool};

const FILES: [&str; 3] = ["settings.rules.yml", "recording.rules.yml", "alerts.rules.yml"];

/// The groups of a file without the alerts, evaluated every second.
fn recorded(file: &str) -> Vec<Value> {
    let mut content: Value = serde_saphyr::from_str(&shipped(file)).unwrap();
    let groups = content["groups"].as_array_mut().unwrap();
    for group in &mut *groups {
        group["interval"] = "1s".into();
        group["rules"].as_array_mut().unwrap().retain(|rule| rule["record"].is_string());
    }
    std::mem::take(groups)
}

/// The configuration of a Prometheus that scrapes nothing, and records what the shipped rules record.
pub(super) fn live_configuration(folder: &Path) -> String {
    for file in FILES {
        // JSON is valid YAML.
        std::fs::write(folder.join(file), json!({ "groups": recorded(file) }).to_string()).unwrap();
    }
    json!({ "rule_files": FILES }).to_string()
}

/// The words of an expression that can be names of metrics.
fn words(expr: &str) -> BTreeSet<&str> {
    expr.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c))).collect()
}

/// The series over time in the panels of the dashboards.
fn drawn_over_time() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let boards = ["overview", "key", "exporter"].map(|name| {
        let text = std::fs::read_to_string(folder.join(name).with_extension("json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    });
    let panels = boards.iter().flat_map(|board| board["panels"].as_array().unwrap());
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let over_time = targets.filter(|target| target["instant"] != true);
    over_time.flat_map(|target| words(target["expr"].as_str().unwrap())).map(str::to_owned).collect()
}

fn name(rule: &Value) -> &str {
    rule["record"].as_str().unwrap()
}

/// The rules that the dashboards need over time, and those that these need.
fn needed() -> Vec<Value> {
    let groups = FILES.iter().flat_map(|file| recorded(file));
    let rules: Vec<Value> = groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
    let mut names = drawn_over_time();
    loop {
        let known = names.len();
        for rule in &rules {
            if names.contains(name(rule)) {
                names.extend(words(rule["expr"].as_str().unwrap()).into_iter().map(str::to_owned));
            }
        }
        if names.len() == known {
            return rules.into_iter().filter(|rule| names.contains(name(rule))).collect();
        }
    }
}

/// These rules in the order in which they can be recorded: the rules of one list read only raw series, and series of the
/// lists before it.
fn in_order() -> Vec<Vec<Value>> {
    let mut remaining = needed();
    let mut lists = Vec::new();
    while !remaining.is_empty() {
        let names: BTreeSet<String> = remaining.iter().map(|rule| name(rule).to_owned()).collect();
        let (now, later): (Vec<_>, Vec<_>) = remaining.into_iter().partition(|rule| {
            let read = words(rule["expr"].as_str().unwrap());
            read.iter().all(|word| *word == name(rule) || !names.contains(*word))
        });
        assert!(!now.is_empty(), "these rules read one another: {names:?}");
        lists.push(now);
        remaining = later;
    }
    lists
}

/// Records the series that the dashboards show over time, from `start` to `end`.
pub(super) async fn record(folder: &Path, blocks: &Path, start: f64, end: f64) {
    for rules in in_order() {
        let prometheus = Prometheus::start(folder, "{}").await;
        let file = folder.join("rules.json");
        std::fs::write(&file, json!({ "groups": [{ "name": "all", "rules": rules }] }).to_string()).unwrap();
        promtool(
            Command::new("promtool")
                .args(["tsdb", "create-blocks-from", "rules"])
                .arg(format!("--url={}", prometheus.url()))
                .arg(format!("--start={start:.0}"))
                .arg(format!("--end={end:.0}"))
                .arg(format!("--eval-interval={}s", SCRAPE_INTERVAL.as_secs()))
                .arg(format!("--output-dir={}", blocks.display()))
                .arg(&file),
        );
    }
}
