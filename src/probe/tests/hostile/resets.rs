//! A TCP reset in every phase.

use super::scripted_server::Action::{self, Listen, Reset};
use super::{ScriptedServer, head, outcomes, send};

/// The outcomes of the same script over plain HTTP and over TLS.
async fn outcomes_of_both(script: &[Action]) -> [[&'static str; 4]; 2] {
    [
        outcomes(&ScriptedServer::http(script).await).await,
        outcomes(&ScriptedServer::https(script).await).await,
    ]
}

#[tokio::test]
async fn a_reset_after_accept_fails_in_the_connect_or_the_next_phase() {
    // The client may not know yet that it is connected.
    for (scheme, later) in [("http", "io"), ("https", "tls")] {
        let words = outcomes(&ScriptedServer::bare(scheme, [Reset]).await).await;
        assert!(words.iter().all(|word| [later, "connect"].contains(word)), "{scheme}: {words:?}");
    }
}

#[tokio::test]
async fn a_reset_during_the_handshake_is_a_failed_handshake() {
    assert_eq!(outcomes(&ScriptedServer::bare("https", [Listen, Reset]).await).await, ["tls"; 4]);
}

#[tokio::test]
async fn a_reset_after_the_request_is_a_broken_connection() {
    assert_eq!(outcomes_of_both(&[Reset]).await, [["io"; 4]; 2]);
}

#[tokio::test]
async fn a_reset_inside_the_head_is_a_broken_connection() {
    assert_eq!(outcomes_of_both(&[send("HTTP/1.1 200 OK\r\ncontent-ty"), Reset]).await, [["io"; 4]; 2]);
}

#[tokio::test]
async fn a_reset_inside_the_body_is_a_broken_connection() {
    for framing in ["content-length: 1000", "transfer-encoding: chunked", "x-no: length"] {
        let head = head(&format!("200 OK\ncontent-type: application/json\n{framing}"));
        let script = [head, send("5\r\n[1,2]"), Reset];
        assert_eq!(outcomes_of_both(&script).await, [["ok", "io", "io", "io"]; 2], "{framing}");
    }
}

#[tokio::test]
async fn a_reset_inside_gzip_is_a_broken_connection_and_not_invalid_gzip() {
    let head = head("200 OK\ncontent-type: application/json\ncontent-encoding: gzip\ncontent-length: 1000");
    let script = [head, send([0x1f, 0x8b, 0x08, 0, 0]), Reset];
    assert_eq!(outcomes_of_both(&script).await, [["ok", "io", "io", "io"]; 2]);
}

#[tokio::test]
async fn a_reset_after_the_complete_response_is_a_success() {
    let body = r#"{"isActivated":true,"api_token":"opaque"}"#;
    let script = [super::json(200, body), Reset];
    assert_eq!(outcomes_of_both(&script).await, [["ok", "ok", "ok", "token"]; 2]);
}
