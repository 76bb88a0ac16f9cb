//! Each failure is blamed on the right party.

use super::*;

const FORBIDDEN_ROUTE: DocumentedCode = DocumentedCode::ForbiddenRoute;

fn failure(reason: Reason, code: Option<DocumentedCode>) -> Failure {
    Failure { code: code.map(Into::into), ..Failure::new(reason, "something was seen") }
}

fn failed(failure: &Failure) -> FailedProbe<'_> {
    FailedProbe {
        probe: "exercices",
        failure,
        reached: Some(Phase::Transfer),
        status: Some(400),
        from_api: true,
        certificate_expired: false,
    }
}

fn facts(state: KeyState, failed_probes: Vec<FailedProbe<'_>>) -> KeyFacts<'_> {
    KeyFacts {
        state,
        secret: SecretState::Active,
        failed_probes,
        was_probed: true,
        over_budget: false,
        out_of_resources: false,
    }
}

fn blame(state: KeyState, reason: Reason, code: Option<DocumentedCode>) -> Blame {
    diagnose_key(&facts(state, vec![failed(&failure(reason, code))])).blame.unwrap()
}

#[test]
fn every_reason_has_a_blame_and_an_action() {
    for reason in Reason::VARIANTS {
        let failure = failure(*reason, None);
        for verdict in [
            diagnose_key(&facts(KeyState::Active, vec![failed(&failure)])),
            diagnose_api(true, false, Some(failed(&failure))),
        ] {
            assert!(verdict.blame.is_some() && verdict.action.is_some(), "{reason}: {verdict:?}");
            assert!(verdict.summary.ends_with('.') && !verdict.summary.contains(".."), "{verdict:?}");
        }
    }
}

#[test]
fn every_state_except_active_and_unknown_is_a_problem_of_the_key() {
    for state in KeyState::VARIANTS {
        let verdict = diagnose_key(&facts(*state, Vec::new()));
        let fine = matches!(state, KeyState::Active | KeyState::Unknown);
        assert_eq!(verdict.blame, (!fine).then_some(Blame::Key), "{state}");
    }
}

#[test]
fn each_failure_has_its_blame() {
    use KeyState::{Active, Forbidden, Revoked};
    for (state, reason, code, to_blame) in [
        (Active, Reason::Maintenance, Some(DocumentedCode::UnderMaintenance), Blame::Platform),
        (Active, Reason::ApiError, Some(DocumentedCode::Internal), Blame::Platform),
        (Active, Reason::ApiError, Some(DocumentedCode::MissingRule), Blame::Route),
        (Active, Reason::Edge, None, Blame::Platform),
        (Active, Reason::Io, None, Blame::Network),
        (Active, Reason::Dns, None, Blame::Network),
        (Active, Reason::Secret, Some(DocumentedCode::InvalidSecret), Blame::Secret),
        (Revoked, Reason::Token, Some(DocumentedCode::ApiTokenNotFound), Blame::Key),
        (Active, Reason::Forbidden, Some(FORBIDDEN_ROUTE), Blame::Route),
        (Forbidden, Reason::Forbidden, Some(DocumentedCode::ForbiddenAccess), Blame::Key),
        (Active, Reason::RateLimited, Some(DocumentedCode::TooManyRequest), Blame::Budget),
        (Active, Reason::Login, None, Blame::Key),
    ] {
        assert_eq!(blame(state, reason, code), to_blame, "{reason}");
    }
}

#[test]
fn the_verdict_about_a_lost_key_stays_while_the_api_is_down() {
    for reason in [Reason::Edge, Reason::Connect, Reason::Maintenance] {
        let failure = failure(reason, None);
        for state in [KeyState::Revoked, KeyState::Pending, KeyState::Forbidden] {
            let verdict = diagnose_key(&facts(state, vec![failed(&failure)]));
            assert_eq!(verdict.blame, Some(Blame::Key), "{reason} {state}: {verdict:?}");
        }
    }
    let over_budget = KeyFacts { over_budget: true, ..facts(KeyState::Pending, Vec::new()) };
    assert_eq!(diagnose_key(&over_budget).blame, Some(Blame::Key));
}

#[test]
fn a_missing_activation_is_reported_before_its_consequences() {
    for (reason, code) in [
        (Reason::Forbidden, Some(FORBIDDEN_ROUTE)),
        (Reason::ApiError, Some(DocumentedCode::MissingRule)),
        (Reason::RateLimited, Some(DocumentedCode::TooManyRequest)),
    ] {
        let verdict = diagnose_key(&facts(KeyState::Pending, vec![failed(&failure(reason, code))]));
        assert!(verdict.summary.contains("not activated"), "{reason}: {verdict:?}");
    }
    let forbidden = failure(Reason::Forbidden, Some(FORBIDDEN_ROUTE));
    let verdict = diagnose_key(&facts(KeyState::Unknown, vec![failed(&forbidden)]));
    assert!(!verdict.summary.contains("works"), "nothing proves that the key works: {verdict:?}");
}

#[test]
fn an_exporter_without_resources_blames_only_itself() {
    let out_of_resources = KeyFacts { out_of_resources: true, ..facts(KeyState::Active, Vec::new()) };
    assert_eq!(diagnose_key(&out_of_resources).blame, Some(Blame::Exporter));
    assert_eq!(diagnose_api(true, true, None).blame, Some(Blame::Exporter));
}

#[test]
fn a_refused_health_probe_is_not_reported_as_an_outage() {
    let failure = failure(Reason::RateLimited, Some(DocumentedCode::TooManyRequest));
    let limited = FailedProbe { status: Some(429), ..failed(&failure) };
    assert!(diagnose_api(true, false, Some(limited)).summary.contains("refuses this machine"));
}

#[test]
fn the_http_status_decides_the_blame_for_an_undocumented_code() {
    let failure = Failure { code: Some(ErrorCode::redacted()), ..failure(Reason::ApiError, None) };
    for (status, probe, to_blame) in [
        (500, "exercices", Blame::Platform),
        (503, "key_info", Blame::Platform),
        (401, "exercices", Blame::Key),
        (400, "key_info", Blame::Key),
        (400, "exercices", Blame::Route),
        (422, "exercices", Blame::Route),
    ] {
        let last = FailedProbe { status: Some(status), probe, ..failed(&failure) };
        assert_eq!(
            diagnose_key(&facts(KeyState::Active, vec![last])).blame,
            Some(to_blame),
            "{status} {probe}"
        );
    }
}

#[test]
fn a_failed_log_in_is_blamed_on_the_account_only_if_nothing_else_failed() {
    for (underlying, to_blame) in [
        (None, Blame::Key),
        (Some(Reason::Connect), Blame::Network),
        (Some(Reason::Timeout), Blame::Network),
        (Some(Reason::Edge), Blame::Network),
        (Some(Reason::ApiError), Blame::Platform),
        (Some(Reason::Maintenance), Blame::Platform),
    ] {
        let failure = Failure { underlying, ..failure(Reason::Login, None) };
        assert_eq!(
            diagnose_key(&facts(KeyState::Active, vec![failed(&failure)])).blame,
            Some(to_blame),
            "{underlying:?}"
        );
    }
}

#[test]
fn an_undocumented_response_comes_from_the_api_only_with_a_request_id() {
    for reason in [Reason::UnexpectedStatus, Reason::Edge] {
        let failure = failure(reason, None);
        let foreign = FailedProbe { from_api: false, ..failed(&failure) };
        assert_eq!(diagnose_api(true, false, Some(foreign)).blame, Some(Blame::Network), "{reason}");
        assert_eq!(
            diagnose_api(true, false, Some(failed(&failure))).blame,
            Some(Blame::Platform),
            "{reason}"
        );
    }
}

#[test]
fn a_timeout_is_blamed_on_the_network_until_the_api_has_the_request() {
    let failure = failure(Reason::Timeout, None);
    for (reached, to_blame) in [
        (Phase::Resolve, Blame::Network),
        (Phase::Connect, Blame::Network),
        (Phase::Tls, Blame::Network),
        (Phase::Processing, Blame::Platform),
        (Phase::Transfer, Blame::Platform),
    ] {
        let probe = FailedProbe { reached: Some(reached), ..failed(&failure) };
        assert_eq!(diagnose_api(true, false, Some(probe)).blame, Some(to_blame), "{reached}");
    }
}

#[test]
fn only_an_expired_certificate_is_blamed_on_the_platform() {
    let failure = failure(Reason::Tls, None);
    let expired = FailedProbe { certificate_expired: true, ..failed(&failure) };
    assert_eq!(diagnose_api(true, false, Some(expired)).blame, Some(Blame::Platform));
    assert_eq!(diagnose_api(true, false, Some(failed(&failure))).blame, Some(Blame::Network));
}

#[test]
fn an_unexpected_body_is_blamed_on_the_platform_only_if_the_api_sent_it() {
    let failure = failure(Reason::UnexpectedBody, None);
    let foreign = FailedProbe { from_api: false, ..failed(&failure) };
    assert_eq!(diagnose_api(true, false, Some(foreign)).blame, Some(Blame::Network));
    assert_eq!(diagnose_api(true, false, Some(failed(&failure))).blame, Some(Blame::Platform));
}

#[test]
fn the_most_important_failure_determines_the_verdict() {
    let (secret, timeout) =
        (failure(Reason::Secret, Some(DocumentedCode::InvalidSecret)), failure(Reason::Timeout, None));
    let verdict = diagnose_key(&facts(KeyState::Active, vec![failed(&timeout), failed(&secret)]));
    assert_eq!(verdict.blame, Some(Blame::Secret));
}

#[test]
fn an_unreadable_secret_file_is_blamed_on_the_exporter() {
    for reason in [Reason::Token, Reason::Secret] {
        let failure = failure(reason, None);
        let unsent = FailedProbe { reached: None, ..failed(&failure) };
        assert_eq!(
            diagnose_key(&facts(KeyState::Active, vec![unsent])).blame,
            Some(Blame::Exporter),
            "{reason}"
        );
    }
}

#[test]
fn a_failure_concerns_the_key_if_its_verdict_blames_the_key_or_the_partner() {
    for reason in Reason::VARIANTS {
        let failure = failure(*reason, Some(FORBIDDEN_ROUTE));
        let blame = diagnose_key(&facts(KeyState::Active, vec![failed(&failure)])).blame.unwrap();
        let expected = !matches!(blame, Blame::Platform | Blame::Network | Blame::Exporter);
        assert_eq!(concerns_key(&failed(&failure)), expected, "{reason}");
    }
}
