//! The rules and examples for Prometheus and Alertmanager are valid, complete, and tested to the minute.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::monitoring::alerts_folder;
use crate::support::server::run_tool;

const RULES: [&str; 3] = ["settings.rules.yml", "recording.rules.yml", "alerts.rules.yml"];
const RUNBOOKS: &str = include_str!("../../docs/runbooks.md");

fn parsed(file: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Every alert of the shipped rules.
fn alerts() -> Vec<Value> {
    let rules = parsed(&alerts_folder().join("alerts.rules.yml"));
    let groups = rules["groups"].as_array().unwrap().iter();
    let all = groups.flat_map(|group| group["rules"].as_array().unwrap().clone());
    all.filter(|rule| rule["alert"].is_string()).collect()
}

fn test_files() -> Vec<PathBuf> {
    let files = std::fs::read_dir(alerts_folder().join("tests")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// Runs a tool; returns whether it succeeded, and its output.
fn run(tool: &str, arguments: &[&str], folder: &Path) -> (bool, String) {
    let output = run_tool(Command::new(tool).args(arguments).current_dir(folder));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn the_rules_and_the_examples_are_valid() {
    for (tool, arguments) in [
        ("promtool", &["check", "rules", "--lint=all", "--lint-fatal", RULES[0], RULES[1], RULES[2]][..]),
        (
            "promtool",
            &["check", "rules", "--lint=all", "--lint-fatal", RULES[0], RULES[1], "fr/alerts.rules.yml"],
        ),
        ("promtool", &["check", "config", "examples/prometheus.yml"]),
        ("amtool", &["check-config", "examples/alertmanager.yml"]),
    ] {
        let (success, output) = run(tool, arguments, &alerts_folder());
        assert!(success, "{output}");
    }
}

#[test]
fn the_rules_pass_their_tests() {
    for file in test_files() {
        let (success, output) =
            run("promtool", &["test", "rules", file.to_str().unwrap()], &alerts_folder().join("tests"));
        assert!(success, "{output}");
    }
}

/// The tests in one file that name `alert`, as a new test file for the rules in `folder`. The new file is JSON, which is
/// also valid YAML.
fn tests_of(alert: &str, file: &Path, folder: &Path) -> Option<Value> {
    let mut tests = parsed(file);
    let about: Vec<_> = tests["tests"]
        .as_array()?
        .iter()
        .filter(|test| test.to_string().contains(&format!("{alert}\\\"")) || names(test, alert))
        .cloned()
        .collect();
    for rules in tests["rule_files"].as_array_mut()? {
        *rules = folder.join(Path::new(rules.as_str()?).file_name()?).display().to_string().into();
    }
    let found = !about.is_empty();
    tests["tests"] = about.into();
    found.then_some(tests)
}

/// Whether a test checks this alert.
fn names(test: &Value, alert: &str) -> bool {
    test["alert_rule_test"].as_array().into_iter().flatten().any(|check| check["alertname"] == alert)
}

/// Whether a test fails after `change` to the alert at `index`.
fn fails_after(index: usize, name: &str, change: impl Fn(&mut Value)) -> bool {
    let folder = tempfile::tempdir().unwrap();
    for rules in RULES {
        let mut rules_of = parsed(&alerts_folder().join(rules));
        if rules == "alerts.rules.yml" {
            let groups = rules_of["groups"].as_array_mut().unwrap().iter_mut();
            let all = groups.flat_map(|group| group["rules"].as_array_mut().unwrap().iter_mut());
            change(all.filter(|rule| rule["alert"].is_string()).nth(index).unwrap());
        }
        std::fs::write(folder.path().join(rules), rules_of.to_string()).unwrap();
    }
    test_files().iter().filter_map(|file| tests_of(name, file, folder.path())).any(|tests| {
        let file = folder.path().join("tests.yml");
        std::fs::write(&file, tests.to_string()).unwrap();
        let (success, output) = run("promtool", &["test", "rules", "tests.yml"], folder.path());
        assert!(success || output.contains("FAILED:\n"), "the test file is invalid: {output}");
        !success
    })
}

#[test]
fn the_delay_of_every_alert_is_tested_to_the_minute() {
    for (index, alert) in alerts().iter().enumerate() {
        let name = alert["alert"].as_str().unwrap();
        assert!(!fails_after(index, name, |_| ()), "{name}: its tests fail without a change");
        let wait = alert["for"].as_str().map_or(0, |wait| humantime::parse_duration(wait).unwrap().as_secs());
        let with = |seconds: u64| move |alert: &mut Value| alert["for"] = json!(format!("{seconds}s"));
        assert!(
            fails_after(index, name, with(wait + 60)),
            "{name} {wait}: no test fails if the delay is a minute longer"
        );
        if wait > 0 {
            assert!(
                fails_after(index, name, with(wait - 60)),
                "{name} {wait}: no test fails if the delay is a minute shorter"
            );
        }
    }
}

#[test]
fn every_alert_has_a_severity_texts_links_and_a_runbook() {
    let mut anchors: Vec<_> = RUNBOOKS.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    anchors.retain(|title| title.starts_with("MyUnisoft"));
    let mut named = BTreeSet::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let text =
            |annotation: &str| alert["annotations"][annotation].as_str().unwrap_or_default().to_owned();
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        assert!(text("summary").ends_with('.') && !text("summary").contains("{{"), "{name}");
        let description = text("description");
        let quotes = description.contains("myunisoft_probe_error_info") || description.contains("request ID");
        assert!(quotes, "{name}: the description must contain the request ID, or say that none is needed");
        assert!(text("runbook_url").ends_with(&format!("#{}", name.to_lowercase())), "{name}");
        assert!(anchors.contains(&name), "{name} has no section in docs/runbooks.md");
        assert!(text("dashboard_url").contains("/d/myunisoft-"), "{name}");
        let of_key = name.starts_with("MyUnisoftKey") && name != "MyUnisoftKeysLost";
        assert!(!of_key || text("exporter_url").contains("/key?partner="), "{name} does not link to its key");
        named.insert(name.to_owned());
    }
    let anchors = anchors.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(anchors, named, "one section per alert, and no other section");
    for name in [
        "ApiDown",
        "ApiMaintenance",
        "ApiSlow",
        "ApiErrorBudgetBurn",
        "KeyRevoked",
        "KeyNotFound",
        "KeyPending",
        "KeyInvalid",
        "KeyForbidden",
        "SecretRejected",
        "SecretPending",
        "CanaryFailing",
        "LoginFailing",
        "RateLimitLow",
        "KeyOutdated",
        "TlsCertificateExpiring",
        "ProbesStale",
        "ExporterDown",
        "ExporterConfigReloadFailed",
        "CredentialUnreadable",
        "KeysLost",
        "MostKeysFailing",
        "ExporterClockSkew",
        "ExporterStorageFailing",
    ] {
        assert!(named.contains(&format!("MyUnisoft{name}")), "MyUnisoft{name} is missing");
    }
}

#[test]
fn no_rule_drops_a_label_of_the_target_or_fixes_a_job() {
    for file in RULES {
        let rules = parsed(&alerts_folder().join(file));
        for rule in rules["groups"].as_array().unwrap().iter().flat_map(|it| it["rules"].as_array().unwrap())
        {
            let (name, expr) =
                (rule["record"].as_str().or(rule["alert"].as_str()), rule["expr"].as_str().unwrap());
            assert!(!expr.contains(" by ("), "{name:?} drops labels of the target: {expr}");
            assert!(!expr.contains("job=") && !expr.contains("instance="), "{name:?} fixes a target: {expr}");
            // In a job with other targets, a target that never responded is not taken for an exporter.
            let by_job = expr.contains("on (job)") && name != Some("exporter:up:known");
            assert!(!expr.contains("on (job, instance") && !by_job, "{name:?} mixes targets up: {expr}");
        }
    }
}
