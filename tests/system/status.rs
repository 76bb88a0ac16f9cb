//! The status as JSON matches docs/status.schema.json.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::acme::two_keys;
use crate::support::server::{Exporter, run_tool_with_input, until};

const SCHEMA: &str = "docs/status.schema.json";

/// The first violation of the schema, or of one `definition` of it.
pub(crate) fn schema_violation(document: &str, definition: Option<&str>) -> Option<String> {
    let mut python = Command::new("target/venv/bin/python");
    python.arg("tests/status/validate.py").arg(SCHEMA).args(definition);
    let output = run_tool_with_input(&mut python, document);
    (!output.status.success()).then(|| String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn the_status_matches_its_schema_with_and_without_failures() {
    let (simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    // Before the first probe.
    let (_, first) = exporter.get("/api/v1/status").await.unwrap();
    assert_eq!(schema_violation(&first, None), None);
    until("two active keys", || async {
        let (_, status) = exporter.get_json("/api/v1/status?state=active").await;
        (status["keys"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    simulator.key("dupont").unwrap().revoke();
    // On a busy machine, a probe of martin can fail in between.
    let all = until("one failing key, which is revoked", || async {
        let (_, text) = exporter.get("/api/v1/status").await?;
        let status: Value = serde_json::from_str(&text).unwrap();
        (status["failing_keys"] == 1 && status["keys"][0]["state"] == "revoked").then_some(text)
    })
    .await;
    assert_eq!(schema_violation(&all, None), None, "{all}");
    for key in ["dupont", "martin"] {
        let (_, one) = exporter.get(&format!("/api/v1/status/key?partner=acme&key={key}")).await.unwrap();
        assert_eq!(schema_violation(&one, Some("key_by_itself")), None, "{one}");
    }
    let (_, dupont) = exporter.get_json("/api/v1/status/key?partner=acme&key=dupont").await;
    assert_eq!(dupont["state_changes"][0]["to"], "revoked");
    assert_eq!(dupont["state_changes"][0]["code"], "ERR-API-TOKEN-NOT-FOUND");
    assert_eq!(dupont["verdict"]["blame"], "key");
    // The check finds a wrong value, an unknown field and a missing field.
    let mut wrong: Value = serde_json::from_str(&all).unwrap();
    wrong["keys"][0]["state"] = json!("lost");
    assert!(schema_violation(&wrong.to_string(), None).is_some());
    wrong["keys"][0]["state"] = json!("revoked");
    wrong["more"] = json!(1);
    assert!(schema_violation(&wrong.to_string(), None).is_some());
    let mut short: Value = serde_json::from_str(&all).unwrap();
    short["keys"][0].as_object_mut().unwrap().remove("verdict");
    assert!(schema_violation(&short.to_string(), None).is_some());
}
