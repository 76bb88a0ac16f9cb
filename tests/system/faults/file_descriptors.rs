//! No file descriptor is left: probes are skipped, and none of them is reported as failed.

use std::process::Command;

use crate::support::acme::{state_line, two_keys};
use crate::support::server::{Exporter, client, run_tool, until};

/// Changes the soft limit on file descriptors of the running exporter.
fn set_limit(exporter: &Exporter, descriptors: u64) {
    let pid = exporter.server.pid().to_string();
    let limit = format!("--nofile={descriptors}:");
    assert!(run_tool(Command::new("prlimit").args(["--pid", &pid, &limit])).status.success());
}

#[tokio::test]
async fn without_file_descriptors_probes_are_skipped_and_no_api_failure_is_reported() {
    let (_simulator, folder) = two_keys().await;
    // A host name instead of an address, because the look-up needs file descriptors too.
    let file = folder.path().join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("http://127.0.0.1", "http://localhost", 1)).unwrap();
    let exporter = Exporter::start(folder.path(), &["--config.auto-reload-interval=0s"]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    // This client keeps one connection open, which works without new file descriptors.
    let client = client();
    let get = |path: &'static str| {
        let request = client.get(format!("{}{path}", exporter.url));
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    let scrape = || get("/metrics");
    let has = |metrics: &str, expected: &str| metrics.lines().any(|line| line == expected);
    scrape().await;
    set_limit(&exporter, 3);
    exporter.server.wait_for_log(&["level=error", "cannot send probes", "descriptors"]).await;
    let skipped = |metrics: &str, label: &str| {
        let line = metrics.lines().find(|line| {
            line.starts_with("myunisoft_probes_skipped_total{")
                && line.contains("no_resources")
                && line.contains(label)
        });
        line.is_some_and(|line| !line.ends_with(" 0"))
    };
    for label in ["probe=\"health\"", "key=\"dupont\"", "key=\"martin\""] {
        until(label, || async { skipped(&scrape().await, label).then_some(()) }).await;
    }
    let metrics = scrape().await;
    assert!(has(&metrics, "myunisoft_probe_up{probe=\"health\"} 1"), "{metrics}");
    assert!(!metrics.contains("myunisoft_probe_error_info{"), "{metrics}");
    assert!(has(&metrics, &state_line("dupont", "active")));
    // The status page reports the problem too.
    let status: serde_json::Value = serde_json::from_str(&get("/api/v1/status").await).unwrap();
    for verdict in [&status["api"]["verdict"], &status["keys"][0]["verdict"]] {
        assert_eq!(verdict["blame"], "exporter", "{status}");
    }
    assert!(!exporter.server.output().contains("failing"), "{}", exporter.server.output());
    set_limit(&exporter, 1_024);
    exporter.server.wait_for_log(&["level=info", "probes can be sent again"]).await;
    let series = "myunisoft_probes_total{probe=\"key_info\",partner=\"acme\",key=\"dupont\"}";
    let before = exporter.sample_value(series).await;
    until("a probe", || async { (exporter.sample_value(series).await > before).then_some(()) }).await;
    assert!(!exporter.metrics().await.contains("myunisoft_probe_error_info{"));
}
