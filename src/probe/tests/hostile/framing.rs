//! Bodies with a wrong length, and invalid chunks.

use crate::partner_api::Method;
use crate::partner_api::judge::RequestKind;

use super::scripted_server::Action;
use super::{AMPLE, SHORT, ScriptedServer, api, flood, head, outcomes, outcomes_within, probe, send, word};

/// A correct response for every route, if it is complete.
const BODY: &str = r#"{"isActivated":true,"api_token":"opaque"}"#;

/// The outcomes of a response whose body is broken. Health is judged by its status.
const BROKEN: [&str; 4] = ["ok", "io", "io", "io"];

fn json_framed(framing: &str) -> Action {
    head(&format!("200 OK\ncontent-type: application/json\n{framing}"))
}

fn chunked() -> Action {
    json_framed("transfer-encoding: chunked")
}

#[tokio::test]
async fn a_content_length_that_is_too_small_truncates_the_body() {
    let server = ScriptedServer::http([json_framed("content-length: 9"), send(BODY)]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "ok", "unavailable"]);
}

#[tokio::test]
async fn a_content_length_that_is_too_large_is_an_io_failure() {
    let server = ScriptedServer::http([json_framed("content-length: 1000"), send(BODY)]).await;
    assert_eq!(outcomes(&server).await, BROKEN);
}

#[tokio::test]
async fn a_content_length_that_is_too_large_times_out_if_the_connection_stays_open() {
    let server = ScriptedServer::http([json_framed("content-length: 1000"), send(BODY), Action::Stall]).await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn two_different_content_lengths_are_not_http() {
    for second in ["40", "42", "1000000"] {
        let framing = format!("content-length: {}\ncontent-length: {second}", BODY.len());
        let server = ScriptedServer::http([json_framed(&framing), send(BODY)]).await;
        assert_eq!(outcomes(&server).await, ["io"; 4], "{framing}");
    }
}

#[tokio::test]
async fn a_content_length_that_is_not_a_number_is_not_http() {
    for length in ["-1", "+5", "0x10", "1e3", "NaN", "", "99999999999999999999999"] {
        let server =
            ScriptedServer::http([json_framed(&format!("content-length: {length}")), send(BODY)]).await;
        assert_eq!(outcomes(&server).await, ["io"; 4], "{length:?}");
    }
}

#[tokio::test]
async fn a_content_length_of_exabytes_allocates_no_memory() {
    let server = ScriptedServer::http([json_framed("content-length: 9223372036854775807"), send(BODY)]).await;
    assert_eq!(outcomes(&server).await, BROKEN);
}

#[tokio::test]
async fn chunked_encoding_overrides_the_content_length() {
    let body = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len());
    for framing in
        ["content-length: 3\ntransfer-encoding: chunked", "transfer-encoding: chunked\ncontent-length: 1000"]
    {
        let server = ScriptedServer::http([json_framed(framing), send(&body)]).await;
        assert_eq!(outcomes(&server).await, ["ok", "ok", "ok", "token"], "{framing}");
    }
}

#[tokio::test]
async fn invalid_chunks_break_the_body() {
    for chunks in [
        "zz\r\n",
        "-5\r\n",
        "fffffffffffffffffffffffff\r\n",
        "5\r\n[1,2]no end of line",
        "5\r\n[1,2]\r\n<html>",
        "5;\n\n\r\n[1,2]",
        "\r\n\r\n",
        "\0\x01\x02",
    ] {
        let server = ScriptedServer::http([chunked(), send(chunks), Action::Stall]).await;
        assert_eq!(outcomes(&server).await, BROKEN, "{chunks:?}");
    }
}

#[tokio::test]
async fn a_chunked_body_without_the_last_chunk_is_an_io_failure() {
    let server = ScriptedServer::http([chunked(), send(format!("{:x}\r\n{BODY}\r\n", BODY.len()))]).await;
    assert_eq!(outcomes(&server).await, BROKEN);
}

#[tokio::test]
async fn an_endless_chunk_extension_is_an_io_failure() {
    let server = ScriptedServer::http([chunked(), send("5;"), flood("a")]).await;
    assert_eq!(outcomes(&server).await, BROKEN);
}

#[tokio::test]
async fn endless_chunk_trailers_are_an_io_failure() {
    let server =
        ScriptedServer::http([chunked(), send("2\r\n{}\r\n0\r\n"), flood("x-one-more: a\r\n")]).await;
    assert_eq!(outcomes(&server).await, BROKEN);
}

#[tokio::test]
async fn chunks_of_one_byte_are_accepted() {
    let one = |byte: char| format!("1\r\n{byte}\r\n");
    let body: String = BODY.chars().map(one).chain(["0\r\n\r\n".to_owned()]).collect();
    let server = ScriptedServer::http([chunked(), send(body), Action::Stall]).await;
    assert_eq!(outcomes(&server).await, ["ok", "ok", "ok", "token"]);
}

#[tokio::test]
async fn a_half_closed_connection_without_a_response_is_broken() {
    assert_eq!(outcomes(&ScriptedServer::http([]).await).await, ["io"; 4]);
    assert_eq!(outcomes(&ScriptedServer::https([]).await).await, ["io"; 4]);
}

#[tokio::test]
async fn a_half_closed_connection_inside_the_head_is_broken() {
    let script = [send("HTTP/1.1 200 OK\r\ncontent-ty")];
    assert_eq!(outcomes(&ScriptedServer::http(script.clone()).await).await, ["io"; 4]);
    assert_eq!(outcomes(&ScriptedServer::https(script).await).await, ["io"; 4]);
}

#[tokio::test]
async fn a_body_without_a_length_ends_when_the_server_closes_its_side() {
    let script = [json_framed("x-no: length"), send(BODY)];
    assert_eq!(outcomes(&ScriptedServer::http(script.clone()).await).await, ["ok", "ok", "ok", "token"]);
    assert_eq!(outcomes(&ScriptedServer::https(script).await).await, ["ok", "ok", "ok", "token"]);
}

#[tokio::test]
async fn a_body_without_a_length_may_end_without_close_notify() {
    let script = |body: &str| [json_framed("connection: close"), send(body), Action::Finish];
    let server = ScriptedServer::https(script(BODY)).await;
    assert_eq!(outcomes(&server).await, ["ok", "ok", "ok", "token"]);
    let server = ScriptedServer::https(script(&BODY[..BODY.len() - 1])).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "ok", "unavailable"], "it was cut off");
}

#[tokio::test]
async fn a_body_with_a_length_must_not_end_early_without_close_notify() {
    for framing in ["content-length: 1000", "transfer-encoding: chunked"] {
        let server = ScriptedServer::https([json_framed(framing), send("5\r\n[1,2]"), Action::Finish]).await;
        assert_eq!(outcomes(&server).await, BROKEN, "{framing}");
    }
    let server = ScriptedServer::https([send("HTTP/1.1 200 OK\r\n"), Action::Finish]).await;
    assert_eq!(outcomes(&server).await, ["io"; 4], "no head");
}

#[tokio::test]
async fn a_failing_health_route_is_judged_by_its_status_even_if_its_body_breaks() {
    let server =
        ScriptedServer::http([head("503 Service Unavailable\ncontent-length: 1000"), send("<p>")]).await;
    assert_eq!(outcomes(&server).await, ["edge", "io", "io", "io"]);
}

#[tokio::test]
async fn a_body_in_a_response_to_head_is_not_read() {
    let server = ScriptedServer::http([json_framed("content-length: 1000000000"), flood("0,")]).await;
    let report = probe(&api(&server), RequestKind::Canary(Method::Head), AMPLE).await;
    assert_eq!(word(&report.outcome), "ok");
    server.all_connections_closed().await;
}
