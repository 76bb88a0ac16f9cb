//! The status as JSON: as its schema says, in the metrics' words, and the same as the page.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::acme::two_keys;
use crate::support::server::{Exporter, until};

const SCHEMA: &str = "docs/status.schema.json";

/// What the schema has against a document; `definition`: it is only one of its parts.
pub(crate) fn misfit(document: &str, definition: Option<&str>) -> Option<String> {
    let mut python = Command::new("target/venv/bin/python");
    python.arg("tests/status/validate.py").arg(SCHEMA).args(definition);
    let mut python = python.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run `make deps`");
    python.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    (!output.status.success()).then(|| String::from_utf8(output.stderr).unwrap())
}

async fn document(exporter: &Exporter, path: &str) -> (u16, Value) {
    let (status, text) = exporter.get(path).await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}")))
}

#[tokio::test]
async fn the_status_matches_its_schema_with_and_without_failures() {
    let (simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    // From before the first probe on.
    let (_, first) = exporter.get("/api/v1/status").await.unwrap();
    assert_eq!(misfit(&first, None), None);
    until("both keys", || async {
        let (_, status) = document(&exporter, "/api/v1/status?state=active").await;
        (status["keys"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    simulator.key("dupont").unwrap().revoke();
    until("the revocation", || async {
        let (_, status) = document(&exporter, "/api/v1/status").await;
        (status["keys"][0]["state"] == "revoked").then_some(())
    })
    .await;
    let (_, all) = exporter.get("/api/v1/status").await.unwrap();
    assert_eq!(misfit(&all, None), None, "{all}");
    for key in ["dupont", "martin"] {
        let (_, one) = exporter.get(&format!("/api/v1/status/key?partner=acme&key={key}")).await.unwrap();
        assert_eq!(misfit(&one, Some("key_by_itself")), None, "{one}");
    }
    let (_, dupont) = document(&exporter, "/api/v1/status/key?partner=acme&key=dupont").await;
    assert_eq!(dupont["state_changes"][0]["to"], "revoked");
    assert_eq!(dupont["state_changes"][0]["code"], "ERR-API-TOKEN-NOT-FOUND");
    assert_eq!(dupont["verdict"]["blame"], "key");
    let known: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(known["failing_keys"], 1);
    // What only seems to fit is noticed.
    let mut wrong: Value = serde_json::from_str(&all).unwrap();
    wrong["keys"][0]["state"] = json!("lost");
    assert!(misfit(&wrong.to_string(), None).is_some());
    wrong["keys"][0]["state"] = json!("revoked");
    wrong["more"] = json!(1);
    assert!(misfit(&wrong.to_string(), None).is_some());
    let mut short: Value = serde_json::from_str(&all).unwrap();
    short["keys"][0].as_object_mut().unwrap().remove("verdict");
    assert!(misfit(&short.to_string(), None).is_some());
}
