//! The status as JSON: filters, errors, and what a reload changes.

use partner_simulator::{Fault, Scope};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::acme::two_keys;
use crate::support::server::{Exporter, client, until};

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
async fn the_language_follows_the_address_and_then_the_browser() {
    let (_simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    for (query, accepted, language) in [
        ("", None, "en"),
        ("", Some("fr-FR,fr;q=0.9,en;q=0.8"), "fr"),
        ("lang=en", Some("fr"), "en"),
        ("lang=fr", None, "fr"),
        ("lang=de", Some("en;q=0.1,fr;q=0.2"), "fr"),
    ] {
        for path in ["/", "/key?partner=acme&key=dupont", "/key", "/api/v1/status"] {
            let separator = if path.contains('?') { '&' } else { '?' };
            let url = format!("{}{path}{separator}{query}", exporter.url);
            let request = client().get(url);
            let request = accepted
                .into_iter()
                .fold(request, |request, accepted| request.header("accept-language", accepted));
            let response = request.send().await.unwrap();
            assert_eq!(response.headers()["content-language"], language, "{path} {query} {accepted:?}");
            let vary = response.headers()["vary"].to_str().unwrap();
            assert!(vary.contains("Accept-Language"), "{vary}");
            let body = response.text().await.unwrap();
            let html = format!("<html lang=\"{language}\">");
            assert!(path.starts_with("/api") || body.contains(&html), "{path}: {body}");
        }
    }
    let (code, error) = exporter.get_json("/api/v1/status?state=lost&lang=fr").await;
    assert!(code == 400 && error["error"].as_str().unwrap().contains("n'est pas un état"), "{error}");
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

/// The status, as soon as it has a property.
async fn status_with(exporter: &Exporter, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    until(what, || async {
        let (_, status) = exporter.get_json("/api/v1/status").await;
        is_wanted(&status).then_some(status)
    })
    .await
}

#[tokio::test]
async fn the_day_and_what_changed_lately_outlive_a_restart() {
    let (simulator, folder) = two_keys().await;
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    status_with(&exporter, "two keys that work", |status| status["fleet"]["working"] == 2).await;
    simulator.key("dupont").unwrap().revoke();
    status_with(&exporter, "a revoked key", |status| status["fleet"]["needs_someone"] == 1).await;
    simulator.key("dupont").unwrap().restore();
    status_with(&exporter, "a mended key", |status| status["fleet"]["working"] == 2).await;
    simulator.inject(Scope::Everything, Fault::Close);
    let before = status_with(&exporter, "an API that is down", |status| {
        status["api"]["state"] == "down" && status["api"]["availability"]["failed"].as_u64() > Some(2)
    })
    .await;
    exporter.server.signal(Signal::TERM);
    exporter.server.wait_for_exit().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    let after = status_with(&exporter, "the first probe", |status| status["api"]["state"] == "down").await;
    for (count, at_least) in [("succeeded", 1), ("failed", 3)] {
        let count = |status: &Value| status["api"]["availability"][count].as_u64().unwrap();
        assert!(count(&after) >= count(&before) && count(&before) >= at_least, "{before} {after}");
    }
    let since = |status: &Value| status["api"]["state_since_timestamp_seconds"].as_f64().unwrap();
    assert!((since(&after) - since(&before)).abs() < 0.001, "the API has been down since before the restart");
    let changes = |status: &Value| {
        let changes = status["recent_changes"].as_array().unwrap().iter();
        changes
            .map(|change| format!("{} {} {}", change["key"], change["from"], change["to"]))
            .collect::<Vec<_>>()
    };
    let expected =
        ["null \"up\" \"down\"", "\"dupont\" \"revoked\" \"active\"", "\"dupont\" \"active\" \"revoked\""];
    assert_eq!(changes(&after), expected);
    let (_, key) = exporter.get_json("/api/v1/status/key?partner=acme&key=dupont").await;
    assert_eq!(key["state_changes"][0]["to"], "active", "{key}");
    assert!(key["state_changes"][1]["request_id"].is_string(), "{key}");
    let window = after["api"]["availability"]["window_seconds"].as_f64().unwrap();
    assert!(window > 0.0 && window < 600.0, "the window is as long as what was measured: {window}");
}

#[tokio::test]
async fn a_damaged_history_stops_no_start() {
    let (_simulator, folder) = two_keys().await;
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("history.json"), "{\"version\":1,\"api\":").unwrap();
    let exporter = Exporter::start(folder.path(), &[]).await;
    exporter.server.wait_for_log(&["level=warn", "the history cannot be read", "history.json"]).await;
    status_with(&exporter, "two keys that work", |status| status["fleet"]["working"] == 2).await;
}

#[tokio::test]
async fn the_problems_of_the_exporter_are_in_the_json_and_on_the_page() {
    let (simulator, folder) = two_keys().await;
    let file = folder.path().join("exporter.yml");
    let valid = std::fs::read_to_string(&file).unwrap();
    let token = simulator.key("dupont").unwrap().token().unwrap();
    std::fs::write(folder.path().join("token"), &token).unwrap();
    let valid = valid.replace(&format!("token: {token}"), "token_file: token");
    std::fs::write(&file, &valid).unwrap();
    // The storage directory is a file.
    std::fs::write(folder.path().join("data"), "").unwrap();
    let exporter = Exporter::start(folder.path(), &["--config.auto-reload-interval=1s"]).await;
    status_with(&exporter, "two keys that work", |status| status["fleet"]["working"] == 2).await;
    std::fs::remove_file(folder.path().join("token")).unwrap();
    std::fs::write(&file, format!("{valid}nonsense: 1\n")).unwrap();
    let status = status_with(&exporter, "three problems", |status| {
        let exporter = &status["exporter"];
        exporter["reload_failure"]["error"].is_string()
            && exporter["storage_failure"]["error"].is_string()
            && exporter["unreadable_credentials_total"] == 1
    })
    .await;
    let credential = &status["exporter"]["unreadable_credentials"][0];
    assert_eq!((&credential["partner"], &credential["key"]), (&"acme".into(), &"dupont".into()));
    assert!(credential["error"].as_str().unwrap().contains("token"), "{credential}");
    assert_eq!(status["fleet"]["needs_someone"], 1, "the key works with the last value only");
    let (_, page) = exporter.get("/?name=martin").await.unwrap();
    for sentence in [
        "The configuration was not reloaded.",
        "nonsense",
        "The states cannot be saved to disk.",
        "One credential cannot be read.",
    ] {
        assert!(page.contains(sentence), "{sentence} in {page}");
    }
    assert!(!page.contains(&token));
}
