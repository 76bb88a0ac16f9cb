//! The status as JSON: as its schema says, in the metrics' words, and the same as the page.

use serde_json::Value;

use crate::support::acme::two_keys;
use crate::support::server::{Exporter, until};

async fn document(exporter: &Exporter, path: &str) -> (u16, Value) {
    let (status, text) = exporter.get(path).await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}")))
}

#[tokio::test]
async fn the_status_has_the_filters_of_the_page_and_refuses_unknown_values() {
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
async fn a_changed_api_url_starts_with_an_empty_history() {
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
async fn the_verdict_names_the_current_cause_not_the_first_cause_of_the_episode() {
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
