//! `myunisoft-exporter demo --write-config`: a simulated API for an exporter of one's own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::server::{BINARY, Server, client};

struct Rehearsal {
    server: Server,
    /// Where requests change the simulated API.
    control: String,
}

impl Rehearsal {
    async fn start(folder: &Path, flags: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        let ports = ["--api.listen-address=127.0.0.1:0", "--control.listen-address=127.0.0.1:0"];
        command.args(["demo", "--write-config"]).arg(folder).args(ports).args(flags);
        let server = Server::spawn(&mut command);
        server.wait_for_log(&["msg=\"configuration written\""]).await;
        let line = server.wait_for_log(&["curl -X POST http://", "/keys/dupont/revoke"]).await;
        let control = line.trim().trim_start_matches("curl -X POST ").trim_end_matches("/keys/dupont/revoke");
        Self { control: control.to_owned(), server }
    }

    async fn post(&self, path: &str) -> (u16, String) {
        let response = client().post(format!("{}{path}", self.control)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

/// Runs `probe` with the configuration of the folder, by the command line that the demo prints.
async fn probe(folder: &Path, flags: &[&str]) -> (String, Option<i32>) {
    let output = tokio::process::Command::new(BINARY)
        .arg("probe")
        .arg(format!("--config.file={}", folder.join("myunisoft-exporter.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .args(flags)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (text, output.status.code())
}

#[tokio::test]
async fn an_exporter_runs_with_the_configuration_and_requests_change_its_keys() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("new/rehearsal");
    let mut rehearsal = Rehearsal::start(&folder, &["--no-scenario"]).await;
    rehearsal.server.wait_for_log(&["--config.file=", "--storage.path="]).await;
    let mode = fs::metadata(folder.join("tokens/dupont")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let chosen = ["--key=dupont", "--key=martin", "--key=durand"];
    let (text, code) = probe(&folder, &chosen).await;
    assert!(code == Some(0) && text.starts_with("0 of 3 keys fail; API up"), "{text}");
    assert!(text.contains("exercices-1202") && text.contains("users"), "{text}");

    assert_eq!(rehearsal.post("/keys/dupont/revoke").await, (200, "dupont's key is revoked\n".to_owned()));
    rehearsal.server.wait_for_log(&["demo: on request: dupont's key is revoked"]).await;
    let (text, code) = probe(&folder, &chosen).await;
    assert!(code == Some(1) && text.contains("ERR-API-TOKEN-NOT-FOUND"), "{text}");
    let (status, token) = rehearsal.post("/keys/dupont/replace-token").await;
    assert_eq!(status, 200);
    fs::write(folder.join("tokens/dupont"), token).unwrap();
    assert_eq!(probe(&folder, &chosen).await.1, Some(0));
    rehearsal.post("/secrets/atelier-nord/deactivate").await;
    rehearsal.post("/api/maintenance").await;
    assert!(probe(&folder, &["--failing"]).await.0.contains("API maintenance"));
    rehearsal.post("/api/heal").await;
    let (text, _) = probe(&folder, &chosen).await;
    assert!(text.contains("API up") && text.contains("401 secret"), "{text}");
    for unknown in ["/keys/nobody/revoke", "/keys/dupont/revok", "/api/nothing", "/nothing"] {
        let (status, text) = rehearsal.post(unknown).await;
        assert!(status == 404 && text.contains("replace-token"), "{unknown}: {text}");
    }
    rehearsal.server.signal(Signal::TERM);
    assert!(rehearsal.server.wait_for_exit().await.success());
}

#[tokio::test]
async fn a_second_start_keeps_tokens_and_changed_files() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("myunisoft-exporter.yml");
    let token = folder.path().join("tokens/dupont");
    let first = Rehearsal::start(folder.path(), &["--no-scenario"]).await;
    let (issued, written) =
        (fs::read_to_string(&token).unwrap(), fs::read_to_string(&configuration).unwrap());
    drop(first);
    let mine = written + "# mine\n";
    fs::write(&configuration, &mine).unwrap();
    let second = Rehearsal::start(folder.path(), &["--no-scenario"]).await;
    second.server.wait_for_log(&["level=warn", "is kept", "myunisoft-exporter.yml"]).await;
    assert_eq!(fs::read_to_string(&configuration).unwrap(), mine);
    assert_eq!(fs::read_to_string(&token).unwrap(), issued, "an exporter must recognize its keys");
}

#[tokio::test]
async fn the_log_announces_the_events_of_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let rehearsal = Rehearsal::start(folder.path(), &["--scenario-speed=50"]).await;
    rehearsal.server.wait_for_log(&["next: at 0:40, moreau's key will be revoked"]).await;
    rehearsal.server.wait_for_log(&["0:40 moreau's key is revoked"]).await;
}

#[tokio::test]
async fn a_port_in_use_and_a_foreign_file_are_errors_that_name_them() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("folder");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let demo = |api: &str, control: &str| {
        let output = Command::new(BINARY)
            .args(["demo", "--write-config"])
            .arg(&folder)
            .arg(format!("--api.listen-address={api}"))
            .arg(format!("--control.listen-address={control}"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let free = "127.0.0.1:0";
    for (flag, api, control) in
        [("--api.listen-address", &*taken, free), ("--control.listen-address", free, &*taken)]
    {
        let error = demo(api, control);
        assert!(error.contains(&format!("{flag}: {taken}")) && error.contains("another address"), "{error}");
        assert!(!folder.exists(), "nothing is written before the ports are bound");
    }
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ca.pem"), "mine").unwrap();
    let error = demo(free, free);
    assert!(error.contains("ca.pem was not written by the demo"), "{error}");
    assert_eq!(fs::read_to_string(folder.join("ca.pem")).unwrap(), "mine");
}
