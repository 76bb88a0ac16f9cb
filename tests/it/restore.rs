//! An exporter that restores what its storage lost from a Prometheus server behind TLS.

use std::fs;
use std::path::Path;
use std::process::Command;

use partner_simulator::{Fault, Scope, Simulator};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::acme::two_keys;
use crate::support::scripted_server::{ScriptedServer, json};
use crate::support::server::{BINARY, Exporter, until};

const CREDENTIAL: &str = "Bearer of-the-operator";
/// The answer to every query: both keys and the secret were active, a long time ago.
const ANSWER: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
{"metric":{"partner":"acme","key":"dupont","state":"active"},"value":[0,"1700000000"]},
{"metric":{"partner":"acme","key":"martin","state":"active"},"value":[0,"1700000000"]}]}}"#;

/// A Prometheus server that wants this credential.
async fn prometheus() -> ScriptedServer {
    ScriptedServer::choosing_over_tls("http/1.1", |request| {
        let is_authorized =
            request.to_lowercase().contains(&format!("authorization: {}\r\n", CREDENTIAL.to_lowercase()));
        vec![if is_authorized { json(200, ANSWER) } else { json(401, "{}") }]
    })
    .await
}

/// Two keys, and an API that does not answer: only Prometheus can say anything about them.
async fn silent_api() -> (Simulator, TempDir) {
    let (simulator, folder) = two_keys().await;
    simulator.inject(Scope::Everything, Fault::Close);
    (simulator, folder)
}

async fn start(folder: &Path, prometheus: &ScriptedServer, ca_pem: &str, credential: &str) -> Exporter {
    let path = |name: &str| folder.join(name).display().to_string();
    fs::write(path("ca.pem"), ca_pem).unwrap();
    fs::write(path("credential"), credential).unwrap();
    let flags = [
        format!("--restore.prometheus-url={}", prometheus.url("/")),
        "--restore.match={job=\"myunisoft\"}".to_owned(),
        format!("--restore.ca-file={}", path("ca.pem")),
        format!("--restore.authorization-file={}", path("credential")),
    ];
    Exporter::start(folder, &flags.each_ref().map(String::as_str)).await
}

async fn status(exporter: &Exporter) -> Value {
    exporter.get_json("/api/v1/status").await.1
}

/// Waits until the restore fails with an error that contains this.
async fn wait_for_failure(exporter: &Exporter, part: &str) {
    let poll = || async {
        let failure = &status(exporter).await["exporter"]["restore_failure"];
        failure["error"].as_str()?.contains(part).then_some(())
    };
    until(part, poll).await;
    exporter.wait_for_line("myunisoft_exporter_restore_success 0").await;
    let (_, page) = exporter.get("/").await.unwrap();
    assert!(
        page.contains("The history of keys is not restored from Prometheus.") && page.contains(part),
        "{page}"
    );
    let (_, page) = exporter.get("/?lang=fr").await.unwrap();
    assert!(page.contains("L'historique des clés n'est pas restauré depuis Prometheus."), "{page}");
}

async fn wait_until_restored(exporter: &Exporter) {
    exporter.wait_for_line("myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"active\"} 1").await;
    exporter.wait_for_line("myunisoft_key_state{partner=\"acme\",key=\"martin\",state=\"active\"} 1").await;
    exporter.wait_for_line("myunisoft_secret_state{partner=\"acme\",state=\"active\"} 1").await;
    exporter.wait_for_line("myunisoft_exporter_restore_success 1").await;
    assert!(status(exporter).await["exporter"]["restore_failure"].is_null());
    let (_, key) = exporter.get_json("/api/v1/status/key?partner=acme&key=dupont").await;
    assert_eq!(key["remembered_by_prometheus"], true, "{key}");
}

#[tokio::test]
async fn the_authority_and_the_credential_of_the_operator_open_a_prometheus_behind_tls() {
    let (_simulator, folder) = silent_api().await;
    let prometheus = prometheus().await;
    let exporter = start(folder.path(), &prometheus, prometheus.ca_pem(), CREDENTIAL).await;
    wait_until_restored(&exporter).await;
    assert!(!exporter.server.output().contains("of-the-operator"));
}

#[tokio::test]
async fn a_wrong_credential_is_told_everywhere_and_the_right_one_serves_without_a_restart() {
    let (_simulator, folder) = silent_api().await;
    let prometheus = prometheus().await;
    let exporter = start(folder.path(), &prometheus, prometheus.ca_pem(), "Bearer stale-credential").await;
    wait_for_failure(&exporter, "status 401; check --restore.authorization-file").await;
    fs::write(folder.path().join("credential"), CREDENTIAL).unwrap();
    wait_until_restored(&exporter).await;
    let (_, page) = exporter.get("/").await.unwrap();
    assert!(
        !page.contains("stale-credential") && !page.contains("is not restored from Prometheus"),
        "{page}"
    );
    assert!(!exporter.server.output().contains("stale-credential"));
}

#[tokio::test]
async fn a_server_of_another_authority_gets_no_credential() {
    let (_simulator, folder) = silent_api().await;
    let (server, other) = (prometheus().await, prometheus().await);
    let exporter = start(folder.path(), &server, other.ca_pem(), CREDENTIAL).await;
    wait_for_failure(&exporter, "certificate").await;
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test]
async fn an_exporter_that_restores_nothing_has_no_such_metric() {
    let (_simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    assert!(!exporter.metrics().await.contains("restore_success"));
    assert!(status(&exporter).await["exporter"]["restore_failure"].is_null());
    let output =
        Command::new(BINARY).args(["--restore.prometheus-url=http://localhost:9090"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "--restore.match is missing");
}
