//! `myunisoft-exporter probe`: every probe once, explained.

use std::path::Path;
use std::process::Command;

use partner_simulator::{Limits, Simulator};
use serde_json::Value;
use tempfile::TempDir;

use crate::status::misfit;
use crate::support::SECRET;
use crate::support::acme::{key_line, write_config};
use crate::support::server::BINARY;

/// What the command said on standard output and standard error, and its exit code.
async fn probe(folder: &Path, flags: &[&str]) -> (String, String, Option<i32>) {
    let mut command = tokio::process::Command::new(BINARY);
    command
        .arg("probe")
        .arg(format!("--config.file={}", folder.join("exporter.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .args(flags);
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// Keys of acme: dupont and martin work, petit's token is not known.
async fn three_keys() -> (Simulator, TempDir) {
    let simulator = Simulator::builder()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET)
        .society_key("dupont", 80, 127)
        .society_key("martin", 80, 128)
        .society_key("petit", 80, 129)
        .start()
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keys = ["dupont", "martin", "petit"].map(|name| key_line(&simulator, name));
    simulator.key("petit").unwrap().revoke();
    write_config(folder.path(), &simulator, &keys);
    // A busy machine is no failure.
    let file = folder.path().join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("interval: 300ms, timeout: 300ms", "interval: 30s, timeout: 20s"))
        .unwrap();
    (simulator, folder)
}

#[tokio::test]
async fn the_json_output_matches_the_status_schema() {
    let (_simulator, folder) = three_keys().await;
    let (json, log, code) = probe(folder.path(), &["--output=json"]).await;
    assert_eq!((code, &*log), (Some(1), ""));
    assert_eq!(misfit(&json, None), None, "{json}");
    let status: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status["keys"][0]["key"], "petit");
    assert_eq!(status["keys"][0]["verdict"]["blame"], "key");
    assert_eq!(status["api"]["state"], "up");
    assert_eq!(status["keys"].as_array().unwrap().len(), 3);
}

/// The same in a terminal of its own.
fn in_a_terminal(folder: &Path, environment: &str, flags: &str) -> String {
    let (config, data) = (folder.join("exporter.yml"), folder.join("data"));
    let command = format!(
        "{environment} {BINARY} probe --config.file={} --storage.path={} {flags}",
        config.display(),
        data.display()
    );
    let output = Command::new("script").args(["-qec", &command, "/dev/null"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_used_in_a_terminal_unless_disabled() {
    let (_simulator, folder) = three_keys().await;
    let coloured = in_a_terminal(folder.path(), "TERM=xterm", "");
    assert!(coloured.contains("\x1b[38;5;2m200 ok") && coloured.contains("\x1b[31m"), "{coloured}");
    for plain in ["TERM=xterm NO_COLOR=1", "TERM=dumb"] {
        let plain = in_a_terminal(folder.path(), plain, "");
        assert!(plain.contains("200 ok") && !plain.contains("\x1b[3"), "{plain}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_have_a_progress_bar_in_a_terminal_only() {
    let mut builder = Simulator::builder()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET);
    let names: Vec<_> = (0..60).map(|number| format!("key{number}")).collect();
    for name in &names {
        builder = builder.society_key(name, 80, 127);
    }
    let simulator = builder.start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<_> = names.iter().map(|name| key_line(&simulator, name)).collect();
    write_config(folder.path(), &simulator, &keys);
    let shown = in_a_terminal(folder.path(), "TERM=xterm", "");
    assert!(shown.contains("of 60 keys ["), "{shown}");
    let (table, log, _) = probe(folder.path(), &[]).await;
    assert!(!table.contains("of 60 keys") && log.is_empty(), "{log}");
    assert_eq!(table.matches("acme/key").count(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_output_is_not_an_error_and_a_full_disk_is_reported() {
    let (_simulator, folder) = three_keys().await;
    let config = folder.path().join("exporter.yml");
    let config = config.to_str().unwrap();
    let flag = format!("--config.file={config}");
    for (arguments, code) in [
        (&["check-config", config][..], 0),
        (&["probe", "--key=dupont", &flag], 0),
        (&["probe", "--output=json", "--key=petit", &flag], 1),
    ] {
        let run = |out: &str| {
            let script = format!("cd {}; {BINARY} \"$@\" {out}", folder.path().display());
            Command::new("bash").args(["-c", &script, "bash"]).args(arguments).output().unwrap()
        };
        // By then nobody holds the other end.
        let output = run("> >(exec <&-)");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && told.is_empty(), "{arguments:?}: {told}");
        let output = run("> /dev/full");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && told.contains("No space left"), "{arguments:?}: {told}");
        assert!(!told.contains("panicked"), "{told}");
    }
}
