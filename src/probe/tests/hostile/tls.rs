//! Handshakes with the wrong server, with no server, or without end; and the proxy on the way there.

use std::time::SystemTime;

use crate::config::Api;
use crate::partner_api::judge::RequestKind;
use partner_simulator::{Simulator, TlsOptions};

use super::scripted_server::Act;
use super::{
    AMPLE, Hostile, SHORT, api, asked, asked_within, drip, flood, json_head, log_in, probe, send, words,
};
use crate::test_support;

/// The simulated API with this certificate, and how to reach it.
async fn presenting(tls: TlsOptions) -> (Simulator, Api) {
    let simulator = Simulator::builder().tls_with(tls).start().await.unwrap();
    let api = test_support::api(&simulator);
    (simulator, api)
}

/// Nothing gets through, and when the certificate ends is known all the same.
async fn is_refused_and_its_end_is_told(tls: TlsOptions) {
    let (simulator, api) = presenting(tls).await;
    assert_eq!(words(&api, AMPLE).await, ["tls"; 4]);
    assert!(simulator.request_log().is_empty(), "no request was sent");
    let ends = simulator.certificate_expiry().map(seconds);
    assert_eq!(probe(&api, RequestKind::Health, AMPLE).await.certificate_expiry.map(seconds), ends);
    assert_eq!(log_in(&api, AMPLE).await.certificate_expiry.map(seconds), ends);
}

/// A certificate's end has no fraction of a second.
fn seconds(end: SystemTime) -> u64 {
    end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    is_refused_and_its_end_is_told(TlsOptions::expired()).await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    is_refused_and_its_end_is_told(TlsOptions::wrong_host()).await;
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused() {
    is_refused_and_its_end_is_told(TlsOptions::self_signed()).await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let (simulator, mut api) = presenting(TlsOptions::default()).await;
    let (_other, trusted) = presenting(TlsOptions::default()).await;
    api.ca_pem = trusted.ca_pem;
    assert_eq!(words(&api, AMPLE).await, ["tls"; 4]);
    assert!(simulator.request_log().is_empty(), "no request was sent");
}

#[tokio::test]
async fn plaintext_on_the_tls_port_is_no_handshake() {
    let script = [Act::Listen, send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")];
    assert_eq!(asked(&Hostile::bare("https", script).await).await, ["tls"; 4]);
}

#[tokio::test]
async fn noise_on_the_tls_port_is_no_handshake() {
    assert_eq!(asked(&Hostile::bare("https", [flood("\x16\x03\x03\x00\x04noise")]).await).await, ["tls"; 4]);
    assert_eq!(asked(&Hostile::bare("https", [flood("\0")]).await).await, ["tls"; 4]);
}

#[tokio::test]
async fn a_connection_that_is_half_closed_instead_of_a_handshake_is_a_failed_handshake() {
    assert_eq!(asked(&Hostile::bare("https", []).await).await, ["tls"; 4]);
}

#[tokio::test]
async fn an_alert_instead_of_a_handshake_is_a_failed_handshake() {
    let handshake_failure = [0x15, 3, 3, 0, 2, 2, 40];
    let server = Hostile::bare("https", [Act::Listen, send(handshake_failure)]).await;
    assert_eq!(asked(&server).await, ["tls"; 4]);
}

#[tokio::test]
async fn a_handshake_that_stalls_is_timed_out() {
    let server = Hostile::bare("https", [Act::Stall]).await;
    assert_eq!(asked_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_handshake_that_stalls_in_a_record_is_timed_out() {
    let server = Hostile::bare("https", [Act::Listen, send([0x16, 3, 3, 0x40, 0, 2, 0]), Act::Stall]).await;
    assert_eq!(asked_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_handshake_that_drips_is_timed_out() {
    let hello_of_megabytes = [0x16, 3, 3, 0x3f, 0xff, 2, 0x3f, 0xff, 0xff];
    let server = Hostile::bare("https", [Act::Listen, send(hello_of_megabytes), drip("\x03")]).await;
    assert_eq!(asked_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_server_that_speaks_http2_alone_agrees_on_nothing() {
    let server = Hostile::choosing_over_tls("h2", |_| Vec::new()).await;
    assert_eq!(asked(&server).await, ["tls"; 4]);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn noise_after_the_handshake_is_a_broken_connection() {
    for noise in
        ["HTTP/1.1 200 OK\r\n\r\n", "\x17\x03\x03\x00\x1ea record that nobody encrypted", "\0\0\0\0\0\0\0"]
    {
        let beneath = Act::Beneath(noise.into());
        assert_eq!(asked(&Hostile::https([beneath.clone(), Act::Stall]).await).await, ["io"; 4], "{noise:?}");
        let server = Hostile::https([json_head(), send("["), beneath, Act::Stall]).await;
        assert_eq!(asked(&server).await, ["io"; 4], "{noise:?} in the body");
    }
}

#[tokio::test]
async fn a_proxy_that_attacks_is_no_connection() {
    let cases: [(Act, &str); 5] = [
        (flood("HTTP/1.1 200 OK\r\nx-endless: a\r\n"), "connect"),
        (flood("HTTP/1.1 100 Continue\r\n\r\n"), "connect"),
        (send("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "tls"),
        (Act::Reset, "connect"),
        (Act::Stall, "timeout"),
    ];
    for (act, word) in cases {
        let proxy = Hostile::http([act.clone()]).await;
        let mut api = api(&Hostile::https([]).await);
        api.proxy_url = Some(proxy.url("/").parse().unwrap());
        assert_eq!(words(&api, SHORT).await, [word; 4], "{act:.60?}");
        proxy.is_left_alone().await;
    }
}
