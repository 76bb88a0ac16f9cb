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
        language: Language::English,
        state,
        secret: SecretState::Active,
        failed_probes,
        outdated: None,
        accepted_probes: Vec::new(),
        is_broken: false,
        origin: TokenOrigin::Society,
        unreadable: None,
        answers: Answers::Other,
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
            diagnose_api(Language::English, true, false, Some(failed(&failure))),
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
        (Active, Reason::Secret, Some(DocumentedCode::InvalidSecret), Blame::Key),
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
    assert_eq!(diagnose_api(Language::English, true, true, None).blame, Some(Blame::Exporter));
}

#[test]
fn a_refused_health_probe_is_not_reported_as_an_outage() {
    let failure = failure(Reason::RateLimited, Some(DocumentedCode::TooManyRequest));
    let limited = FailedProbe { status: Some(429), ..failed(&failure) };
    assert!(
        diagnose_api(Language::English, true, false, Some(limited)).summary.contains("refuses this machine")
    );
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
        (Some(Reason::Token), Blame::Key),
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
        assert_eq!(
            diagnose_api(Language::English, true, false, Some(foreign)).blame,
            Some(Blame::Network),
            "{reason}"
        );
        assert_eq!(
            diagnose_api(Language::English, true, false, Some(failed(&failure))).blame,
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
        assert_eq!(
            diagnose_api(Language::English, true, false, Some(probe)).blame,
            Some(to_blame),
            "{reached}"
        );
    }
}

#[test]
fn only_an_expired_certificate_is_blamed_on_the_platform() {
    let failure = failure(Reason::Tls, None);
    let expired = FailedProbe { certificate_expired: true, ..failed(&failure) };
    assert_eq!(diagnose_api(Language::English, true, false, Some(expired)).blame, Some(Blame::Platform));
    assert_eq!(
        diagnose_api(Language::English, true, false, Some(failed(&failure))).blame,
        Some(Blame::Network)
    );
}

#[test]
fn an_unexpected_body_is_blamed_on_the_platform_only_if_the_api_sent_it() {
    let failure = failure(Reason::UnexpectedBody, None);
    let foreign = FailedProbe { from_api: false, ..failed(&failure) };
    assert_eq!(diagnose_api(Language::English, true, false, Some(foreign)).blame, Some(Blame::Network));
    assert_eq!(
        diagnose_api(Language::English, true, false, Some(failed(&failure))).blame,
        Some(Blame::Platform)
    );
}

#[test]
fn the_most_important_failure_determines_the_verdict() {
    let (secret, timeout) =
        (failure(Reason::Secret, Some(DocumentedCode::InvalidSecret)), failure(Reason::Timeout, None));
    let verdict = diagnose_key(&facts(KeyState::Active, vec![failed(&timeout), failed(&secret)]));
    assert_eq!(verdict.blame, Some(Blame::Key));
}

#[test]
fn a_key_that_alone_is_refused_with_the_secret_must_move_to_its_own_partner() {
    let secret = failure(Reason::Secret, Some(DocumentedCode::InvalidSecret));
    for state in [KeyState::Unknown, KeyState::Active] {
        let verdict = diagnose_key(&facts(state, vec![failed(&secret)]));
        assert_eq!(verdict.blame, Some(Blame::Key), "the secret works with other keys");
        assert!(verdict.summary.contains("does not belong to this key"), "{}", verdict.summary);
        assert!(verdict.action.unwrap().contains("Move the key to its own partner"));
    }
}

#[test]
fn an_unreadable_secret_file_is_blamed_on_the_exporter() {
    let failure = Failure::new(Reason::Credential, "the key's token can't be read: the file t is empty");
    let unsent = FailedProbe { reached: None, status: None, from_api: false, ..failed(&failure) };
    let verdict = diagnose_key(&facts(KeyState::Active, vec![unsent]));
    assert_eq!(verdict.blame, Some(Blame::Exporter));
    assert!(verdict.summary.contains("the file t is empty"), "{verdict:?}");
    let lost = diagnose_key(&facts(KeyState::Revoked, vec![unsent]));
    assert_eq!(lost.blame, Some(Blame::Key), "a file says nothing about the key's state");
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

#[test]
fn a_key_that_works_with_the_last_value_is_reported() {
    let detail = "the key's token can't be read: the file t is empty";
    let works = KeyFacts { unreadable: Some(detail.into()), ..facts(KeyState::Active, Vec::new()) };
    let not_probed = KeyFacts { answers: Answers::None, ..works.clone() };
    assert!(!diagnose_key(&not_probed).summary.contains("works"), "nothing was sent yet");
    let verdict = diagnose_key(&works);
    assert_eq!(verdict.blame, Some(Blame::Exporter));
    assert!(
        verdict.summary.contains("works") && verdict.summary.contains("the file t is empty"),
        "{verdict:?}"
    );
}

fn api_error(code: &str, status: u16) -> Failure {
    let body = format!(r#"{{"error":{{"code":"{code}","message":""}}}}"#);
    let kind = crate::partner_api::judge::RequestKind::Canary(crate::partner_api::Method::Get);
    crate::test_support::judge_response(kind, status, &body).outcome.unwrap_err()
}

/// Every code of a route with a documented meaning: its status, whose fault it is, and what the verdict must say.
#[test]
fn each_code_of_a_route_is_explained() {
    use Blame::{Platform, Route};
    let rows: &[(&str, u16, Blame, &[&str])] = &[
        ("SOCIETE12", 400, Route, &["inactive", "“Inactif”", "Only MyUnisoft's support"]),
        ("SOCIETE13", 400, Route, &["No billing formula"]),
        ("TOKEN1", 401, Route, &["unreadable or expired", "Paramètres > Connecteurs dossier", "Générer"]),
        ("TOKEN2", 401, Route, &["unreadable or expired", "Paramètres > Connecteurs dossier", "Générer"]),
        ("GBL15", 500, Route, &["unreadable or expired", "Paramètres > Connecteurs dossier", "Générer"]),
        ("DROIT1", 401, Route, &["no right", "Paramètres > Connecteurs dossier"]),
        ("DROIT5", 401, Route, &["no right", "Paramètres > Connecteurs dossier"]),
        ("GBL1", 500, Platform, &["general failure"]),
        ("GBL2", 400, Route, &["date", "canary's path"]),
        ("EXERCICE5", 403, Route, &["fiscal year"]),
    ];
    let mut explained: Vec<_> = rows.iter().map(|(code, ..)| *code).collect();
    let mut known: Vec<_> = RouteCode::VARIANTS.iter().map(RouteCode::into_str).collect();
    explained.sort_unstable();
    known.sort_unstable();
    assert_eq!(explained, known);
    for (code, status, to_blame, words) in rows {
        for status in [*status, 400, 401, 403, 500] {
            let failure = api_error(code, status);
            assert_eq!(failure.reason, Reason::ApiError);
            let probe = FailedProbe { status: Some(status), ..failed(&failure) };
            for state in [KeyState::Active, KeyState::Unknown] {
                let verdict = diagnose_key(&facts(state, vec![probe]));
                assert_eq!(verdict.blame, Some(*to_blame), "{code} {status}");
                let text = format!("{} {}", verdict.summary, verdict.action.unwrap());
                assert!(text.contains(code), "{text}");
                assert!(words.iter().all(|word| text.contains(word)), "{text}");
            }
        }
    }
}

#[test]
fn the_places_to_click_depend_on_the_access() {
    for (origin, place, other) in [
        (TokenOrigin::Society, "Connecteurs dossier", "Connecteurs cabinet"),
        (TokenOrigin::Firm, "Connecteurs cabinet", "Connecteurs dossier"),
        (TokenOrigin::Login, "API Cabinet account", "Générer"),
    ] {
        for state in [KeyState::Revoked, KeyState::NotFound, KeyState::Invalid, KeyState::FolderNotFound] {
            let verdict = diagnose_key(&KeyFacts { origin, ..facts(state, Vec::new()) });
            let action = verdict.action.unwrap();
            assert!(action.contains(place) && !action.contains(other), "{state}: {action}");
        }
    }
    for state in [KeyState::Pending, KeyState::Disconnected, KeyState::Forbidden] {
        let action = diagnose_key(&facts(state, Vec::new())).action.unwrap();
        assert!(action.contains("Paramètres > Connecteurs dossier"), "{state}: {action}");
    }
}

#[test]
fn a_refusal_that_another_probe_contradicts_is_blamed_on_the_route() {
    for code in [
        DocumentedCode::ApiTokenNotFound,
        DocumentedCode::FirmTokenNotFound,
        DocumentedCode::InvalidJwt,
        DocumentedCode::FolderNotFound,
        DocumentedCode::ThirdPartyDisconnected,
        DocumentedCode::ForbiddenAccess,
        DocumentedCode::InvalidSecret,
    ] {
        let failure = api_error(code.into_str(), 401);
        for (probe, accepted) in [("exercices", vec!["key_info", "users"]), ("key_info", vec!["users"])] {
            let probe = FailedProbe { probe, status: Some(401), ..failed(&failure) };
            let facts = KeyFacts { accepted_probes: accepted, ..facts(KeyState::Active, vec![probe]) };
            let verdict = diagnose_key(&facts);
            assert_eq!(verdict.blame, Some(Blame::Route), "{code}");
            let text = format!("{} {}", verdict.summary, verdict.action.unwrap());
            assert!(text.contains(code.into_str()) && text.contains("users"), "{text}");
            assert!(text.contains(&format!("Only the route of the probe {}", probe.probe)), "{text}");
            assert!(!text.contains("revoked") && !text.contains("Générer"), "{text}");
        }
    }
}

#[test]
fn a_key_that_only_key_info_accepts_is_reported_as_such() {
    let (token, access) = (api_error("ERR-API-TOKEN-NOT-FOUND", 401), api_error("ERR-FORBIDDEN-ACCESS", 403));
    let probes = vec![failed(&token), FailedProbe { probe: "users", ..failed(&access) }];
    let facts = KeyFacts { accepted_probes: vec!["key_info"], ..facts(KeyState::Active, probes) };
    let verdict = diagnose_key(&facts);
    assert_eq!(verdict.blame, Some(Blame::Key));
    assert_eq!(
        verdict.summary,
        "key/info accepts the key, but every canary is refused: exercices (ERR-API-TOKEN-NOT-FOUND), users \
         (ERR-FORBIDDEN-ACCESS)."
    );
    let one_accepted = KeyFacts { accepted_probes: vec!["key_info", "other"], ..facts.clone() };
    assert_eq!(diagnose_key(&one_accepted).blame, Some(Blame::Route));
    // The state decides as soon as it moves.
    let moved = KeyFacts { state: KeyState::Revoked, ..facts };
    assert!(diagnose_key(&moved).summary.contains("revoked"));
}

#[test]
fn a_refusal_that_no_other_probe_confirms_or_contradicts_is_reported_as_such() {
    for code in ["ERR-API-TOKEN-NOT-FOUND", "ERR-FORBIDDEN-ACCESS"] {
        let (refusal, timeout) = (api_error(code, 401), failure(Reason::Timeout, None));
        let probes = vec![FailedProbe { probe: KEY_INFO, ..failed(&timeout) }, failed(&refusal)];
        let facts = facts(KeyState::Active, probes);
        let verdict = diagnose_key(&facts);
        assert_eq!(verdict.blame, Some(Blame::Key));
        assert_eq!(
            verdict.summary,
            format!(
                "The probe exercices says that the API refuses the key ({code}), and no probe is accepted. The state does \
                 not change, because no other probe confirms the refusal: key_info (timeout)."
            )
        );
        let alone = KeyFacts { failed_probes: vec![failed(&refusal)], ..facts };
        assert!(!diagnose_key(&alone).summary.contains("no other probe"));
    }
    let (secret, timeout) = (api_error("ERR-INVALID-SECRET", 401), failure(Reason::Timeout, None));
    let probes = vec![FailedProbe { probe: KEY_INFO, ..failed(&timeout) }, failed(&secret)];
    let verdict = diagnose_key(&facts(KeyState::Active, probes));
    assert!(verdict.summary.contains("secret"), "{verdict:?}");
}

#[test]
fn a_secret_that_other_keys_use_is_not_reported_as_unknown() {
    let failure = api_error("ERR-INVALID-SECRET", 401);
    let verdict = diagnose_key(&facts(KeyState::Unknown, vec![failed(&failure)]));
    assert_eq!(verdict.blame, Some(Blame::Key));
    assert!(verdict.summary.contains("accepts it otherwise"), "{verdict:?}");
}

#[test]
fn a_canary_that_answers_a_file_is_blamed_on_the_configuration() {
    for (reason, status) in [(Reason::UnexpectedBody, 200), (Reason::UnexpectedStatus, 401)] {
        let failure = failure(reason, None);
        let probe = FailedProbe { status: Some(status), ..failed(&failure) };
        let verdict = diagnose_key(&facts(KeyState::Active, vec![probe]));
        assert_eq!(verdict.blame, Some(Blame::Route), "{reason}");
        assert!(verdict.action.unwrap().contains("canaries, in the configuration"));
        let key_info = FailedProbe { probe: KEY_INFO, ..probe };
        assert_eq!(diagnose_key(&facts(KeyState::Active, vec![key_info])).blame, Some(Blame::Platform));
        let foreign = FailedProbe { from_api: false, ..probe };
        assert_eq!(diagnose_key(&facts(KeyState::Active, vec![foreign])).blame, Some(Blame::Network));
    }
    let failure = failure(Reason::UnexpectedStatus, None);
    let down = FailedProbe { status: Some(500), ..failed(&failure) };
    assert_eq!(diagnose_key(&facts(KeyState::Active, vec![down])).blame, Some(Blame::Platform));
}

#[test]
fn a_name_that_can_t_be_resolved_for_a_log_in_is_not_blamed_on_the_password() {
    let failure = Failure { underlying: Some(Reason::Dns), ..failure(Reason::Login, None) };
    let verdict = diagnose_key(&facts(KeyState::Active, vec![failed(&failure)]));
    let text = format!("{} {}", verdict.summary, verdict.action.unwrap());
    assert!(!text.contains("password") && text.contains("api.auth_url"), "{text}");
}

#[test]
fn a_success_without_a_request_id_is_not_reported_as_a_working_key() {
    let unproven = KeyFacts { answers: Answers::WithoutRequestId, ..facts(KeyState::Unknown, Vec::new()) };
    let verdict = diagnose_key(&unproven);
    assert_eq!(verdict.blame, None);
    assert!(verdict.summary.contains("no request ID"), "{}", verdict.summary);
}

#[test]
fn a_replacement_is_not_reported_as_working_before_it_is_accepted() {
    for state in [KeyState::Unknown, KeyState::Active] {
        let verdict = diagnose_key(&KeyFacts { is_broken: true, ..facts(state, Vec::new()) });
        assert_eq!(verdict.blame, Some(Blame::Key), "{state}");
        assert!(verdict.summary.contains("not accepted its present token yet"), "{}", verdict.summary);
    }
}

#[test]
fn a_refusal_older_than_the_acceptance_is_no_contradiction() {
    let outdated = |probes| {
        Some(OutdatedRefusals { probes, accepted_since: SystemTime::UNIX_EPOCH, worked_before: true })
    };
    for accepted in ["key_info", "users"] {
        let works = KeyFacts {
            accepted_probes: vec![accepted],
            outdated: outdated(vec!["exercices"]),
            ..facts(KeyState::Active, Vec::new())
        };
        let verdict = diagnose_key(&works);
        assert_eq!((verdict.blame, verdict.action), (None, None));
        assert_eq!(
            verdict.summary,
            "The key works again since 1970-01-01 00:00:00 UTC; the probe exercices has not run again yet."
        );
        let several = KeyFacts { outdated: outdated(vec!["exercices", "society"]), ..works.clone() };
        assert!(diagnose_key(&several).summary.contains("the probes exercices, society have not run"));
        let timeout = failure(Reason::Timeout, None);
        let slow = KeyFacts { failed_probes: vec![failed(&timeout)], ..works };
        assert_eq!(diagnose_key(&slow).blame, Some(Blame::Platform), "a present failure comes first");
    }
    let of_secret =
        KeyFacts { outdated: outdated(vec!["exercices"]), ..facts(KeyState::Unknown, Vec::new()) };
    let summary = diagnose_key(&of_secret).summary;
    assert!(summary.starts_with("The API accepts the partner's secret since"), "{summary}");
    assert!(!summary.contains("works"), "{summary}");
}

#[test]
fn a_pending_key_has_one_verdict_whatever_its_probes_meet() {
    let expected = diagnose_key(&facts(KeyState::Pending, Vec::new()));
    for (reason, code) in [
        (Reason::Token, Some(DocumentedCode::TokenActivationFailure)),
        (Reason::Maintenance, Some(DocumentedCode::UnderMaintenance)),
        (Reason::Edge, None),
        (Reason::Timeout, None),
    ] {
        let failure = failure(reason, code);
        assert_eq!(diagnose_key(&facts(KeyState::Pending, vec![failed(&failure)])), expected, "{reason}");
    }
}

#[test]
fn a_failed_activation_never_asks_for_another_token() {
    let failure = failure(Reason::Token, Some(DocumentedCode::TokenActivationFailure));
    for state in [KeyState::Unknown, KeyState::Pending, KeyState::Active] {
        let verdict = diagnose_key(&facts(state, vec![failed(&failure)]));
        assert!(!verdict.summary.contains("cannot be activated"), "{verdict:?}");
        let action = verdict.action.unwrap();
        assert!(
            action.contains("En attente de connexion") && !action.contains("Générer"),
            "{state}: {action}"
        );
        assert!(action.contains("wait") && action.contains("an hour"), "{state}: {action}");
    }
}
