//! Endless heads, heads that are too large, and heads that are not HTTP/1.1.

use super::scripted_server::Action;
use super::{
    AMPLE, CANARY, Connection, EXTENDED, HEALTH_PATH, PASSWORD, ProbeRequest, Prober, RequestKind, SHORT,
    ScriptedServer, SecretString, api, drip, flood, head, json, json_with, log_in_word, outcomes,
    outcomes_within, probe, send, word,
};

/// How much a server can send on one connection: the buffer of the client and the buffers of the sockets.
const BOUND: u64 = 16 << 20;

const TOO_LONG: &str =
    "in the processing phase: the server sent 300 KiB, and the headers of its response are not complete";

#[tokio::test]
async fn a_head_that_arrives_byte_by_byte_times_out() {
    let server = ScriptedServer::http([send("HTTP/1.1 200 OK\r\nx-slow: "), drip("a")]).await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_head_that_stops_half_way_times_out() {
    let server = ScriptedServer::http([send("HTTP/1.1 200 OK\r\ncontent-ty"), Action::Stall]).await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_header_of_ten_megabytes_is_not_read_to_its_end() {
    let huge = format!("200 OK\nx-huge: {}\ncontent-length: 0", "a".repeat(10 << 20));
    let server = ScriptedServer::http([head(&huge)]).await;
    assert_eq!(outcomes(&server).await, ["io"; 4]);
    assert_eq!(server.connections(), 4, "no request is sent again");
}

#[tokio::test]
async fn an_endless_header_is_an_io_failure() {
    let server = ScriptedServer::http([send("HTTP/1.1 200 OK\r\nx-endless: "), flood("a")]).await;
    assert_eq!(outcomes(&server).await, ["io"; 4]);
    assert!(server.sent_bytes() < 4 * BOUND, "{} bytes", server.sent_bytes());
}

#[tokio::test]
async fn endless_headers_are_an_io_failure() {
    let server = ScriptedServer::http([send("HTTP/1.1 200 OK\r\n"), flood("x-one-more: a\r\n")]).await;
    assert_eq!(outcomes(&server).await, ["io"; 4]);
    assert!(server.sent_bytes() < 4 * BOUND, "{} bytes", server.sent_bytes());
}

#[tokio::test]
async fn more_than_a_thousand_headers_are_too_many() {
    let server = ScriptedServer::http([json_with(&"x-one-more: a\n".repeat(1_100), 200, "{}")]).await;
    assert_eq!(outcomes(&server).await, ["io"; 4]);
}

#[tokio::test]
async fn a_header_value_with_invalid_utf8_is_ignored() {
    let response = b"HTTP/1.1 200 \xff\xfe\r\nrequest-id: req-\xff\r\nx-rate-limit-remaining: \xff\r\n\
        content-type: application/json\r\ncontent-length: 2\r\n\r\n[]";
    let server = ScriptedServer::http([send(response)]).await;
    let report = probe(&api(&server), CANARY, AMPLE).await;
    assert_eq!((word(&report.outcome), report.request_id), ("ok", None));
    assert!(!report.judgement.unwrap().budget.is_reported());
    let response = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\xff\r\ncontent-length: 2\r\n\r\n[]";
    let server = ScriptedServer::http([send(response)]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "unexpected_body", "unavailable"]);
}

/// A correct response for every route, after these header lines.
fn response_with(lines: &str) -> Action {
    let body = r#"{"isActivated":true,"api_token":"opaque"}"#;
    let length = body.len();
    send(format!(
        "HTTP/1.1 200 OK\r\n{lines}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

#[tokio::test]
async fn header_lines_that_other_clients_tolerate_do_not_matter() {
    for lines in [
        "content-security-policy: default-src 'self';\r\n  img-src *;\r\n\tfont-src *",
        "server : odd",
        "server\t: odd",
        "x powered by: odd",
        "a line without a colon",
        ": no name",
        "x-\u{e9}: odd",
        "x-odd: a\x1bb",
        "x-odd: a\nb",
        "x-empty:",
        "x-odd: caf\u{e9}",
    ] {
        let server = ScriptedServer::http([response_with(lines)]).await;
        assert_eq!(outcomes(&server).await, ["ok", "ok", "ok", "token"], "{lines:?}");
    }
}

#[tokio::test]
async fn a_nul_in_a_header_is_not_http() {
    let server = ScriptedServer::http([response_with("x-odd: a\0b")]).await;
    assert_eq!(outcomes(&server).await, ["io"; 4]);
}

#[tokio::test]
async fn a_folded_request_id_and_a_blank_before_a_colon_are_read() {
    let server =
        ScriptedServer::http([response_with("request-id : req-1\r\nx-rate-limit-remaining:\r\n 7")]).await;
    let report = probe(&api(&server), CANARY, AMPLE).await;
    assert_eq!(report.request_id.unwrap().as_str(), "req-1");
    assert_eq!(report.judgement.unwrap().budget.remaining, Some(7));
}

#[tokio::test]
async fn hundreds_of_headers_and_a_large_one_are_accepted() {
    for lines in ["x-one-more: a\r\n".repeat(500) + "x-last: a", format!("x-large: {}", "a".repeat(64 << 10))]
    {
        let server = ScriptedServer::http([response_with(&lines)]).await;
        assert_eq!(outcomes(&server).await, ["ok", "ok", "ok", "token"], "{lines:.30}");
    }
}

#[tokio::test]
async fn the_first_response_with_hundreds_of_headers_is_asked_for_again_and_a_log_in_is_not() {
    let server =
        ScriptedServer::http([response_with(&("x-one-more: a\r\n".repeat(500) + "x-last: a"))]).await;
    let (api, password) = (api(&server), SecretString::from(PASSWORD));
    let prober = Prober::new(&api).unwrap();
    let log_in = prober.log_in("api@durand.example", &password, None, AMPLE).await;
    assert_eq!((log_in_word(&log_in), server.connections()), ("token", 1));
    for connections in [3, 4, 5] {
        let (kind, path, connection) = (RequestKind::Health, HEALTH_PATH, Connection::Fresh);
        let request = ProbeRequest { kind, path, credentials: None, timeout: AMPLE, connection };
        let report = prober.probe(request).await;
        assert_eq!((word(&report.outcome), server.connections()), ("ok", connections));
    }
}

#[tokio::test]
async fn a_status_line_without_a_reason_http_1_0_and_bare_line_feeds_are_accepted() {
    let body = r#"{"isActivated":true,"api_token":"opaque"}"#;
    for head in [
        "HTTP/1.1 200\r\ncontent-type: application/json\r\n\r\n",
        "HTTP/1.1 200 \r\ncontent-type: application/json\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n",
        "HTTP/1.1 200 OK\ncontent-type: application/json\n\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Type:application/json; charset=ISO-8859-1\r\n\r\n",
    ] {
        let server = ScriptedServer::http([send(head), send(body)]).await;
        assert_eq!(outcomes(&server).await, ["ok", "ok", "ok", "token"], "{head:?}");
    }
}

#[tokio::test]
async fn an_invalid_status_line_is_not_http() {
    for line in
        ["HTTP/1.1 000 X", "HTTP/1.1 2000 X", "HTTP/1.1 OK", "HTTP/9.9 200 OK", "ICY 200 OK", "\0\x01\x02"]
    {
        let server = ScriptedServer::http([send(format!("{line}\r\ncontent-length: 0\r\n\r\n"))]).await;
        assert_eq!(outcomes(&server).await, ["io"; 4], "{line:?}");
    }
}

#[tokio::test]
async fn an_undocumented_status_is_unexpected() {
    for status in ["101 Switching Protocols\nconnection: upgrade\nupgrade: h2c", "600 X", "999 X"] {
        let server = ScriptedServer::http([head(status), Action::Stall]).await;
        let expected = ["unexpected_status", "unexpected_status", "unexpected_status", "unavailable"];
        assert_eq!(outcomes(&server).await, expected, "{status}");
    }
}

#[tokio::test]
async fn a_hundred_interim_responses_are_skipped() {
    let mut script = vec![head("100 Continue"); 50];
    script.extend(vec![head("103 Early Hints\nlink: </style.css>; rel=preload"); 50]);
    script.push(json(200, r#"{"isActivated":true,"api_token":"opaque"}"#));
    let server = ScriptedServer::http(script).await;
    assert_eq!(outcomes(&server).await, ["ok", "ok", "ok", "token"]);
}

#[tokio::test]
async fn endless_interim_responses_are_an_io_failure() {
    for interim in
        ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"]
    {
        for server in
            [ScriptedServer::http([flood(interim)]).await, ScriptedServer::https([flood(interim)]).await]
        {
            let report = probe(&api(&server), CANARY, AMPLE).await;
            assert_eq!(report.outcome.unwrap_err().detail, TOO_LONG);
            assert_eq!(outcomes(&server).await, ["io"; 4], "{interim:?}");
            assert_eq!(server.connections(), 5, "no request is sent again");
            assert!(server.sent_bytes() < 5 * BOUND, "{} bytes", server.sent_bytes());
        }
    }
}

#[tokio::test]
async fn a_head_is_accepted_up_to_the_limit_and_a_long_body_after_it() {
    let body = format!(r#"{{"isActivated":true,"filler":"{}"}}"#, "a".repeat(900 << 10));
    let json = format!("content-type: application/json\ncontent-length: {}\nx-large: ", body.len());
    let limit = 300 << 10;
    for (head_len, expected) in [(limit, None), (limit + 1, Some(TOO_LONG))] {
        let filler = head_len - format!("HTTP/1.1 200 OK\n{json}\n\n").replace('\n', "\r\n").len();
        let script = [head(&format!("200 OK\n{json}{}", "a".repeat(filler))), send(&body)];
        for server in [ScriptedServer::http(script.clone()).await, ScriptedServer::https(script).await] {
            let report = probe(&api(&server), EXTENDED, AMPLE).await;
            let detail = report.outcome.err().map(|failure| failure.detail);
            assert_eq!(detail.as_deref(), expected, "{head_len} bytes");
        }
    }
}

#[tokio::test]
async fn slow_interim_responses_time_out() {
    let server = ScriptedServer::http([drip("HTTP/1.1 100 Continue\r\n\r\n")]).await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn endless_empty_lines_before_the_response_are_an_io_failure() {
    let server = ScriptedServer::http([flood("\r\n")]).await;
    assert_eq!(outcomes(&server).await, ["io"; 4]);
    assert!(server.sent_bytes() < 4 * BOUND, "{} bytes", server.sent_bytes());
}

#[tokio::test]
async fn http2_frames_are_not_http_1() {
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let go_away = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let reset_stream = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
    for frames in [[&settings[..], &go_away[..]].concat(), go_away.to_vec(), reset_stream.to_vec()] {
        let server = ScriptedServer::http([send(&frames)]).await;
        assert_eq!(outcomes(&server).await, ["io"; 4], "{frames:?}");
        let server = ScriptedServer::https([send(&frames)]).await;
        assert_eq!(outcomes(&server).await, ["io"; 4], "{frames:?} over TLS");
    }
}

#[tokio::test]
async fn a_second_response_on_the_connection_is_ignored() {
    let refusal = json(401, r#"{"error":{"code":"ERR-API-TOKEN-NOT-FOUND"}}"#);
    let accepted = json(200, r#"{"isActivated":true,"api_token":"opaque"}"#);
    let server = ScriptedServer::http([accepted, refusal, Action::Stall]).await;
    for _ in 0..2 {
        assert_eq!(outcomes(&server).await, ["ok", "ok", "ok", "token"]);
    }
    assert_eq!(server.connections(), 8, "each request opens a new connection");
}
