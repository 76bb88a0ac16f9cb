//! The status as JSON: as its schema says, in the metrics' words, and the same as the page.

use std::io::Write as _;
use std::process::{Command, Stdio};
use strum::VariantArray as _;

use myunisoft_exporter::diagnosis::Blame;
use myunisoft_exporter::key_state::{KeyState, SecretState};
use myunisoft_exporter::partner_api::failure::Reason;
use myunisoft_exporter::state::{HealthState, Skip};
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
async fn the_status_of_all_and_of_one_fit_their_schema_while_things_go_well_and_ill() {
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

#[tokio::test]
async fn the_status_is_filtered_as_the_page_is_and_refuses_what_it_does_not_know() {
    let (_simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    for (query, wanted) in [
        ("?name=DUP", &["dupont"][..]),
        ("?partner=acme&name=", &["dupont", "martin"]),
        ("?partner=ac", &["dupont", "martin"]),
        ("?partner=other", &[]),
        ("?state=forbidden", &[]),
    ] {
        let (code, status) = document(&exporter, &format!("/api/v1/status{query}")).await;
        let mut keys: Vec<_> =
            status["keys"].as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap()).collect();
        keys.sort_unstable();
        assert_eq!((code, &keys[..]), (200, wanted), "{query}");
    }
    let (code, refusal) = document(&exporter, "/api/v1/status?state=lost").await;
    assert!(code == 400 && refusal["error"].as_str().unwrap().contains("revoked"), "{refusal}");
    for path in ["/api/v1/status?state=active&state=revoked", "/api/v1/status/key?key=a&key=b"] {
        let (code, refusal) = document(&exporter, path).await;
        assert!(code == 400 && refusal["error"].is_string(), "{path}: {refusal}");
    }
    for query in ["", "?partner=acme", "?partner=acme&key=nobody", "?partner=%00&key=%F0"] {
        let (code, text) = exporter.get(&format!("/api/v1/status/key{query}")).await.unwrap();
        assert!(code == 404 && text.contains("error"), "{query}: {code} {text}");
    }
}

#[tokio::test]
async fn another_api_is_not_held_to_what_the_first_one_did() {
    let (simulator, folder) = two_keys().await;
    let file = folder.path().join("exporter.yml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace(simulator.base_url().as_str(), "http://127.0.0.1:9/")).unwrap();
    let exporter = Exporter::start(folder.path(), &["--config.auto-reload-interval=1s"]).await;
    until("a failure", || async {
        let (_, status) = document(&exporter, "/api/v1/status").await;
        (status["api"]["availability"]["failed"] != 0).then_some(())
    })
    .await;
    std::fs::write(&file, good).unwrap();
    until("the other API", || async {
        let (_, status) = document(&exporter, "/api/v1/status").await;
        let api = &status["api"];
        assert!(api["state"] != "up" || api["availability"]["failed"] == 0, "{api}");
        (api["state"] == "up").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_verdict_is_of_now_where_the_trouble_began_with_something_else() {
    let (simulator, folder) = two_keys().await;
    let file = folder.path().join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    let token = simulator.key("dupont").unwrap().token().unwrap();
    std::fs::write(folder.path().join("token"), &token).unwrap();
    std::fs::write(&file, text.replace(&format!("token: {token}"), "token_file: token")).unwrap();
    let exporter = Exporter::start(folder.path(), &[]).await;
    let verdict = |blame: &'static str, part: &'static str| {
        let exporter = &exporter;
        until(part, move || async move {
            let (_, key) = document(exporter, "/api/v1/status/key?partner=acme&key=dupont").await;
            let verdict = &key["verdict"];
            let fits = verdict["blame"] == blame && verdict["summary"].as_str().unwrap().contains(part);
            fits.then_some(())
        })
    };
    exporter.shows("myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"active\"} 1").await;
    std::fs::rename(folder.path().join("token"), folder.path().join("away")).unwrap();
    verdict("exporter", "can't be read").await;
    simulator.key("dupont").unwrap().revoke();
    std::fs::rename(folder.path().join("away"), folder.path().join("token")).unwrap();
    verdict("key", "was revoked").await;
}

/// The words of one list of the schema.
fn words(schema: &Value, pointer: &str) -> Vec<String> {
    let list = schema.pointer(pointer).unwrap().as_array().unwrap();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn the_schema_s_words_are_the_program_s() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/status.schema.json")).unwrap();
    let own = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
    for (pointer, wanted) in [
        ("/definitions/key_state/enum", KeyState::VARIANTS.iter().map(KeyState::into_str).collect()),
        ("/definitions/secret_state/enum", SecretState::VARIANTS.iter().map(SecretState::into_str).collect()),
        ("/definitions/skip/enum", Skip::VARIANTS.iter().map(Skip::into_str).collect()),
        ("/definitions/reason/enum", Reason::VARIANTS.iter().map(Reason::into_str).collect()),
        (
            "/definitions/api/properties/state/enum",
            HealthState::VARIANTS.iter().map(HealthState::into_str).collect(),
        ),
        (
            "/definitions/verdict/properties/blame/enum",
            Blame::VARIANTS.iter().map(Blame::into_str).collect::<Vec<_>>(),
        ),
    ] {
        assert_eq!(words(&schema, pointer), own(wanted), "{pointer}");
    }
}
