//! `myunisoft-exporter probe` in a terminal, with a closed output, and its JSON.

use std::path::Path;
use std::process::Command;

use partner_simulator::Refusal;
use serde_json::Value;

use crate::status::schema_violation;
use crate::support::probe_command::{many_keys, probe, three_keys};
use crate::support::server::{BINARY, run_tool};

#[tokio::test]
async fn the_json_output_matches_the_status_schema() {
    let (_simulator, folder) = three_keys().await;
    let (json, log, code) = probe(folder.path(), &["--output=json"]).await;
    assert_eq!((code, &*log), (Some(1), ""));
    assert_eq!(schema_violation(&json, None), None, "{json}");
    let status: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status["keys"][0]["key"], "petit");
    assert_eq!(status["keys"][0]["verdict"]["blame"], "key");
    assert_eq!(status["api"]["state"], "up");
    assert_eq!(status["keys"].as_array().unwrap().len(), 3);
}

/// Runs the command in a pseudo-terminal; returns what it shows.
fn in_a_terminal(folder: &Path, environment: &str, flags: &str) -> String {
    let (config, data) = (folder.join("exporter.yml"), folder.join("data"));
    let command = format!(
        "{environment} {BINARY} probe --config.file={} --storage.path={} {flags}",
        config.display(),
        data.display()
    );
    let output = run_tool(Command::new("script").args(["-qec", &command, "/dev/null"]));
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
async fn the_failing_keys_of_a_large_fleet_fit_on_the_screen_of_a_terminal() {
    let (simulator, folder) = many_keys(300).await;
    simulator.key("key7").unwrap().revoke();
    simulator.key("key8").unwrap().disconnect("a reason");
    simulator.key("key9").unwrap().refuse(Refusal::new("ERR-FORBIDDEN-ACCESS"));
    for (columns, rows) in [(80, 24), (120, 30)] {
        let size = format!("stty cols {columns} rows {rows}; TERM=dumb");
        let shown = in_a_terminal(folder.path(), &size, "2>/dev/null");
        let lines: Vec<_> = shown.lines().map(|line| line.trim_end_matches('\r')).collect();
        assert!(lines.len() < rows, "{shown}");
        assert!(lines.iter().all(|line| line.chars().count() <= columns), "{shown}");
        assert!(shown.starts_with("3 of 300 keys fail; API up"), "{shown}");
        for part in ["key7", "key8", "key9", "REQUEST-ID", "What to do"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
    let shown = in_a_terminal(folder.path(), "stty cols 80 rows 24; TERM=dumb", "--key=key7 2>/dev/null");
    assert!(shown.lines().all(|line| line.trim_end_matches('\r').chars().count() <= 80), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_have_a_progress_bar_in_a_terminal_only() {
    let (_simulator, folder) = many_keys(60).await;
    let shown = in_a_terminal(folder.path(), "TERM=xterm", "");
    assert!(shown.contains("of 60 keys ["), "{shown}");
    let (table, log, _) = probe(folder.path(), &["--all"]).await;
    assert!(!table.contains("of 60 keys [") && log.is_empty(), "{log}");
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
            run_tool(Command::new("bash").args(["-c", &script, "bash"]).args(arguments))
        };
        // The other end of the pipe is closed at once.
        let output = run("> >(exec <&-)");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && errors.is_empty(), "{arguments:?}: {errors}");
        let output = run("> /dev/full");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(1) && errors.contains("No space left"),
            "{arguments:?}: {errors}"
        );
        assert!(!errors.contains("panicked"), "{errors}");
    }
}
