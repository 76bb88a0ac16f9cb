//! Changes of the web configuration file while the exporter runs, and the automatic reload.

use std::time::Duration;

use rcgen::ExtendedKeyUsagePurpose;

use crate::support::pki::{Pki, client, hash};
use crate::support::server::{client as plain_client, until};
use crate::support::web::start_with_web_config;

const AUTO_RELOAD: &str = "--config.auto-reload-interval=1s";

/// The status of `/metrics`; `None` if the request fails.
async fn status(client: &reqwest::Client, url: &str, user: Option<(&str, &str)>) -> Option<u16> {
    let mut request = client.get(format!("{url}/metrics"));
    if let Some((name, password)) = user {
        request = request.basic_auth(name, Some(password));
    }
    request.send().await.ok().map(|response| response.status().as_u16())
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_reload_request() {
    let pki = Pki::new();
    pki.write("web.yml", "tls_server_config: {cert_file: server.pem, key_file: server.key}\n");
    let exporter = start_with_web_config(&pki, &[AUTO_RELOAD]).await;
    let url = exporter.url.replace("http://", "https://");
    let client = client(&pki, None).tls_info(true).build().unwrap();
    let certificate = || async {
        let response = client.get(format!("{url}/-/healthy")).send().await.ok()?;
        response.extensions().get::<reqwest::tls::TlsInfo>()?.peer_certificate().map(<[u8]>::to_vec)
    };
    let before = until("the certificate", certificate).await;
    // The certificate is replaced first. Until the key is replaced too, the exporter must use the old pair.
    let renewed = pki.sign(&["127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth);
    pki.write("server.pem", &renewed.certificate);
    exporter.server.wait_for_log(&["level=error", "is not the key of the certificate"]).await;
    assert_eq!(certificate().await.unwrap(), before);
    pki.write("server.key", &renewed.key);
    exporter.server.wait_for_log(&["level=info", "configuration reloaded because a file changed"]).await;
    assert_ne!(certificate().await.unwrap(), before);
}

#[tokio::test]
async fn a_removed_user_is_refused_at_once_even_on_an_open_connection() {
    let pki = Pki::new();
    pki.write("web.yml", &format!("basic_auth_users: {{alice: {}, bob: {}}}\n", hash("one"), hash("two")));
    let exporter = start_with_web_config(&pki, &[AUTO_RELOAD, "--web.enable-lifecycle"]).await;
    // This client keeps its connections open.
    let (alice, bob) = (Some(("alice", "one")), Some(("bob", "two")));
    let client = plain_client();
    assert_eq!(status(&client, &exporter.url, alice).await, Some(200));
    assert_eq!(status(&client, &exporter.url, bob).await, Some(200));
    pki.write("web.yml", &format!("basic_auth_users: {{bob: {}}}\n", hash("two")));
    until("alice to be refused", || async {
        (status(&client, &exporter.url, alice).await == Some(401)).then_some(())
    })
    .await;
    assert_eq!(status(&client, &exporter.url, bob).await, Some(200));
    // An empty file does not remove the protection.
    for empty in ["", "---\n", "{}\n", "tls_server_config:\n", "basic_auth_users:\n"] {
        pki.write("web.yml", empty);
        let reload = client.post(format!("{}/-/reload", exporter.url)).basic_auth("bob", Some("two"));
        let response = reload.send().await.unwrap();
        assert_eq!(response.status(), 500, "{empty:?}");
        assert!(response.text().await.unwrap().contains("is empty"), "{empty:?}");
        assert_eq!(status(&client, &exporter.url, alice).await, Some(401));
    }
    exporter
        .server
        .wait_for_log(&["level=error", "web.yml", "is empty", "the previous one stays in effect"])
        .await;
    assert_eq!(status(&client, &exporter.url, bob).await, Some(200));
    let metrics = client.get(format!("{}/metrics", exporter.url)).basic_auth("bob", Some("two"));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("config_last_reload_successful 0\n"), "{metrics}");
    assert!(metrics.contains("myunisoft_exporter_http_requests_total{code=\"401\"}"), "{metrics}");
}

#[tokio::test]
async fn only_client_certificates_with_an_allowed_name_are_accepted() {
    let pki = Pki::new();
    pki.write(
        "web.yml",
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_ca_file: ca.pem\n  \
         client_auth_type: RequireAndVerifyClientCert\n  \
         client_allowed_sans: [prometheus.example, ops@acme.example, \"spiffe://acme/prometheus\", 10.1.2.3]\n",
    );
    let exporter = start_with_web_config(&pki, &[AUTO_RELOAD]).await;
    let url = exporter.url.replace("http://", "https://");
    for (name, accepted) in [
        ("prometheus.example", true),
        ("ops@acme.example", true),
        ("spiffe://acme/prometheus", true),
        ("10.1.2.3", true),
        ("other.example", false),
        ("10.1.2.4", false),
    ] {
        let client = client(&pki, Some(&pki.client(&[name]))).build().unwrap();
        assert_eq!(status(&client, &url, None).await, accepted.then_some(200), "{name}");
    }
}

#[tokio::test]
async fn requests_above_the_rate_limit_are_refused() {
    let pki = Pki::new();
    pki.write("web.yml", "rate_limit: {interval: 1h, burst: 3}\n");
    let exporter = start_with_web_config(&pki, &[AUTO_RELOAD]).await;
    let client = plain_client();
    for expected in [200, 200, 200, 429, 429] {
        assert_eq!(status(&client, &exporter.url, None).await, Some(expected));
    }
}

#[tokio::test]
async fn a_changed_configuration_is_reloaded_automatically_and_an_invalid_one_is_reported_once() {
    let pki = Pki::new();
    pki.write("web.yml", "http_server_config: {}\n");
    let secret = pki.write("secret", "the-secret");
    let partner = format!("partners: [{{name: acme, secret_file: {}}}]\n", secret.display());
    pki.write(
        "exporter.yml",
        &format!("api: {{base_url: \"http://127.0.0.1:1\"}}\n{partner}key_files: [\"keys/*.yml\"]\n"),
    );
    let exporter = start_with_web_config(&pki, &[AUTO_RELOAD]).await;
    exporter.wait_for_line("myunisoft_secret_state{partner=\"acme\",state=\"unknown\"} 1").await;
    // A key file is added.
    std::fs::create_dir(pki.path("keys")).unwrap();
    let keys = "partners: [{name: acme, keys: [{name: dupont, access: society, token: a-token}]}]\n";
    pki.write("keys/one.yml", keys);
    exporter.wait_for_line("myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"unknown\"} 1").await;
    // The key file becomes invalid, and stays so for several reload intervals.
    pki.write("keys/one.yml", &keys.replace("access", "acces"));
    exporter
        .server
        .wait_for_log(&["level=error", "one.yml", "acces", "the previous one stays in effect"])
        .await;
    exporter.wait_for_line("myunisoft_exporter_config_last_reload_successful 0").await;
    exporter.wait_for_line("myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"unknown\"} 1").await;
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!(exporter.server.output().matches("the previous one stays in effect").count(), 1);
    // The key file says that there are no keys.
    pki.write("keys/one.yml", "partners: []\n");
    exporter.wait_for_line("myunisoft_exporter_config_last_reload_successful 1").await;
    assert!(!exporter.metrics().await.contains("dupont"));
}
