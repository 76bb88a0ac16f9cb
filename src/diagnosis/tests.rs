//! Whose fault it is, told apart.

use super::*;

const FORBIDDEN_ROUTE: Code = Code::ForbiddenRoute;

fn failure(reason: Reason, code: Option<Code>) -> Failure {
    Failure { code: code.map(Into::into), ..Failure::new(reason, "what was seen") }
}

fn trouble(failure: &Failure) -> Trouble<'_> {
    Trouble {
        probe: "exercices",
        failure,
        reached: Some(Phase::Transfer),
        status: Some(400),
        is_the_api_s: true,
        certificate_expired: false,
    }
}

fn case(state: KeyState, troubles: Vec<Trouble<'_>>) -> Case<'_> {
    Case {
        state,
        secret: SecretState::Active,
        troubles,
        was_asked: true,
        over_budget: false,
        is_out_of_resources: false,
    }
}

fn blame(state: KeyState, reason: Reason, code: Option<Code>) -> Blame {
    of_key(&case(state, vec![trouble(&failure(reason, code))])).blame.unwrap()
}

#[test]
fn every_reason_has_someone_to_blame_and_something_to_do() {
    for reason in Reason::VARIANTS {
        let failure = failure(*reason, None);
        for verdict in [
            of_key(&case(KeyState::Active, vec![trouble(&failure)])),
            of_health(true, false, Some(trouble(&failure))),
        ] {
            assert!(verdict.blame.is_some() && verdict.action.is_some(), "{reason}: {verdict:?}");
            assert!(verdict.summary.ends_with('.') && !verdict.summary.contains(".."), "{verdict:?}");
        }
    }
}

#[test]
fn every_state_but_active_and_unknown_is_the_key_s_own_trouble() {
    for state in KeyState::VARIANTS {
        let verdict = of_key(&case(*state, Vec::new()));
        let fine = matches!(state, KeyState::Active | KeyState::Unknown);
        assert_eq!(verdict.blame, (!fine).then_some(Blame::Key), "{state}");
    }
}

#[test]
fn blame_is_told_apart() {
    use KeyState::{Active, Forbidden, Revoked};
    for (state, reason, code, to_blame) in [
        (Active, Reason::Maintenance, Some(Code::UnderMaintenance), Blame::Platform),
        (Active, Reason::ApiError, Some(Code::Internal), Blame::Platform),
        (Active, Reason::ApiError, Some(Code::MissingRule), Blame::Route),
        (Active, Reason::Edge, None, Blame::Platform),
        (Active, Reason::Io, None, Blame::Network),
        (Active, Reason::Dns, None, Blame::Network),
        (Active, Reason::Secret, Some(Code::InvalidSecret), Blame::Secret),
        (Revoked, Reason::Token, Some(Code::ApiTokenNotFound), Blame::Key),
        (Active, Reason::Forbidden, Some(FORBIDDEN_ROUTE), Blame::Route),
        (Forbidden, Reason::Forbidden, Some(Code::ForbiddenAccess), Blame::Key),
        (Active, Reason::RateLimited, Some(Code::TooManyRequest), Blame::Budget),
        (Active, Reason::Login, None, Blame::Key),
    ] {
        assert_eq!(blame(state, reason, code), to_blame, "{reason}");
    }
}

#[test]
fn what_is_known_of_a_lost_key_stays_true_while_the_api_is_down() {
    for reason in [Reason::Edge, Reason::Connect, Reason::Maintenance] {
        let failure = failure(reason, None);
        for state in [KeyState::Revoked, KeyState::Pending, KeyState::Forbidden] {
            let verdict = of_key(&case(state, vec![trouble(&failure)]));
            assert_eq!(verdict.blame, Some(Blame::Key), "{reason} {state}: {verdict:?}");
        }
    }
    let spared = Case { over_budget: true, ..case(KeyState::Pending, Vec::new()) };
    assert_eq!(of_key(&spared).blame, Some(Blame::Key));
}

#[test]
fn a_key_that_is_not_activated_is_told_so_before_what_follows_from_it() {
    for (reason, code) in [
        (Reason::Forbidden, Some(FORBIDDEN_ROUTE)),
        (Reason::ApiError, Some(Code::MissingRule)),
        (Reason::RateLimited, Some(Code::TooManyRequest)),
    ] {
        let verdict = of_key(&case(KeyState::Pending, vec![trouble(&failure(reason, code))]));
        assert!(verdict.summary.contains("not activated"), "{reason}: {verdict:?}");
    }
    let forbidden = failure(Reason::Forbidden, Some(FORBIDDEN_ROUTE));
    let verdict = of_key(&case(KeyState::Unknown, vec![trouble(&forbidden)]));
    assert!(!verdict.summary.contains("works"), "nothing says so: {verdict:?}");
}

#[test]
fn an_exporter_that_can_ask_nothing_blames_itself_and_tells_nothing_of_others() {
    let out_of_resources = Case { is_out_of_resources: true, ..case(KeyState::Active, Vec::new()) };
    assert_eq!(of_key(&out_of_resources).blame, Some(Blame::Exporter));
    assert_eq!(of_health(true, true, None).blame, Some(Blame::Exporter));
}

#[test]
fn a_health_route_that_refuses_is_not_one_to_wait_for() {
    let failure = failure(Reason::RateLimited, Some(Code::TooManyRequest));
    let limited = Trouble { status: Some(429), ..trouble(&failure) };
    assert!(of_health(true, false, Some(limited)).summary.contains("refuses this machine"));
}

#[test]
fn an_undocumented_code_is_blamed_by_its_status() {
    let failure = Failure { code: Some(ErrorCode::withheld()), ..failure(Reason::ApiError, None) };
    for (status, probe, to_blame) in [
        (500, "exercices", Blame::Platform),
        (503, "key_info", Blame::Platform),
        (401, "exercices", Blame::Key),
        (400, "key_info", Blame::Key),
        (400, "exercices", Blame::Route),
        (422, "exercices", Blame::Route),
    ] {
        let trouble = Trouble { status: Some(status), probe, ..trouble(&failure) };
        assert_eq!(of_key(&case(KeyState::Active, vec![trouble])).blame, Some(to_blame), "{status} {probe}");
    }
}

#[test]
fn a_log_in_that_failed_for_no_fault_of_the_account_is_blamed_on_what_it_met() {
    for (met, to_blame) in [
        (None, Blame::Key),
        (Some(Reason::Connect), Blame::Network),
        (Some(Reason::Timeout), Blame::Network),
        (Some(Reason::Edge), Blame::Network),
        (Some(Reason::ApiError), Blame::Platform),
        (Some(Reason::Maintenance), Blame::Platform),
    ] {
        let failure = Failure { met, ..failure(Reason::Login, None) };
        assert_eq!(of_key(&case(KeyState::Active, vec![trouble(&failure)])).blame, Some(to_blame), "{met:?}");
    }
}

#[test]
fn an_answer_that_is_not_documented_is_the_api_s_only_with_a_request_id() {
    for reason in [Reason::UnexpectedStatus, Reason::Edge] {
        let failure = failure(reason, None);
        let stranger = Trouble { is_the_api_s: false, ..trouble(&failure) };
        assert_eq!(of_health(true, false, Some(stranger)).blame, Some(Blame::Network), "{reason}");
        assert_eq!(of_health(true, false, Some(trouble(&failure))).blame, Some(Blame::Platform), "{reason}");
    }
}

#[test]
fn a_time_out_is_the_network_s_until_the_api_has_the_request() {
    let failure = failure(Reason::Timeout, None);
    for (reached, to_blame) in [
        (Phase::Resolve, Blame::Network),
        (Phase::Connect, Blame::Network),
        (Phase::Tls, Blame::Network),
        (Phase::Processing, Blame::Platform),
        (Phase::Transfer, Blame::Platform),
    ] {
        let trouble = Trouble { reached: Some(reached), ..trouble(&failure) };
        assert_eq!(of_health(true, false, Some(trouble)).blame, Some(to_blame), "{reached}");
    }
}

#[test]
fn a_certificate_that_has_ended_is_the_platform_s_and_another_doubt_is_not() {
    let failure = failure(Reason::Tls, None);
    let ended = Trouble { certificate_expired: true, ..trouble(&failure) };
    assert_eq!(of_health(true, false, Some(ended)).blame, Some(Blame::Platform));
    assert_eq!(of_health(true, false, Some(trouble(&failure))).blame, Some(Blame::Network));
}

#[test]
fn a_portal_s_page_is_the_network_s_and_a_strange_answer_of_the_api_its_own() {
    let failure = failure(Reason::UnexpectedBody, None);
    let foreign = Trouble { is_the_api_s: false, ..trouble(&failure) };
    assert_eq!(of_health(true, false, Some(foreign)).blame, Some(Blame::Network));
    assert_eq!(of_health(true, false, Some(trouble(&failure))).blame, Some(Blame::Platform));
}

#[test]
fn what_concerns_most_is_told_first() {
    let (secret, timeout) =
        (failure(Reason::Secret, Some(Code::InvalidSecret)), failure(Reason::Timeout, None));
    let verdict = of_key(&case(KeyState::Active, vec![trouble(&timeout), trouble(&secret)]));
    assert_eq!(verdict.blame, Some(Blame::Secret));
}

#[test]
fn a_file_that_can_t_be_read_is_not_the_key_s_fault() {
    for reason in [Reason::Token, Reason::Secret] {
        let failure = failure(reason, None);
        let unsent = Trouble { reached: None, ..trouble(&failure) };
        assert_eq!(of_key(&case(KeyState::Active, vec![unsent])).blame, Some(Blame::Exporter), "{reason}");
    }
}
