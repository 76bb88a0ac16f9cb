//! What one response proves: for every documented code, and for responses that did not come from the API.

use http::HeaderMap;
use strum::VariantArray as _;

use super::{KeyEvidence, RequestKind, Response, SecretEvidence, judge};
use crate::partner_api::error::{DocumentedCode, RouteCode};
use crate::partner_api::failure::Reason;
use crate::partner_api::{KeyInfoMode, Method};
use crate::test_support::{at, judge_error, judge_response};

/// The documented codes, and the reason of the failure for each.
const TABLE: &str = "
    ERR-API-TOKEN-NOT-FOUND          token
    ERR-FIRM-TOKEN-NOT-FOUND         token
    ERR-INVALID-JWT                  token
    ERR-INVALID-API-JWT              token
    ERR-INVALID-FIRM-JWT             token
    ERR-INVALID-USER-JWT             token
    ERR-INVALID-AUTH-HEADER          token
    ERR-FOLDER-NOT-FOUND             token
    ERR-SCHEMA-NOT-FOUND             token
    ERR-THIRD-PARTY-DISCONNECTED     token
    ERR-SECRET-HEADER-NOT-SET        secret
    ERR-INVALID-SECRET               secret
    ERR-SECRET-NOT-CONFIGURED        secret
    ERR-FORBIDDEN-ROUTE              forbidden
    ERR-MISSING-RULE                 forbidden
    ERR-FORBIDDEN-ACCESS             forbidden
    ERR-TOKEN-ACTIVATION-FAILURE     token
    ERR-TOO-MANY-REQUEST             rate_limited
    ERR-TOO-MANY-CONCURRENT-REQUEST  rate_limited
    ERR-TOO-MANY-CONCURRENT-REQUESTS rate_limited
    ERR-API-UNDER-MAINTENANCE        maintenance
    ERR-HTTP                         api_error
    ERR-INTERNAL                     api_error
";

const CANARY: RequestKind = RequestKind::Canary(Method::Get);
const EXTENDED: RequestKind = RequestKind::KeyInfo(KeyInfoMode::Extended);

fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE
        .trim()
        .lines()
        .map(|row| row.trim().split_once(' ').unwrap())
        .map(|(code, reason)| (code, reason.trim()))
}

#[test]
fn the_table_has_every_documented_code() {
    let mut written: Vec<_> = rows().map(|(code, _)| code).collect();
    let mut known: Vec<_> = DocumentedCode::VARIANTS.iter().map(DocumentedCode::into_str).collect();
    written.sort_unstable();
    known.sort_unstable();
    assert_eq!(written, known);
}

#[test]
fn every_code_has_its_reason_with_every_status_and_request() {
    for (code, reason) in rows() {
        // 429 is the only documented status. No status may change the meaning of a code.
        for status in [400, 401, 403, 404, 409, 429, 500, 503] {
            for kind in [CANARY, EXTENDED, RequestKind::KeyInfo(KeyInfoMode::Routes), RequestKind::Health] {
                let judgement = judge_error(kind, status, code);
                let failure = judgement.outcome.unwrap_err();
                assert_eq!(failure.reason.into_str(), reason, "{code} with {status}");
                assert_eq!(failure.code_label(), code);
                assert_eq!(judgement.request_id.unwrap().as_str(), "req-9k4i");
            }
        }
    }
}

#[test]
fn a_response_that_did_not_come_from_the_api_is_not_evidence() {
    let html = "<html>Sign in to the guest network</html>";
    for (status, reason) in [
        (200, "unexpected_body"),
        (204, "unexpected_body"),
        (301, "redirect"),
        (302, "redirect"),
        (304, "unexpected_status"),
        (307, "redirect"),
        (401, "edge"),
        (403, "edge"),
        (404, "edge"),
        (429, "edge"),
        (502, "edge"),
        (503, "edge"),
        (101, "unexpected_status"),
        (999, "unexpected_status"),
    ] {
        for kind in [CANARY, EXTENDED] {
            let body = if status == 204 { "" } else { html };
            let judgement = judge_response(kind, status, body);
            let failure = judgement.outcome.unwrap_err();
            assert_eq!(failure.reason.into_str(), reason, "{status}");
            assert_eq!((judgement.key, judgement.secret), (None, None), "{status}");
            assert_eq!(failure.code_label(), "other");
        }
    }
}

#[test]
fn a_health_response_is_judged_by_its_status_only() {
    for body in ["", "<html>", "{}", r#"{"error":{"code":"ERR-INTERNAL"}}"#] {
        assert!(judge_response(RequestKind::Health, 200, body).outcome.is_ok());
        assert!(judge_response(RequestKind::Health, 204, body).outcome.is_ok());
        assert!(judge_response(RequestKind::Health, 503, body).outcome.is_err());
    }
    let maintenance = judge_error(RequestKind::Health, 503, "ERR-API-UNDER-MAINTENANCE");
    assert_eq!(maintenance.outcome.unwrap_err().reason.into_str(), "maintenance");
    assert_eq!((maintenance.key, maintenance.secret), (None, None));
}

#[test]
fn the_request_id_shows_that_a_failed_health_response_came_from_the_api() {
    let with_id = judge_response(RequestKind::Health, 503, "down");
    assert_eq!(with_id.outcome.unwrap_err().reason.into_str(), "unexpected_status");
    let headers = HeaderMap::new();
    let response = Response { body: b"down", ..response_without_request_id(503, &headers, "") };
    assert_eq!(judge(RequestKind::Health, response).outcome.unwrap_err().reason.into_str(), "edge");
}

#[test]
fn an_error_code_of_a_route_is_not_evidence() {
    for (status, code) in [(400, "GBL1"), (403, "DROIT1"), (500, "EXERCICE5"), (404, "ERR-NEW-AND-UNKNOWN")] {
        let judgement = judge_error(CANARY, status, code);
        let failure = judgement.outcome.unwrap_err();
        assert_eq!((failure.reason.into_str(), failure.code_label()), ("api_error", "other"), "{code}");
        assert_eq!(failure.code.unwrap().as_str(), code, "kept unchanged for the log");
        assert_eq!((judgement.key, judgement.secret), (None, None));
    }
    assert_eq!(judge_error(CANARY, 429, "QUOTA1").outcome.unwrap_err().reason.into_str(), "rate_limited");
}

#[test]
fn each_status_of_a_route_s_code_leaves_key_and_secret_as_they_are() {
    let codes = RouteCode::VARIANTS.iter().map(RouteCode::into_str);
    for code in codes.chain(["COMPTE 13", "OCR1"]) {
        for status in [400, 401, 403, 404, 409, 500] {
            for kind in [CANARY, EXTENDED] {
                let judgement = judge_error(kind, status, code);
                let failure = judgement.outcome.unwrap_err();
                assert_eq!((failure.reason, failure.code_label()), (Reason::ApiError, "other"), "{code}");
                assert_eq!(failure.code.unwrap().as_str(), code);
                assert_eq!((judgement.key, judgement.secret), (None, None), "{code} {status}");
            }
        }
    }
}

#[test]
fn a_success_with_a_root_code_is_a_success_and_one_with_an_error_is_not() {
    let is_ok = |status, body| judge_response(CANARY, status, body).outcome.is_ok();
    assert!(is_ok(200, r#"{"code":"Success","message":""}"#));
    assert!(is_ok(201, r#"{"message":"","code":"Success"}"#));
    assert!(!is_ok(200, r#"{"error":{"code":"SOCIETE12"},"code":400}"#));
    assert!(!is_ok(200, r#"{"code":"ERR-API-TOKEN-NOT-FOUND"}"#));
    let empty = judge_response(CANARY, 204, "").outcome.unwrap_err();
    assert_eq!(empty.reason, Reason::UnexpectedBody);
    assert!(empty.detail.contains("no content"), "{}", empty.detail);
}

#[test]
fn a_documented_refusal_with_a_success_status_counts() {
    for kind in [CANARY, EXTENDED] {
        let refused = judge_error(kind, 200, "ERR-API-TOKEN-NOT-FOUND");
        assert_eq!(refused.outcome.unwrap_err().reason, Reason::Token);
        assert_eq!((refused.key, refused.secret), (Some(KeyEvidence::NotFound), None));
        let secret = judge_error(kind, 200, "ERR-INVALID-SECRET");
        assert_eq!((secret.key, secret.secret), (None, Some(SecretEvidence::Refused)));
        let maintenance = judge_error(kind, 200, "ERR-API-UNDER-MAINTENANCE");
        assert_eq!(maintenance.outcome.unwrap_err().reason, Reason::Maintenance);
        let of_route = judge_error(kind, 200, "SOCIETE12");
        assert_eq!(of_route.outcome.unwrap_err().reason, Reason::UnexpectedBody);
        assert_eq!((of_route.key, of_route.secret), (None, None));
        let headers = json_headers();
        let expected =
            Response { expects_request_id: true, ..response_without_request_id(200, &headers, NOT_FOUND) };
        let judgement = judge(kind, expected);
        assert_eq!(judgement.outcome.unwrap_err().reason, Reason::Edge, "the request ID is missing");
        assert_eq!((judgement.key, judgement.secret), (None, None));
    }
}

#[test]
fn a_refused_head_request_does_not_say_why() {
    let head = RequestKind::Canary(Method::Head);
    for status in [401, 403, 404, 429, 500] {
        let judgement = judge_response(head, status, "");
        let failure = judgement.outcome.unwrap_err();
        assert_eq!(failure.reason, Reason::UnexpectedStatus);
        assert!(failure.detail.contains("HEAD"), "{}", failure.detail);
        assert_eq!((judgement.key, judgement.secret), (None, None));
    }
    let headers = HeaderMap::new();
    let response = response_without_request_id(401, &headers, "");
    assert_eq!(judge(head, response).outcome.unwrap_err().reason, Reason::Edge, "no request ID");
}

#[test]
fn a_truncated_body_fails_key_info_but_not_a_canary() {
    let headers: HeaderMap =
        [("content-type".parse().unwrap(), "application/json".parse().unwrap())].into_iter().collect();
    let judge_truncated = |kind| {
        let response = Response { complete: false, ..response_without_request_id(200, &headers, "[{") };
        judge(kind, response).outcome
    };
    assert!(judge_truncated(CANARY).is_ok());
    assert_eq!(judge_truncated(EXTENDED).unwrap_err().reason.into_str(), "unexpected_body");
}

#[test]
fn a_canary_response_must_have_a_json_type_and_first_byte() {
    let is_accepted = |content_type: &str, body: &str| {
        let headers: HeaderMap =
            [("content-type".parse().unwrap(), content_type.parse().unwrap())].into_iter().collect();
        judge(CANARY, response_without_request_id(200, &headers, body)).outcome.is_ok()
    };
    assert!(is_accepted("application/json; charset=utf-8", "[]"));
    assert!(is_accepted("Application/Problem+JSON", " \n {}"));
    assert!(is_accepted("application/json; charset=utf-8, application/json", "[]"), "joined by a proxy");
    assert!(!is_accepted("application/json, text/html", "[]"));
    assert!(is_accepted("application/json", "\u{feff}[]"));
    assert!(!is_accepted("text/html", "[]"));
    assert!(!is_accepted("application/json", "<html>"));
    assert!(!is_accepted("application/json", ""));
    assert!(!is_accepted("application/json", "  "));
    assert!(!is_accepted("", "[]"));
}

#[test]
fn an_error_body_that_was_not_read_to_its_end_is_not_a_success_of_a_canary() {
    let headers = json_headers();
    let cases = [
        (false, r#" {"error":{"code":"ERR-API-TOKEN-NOT-FOUND","mess"#, false),
        (false, r#"{ "error""#, false),
        (false, r#"{"errors":[{"#, true),
        (false, r#"[{"error":{"#, true),
        (true, r#"{"error":null}"#, true),
    ];
    for (complete, body, is_success) in cases {
        let response = Response { complete, ..response_without_request_id(200, &headers, body) };
        let judgement = judge(CANARY, response);
        assert_eq!((judgement.outcome.is_ok(), judgement.key), (is_success, None), "{body}");
    }
}

/// A complete response on a route that is not known to send request IDs.
fn response_without_request_id<'a>(status: u16, headers: &'a HeaderMap, body: &'a str) -> Response<'a> {
    Response {
        status,
        headers,
        body: body.as_bytes(),
        complete: true,
        received: at(1),
        expects_request_id: false,
    }
}

const ACTIVATED: &str = r#"{"isActivated":true}"#;
const NOT_FOUND: &str = r#"{"error":{"code":"ERR-API-TOKEN-NOT-FOUND","message":"m","details":""}}"#;
const NOT_FOUND_WITH_ID: &str =
    r#"{"error":{"code":"ERR-API-TOKEN-NOT-FOUND","message":"m","details":{"requestId":"req-1"}}}"#;

fn json_headers() -> HeaderMap {
    [("content-type".parse().unwrap(), "application/json".parse().unwrap())].into_iter().collect()
}

#[test]
fn a_response_without_the_expected_request_id_is_not_the_api_s() {
    let headers = json_headers();
    let judge = |kind, status, body| {
        let response = response_without_request_id(status, &headers, body);
        judge(kind, Response { expects_request_id: true, ..response })
    };
    for (kind, status, body) in [(CANARY, 200, "[]"), (EXTENDED, 200, ACTIVATED), (CANARY, 404, NOT_FOUND)] {
        let judgement = judge(kind, status, body);
        assert_eq!(judgement.outcome.unwrap_err().reason, Reason::Edge, "{status} {body}");
        assert!(judgement.key.is_none() && judgement.secret.is_none(), "{status} {body}");
        assert!(judgement.key_info.is_none(), "{status} {body}");
    }
    assert!(judge(RequestKind::Health, 200, "").outcome.is_ok(), "health is judged by its status");
    let with_id = judge(CANARY, 404, NOT_FOUND_WITH_ID);
    assert_eq!(with_id.key, Some(KeyEvidence::NotFound), "the body has the request ID");
}

#[test]
fn where_a_proxy_removes_request_ids_only_documented_bodies_are_evidence() {
    let headers = json_headers();
    let judge = |kind, status, body| judge(kind, response_without_request_id(status, &headers, body));
    let canary = judge(CANARY, 200, "[]");
    assert!(canary.outcome.is_ok() && canary.key.is_none() && canary.secret.is_none());
    assert_eq!(judge(EXTENDED, 200, ACTIVATED).key, Some(KeyEvidence::Activated));
    assert_eq!(judge(CANARY, 404, NOT_FOUND).key, Some(KeyEvidence::NotFound));
    let with_id = judge(CANARY, 404, NOT_FOUND_WITH_ID);
    assert!(with_id.request_id.is_some() && !with_id.has_request_id_header, "the proxy still removes it");
}
