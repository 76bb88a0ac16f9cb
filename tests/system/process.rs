//! The program as a process: a full disk, a real Prometheus, the demo.

use std::process::Command;

use myunisoft_exporter::reference::{self, MetricKind};
use partner_simulator::{KeySpec, LoginSpec, Simulator};

use crate::support::SECRET;
use crate::support::acme::{key_line, state_line, two_keys, write_config};
use crate::support::monitoring::Prometheus;
use crate::support::server::{BINARY, Exporter, until};
use rustix::process::Signal;

#[tokio::test]
async fn a_file_size_limit_of_zero_is_reported_and_keeps_the_state_file() {
    let (simulator, folder) = two_keys().await;
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    exporter.server.signal(Signal::TERM);
    assert!(exporter.server.wait_for_exit().await.success());
    let before = std::fs::read(folder.path().join("data/state.json")).unwrap();
    // A file size limit of zero simulates a full disk: every write fails, even for root. The signal XFSZ is ignored,
    // because a full disk does not send it.
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, BINARY]);
    simulator.key("dupont").unwrap().revoke();
    let exporter = Exporter::start_with_command(command, folder.path(), &[]).await;
    exporter.server.wait_for_log(&["level=error", "cannot write the state file"]).await;
    exporter.wait_for_line(&state_line("dupont", "revoked")).await;
    let metrics = exporter.metrics().await;
    assert!(!metrics.contains("myunisoft_exporter_storage_write_failures_total 0\n"), "{metrics}");
    assert_eq!(
        std::fs::read(folder.path().join("data/state.json")).unwrap(),
        before,
        "the previous state file is complete"
    );
}

#[tokio::test]
async fn prometheus_reads_every_metric_with_its_type_and_help() {
    let simulator = Simulator::builder()
        .tls()
        .partner("acme", SECRET)
        .key(KeySpec::login("durand", LoginSpec::new("api@durand.example", "right").firm(83, "DURAND")))
        .society_key("dupont", 80, 127)
        .start()
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let login = "      - {name: durand, access: firm, canaries: [], login: {mail: api@durand.example, password: right}}";
    let unreadable =
        "      - {name: petit, access: society, token_file: missing, labels: {customer: \"4711\"}}";
    let keys = [login.to_owned(), unreadable.to_owned(), key_line(&simulator, "dupont")];
    write_config(folder.path(), &simulator, &keys);
    let config = folder.path().join("exporter.yml");
    std::fs::write(folder.path().join("ca.pem"), simulator.ca_pem().unwrap()).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("api: {", "api: {ca_file: ca.pem, ")).unwrap();
    // Nothing listens there, so the metric about restoring has a sample, too.
    let restore = ["--restore.prometheus-url=http://127.0.0.1:1", "--restore.match={job=\"m\"}"];
    let exporter = Exporter::start(folder.path(), &restore).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    exporter.wait_for_line(&state_line("durand", "active")).await;
    simulator.key("dupont").unwrap().revoke();
    exporter.wait_for_line(&state_line("dupont", "revoked")).await;
    // The next probes are skipped, so this metric has a sample, too.
    simulator.key("dupont").unwrap().spend(u32::MAX);

    let target = exporter.url.trim_start_matches("http://");
    let scrape = format!(
        "global: {{scrape_interval: 500ms}}\nscrape_configs: [{{job_name: m, static_configs: [{{targets: ['{target}']}}]}}]\n"
    );
    let prometheus = Prometheus::start(folder.path(), &scrape).await;
    for family in reference::metrics() {
        let name = match family.kind {
            MetricKind::Histogram => format!("{}_bucket", family.name),
            _ => family.name.to_owned(),
        };
        until(&name, || prometheus.query(&name)).await;
        let metadata = prometheus.get("metadata", &[("metric", family.name)]).await.unwrap();
        let metadata = &metadata["data"];
        assert_eq!(metadata[family.name][0]["type"], family.kind.into_str(), "{}", family.name);
        assert_eq!(metadata[family.name][0]["help"], family.help);
    }
    let up = prometheus.query("up").await.unwrap();
    assert_eq!(up[0]["value"][1], "1", "{up:?}");
}

#[tokio::test]
async fn the_demo_shows_its_documented_states() {
    let exporter = Exporter::start_demo(&["--config.file=mine.yml"]).await;
    exporter.server.wait_for_log(&["level=warn", "mine.yml", "not read"]).await;
    exporter.server.wait_for_log(&["http://", "/metrics"]).await;
    exporter.server.wait_for_log(&["https://", "/api/partners/health"]).await;
    let wait_for = |part: &'static str| {
        let exporter = &exporter;
        async move {
            until(part, || async {
                exporter.metrics().await.lines().any(|l| l.contains(part)).then_some(())
            })
            .await;
        }
    };
    wait_for("key=\"lefebvre\",state=\"pending\"} 1").await;
    wait_for("key=\"lefebvre\",state=\"active\"} 1").await;
    wait_for("key=\"moreau\",state=\"active\"} 1").await;
    wait_for("key=\"moreau\",state=\"revoked\"} 1").await;
    wait_for("key=\"roux\",state=\"not_found\"} 1").await;
    wait_for("key=\"girard\",reason=\"rate_limited\"}").await;
    wait_for("myunisoft_probe_error_info{probe=\"health\",reason=\"maintenance\"").await;
}
