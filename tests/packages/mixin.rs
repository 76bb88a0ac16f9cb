//! The mixin: by default it is equal to the plain files, and each setting changes all rules and panels concerned.

mod cluster;
mod selector;
mod values;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::support::monitoring::{alerts_folder, shipped};
use crate::support::server::run_tool;

const RULE_FILES: [&str; 3] = ["settings.rules.yml", "recording.rules.yml", "alerts.rules.yml"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Evaluates jsonnet in `folder`: the result, or the error.
fn jsonnet(folder: &Path, arguments: &[&str]) -> Result<Value, String> {
    let output = run_tool(Command::new("jsonnet").args(arguments).current_dir(folder));
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// Evaluates the mixin with these fields in `_config`.
fn try_mixin(config: &str) -> Result<Mixin, String> {
    let text = format!(
        "local mixin = (import 'mixin/mixin.libsonnet') + {{ _config+:: {{ {config} }} }};
        [mixin.prometheusAlerts, mixin.prometheusRules, mixin.grafanaDashboards]"
    );
    let output = jsonnet(root(), &["-e", &text])?;
    Ok(Mixin { alerts: output[0].clone(), rules: output[1].clone(), dashboards: with_floats(&output[2]) })
}

/// Evaluated once, because it takes seconds.
static DEFAULT: LazyLock<Mixin> = LazyLock::new(|| mixin(""));

/// The value with each number rounded, as a float: jsonnet writes `1.0` as `1`, and `0.1` with 17 digits, which `serde_json`
/// does not read exactly.
fn with_floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!((number.as_f64().unwrap() * 1e6).round() / 1e6),
        Value::Array(items) => items.iter().map(with_floats).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), with_floats(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

fn mixin(config: &str) -> Mixin {
    try_mixin(config).unwrap()
}

/// The output of the mixin.
struct Mixin {
    alerts: Value,
    rules: Value,
    dashboards: Value,
}

impl Mixin {
    /// The plain files, as the mixin would give them.
    fn plain() -> Self {
        let [settings, recording, alerts] =
            RULE_FILES.map(|name| serde_saphyr::from_str::<Value>(&shipped(name)).unwrap());
        let rules =
            [settings["groups"].as_array().unwrap(), recording["groups"].as_array().unwrap().as_slice()];
        let files = std::fs::read_dir(root().join("dashboards")).unwrap().map(|file| file.unwrap().path());
        let dashboards = files.filter(|file| file.extension().is_some_and(|end| end == "json")).map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            (name, with_floats(&serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()))
        });
        Self { alerts, rules: json!({"groups": rules.concat()}), dashboards: dashboards.collect() }
    }

    /// All rules, in the order of the groups.
    fn all_rules(&self) -> Vec<&Value> {
        let groups = [&self.rules, &self.alerts].map(|file| file["groups"].as_array().unwrap());
        groups.into_iter().flatten().flat_map(|group| group["rules"].as_array().unwrap()).collect()
    }

    /// The alerts with this name.
    fn alerts_named(&self, name: &str) -> Vec<&Value> {
        self.all_rules().into_iter().filter(|rule| rule["alert"] == name).collect()
    }

    /// The expression of a recorded series.
    fn recorded(&self, name: &str) -> &str {
        let rule = self.all_rules().into_iter().find(|rule| rule["record"] == name);
        rule.unwrap_or_else(|| panic!("{name} is not recorded"))["expr"].as_str().unwrap()
    }

    /// Every panel, with the name of its dashboard's file.
    fn panels(&self) -> Vec<(&str, &Value)> {
        let dashboards = self.dashboards.as_object().unwrap().iter();
        dashboards
            .flat_map(|(file, board)| {
                board["panels"].as_array().unwrap().iter().map(|panel| (file.as_str(), panel))
            })
            .collect()
    }

    /// Every query of a panel, with the panel's title.
    fn queries(&self) -> Vec<(&str, &str)> {
        let targets = |panel: &Value| panel["targets"].as_array().cloned().unwrap_or_default();
        let panels = self.panels().into_iter().filter(|(_, panel)| !targets(panel).is_empty());
        panels
            .flat_map(|(_, panel)| {
                let title = panel["title"].as_str().unwrap();
                panel["targets"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(move |it| (title, it["expr"].as_str().unwrap()))
            })
            .collect()
    }

    /// Writes the rules to a folder, under the names of the plain files. (JSON is valid YAML, too.)
    fn write_rules(&self, folder: &Path) {
        std::fs::write(folder.join("recording.rules.yml"), self.rules.to_string()).unwrap();
        std::fs::write(folder.join("alerts.rules.yml"), self.alerts.to_string()).unwrap();
        std::fs::write(folder.join("settings.rules.yml"), r#"{"groups": []}"#).unwrap();
        let (success, output) =
            promtool(folder, &["check", "rules", "recording.rules.yml", "alerts.rules.yml"]);
        assert!(success, "{output}");
    }

    /// Runs a test of promtool on the rules. The groups are evaluated in their order.
    fn test(&self, tests: &Value) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        self.write_rules(folder.path());
        let groups = [&self.rules, &self.alerts].map(|file| file["groups"].as_array().unwrap());
        let order: Vec<_> = groups.into_iter().flatten().map(|group| &group["name"]).collect();
        let file = json!({
            "rule_files": ["recording.rules.yml", "alerts.rules.yml"],
            "evaluation_interval": "1m",
            "group_eval_order": order,
            "tests": [tests],
        });
        std::fs::write(folder.path().join("tests.yml"), file.to_string()).unwrap();
        promtool(folder.path(), &["test", "rules", "tests.yml"])
    }
}

/// Runs promtool: whether it succeeded, and its output.
fn promtool(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = run_tool(Command::new("promtool").args(arguments).current_dir(folder));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// The tests of the plain rules.
fn rule_tests() -> Vec<PathBuf> {
    std::fs::read_dir(alerts_folder().join("tests")).unwrap().map(|file| file.unwrap().path()).collect()
}

#[test]
fn the_default_output_is_equal_to_the_plain_files() {
    let plain = Mixin::plain();
    assert_eq!(DEFAULT.rules, plain.rules);
    assert_eq!(DEFAULT.alerts, plain.alerts);
    assert_eq!(DEFAULT.dashboards, plain.dashboards);
}

#[test]
fn the_example_of_the_documentation_works_beside_another_mixin() {
    let page = std::fs::read_to_string(root().join("mixin/README.md")).unwrap();
    let example = page.split("```jsonnet\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // As jsonnet-bundler does it for a local folder.
    std::fs::create_dir(folder.path().join("vendor")).unwrap();
    std::os::unix::fs::symlink(root(), folder.path().join("vendor/myunisoft-exporter")).unwrap();
    std::fs::write(folder.path().join("monitoring.jsonnet"), example).unwrap();
    let files = jsonnet(folder.path(), &["-J", "vendor", "monitoring.jsonnet"]).unwrap();
    assert!(files["alerts.json"]["groups"].is_array());
    assert_eq!(files["overview.json"]["uid"], "myunisoft-overview");

    let other =
        "{ _config+:: { selector: 'job=\"node\"' }, prometheusAlerts+:: { groups+: [{ name: 'node' }] } }";
    let both = format!("(({other}) + (import 'mixin/mixin.libsonnet')).prometheusAlerts.groups[0].name");
    assert_eq!(jsonnet(root(), &["-e", &both]), Ok(json!("node")));
}

#[test]
fn a_mistake_in_the_settings_is_an_error_that_names_it() {
    let config = r#"
        myunisoftSelectors: '',
        myUnisoftThresholds: {},
        myunisoftLinks+: { grafanas: '' },
        myunisoftThresholds+: { 'myunisoft:slow_probes:seconds': 1, 'myunisoft:clock_skew:seconds': '4s' },
        myunisoftSeverities+: { MyUnisoftApiDwon: 'page', MyUnisoftApiDown: { urgent: 'page' }, info: 1 },
        myunisoftSelector: 'job="a", instance="b"',
    "#;
    let error = try_mixin(config).err().expect("an error");
    for expected in [
        "_config: unknown names: myUnisoftThresholds, myunisoftSelectors;",
        "_config.myunisoftLinks: unknown names: grafanas;",
        "_config.myunisoftThresholds: unknown names: myunisoft:slow_probes:seconds;",
        "_config.myunisoftThresholds: not a number: myunisoft:clock_skew:seconds;",
        "_config.myunisoftSeverities: unknown names: MyUnisoftApiDwon;",
        "_config.myunisoftSeverities: unknown severities: urgent;",
        "_config.myunisoftSeverities: not a string: info;",
        "_config.myunisoftSelector: the rules remove these labels, so they cannot select targets: instance",
    ] {
        assert!(error.contains(expected), "{expected} is missing: {error}");
    }
}
