//! Three exporters that divide the keys, with a real Prometheus: one loses its disk, and three become two.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use partner_simulator::{Limits, Simulator};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::SECRET;
use crate::support::acme::key_line;
use crate::support::monitoring::{Prometheus, write_rules};
use crate::support::server::{BINARY, Exporter, until_within};

const KEYS: usize = 12;
/// The divisor of all durations in the rules.
const SPEEDUP: u32 = 5;
/// Longer than any wait in these tests.
const TIMEOUT: Duration = Duration::from_mins(5);

struct Stack {
    simulator: Simulator,
    folder: TempDir,
    prometheus: Prometheus,
}

impl Stack {
    async fn start() -> Self {
        let limits = Limits { total: 1_000_000, ..Default::default() };
        let mut builder = Simulator::builder().limits(limits).partner("acme", SECRET);
        for (number, society) in (0..KEYS).zip(127..) {
            builder = builder.society_key(&name(number), 80, society);
        }
        let simulator = builder.start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_config(folder.path(), &simulator);
        fs::write(folder.path().join("targets.json"), "[]").unwrap();
        let discovery = "file_sd_configs:\n      - {files: [targets.json], refresh_interval: 1s}";
        let config = write_rules(folder.path(), SPEEDUP)
            .replace("static_configs:\n      - targets: [\"localhost:10698\"]", discovery);
        assert!(config.contains(discovery), "{config}");
        let config = config.split("alerting:").next().unwrap().to_owned();
        let prometheus = Prometheus::start(folder.path(), &config).await;
        Self { simulator, folder, prometheus }
    }

    /// Starts one shard, whose storage directory has this name.
    async fn shard(&self, shard: &str, storage: &str) -> Exporter {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let mut command = Command::new(BINARY);
        command.arg(format!("--config.file={}", path("exporter.yml")));
        command.arg(format!("--storage.path={}", path(storage)));
        command.arg(format!("--restore.prometheus-url=http://{}", self.prometheus.address));
        let flags = [
            "--restore.match={job=\"myunisoft\"}",
            "--web.listen-address=127.0.0.1:0",
            &format!("--shard={shard}"),
        ];
        Exporter::start_with_flags(command, &flags).await
    }

    /// Tells Prometheus where the exporters are.
    fn set_targets(&self, exporters: &[&Exporter]) {
        let targets: Vec<_> = exporters.iter().map(|it| it.url.trim_start_matches("http://")).collect();
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("targets.json"));
        fs::write(&new, json!([{"targets": targets}]).to_string()).unwrap();
        fs::rename(new, file).unwrap();
    }

    /// Waits until the first series of a query has this value.
    async fn wait_for_value(&self, query: &str, value: usize) {
        let poll = || async {
            let series = self.prometheus.query(query).await?;
            (series[0]["value"][1] == *value.to_string()).then_some(())
        };
        until_within(TIMEOUT, query, poll).await;
    }

    /// Prometheus is asked what it showed every five seconds.
    async fn wait_until_prometheus_knows_all_keys(&self) {
        let shown = "count(max_over_time(timestamp(myunisoft_key_state{state=\"active\"} == 1)[15m:5s]))";
        self.wait_for_value(shown, KEYS).await;
    }

    /// The series of a query by one label, sorted.
    async fn labels(&self, query: &str, label: &str) -> Vec<String> {
        let series = self.prometheus.query(query).await.unwrap_or_default();
        let mut labels: Vec<_> = series
            .iter()
            .map(|it: &Value| it["metric"][label].as_str().unwrap_or_default().to_owned())
            .collect();
        labels.sort();
        labels.dedup();
        labels
    }
}

fn name(number: usize) -> String {
    format!("customer-{number}")
}

fn write_config(folder: &Path, simulator: &Simulator) {
    let keys: Vec<_> = (0..KEYS).map(|number| key_line(simulator, &name(number))).collect();
    let timing = "interval: 2s, timeout: 2s";
    let text = format!(
        "api: {{base_url: \"{}\", auth_url: \"{}\"}}\nhealth: {{{timing}}}\nkey_info: {{{timing}}}\n\
         canaries:\n  exercices: {{path: \"/api/v1/mad/exercices?version=1.0.0\", {timing}}}\n\
         partners:\n  - name: acme\n    secret: {SECRET}\n    keys:\n{}\n",
        simulator.base_url(),
        simulator.auth_url(),
        keys.join("\n")
    );
    fs::write(folder.join("exporter.yml"), text).unwrap();
}

/// A key of this exporter.
async fn key_of(exporter: &Exporter) -> String {
    let (_, targets) = exporter.get_json("/sd").await;
    targets[0]["labels"]["key"].as_str().unwrap().to_owned()
}

const REVOKED: &str = "ALERTS{alertname=\"MyUnisoftKeyRevoked\",alertstate=\"firing\"}";

#[tokio::test]
async fn a_lost_disk_and_a_lost_shard_forget_no_state_and_raise_no_false_alert() {
    let stack = Stack::start().await;
    let (zero, one, two) =
        (stack.shard("0/3", "zero").await, stack.shard("1/3", "one").await, stack.shard("2/3", "two").await);
    stack.set_targets(&[&zero, &one, &two]);
    stack.wait_until_prometheus_knows_all_keys().await;
    stack.wait_for_value("count(myunisoft_secret_state{state=\"active\"} == 1)", 3).await;

    // A key of shard 1 is revoked. Then shard 1 is killed, and starts elsewhere without its disk. Meanwhile another of
    // its keys is revoked: only Prometheus knows that it was active.
    let first = key_of(&one).await;
    stack.simulator.key(&first).unwrap().revoke();
    stack.wait_for_value(&format!("count({REVOKED})"), 1).await;
    let second = {
        let (_, targets) = one.get_json("/sd").await;
        targets[1]["labels"]["key"].as_str().unwrap().to_owned()
    };
    let last_of_two = key_of(&two).await;
    drop(one);
    stack.simulator.key(&second).unwrap().revoke();
    let one = stack.shard("1/3", "elsewhere").await;
    stack.set_targets(&[&zero, &one, &two]);
    stack.wait_for_value(&format!("count({REVOKED})"), 2).await;
    assert_eq!(stack.labels(REVOKED, "key").await, sorted([&first, &second]));
    stack.wait_for_value("count(myunisoft_key_state{state=\"active\"} == 1)", KEYS - 2).await;

    // Three become two: all stop, and the disk of shard 2 is not used any more. Meanwhile one of its keys is revoked.
    drop((zero, one, two));
    stack.simulator.key(&last_of_two).unwrap().revoke();
    let (zero, one) = (stack.shard("0/2", "zero").await, stack.shard("1/2", "elsewhere").await);
    stack.set_targets(&[&zero, &one]);
    stack.wait_for_value(&format!("count({REVOKED})"), 3).await;
    assert_eq!(stack.labels(REVOKED, "key").await, sorted([&first, &second, &last_of_two]));
    stack.wait_for_value("count(myunisoft_key_state{state=\"active\"} == 1)", KEYS - 3).await;
    stack.wait_for_value("sum(myunisoft_exporter_configured_keys)", KEYS).await;
    // Longer than `for` of the alerts about lost keys and missing shards.
    sleep(Duration::from_mins(5) / SPEEDUP + Duration::from_secs(5)).await;

    let alerts = stack.labels("count_over_time(ALERTS{alertstate=\"firing\"}[15m])", "alertname").await;
    assert_eq!(alerts, ["MyUnisoftKeyRevoked"], "no other alert ever fired");
    // An alert that resolves and fires again has another time of activation.
    let restarts = "changes(ALERTS_FOR_STATE{alertname=\"MyUnisoftKeyRevoked\"}[15m])";
    assert_eq!(stack.labels(restarts, "key").await, sorted([&first, &second, &last_of_two]));
    let restarted = stack.labels(&format!("{restarts} > 0"), "key").await;
    assert_eq!(restarted, [""; 0], "no alert resolved and fired again");
    let wrong = "count_over_time((myunisoft_key_state{state=~\"not_found|pending|invalid\"} == 1)[15m:1s])";
    assert_eq!(stack.labels(wrong, "key").await, [""; 0], "no state was forgotten");
}

fn sorted<const N: usize>(names: [&String; N]) -> Vec<String> {
    let mut names: Vec<_> = names.into_iter().cloned().collect();
    names.sort();
    names
}

#[tokio::test]
async fn series_of_another_job_or_of_another_api_are_never_taken() {
    let stack = Stack::start().await;
    let exporter = stack.shard("0/1", "first").await;
    stack.set_targets(&[&exporter]);
    stack.wait_until_prometheus_knows_all_keys().await;
    (0..KEYS).for_each(|number| stack.simulator.key(&name(number)).unwrap().revoke());
    drop(exporter);
    for (storage, flag, identity) in [
        ("other-job", "--restore.match={job=\"another\"}", ""),
        ("other-api", "--restore.match={job=\"myunisoft\"}", "identity: staging, "),
        ("same", "--restore.match={job=\"myunisoft\"}", ""),
    ] {
        let file = stack.folder.path().join("exporter.yml");
        write_config(stack.folder.path(), &stack.simulator);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("api: {", &format!("api: {{{identity}"))).unwrap();
        let mut command = Command::new(BINARY);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.path={}", stack.folder.path().join(storage).display()));
        command.arg(format!("--restore.prometheus-url=http://{}", stack.prometheus.address));
        let restarted =
            Exporter::start_with_flags(command, &[flag, "--web.listen-address=127.0.0.1:0"]).await;
        let is_known = storage == "same";
        let restored = if is_known { KEYS } else { 0 };
        let restored = format!("restored={restored}");
        restarted.server.wait_for_log(&["asked Prometheus", &restored]).await;
        let state = if is_known { "revoked" } else { "not_found" };
        let line = format!("myunisoft_key_state{{partner=\"acme\",key=\"{}\",state=\"{state}\"}} 1", name(0));
        restarted.wait_for_line(&line).await;
    }
}
