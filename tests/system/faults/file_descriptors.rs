//! No descriptor is left: no probe can be made, and none is told as failed.

use std::process::Command;

use crate::support::acme::{state_line, two_keys};
use crate::support::server::{Exporter, client, until};

fn allow(exporter: &Exporter, descriptors: u64) {
    let pid = exporter.server.pid().to_string();
    let limit = format!("--nofile={descriptors}:");
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
}

#[tokio::test]
async fn without_file_descriptors_probes_are_skipped_and_no_api_failure_is_reported() {
    let (_simulator, folder) = two_keys().await;
    // A name, so that the look-up is short of descriptors too.
    let file = folder.path().join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("http://127.0.0.1", "http://localhost", 1)).unwrap();
    let exporter = Exporter::start(folder.path(), &["--config.auto-reload-interval=0s"]).await;
    exporter.shows(&state_line("dupont", "active")).await;
    // One connection that is open already stays so: through it, all can be seen.
    let kept = client();
    let see = |path: &'static str| {
        let request = kept.get(format!("{}{path}", exporter.url));
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    let scrape = || see("/metrics");
    let has = |metrics: &str, series: &str| metrics.lines().any(|line| line == series);
    scrape().await;
    allow(&exporter, 3);
    exporter.server.line(&["level=error", "cannot send probes", "descriptors"]).await;
    let skipped = |metrics: &str, who: &str| {
        let line = metrics.lines().find(|line| {
            line.starts_with("myunisoft_probes_skipped_total{")
                && line.contains("no_resources")
                && line.contains(who)
        });
        line.is_some_and(|line| !line.ends_with(" 0"))
    };
    for who in ["probe=\"health\"", "key=\"dupont\"", "key=\"martin\""] {
        until(who, || async { skipped(&scrape().await, who).then_some(()) }).await;
    }
    let metrics = scrape().await;
    assert!(has(&metrics, "myunisoft_probe_up{probe=\"health\"} 1"), "{metrics}");
    assert!(!metrics.contains("myunisoft_probe_error_info{"), "{metrics}");
    assert!(has(&metrics, &state_line("dupont", "active")));
    // Nobody who looks is told that all is well.
    let status: serde_json::Value = serde_json::from_str(&see("/api/v1/status").await).unwrap();
    for verdict in [&status["api"]["verdict"], &status["keys"][0]["verdict"]] {
        assert_eq!(verdict["blame"], "exporter", "{status}");
    }
    assert!(!exporter.server.output().contains("probe failing"), "{}", exporter.server.output());
    allow(&exporter, 1_024);
    exporter.server.line(&["level=info", "probes can be sent again"]).await;
    let ran = "myunisoft_probes_total{probe=\"key_info\",partner=\"acme\",key=\"dupont\"}";
    let before = exporter.figure(ran).await;
    until("a probe", || async { (exporter.figure(ran).await > before).then_some(()) }).await;
    assert!(!exporter.metrics().await.contains("myunisoft_probe_error_info{"));
}
