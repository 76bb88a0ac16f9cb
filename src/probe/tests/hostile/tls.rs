//! Handshakes with a wrong certificate, without a TLS server, or without an end; and hostile proxies.

use std::time::SystemTime;

use crate::config::Api;
use crate::partner_api::judge::RequestKind;
use partner_simulator::{Simulator, TlsOptions};

use super::scripted_server::Action;
use super::{
    AMPLE, SHORT, ScriptedServer, api, drip, flood, json_head, log_in, outcomes, outcomes_of,
    outcomes_within, probe, send,
};
use crate::test_support;

/// The simulated API with this certificate, and its configuration.
async fn presenting(tls: TlsOptions) -> (Simulator, Api) {
    let simulator = Simulator::builder().tls_with(tls).start().await.unwrap();
    let api = test_support::api(&simulator);
    (simulator, api)
}

/// No request is sent, and the expiry of the certificate is reported anyway.
async fn is_refused_and_its_expiry_is_reported(tls: TlsOptions) {
    let (simulator, api) = presenting(tls).await;
    assert_eq!(outcomes_of(&api, AMPLE).await, ["tls"; 4]);
    assert!(simulator.request_log().is_empty(), "no request was sent");
    let expiry = simulator.certificate_expiry().map(seconds);
    assert_eq!(probe(&api, RequestKind::Health, AMPLE).await.certificate_expiry.map(seconds), expiry);
    assert_eq!(log_in(&api, AMPLE).await.certificate_expiry.map(seconds), expiry);
}

/// The expiry of a certificate is in whole seconds.
fn seconds(expiry: SystemTime) -> u64 {
    expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    is_refused_and_its_expiry_is_reported(TlsOptions::expired()).await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    is_refused_and_its_expiry_is_reported(TlsOptions::wrong_host()).await;
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused() {
    is_refused_and_its_expiry_is_reported(TlsOptions::self_signed()).await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let (simulator, mut api) = presenting(TlsOptions::default()).await;
    let (_other, trusted) = presenting(TlsOptions::default()).await;
    api.ca_pem = trusted.ca_pem;
    assert_eq!(outcomes_of(&api, AMPLE).await, ["tls"; 4]);
    assert!(simulator.request_log().is_empty(), "no request was sent");
}

#[tokio::test]
async fn plain_text_on_the_tls_port_is_a_failed_handshake() {
    let script = [Action::Listen, send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")];
    assert_eq!(outcomes(&ScriptedServer::bare("https", script).await).await, ["tls"; 4]);
}

#[tokio::test]
async fn random_bytes_on_the_tls_port_are_a_failed_handshake() {
    assert_eq!(
        outcomes(&ScriptedServer::bare("https", [flood("\x16\x03\x03\x00\x04noise")]).await).await,
        ["tls"; 4]
    );
    assert_eq!(outcomes(&ScriptedServer::bare("https", [flood("\0")]).await).await, ["tls"; 4]);
}

#[tokio::test]
async fn a_half_closed_connection_before_the_handshake_is_a_failed_handshake() {
    assert_eq!(outcomes(&ScriptedServer::bare("https", []).await).await, ["tls"; 4]);
}

#[tokio::test]
async fn an_alert_instead_of_a_handshake_is_a_failed_handshake() {
    let handshake_failure = [0x15, 3, 3, 0, 2, 2, 40];
    let server = ScriptedServer::bare("https", [Action::Listen, send(handshake_failure)]).await;
    assert_eq!(outcomes(&server).await, ["tls"; 4]);
}

#[tokio::test]
async fn a_handshake_that_stalls_times_out() {
    let server = ScriptedServer::bare("https", [Action::Stall]).await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_handshake_that_stalls_inside_a_record_times_out() {
    let server =
        ScriptedServer::bare("https", [Action::Listen, send([0x16, 3, 3, 0x40, 0, 2, 0]), Action::Stall])
            .await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_handshake_that_arrives_byte_by_byte_times_out() {
    let hello_of_megabytes = [0x16, 3, 3, 0x3f, 0xff, 2, 0x3f, 0xff, 0xff];
    let server =
        ScriptedServer::bare("https", [Action::Listen, send(hello_of_megabytes), drip("\x03")]).await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_server_that_speaks_only_http2_is_a_failed_handshake() {
    let server = ScriptedServer::choosing_over_tls("h2", |_| Vec::new()).await;
    assert_eq!(outcomes(&server).await, ["tls"; 4]);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn random_bytes_after_the_handshake_are_a_broken_connection() {
    for noise in
        ["HTTP/1.1 200 OK\r\n\r\n", "\x17\x03\x03\x00\x1ea record that nobody encrypted", "\0\0\0\0\0\0\0"]
    {
        let beneath = Action::BelowTls(noise.into());
        assert_eq!(
            outcomes(&ScriptedServer::https([beneath.clone(), Action::Stall]).await).await,
            ["io"; 4],
            "{noise:?}"
        );
        let server = ScriptedServer::https([json_head(), send("["), beneath, Action::Stall]).await;
        assert_eq!(outcomes(&server).await, ["io"; 4], "{noise:?} in the body");
    }
}

#[tokio::test]
async fn a_hostile_proxy_is_a_failed_connection() {
    let cases: [(Action, &str); 5] = [
        (flood("HTTP/1.1 200 OK\r\nx-endless: a\r\n"), "connect"),
        (flood("HTTP/1.1 100 Continue\r\n\r\n"), "connect"),
        (send("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "tls"),
        (Action::Reset, "connect"),
        (Action::Stall, "timeout"),
    ];
    for (action, word) in cases {
        let proxy = ScriptedServer::http([action.clone()]).await;
        let mut api = api(&ScriptedServer::https([]).await);
        api.proxy_url = Some(proxy.url("/").parse().unwrap());
        assert_eq!(outcomes_of(&api, SHORT).await, [word; 4], "{action:.60?}");
        proxy.all_connections_closed().await;
    }
}
