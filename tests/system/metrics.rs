//! `promtool` accepts `/metrics`.

use std::process::Command;

use crate::support::acme::{key_line, state_line, two_keys, write_config};
use crate::support::server::{Exporter, run_tool_with_input};

/// The messages of promtool about an exposition; empty if it finds no fault.
fn promtool_check_metrics(text: &str) -> String {
    let output = run_tool_with_input(Command::new("promtool").args(["check", "metrics"]), text);
    let messages = [output.stdout, output.stderr].concat();
    format!("{}{}", if output.status.success() { "" } else { "failed: " }, String::from_utf8_lossy(&messages))
}

#[tokio::test]
async fn promtool_accepts_the_metrics() {
    let (simulator, folder) = two_keys().await;
    let revoked = key_line(&simulator, "martin");
    let odd_name = key_line(&simulator, "dupont").replace("name: dupont", r#"name: "d\"up\\ont, 日本""#);
    write_config(folder.path(), &simulator, &[revoked, odd_name]);
    simulator.key("martin").unwrap().revoke();
    let exporter = Exporter::start(folder.path(), &[]).await;
    let before_the_first_probe = exporter.metrics().await;
    exporter.wait_for_line(&state_line("martin", "not_found")).await;
    for text in [before_the_first_probe, exporter.metrics().await] {
        assert_eq!(promtool_check_metrics(&text), "");
    }
    let broken = "# TYPE myunisoft_probe_up counter\nmyunisoft_probe_up 1\n";
    assert_ne!(promtool_check_metrics(broken), "", "promtool accepts a metric with the wrong type");
}
