//! The status as JSON: filters, errors, and what a reload changes.

use crate::support::acme::two_keys;
use crate::support::server::{Exporter, until};

#[tokio::test]
async fn the_status_has_the_filters_of_the_page_and_refuses_unknown_values() {
    let (_simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    for (query, expected) in [
        ("?name=DUP", &["dupont"][..]),
        ("?partner=acme&name=", &["dupont", "martin"]),
        ("?partner=ac", &["dupont", "martin"]),
        ("?partner=other", &[]),
        ("?state=forbidden", &[]),
    ] {
        let (code, status) = exporter.get_json(&format!("/api/v1/status{query}")).await;
        let mut keys: Vec<_> =
            status["keys"].as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap()).collect();
        keys.sort_unstable();
        assert_eq!((code, &keys[..]), (200, expected), "{query}");
    }
    let (code, error) = exporter.get_json("/api/v1/status?state=lost").await;
    assert!(code == 400 && error["error"].as_str().unwrap().contains("revoked"), "{error}");
    for path in ["/api/v1/status?state=active&state=revoked", "/api/v1/status/key?key=a&key=b"] {
        let (code, error) = exporter.get_json(path).await;
        assert!(code == 400 && error["error"].is_string(), "{path}: {error}");
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
    let valid = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, valid.replace(simulator.base_url().as_str(), "http://127.0.0.1:9/")).unwrap();
    let exporter = Exporter::start(folder.path(), &["--config.auto-reload-interval=1s"]).await;
    until("a failure", || async {
        let (_, status) = exporter.get_json("/api/v1/status").await;
        (status["api"]["availability"]["failed"] != 0).then_some(())
    })
    .await;
    std::fs::write(&file, valid).unwrap();
    until("the other API", || async {
        let (_, status) = exporter.get_json("/api/v1/status").await;
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
    let wait_for_verdict = |blame: &'static str, part: &'static str| {
        let exporter = &exporter;
        until(part, move || async move {
            let (_, key) = exporter.get_json("/api/v1/status/key?partner=acme&key=dupont").await;
            let verdict = &key["verdict"];
            let found = verdict["blame"] == blame && verdict["summary"].as_str().unwrap().contains(part);
            found.then_some(())
        })
    };
    exporter.wait_for_line("myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"active\"} 1").await;
    std::fs::rename(folder.path().join("token"), folder.path().join("token.moved")).unwrap();
    wait_for_verdict("exporter", "can't be read").await;
    simulator.key("dupont").unwrap().revoke();
    std::fs::rename(folder.path().join("token.moved"), folder.path().join("token")).unwrap();
    wait_for_verdict("key", "was revoked").await;
}
