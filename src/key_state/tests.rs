//! Every documented code in every state, from the bytes of the response to the next state.

use std::time::{Duration, SystemTime};
use strum::VariantArray as _;

use crate::key_state::{
    EvidenceSource, KeyState, PersistedKeyState, PersistedSecretState, PersistedState, SecretState,
};
use crate::partner_api::error::Code;
use crate::partner_api::judge::{Judgement, RequestKind, Response, judge};
use crate::partner_api::{KeyInfoMode, Method};
use http::HeaderMap;

/// The meaning of each code in MyUnisoft's documentation: the code, the reason of the failure, the next
/// state of a key that was never active, that of a key that was active, and whether the secret is refused.
/// `same` means that the state does not change.
const TABLE: &str = "
    ERR-API-TOKEN-NOT-FOUND          token         not_found         revoked           -
    ERR-FIRM-TOKEN-NOT-FOUND         token         not_found         revoked           -
    ERR-INVALID-JWT                  token         invalid           invalid           -
    ERR-INVALID-API-JWT              token         invalid           invalid           -
    ERR-INVALID-FIRM-JWT             token         invalid           invalid           -
    ERR-INVALID-USER-JWT             token         invalid           invalid           -
    ERR-INVALID-AUTH-HEADER          token         invalid           invalid           -
    ERR-FOLDER-NOT-FOUND             token         folder_not_found  folder_not_found  -
    ERR-SCHEMA-NOT-FOUND             token         folder_not_found  folder_not_found  -
    ERR-THIRD-PARTY-DISCONNECTED     token         disconnected      disconnected      -
    ERR-SECRET-HEADER-NOT-SET        secret        same              same              refused
    ERR-INVALID-SECRET               secret        same              same              refused
    ERR-SECRET-NOT-CONFIGURED        secret        same              same              refused
    ERR-FORBIDDEN-ROUTE              forbidden     same              same              -
    ERR-MISSING-RULE                 forbidden     same              same              -
    ERR-FORBIDDEN-ACCESS             forbidden     forbidden         forbidden         -
    ERR-TOKEN-ACTIVATION-FAILURE     token         same              same              -
    ERR-TOO-MANY-REQUEST             rate_limited  same              same              -
    ERR-TOO-MANY-CONCURRENT-REQUEST  rate_limited  same              same              -
    ERR-TOO-MANY-CONCURRENT-REQUESTS rate_limited  same              same              -
    ERR-API-UNDER-MAINTENANCE        maintenance   same              same              -
    ERR-HTTP                         api_error     same              same              -
    ERR-INTERNAL                     api_error     same              same              -
";

const CANARY: RequestKind = RequestKind::Canary(Method::Get);
const EXTENDED: RequestKind = RequestKind::KeyInfo(KeyInfoMode::Extended);

struct Row {
    code: &'static str,
    reason: &'static str,
    never_active: Option<KeyState>,
    been_active: Option<KeyState>,
    secret_refused: bool,
}

fn rows() -> Vec<Row> {
    let row = |line: &'static str| {
        let [code, reason, never, been, secret] =
            line.split_whitespace().collect::<Vec<_>>().try_into().expect("five columns");
        Row {
            code,
            reason,
            never_active: never.parse().ok(),
            been_active: been.parse().ok(),
            secret_refused: secret == "refused",
        }
    };
    TABLE.trim().lines().map(row).collect()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn judge_response(kind: RequestKind, status: u16, body: &str) -> Judgement {
    let headers: HeaderMap = [("content-type", "application/json"), ("request-id", "req-9k4i")]
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .into_iter()
        .collect();
    let response =
        Response { status, headers: &headers, body: body.as_bytes(), complete: true, received: at(1_000) };
    judge(kind, response)
}

fn judge_error(kind: RequestKind, status: u16, code: &str) -> Judgement {
    judge_response(kind, status, &format!(r#"{{"error":{{"code":"{code}","message":"m","details":""}}}}"#))
}

fn persisted_states<S: Copy>(states: &'static [S]) -> impl Iterator<Item = PersistedState<S>> {
    let both = |&state: &S| {
        [false, true].map(|has_been_active| PersistedState { state, since: at(1), has_been_active })
    };
    states.iter().flat_map(both)
}

#[test]
fn the_table_has_every_documented_code() {
    let mut written: Vec<_> = rows().iter().map(|row| row.code).collect();
    let mut known: Vec<_> = Code::VARIANTS.iter().map(Code::into_str).collect();
    written.sort_unstable();
    known.sort_unstable();
    assert_eq!(written, known);
}

#[test]
fn every_code_has_its_reason_with_every_status_and_request() {
    for row in rows() {
        // 429 is the only documented status. No status may change the meaning of a code.
        for status in [400, 401, 403, 404, 409, 429, 500, 503] {
            for kind in [CANARY, EXTENDED, RequestKind::KeyInfo(KeyInfoMode::Routes), RequestKind::Health] {
                let judgement = judge_error(kind, status, row.code);
                let failure = judgement.outcome.unwrap_err();
                assert_eq!(failure.reason.into_str(), row.reason, "{} with {status}", row.code);
                assert_eq!(failure.code_label(), row.code);
                assert_eq!(judgement.request_id.unwrap().as_str(), "req-9k4i");
            }
        }
    }
}

#[test]
fn every_code_changes_every_key_state_as_documented() {
    for row in rows() {
        let evidence = judge_error(CANARY, 403, row.code).key;
        for persisted in persisted_states(KeyState::VARIANTS) {
            let expected = if persisted.has_been_active { row.been_active } else { row.never_active };
            let expected = expected.unwrap_or(persisted.state);
            let next = evidence
                .map_or(persisted, |evidence| persisted.step(evidence, EvidenceSource::Authority, at(9)).0);
            assert_eq!(next.state, expected, "{} in {persisted:?}", row.code);
            assert_eq!(
                next.has_been_active, persisted.has_been_active,
                "a refusal is no evidence that the key was active"
            );
            assert_eq!(next.since, if next.state == persisted.state { at(1) } else { at(9) });
        }
    }
}

#[test]
fn every_code_changes_every_secret_state_as_documented() {
    for row in rows() {
        let evidence = judge_error(CANARY, 403, row.code).secret;
        assert_eq!(evidence.is_some(), row.secret_refused, "{}", row.code);
        for persisted in persisted_states(SecretState::VARIANTS) {
            let next = evidence.map_or(persisted, |evidence| persisted.step(evidence, at(9)).0);
            let expected = match (row.secret_refused, persisted.has_been_active) {
                (false, _) => persisted.state,
                (true, false) => SecretState::Pending,
                (true, true) => SecretState::Rejected,
            };
            assert_eq!(next.state, expected, "{} in {persisted:?}", row.code);
        }
    }
}

#[test]
fn an_accepted_request_makes_key_and_secret_active_from_every_state() {
    let accepted = judge_response(CANARY, 200, r#"[{"name":"2024"}]"#);
    assert!(accepted.outcome.is_ok());
    for persisted in persisted_states(KeyState::VARIANTS) {
        let (next, _) = persisted.step(accepted.key.unwrap(), EvidenceSource::Authority, at(9));
        assert_eq!((next.state, next.has_been_active), (KeyState::Active, true), "{persisted:?}");
    }
    for persisted in persisted_states(SecretState::VARIANTS) {
        let (next, _) = persisted.step(accepted.secret.unwrap(), at(9));
        assert_eq!((next.state, next.has_been_active), (SecretState::Active, true), "{persisted:?}");
    }
}

#[test]
fn key_info_says_whether_a_key_is_activated() {
    let evidence = |activated: bool| {
        judge_response(EXTENDED, 200, &format!(r#"{{"isActivated":{activated}}}"#)).key.unwrap()
    };
    for persisted in persisted_states(KeyState::VARIANTS) {
        assert_eq!(
            persisted.step(evidence(false), EvidenceSource::Authority, at(9)).0.state,
            KeyState::Pending
        );
        assert_eq!(
            persisted.step(evidence(true), EvidenceSource::Authority, at(9)).0.state,
            KeyState::Active
        );
    }
    let secret = judge_response(EXTENDED, 200, r#"{"isActivated":false}"#).secret;
    assert!(secret.is_some(), "the key/info response of a pending key proves that the secret is accepted");
}

#[test]
fn a_canary_does_not_end_pending_if_key_info_is_probed_too() {
    let pending = PersistedKeyState { state: KeyState::Pending, ..PersistedKeyState::new(at(1)) };
    for row in rows() {
        let Some(evidence) = judge_error(CANARY, 403, row.code).key else { continue };
        let (next, change) = pending.step(evidence, EvidenceSource::CanaryBesideKeyInfo, at(9));
        assert_eq!((next, change), (pending, None), "{}", row.code);
    }
    let accepted = judge_response(CANARY, 200, "[]").key.unwrap();
    let (next, _) = pending.step(accepted, EvidenceSource::CanaryBesideKeyInfo, at(9));
    assert_eq!(next.state, KeyState::Pending);
    assert!(next.has_been_active, "the key was accepted, so a later NotFound is a revocation");
}

#[test]
fn an_unchanged_state_keeps_its_since_and_is_not_a_transition() {
    let active = PersistedKeyState { state: KeyState::Active, since: at(1), has_been_active: true };
    let accepted = judge_response(CANARY, 200, "[]").key.unwrap();
    assert_eq!(active.step(accepted, EvidenceSource::Authority, at(9)), (active, None));
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
    let response =
        Response { status: 503, headers: &headers, body: b"down", complete: true, received: at(1) };
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
fn a_truncated_body_fails_key_info_but_not_a_canary() {
    let headers: HeaderMap =
        [("content-type".parse().unwrap(), "application/json".parse().unwrap())].into_iter().collect();
    let judge_truncated = |kind| {
        let response =
            Response { status: 200, headers: &headers, body: b"[{", complete: false, received: at(1) };
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
        let response = Response {
            status: 200,
            headers: &headers,
            body: body.as_bytes(),
            complete: true,
            received: at(1),
        };
        judge(CANARY, response).outcome.is_ok()
    };
    assert!(is_accepted("application/json; charset=utf-8", "[]"));
    assert!(is_accepted("Application/Problem+JSON", " \n {}"));
    assert!(is_accepted("application/json", "\u{feff}[]"));
    assert!(!is_accepted("text/html", "[]"));
    assert!(!is_accepted("application/json", "<html>"));
    assert!(!is_accepted("application/json", ""));
    assert!(!is_accepted("application/json", "  "));
    assert!(!is_accepted("", "[]"));
}

#[test]
fn a_new_key_and_a_new_secret_are_unknown() {
    assert_eq!(PersistedKeyState::new(at(1)).state, KeyState::Unknown);
    assert_eq!(PersistedSecretState::new(at(1)).state, SecretState::Unknown);
    assert!(
        !PersistedKeyState::new(at(1)).has_been_active && !PersistedSecretState::new(at(1)).has_been_active
    );
}
