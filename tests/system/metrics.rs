//! `promtool` accepts `/metrics`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::acme::{key_line, state_line, two_keys, write_config};
use crate::support::server::Exporter;

/// What promtool says about an exposition; empty if it finds no fault.
fn promtool_check_metrics(text: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed: run `make test`, which installs it");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
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
    exporter.shows(&state_line("martin", "not_found")).await;
    for text in [before_the_first_probe, exporter.metrics().await] {
        assert_eq!(promtool_check_metrics(&text), "");
    }
    let broken = "# TYPE myunisoft_probe_up counter\nmyunisoft_probe_up 1\n";
    assert_ne!(promtool_check_metrics(broken), "", "promtool reports a fault");
}
