//! A RST in every phase.

use super::scripted_server::Act::{self, Listen, Reset};
use super::{Hostile, asked, head, send};

/// The same script over plain HTTP and over TLS.
async fn asked_both(script: &[Act]) -> [[&'static str; 4]; 2] {
    [asked(&Hostile::http(script).await).await, asked(&Hostile::https(script).await).await]
}

#[tokio::test]
async fn a_reset_as_soon_as_it_is_accepted_is_told_of_the_phase_it_met() {
    // The client may not have noticed yet that it is connected.
    for (scheme, later) in [("http", "io"), ("https", "tls")] {
        let words = asked(&Hostile::bare(scheme, [Reset]).await).await;
        assert!(words.iter().all(|word| [later, "connect"].contains(word)), "{scheme}: {words:?}");
    }
}

#[tokio::test]
async fn a_reset_during_the_handshake_is_a_failed_handshake() {
    assert_eq!(asked(&Hostile::bare("https", [Listen, Reset]).await).await, ["tls"; 4]);
}

#[tokio::test]
async fn a_reset_after_the_request_is_a_broken_connection() {
    assert_eq!(asked_both(&[Reset]).await, [["io"; 4]; 2]);
}

#[tokio::test]
async fn a_reset_inside_the_head_is_a_broken_connection() {
    assert_eq!(asked_both(&[send("HTTP/1.1 200 OK\r\ncontent-ty"), Reset]).await, [["io"; 4]; 2]);
}

#[tokio::test]
async fn a_reset_inside_the_body_is_a_broken_connection() {
    for framing in ["content-length: 1000", "transfer-encoding: chunked", "x-no: length"] {
        let head = head(&format!("200 OK\ncontent-type: application/json\n{framing}"));
        let script = [head, send("5\r\n[1,2]"), Reset];
        assert_eq!(asked_both(&script).await, [["io"; 4]; 2], "{framing}");
    }
}

#[tokio::test]
async fn a_reset_inside_gzip_is_a_broken_connection_and_no_broken_gzip() {
    let head = head("200 OK\ncontent-type: application/json\ncontent-encoding: gzip\ncontent-length: 1000");
    assert_eq!(asked_both(&[head, send([0x1f, 0x8b, 0x08, 0, 0]), Reset]).await, [["io"; 4]; 2]);
}

#[tokio::test]
async fn a_reset_after_the_whole_answer_harms_nothing() {
    let body = r#"{"isActivated":true,"api_token":"opaque"}"#;
    let script = [super::json(200, body), Reset];
    assert_eq!(asked_both(&script).await, [["ok", "ok", "ok", "token"]; 2]);
}
