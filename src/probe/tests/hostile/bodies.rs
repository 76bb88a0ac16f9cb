//! Endless bodies, decompression bombs, and bodies that are not JSON or are deeply nested JSON.

use crate::partner_api::judge::{KeyEvidence, RequestKind};
use crate::partner_api::{KeyInfoMode, Method};

use super::scripted_server::Action;
use super::scripted_server::{bomb, gzip, gzip_head, nested};
use super::{
    AMPLE, CANARY, EXTENDED, SHORT, ScriptedServer, api, drip, flood, head, json, json_head, json_with,
    outcomes, outcomes_within, probe, send, word,
};

/// How much a server can send on one connection: the read limit and the buffers of the sockets.
const BOUND: u64 = 16 << 20;

#[tokio::test]
async fn an_endless_body_is_read_up_to_the_limit_only() {
    let server = ScriptedServer::http([json_head(), send("["), flood("0,")]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "ok", "unavailable"]);
    assert!(server.sent_bytes() < 4 * BOUND, "{} bytes", server.sent_bytes());
}

#[tokio::test]
async fn an_endless_error_body_is_an_edge_failure() {
    let server = ScriptedServer::http([head("502 Bad Gateway"), flood("<p>")]).await;
    assert_eq!(outcomes(&server).await, ["edge", "edge", "edge", "unavailable"]);
    assert!(server.sent_bytes() < 4 * BOUND, "{} bytes", server.sent_bytes());
}

#[tokio::test]
async fn an_endless_refusal_refuses_a_log_in_and_no_key() {
    let refusal = r#"{"error":{"code":"ERR-API-TOKEN-NOT-FOUND","message":"m","details":""}}"#;
    let server = ScriptedServer::http([head("401 Unauthorized"), send(refusal), flood(" ")]).await;
    assert_eq!(outcomes(&server).await, ["edge", "edge", "edge", "refused"]);
}

#[tokio::test]
async fn an_endless_token_is_not_a_token() {
    let server = ScriptedServer::http([json_head(), send(r#"{"api_token":"opaque"}"#), flood(" ")]).await;
    assert_eq!(outcomes(&server).await[3], "unavailable");
}

#[tokio::test]
async fn a_body_that_arrives_byte_by_byte_times_out() {
    let server = ScriptedServer::http([json_head(), send("["), drip("0,")]).await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn an_error_body_that_arrives_byte_by_byte_times_out() {
    let server = ScriptedServer::http([head("502 Bad Gateway"), drip("<p>")]).await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_body_is_not_read_if_the_status_decides() {
    for (status, reason) in [("302 Found", "redirect"), ("300 Multiple Choices", "unexpected_status")] {
        let server = ScriptedServer::http([head(status), drip("<p>")]).await;
        let expected = [reason, reason, reason, "unavailable"];
        assert_eq!(outcomes(&server).await, expected, "{status}");
    }
}

#[tokio::test]
async fn a_gzip_bomb_is_decompressed_up_to_the_limit_only() {
    let (fuse, charge) = bomb();
    let server = ScriptedServer::http([gzip_head(), fuse, charge]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "ok", "unavailable"]);
    assert!(server.sent_bytes() < 4 * BOUND, "{} bytes", server.sent_bytes());
}

#[tokio::test]
async fn endless_gzip_without_content_is_read_up_to_the_limit_only() {
    let (fuse, _) = bomb();
    let empty_block = [0x00, 0x00, 0x00, 0xff, 0xff];
    let server = ScriptedServer::http([gzip_head(), fuse, flood(empty_block)]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "ok", "unavailable"]);
    assert!(server.sent_bytes() < 4 * BOUND, "{} bytes", server.sent_bytes());
}

#[tokio::test]
async fn gzip_with_an_endless_header_is_an_unexpected_body() {
    let file_name_follows = [0x1f, 0x8b, 0x08, 0x08, 0, 0, 0, 0, 0, 0];
    let server = ScriptedServer::http([gzip_head(), send(file_name_follows), flood("a")]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "unexpected_body", "unexpected_body"]);
}

#[tokio::test]
async fn invalid_gzip_is_an_unexpected_body() {
    let server = ScriptedServer::http([gzip_head(), send(r#"[{"isActivated":true}]"#)]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "unexpected_body", "unexpected_body"]);
}

#[tokio::test]
async fn an_error_with_invalid_gzip_is_judged_by_its_status() {
    for (status, reason) in [("502 Bad Gateway", "edge"), ("307 Temporary Redirect", "redirect")] {
        let server =
            ScriptedServer::http([head(&format!("{status}\ncontent-encoding: gzip")), send("<p>")]).await;
        let expected = [reason, reason, reason, "unavailable"];
        assert_eq!(outcomes(&server).await, expected, "{status}");
    }
}

#[tokio::test]
async fn invalid_utf8_in_a_body_is_not_the_documented_json() {
    let body = b"{\"isActivated\":true,\"target\":\"\xff\",\"api_token\":\"\xff\"}";
    let server = ScriptedServer::http([json(200, body)]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "ok", "unavailable"]);
    let server = ScriptedServer::http([json(401, b"{\"error\":{\"code\":\"ERR-INTERNAL\xff\"}}")]).await;
    assert_eq!(outcomes(&server).await, ["edge", "edge", "edge", "refused"]);
}

#[tokio::test]
async fn json_nested_ten_thousand_deep_does_not_overflow_the_stack() {
    let deep = nested(10_000);
    let server = ScriptedServer::http([json(200, &deep)]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "ok", "unavailable"]);
    let token = format!(r#"{{"api_token":"opaque","expiresIn":{deep}}}"#);
    let server = ScriptedServer::http([json(200, token)]).await;
    assert_eq!(outcomes(&server).await[3], "unavailable");
}

#[tokio::test]
async fn an_error_body_nested_ten_thousand_deep_is_an_edge_failure() {
    let deep = nested(10_000);
    for body in [deep.clone(), "[".repeat(10_000), format!(r#"{{"error":{deep}}}"#)] {
        let server = ScriptedServer::http([json(400, &body)]).await;
        assert_eq!(outcomes(&server).await, ["edge", "edge", "edge", "unavailable"], "{body:.60}");
    }
}

#[tokio::test]
async fn an_error_code_is_read_even_if_the_rest_is_ten_thousand_deep() {
    let deep = nested(10_000);
    for body in [
        format!(r#"{{"error":{{"code":"ERR-INTERNAL","details":{deep}}}}}"#),
        format!(r#"{{"details":{deep},"error":{{"code":"ERR-INTERNAL"}}}}"#),
    ] {
        let server = ScriptedServer::http([json(400, &body)]).await;
        let expected = ["api_error", "api_error", "api_error", "unavailable"];
        assert_eq!(outcomes(&server).await, expected, "{body:.60}");
    }
}

#[tokio::test]
async fn activation_is_read_even_if_the_rest_is_deep_or_absurd() {
    let deep = nested(10_000);
    for rest in [
        format!(r#""target":{deep}"#),
        format!(r#""version":{deep},"routes":{deep}"#),
        "\"version\":1e400".into(),
    ] {
        let server = ScriptedServer::http([json(200, format!(r#"{{"isActivated":true,{rest}}}"#))]).await;
        let report = probe(&api(&server), EXTENDED, AMPLE).await;
        let info =
            report.judgement.and_then(|judgement| judgement.key_info).expect("the response is accepted");
        assert!(info.extended.unwrap().is_activated, "{rest:.60}");
    }
}

#[tokio::test]
async fn json_of_the_wrong_form_is_an_unexpected_body() {
    for body in ["null", "true", "7", "\"text\"", "[]", "{}", "[1,2]", r#"{"isActivated":"yes"}"#, "[true]"] {
        let server = ScriptedServer::http([json(200, body)]).await;
        assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "ok", "unavailable"], "{body}");
    }
}

#[tokio::test]
async fn an_error_body_of_the_wrong_form_is_an_edge_failure() {
    for body in ["null", "[]", "{}", r#"{"error":[]}"#, r#"{"error":{"code":7}}"#, r#"{"error":"no"}"#, ""] {
        let server = ScriptedServer::http([json(403, body)]).await;
        assert_eq!(outcomes(&server).await, ["edge", "edge", "edge", "refused"], "{body}");
    }
}

#[tokio::test]
async fn a_token_of_the_wrong_type_is_not_a_token() {
    for token in ["7", "null", "[]", r#""""#, r#""two words""#, r#""line\nbreak""#, r#""\u0000""#] {
        let server = ScriptedServer::http([json(200, format!(r#"{{"api_token":{token}}}"#))]).await;
        assert_eq!(outcomes(&server).await[3], "unavailable", "{token}");
    }
}

#[tokio::test]
async fn a_token_above_16_kib_is_not_a_token() {
    for (length, word) in [(16 << 10, "token"), ((16 << 10) + 1, "unavailable")] {
        let server =
            ScriptedServer::http([json(200, format!(r#"{{"api_token":"{}"}}"#, "a".repeat(length)))]).await;
        assert_eq!(outcomes(&server).await[3], word, "{length}");
    }
}

#[tokio::test]
async fn a_success_status_with_an_error_body_is_not_a_success() {
    for (code, word) in [("SOCIETE12", "unexpected_body"), ("ERR-INTERNAL", "api_error")] {
        let server = ScriptedServer::http([json(200, format!(r#"{{"error":{{"code":"{code}"}}}}"#))]).await;
        assert_eq!(outcomes(&server).await, ["ok", word, word, "unavailable"], "{code}");
    }
}

#[tokio::test]
async fn a_documented_refusal_with_a_success_status_is_the_refusal_that_it_says() {
    let message = "m".repeat(200 << 10);
    let refusal =
        format!(r#"{{"error":{{"code":"ERR-API-TOKEN-NOT-FOUND","message":"{message}","details":""}}}}"#);
    let server = ScriptedServer::http([json_with("request-id: req-9k4i", 200, &refusal)]).await;
    for kind in [EXTENDED, CANARY] {
        let report = probe(&api(&server), kind, AMPLE).await;
        assert_eq!((word(&report.outcome), report.code()), ("token", Some("ERR-API-TOKEN-NOT-FOUND")));
        let judgement = report.judgement.unwrap();
        assert_eq!((judgement.key, judgement.secret), (Some(KeyEvidence::NotFound), None));
    }
}

#[tokio::test]
async fn the_page_of_a_captive_portal_is_not_a_success() {
    let page = "<html>Sign in to the guest network</html>";
    let server = ScriptedServer::http([head("200 OK\ncontent-type: text/html"), send(page)]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "unexpected_body", "unavailable"]);
    let server = ScriptedServer::http([json(200, page)]).await;
    let lied_about = outcomes(&server).await;
    assert_eq!(lied_about, ["ok", "unexpected_body", "unexpected_body", "unavailable"]);
}

#[tokio::test]
async fn an_empty_204_is_not_a_success_for_a_key() {
    let server = ScriptedServer::http([head("204 No Content"), Action::Stall]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "unexpected_body", "unavailable"]);
}

#[tokio::test]
async fn an_empty_304_is_an_unexpected_status() {
    let server = ScriptedServer::http([head("304 Not Modified"), Action::Stall]).await;
    let status = "unexpected_status";
    assert_eq!(outcomes(&server).await, [status, status, status, "unavailable"]);
}

/// A correct response for every route.
const BODY: &str = r#"{"isActivated":true,"api_token":"opaque"}"#;

#[tokio::test]
async fn json_behind_a_byte_order_mark_and_white_space_is_read_like_any_other() {
    for before in ["\u{feff}", "\u{feff} \r\n", " \u{feff}", "\n\t"] {
        let server = ScriptedServer::http([json(200, format!("{before}{BODY}\r\n"))]).await;
        assert_eq!(outcomes(&server).await, ["ok", "ok", "ok", "token"], "{before:?}");
        let routes = format!(r#"{before}[{{"path":"/api/v1/society","method":"get"}}]"#);
        let server = ScriptedServer::http([json(200, routes)]).await;
        let report = probe(&api(&server), RequestKind::KeyInfo(KeyInfoMode::Routes), AMPLE).await;
        assert_eq!(word(&report.outcome), "ok", "{before:?}");
    }
}

#[tokio::test]
async fn an_error_behind_a_byte_order_mark_is_the_api_s_whatever_its_content_type() {
    let error = r#"{"error":{"code":"ERR-API-TOKEN-NOT-FOUND","message":"m","details":""}}"#;
    for content_type in ["application/json; charset=utf-8", "text/plain", "text/html; charset=ISO-8859-1"] {
        let head = head(&format!("401 Unauthorized\ncontent-type: {content_type}"));
        let server = ScriptedServer::http([head, send(format!("\u{feff}{error}"))]).await;
        assert_eq!(outcomes(&server).await, ["token", "token", "token", "refused"], "{content_type}");
    }
}

#[tokio::test]
async fn json_in_utf_16_is_read_like_any_other() {
    let utf_16 =
        |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(bytes).collect() };
    let error = r#"{"error":{"code":"ERR-API-TOKEN-NOT-FOUND","message":"clé","details":""}}"#;
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        for before in ["", "\u{feff}"] {
            let headers = "content-type: application/json; charset=utf-16";
            let success =
                [head(&format!("200 OK\n{headers}")), send(utf_16(&format!("{before}{BODY}"), bytes))];
            assert_eq!(outcomes(&ScriptedServer::http(success).await).await, ["ok", "ok", "ok", "token"]);
            let refusal = [
                head(&format!("401 Unauthorized\n{headers}")),
                send(utf_16(&format!("{before}{error}"), bytes)),
            ];
            let words = outcomes(&ScriptedServer::http(refusal).await).await;
            assert_eq!(words, ["token", "token", "token", "refused"]);
        }
    }
}

#[tokio::test]
async fn an_error_body_of_two_hundred_kilobytes_is_read() {
    let refusal = r#"{"error":{"code":"ERR-API-TOKEN-NOT-FOUND","message":"m","details":""}}"#;
    let padded = format!("{refusal}{}", " ".repeat(200 << 10));
    let long =
        format!(r#"{{"error":{{"message":"{}","code":"ERR-API-TOKEN-NOT-FOUND"}}}}"#, "m".repeat(200 << 10));
    for body in [padded, long] {
        let server = ScriptedServer::http([json(401, body)]).await;
        assert_eq!(outcomes(&server).await, ["token", "token", "token", "refused"]);
    }
}

#[tokio::test]
async fn every_form_of_gzip_that_other_clients_read_is_read() {
    let (first, second) = BODY.split_at(9);
    let members = [gzip(first), gzip(second)].concat();
    let padded = [gzip(BODY), vec![0; 64]].concat();
    let mut without_trailer = gzip(BODY);
    without_trailer.truncate(without_trailer.len() - 8);
    for (coding, body) in [
        ("gzip", gzip(BODY)),
        ("gzip", members),
        ("gzip", padded),
        ("gzip", without_trailer),
        ("GZIP", gzip(BODY)),
        ("x-gzip", gzip(BODY)),
        ("X-GZip", gzip(BODY)),
        ("gzip, identity", gzip(BODY)),
        ("identity", BODY.into()),
        ("", BODY.into()),
        ("gzip\ncontent-encoding: gzip", gzip(BODY)),
        ("gzip", gzip(format!("\u{feff}{BODY}"))),
    ] {
        let server =
            ScriptedServer::http([json_with(&format!("content-encoding: {coding}"), 200, body)]).await;
        assert_eq!(outcomes(&server).await, ["ok", "ok", "ok", "token"], "{coding:?}");
    }
}

#[tokio::test]
async fn a_refusal_in_gzip_is_a_refusal() {
    let error = gzip(r#"{"error":{"code":"ERR-API-TOKEN-NOT-FOUND","message":"m","details":""}}"#);
    let server = ScriptedServer::http([json_with("content-encoding: x-gzip", 401, error)]).await;
    assert_eq!(outcomes(&server).await, ["token", "token", "token", "refused"]);
}

#[tokio::test]
async fn a_coding_that_was_not_asked_for_is_not_decoded() {
    for coding in ["br", "deflate", "zstd", "gzip, br"] {
        let headers = format!("content-encoding: {coding}");
        let server = ScriptedServer::http([json_with(&headers, 200, b"\x0b\x02\x80\x00\x03")]).await;
        assert_eq!(
            outcomes(&server).await,
            ["ok", "unexpected_body", "unexpected_body", "unavailable"],
            "{coding}"
        );
    }
}

#[tokio::test]
async fn gzip_that_is_cut_off_is_an_unexpected_body() {
    let whole = gzip(BODY);
    for length in [12, whole.len() - 9] {
        let server = ScriptedServer::http([gzip_head(), send(&whole[..length])]).await;
        assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "unexpected_body", "unexpected_body"]);
    }
}

#[tokio::test]
async fn a_response_without_a_body_may_name_a_coding() {
    let gzip = "content-type: application/json\ncontent-encoding: gzip";
    let server = ScriptedServer::http([head(&format!("200 OK\n{gzip}\ncontent-length: 40"))]).await;
    assert_eq!(word(&probe(&api(&server), RequestKind::Canary(Method::Head), AMPLE).await.outcome), "ok");
    for status in ["204 No Content", "200 OK\ncontent-length: 0"] {
        let server = ScriptedServer::http([head(&format!("{status}\n{gzip}"))]).await;
        let expected = ["ok", "unexpected_body", "unexpected_body", "unavailable"];
        assert_eq!(outcomes(&server).await, expected, "{status}");
    }
}

#[tokio::test]
async fn a_bomb_of_many_members_or_layers_is_decompressed_up_to_the_limit_only() {
    let spaces = gzip(" ".repeat(1 << 20));
    let server = ScriptedServer::http([gzip_head(), flood(spaces)]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "unexpected_body", "unavailable"]);
    let layers = gzip(gzip(" ".repeat(64 << 20)));
    let headers = "content-encoding: gzip, gzip";
    let server = ScriptedServer::http([json_with(headers, 200, layers)]).await;
    assert_eq!(outcomes(&server).await, ["ok", "unexpected_body", "unexpected_body", "unavailable"]);
}
