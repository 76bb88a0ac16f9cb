//! The next state for every documented code in every state, from the bytes of the response.

use strum::VariantArray as _;

use crate::confirmation::Statement;
use crate::key_state::{
    EvidenceSource, KeyHistory, KeyState, PersistedKeyState, PersistedSecretState, SecretState,
};
use crate::partner_api::error::DocumentedCode;
use crate::partner_api::judge::RequestKind;
use crate::partner_api::{KeyInfoMode, Method};
use crate::test_support::{at, judge_error, judge_response};

/// The meaning of each code in MyUnisoft's documentation: the code, the next state of a key that was never
/// active, the next state of a key that was active, and whether the secret is refused. `same` means that
/// the state does not change.
const TABLE: &str = "
    ERR-API-TOKEN-NOT-FOUND          not_found         revoked           -
    ERR-FIRM-TOKEN-NOT-FOUND         not_found         revoked           -
    ERR-INVALID-JWT                  invalid           invalid           -
    ERR-INVALID-API-JWT              invalid           invalid           -
    ERR-INVALID-FIRM-JWT             invalid           invalid           -
    ERR-INVALID-USER-JWT             invalid           invalid           -
    ERR-INVALID-AUTH-HEADER          invalid           invalid           -
    ERR-FOLDER-NOT-FOUND             folder_not_found  folder_not_found  -
    ERR-SCHEMA-NOT-FOUND             folder_not_found  folder_not_found  -
    ERR-THIRD-PARTY-DISCONNECTED     disconnected      disconnected      -
    ERR-SECRET-HEADER-NOT-SET        same              same              refused
    ERR-INVALID-SECRET               same              same              refused
    ERR-SECRET-NOT-CONFIGURED        same              same              refused
    ERR-FORBIDDEN-ROUTE              same              same              -
    ERR-MISSING-RULE                 same              same              -
    ERR-FORBIDDEN-ACCESS             forbidden         forbidden         -
    ERR-TOKEN-ACTIVATION-FAILURE     same              same              -
    ERR-TOO-MANY-REQUEST             same              same              -
    ERR-TOO-MANY-CONCURRENT-REQUEST  same              same              -
    ERR-TOO-MANY-CONCURRENT-REQUESTS same              same              -
    ERR-API-UNDER-MAINTENANCE        same              same              -
    ERR-HTTP                         same              same              -
    ERR-INTERNAL                     same              same              -
";

const CANARY: RequestKind = RequestKind::Canary(Method::Get);
const EXTENDED: RequestKind = RequestKind::KeyInfo(KeyInfoMode::Extended);

struct Row {
    code: &'static str,
    never_active: Option<KeyState>,
    been_active: Option<KeyState>,
    secret_refused: bool,
}

fn rows() -> Vec<Row> {
    let row = |line: &'static str| {
        let [code, never, been, secret] =
            line.split_whitespace().collect::<Vec<_>>().try_into().expect("four columns");
        Row {
            code,
            never_active: never.parse().ok(),
            been_active: been.parse().ok(),
            secret_refused: secret == "refused",
        }
    };
    TABLE.trim().lines().map(row).collect()
}

/// Each state of a token, with each history that leads to it.
fn key_states() -> impl Iterator<Item = PersistedKeyState> {
    let histories =
        [(false, false, None), (false, true, None), (true, true, None), (true, true, Some(at(1)))];
    KeyState::VARIANTS.iter().flat_map(move |&state| {
        histories.map(|(has_been_active, has_worked, broken_since)| PersistedKeyState {
            state,
            since: at(1),
            has_been_active,
            history: KeyHistory { has_worked, broken_since },
        })
    })
}

fn secret_states() -> impl Iterator<Item = PersistedSecretState> {
    let both = |&state: &SecretState| {
        [false, true].map(|has_been_active| PersistedSecretState { state, since: at(1), has_been_active })
    };
    SecretState::VARIANTS.iter().flat_map(both)
}

#[test]
fn the_table_has_every_documented_code() {
    let mut written: Vec<_> = rows().iter().map(|row| row.code).collect();
    let mut known: Vec<_> = DocumentedCode::VARIANTS.iter().map(DocumentedCode::into_str).collect();
    written.sort_unstable();
    known.sort_unstable();
    assert_eq!(written, known);
}

#[test]
fn every_code_changes_every_key_state_as_documented() {
    for row in rows() {
        let evidence = judge_error(CANARY, 403, row.code).key;
        for persisted in key_states() {
            let expected = if persisted.has_been_active { row.been_active } else { row.never_active };
            let expected = expected.unwrap_or(persisted.state);
            let next = evidence
                .map_or(persisted, |evidence| persisted.step(evidence, EvidenceSource::Authority, at(9)));
            assert_eq!(next.state, expected, "{} in {persisted:?}", row.code);
            assert_eq!(
                next.has_been_active, persisted.has_been_active,
                "a refusal does not prove that the key was active"
            );
            assert_eq!(next.since, if next.state == persisted.state { at(1) } else { at(9) });
            assert_eq!(next.history.has_worked, persisted.history.has_worked);
            let refused_now = evidence.filter(|_| persisted.history.has_worked).map(|_| at(9));
            assert_eq!(
                next.history.broken_since,
                persisted.history.broken_since.or(refused_now),
                "{persisted:?}"
            );
        }
    }
}

#[test]
fn every_code_changes_every_secret_state_as_documented() {
    for row in rows() {
        let evidence = judge_error(CANARY, 403, row.code).secret;
        assert_eq!(evidence.is_some(), row.secret_refused, "{}", row.code);
        for persisted in secret_states() {
            let next = evidence.map_or(persisted, |evidence| persisted.step(evidence, at(9)));
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
    for persisted in key_states() {
        let next = persisted.step(accepted.key.unwrap(), EvidenceSource::Authority, at(9));
        assert_eq!((next.state, next.has_been_active), (KeyState::Active, true), "{persisted:?}");
        let works = KeyHistory { has_worked: true, broken_since: None };
        assert_eq!(next.history, works, "a key that works is not broken");
    }
    for persisted in secret_states() {
        let next = persisted.step(accepted.secret.unwrap(), at(9));
        assert_eq!((next.state, next.has_been_active), (SecretState::Active, true), "{persisted:?}");
    }
}

#[test]
fn key_info_says_whether_a_key_is_activated() {
    let evidence = |activated: bool| {
        judge_response(EXTENDED, 200, &format!(r#"{{"isActivated":{activated}}}"#)).key.unwrap()
    };
    for persisted in key_states() {
        let pending = persisted.step(evidence(false), EvidenceSource::Authority, at(9));
        assert_eq!(pending.state, KeyState::Pending);
        assert_eq!(pending.history, persisted.history, "it is neither refused nor accepted");
        assert_eq!(persisted.step(evidence(true), EvidenceSource::Authority, at(9)).state, KeyState::Active);
    }
    let secret = judge_response(EXTENDED, 200, r#"{"isActivated":false}"#).secret;
    assert!(secret.is_some(), "the key/info response of a pending key proves that the secret is accepted");
}

#[test]
fn an_accepted_canary_does_not_end_pending_if_key_info_is_probed_too() {
    let pending = PersistedKeyState { state: KeyState::Pending, ..PersistedKeyState::new(at(1)) };
    let accepted = judge_response(CANARY, 200, "[]").key.unwrap();
    let next = pending.step(accepted, EvidenceSource::CanaryBesideKeyInfo, at(9));
    assert_eq!(next.state, KeyState::Pending);
    assert!(next.has_been_active, "the key was accepted, so a later NotFound is a revocation");
}

#[test]
fn an_accepted_canary_does_not_decide_whether_a_new_key_is_active_before_key_info_answers() {
    let beside = EvidenceSource::CanaryBesideKeyInfo;
    let accepted = judge_response(CANARY, 200, "[]").key.unwrap();
    let unknown = PersistedKeyState::new(at(1)).step(accepted, beside, at(9));
    assert_eq!((unknown.state, unknown.since, unknown.has_been_active), (KeyState::Unknown, at(1), true));
    assert!(unknown.history.has_worked);
    let refused = judge_error(CANARY, 404, "ERR-API-TOKEN-NOT-FOUND").key.unwrap();
    assert_eq!(unknown.step(refused, beside, at(10)).state, KeyState::Revoked);
    let revoked = PersistedKeyState { state: KeyState::Revoked, ..unknown };
    assert_eq!(revoked.step(accepted, beside, at(10)).state, KeyState::Active, "it is not a new key");
}

#[test]
fn a_replacement_of_a_broken_token_keeps_the_key_broken_until_a_token_is_accepted() {
    let not_found = judge_error(CANARY, 404, "ERR-API-TOKEN-NOT-FOUND").key.unwrap();
    let accepted = judge_response(CANARY, 200, "[]").key.unwrap();
    let worked = PersistedKeyState::new(at(1)).step(accepted, EvidenceSource::Authority, at(1));
    let revoked = worked.step(not_found, EvidenceSource::Authority, at(2));
    assert_eq!((revoked.state, revoked.history.broken_since), (KeyState::Revoked, Some(at(2))));
    let replaced = PersistedKeyState::new(at(3)).with_history(&revoked.history);
    assert_eq!((replaced.state, replaced.history.broken_since), (KeyState::Unknown, Some(at(2))));
    let mistyped = replaced.step(not_found, EvidenceSource::Authority, at(4));
    assert_eq!((mistyped.state, mistyped.history.broken_since), (KeyState::NotFound, Some(at(2))));
    let works = mistyped.step(accepted, EvidenceSource::Authority, at(5));
    assert_eq!((works.state, works.history.broken_since), (KeyState::Active, None));
    let never_worked = PersistedKeyState::new(at(3)).with_history(&KeyHistory::default());
    assert_eq!(never_worked.step(not_found, EvidenceSource::Authority, at(4)).history.broken_since, None);
}

#[test]
fn an_unchanged_state_keeps_its_since() {
    let active = PersistedKeyState {
        state: KeyState::Active,
        has_been_active: true,
        history: KeyHistory { has_worked: true, broken_since: None },
        ..PersistedKeyState::new(at(1))
    };
    let accepted = judge_response(CANARY, 200, "[]").key.unwrap();
    assert_eq!(active.step(accepted, EvidenceSource::Authority, at(9)), active);
}

#[test]
fn a_new_key_and_a_new_secret_are_unknown() {
    assert_eq!(PersistedKeyState::new(at(1)).state, KeyState::Unknown);
    assert_eq!(PersistedSecretState::new(at(1)).state, SecretState::Unknown);
    assert!(
        !PersistedKeyState::new(at(1)).has_been_active && !PersistedSecretState::new(at(1)).has_been_active
    );
}

#[test]
fn unknown_pending_and_active_are_the_states_in_which_a_key_is_not_refused() {
    let refused: Vec<_> = KeyState::VARIANTS.iter().filter(|state| state.is_refused()).collect();
    assert_eq!(
        KeyState::VARIANTS.iter().filter(|state| !refused.contains(state)).collect::<Vec<_>>(),
        [&KeyState::Unknown, &KeyState::Pending, &KeyState::Active]
    );
}

#[test]
fn every_state_but_unknown_and_active_is_a_problem() {
    for state in KeyState::VARIANTS {
        let is_fine = matches!(state, KeyState::Unknown | KeyState::Active);
        assert_eq!(state.is_problem(), !is_fine, "{state}");
    }
}

#[test]
fn an_unknown_state_is_forgotten_unless_the_token_is_new_for_a_key_that_worked() {
    for (state, has_been_active, has_worked, is_forgotten) in [
        (KeyState::Unknown, false, false, true),
        (KeyState::Unknown, true, false, true),
        (KeyState::Unknown, true, true, true),
        (KeyState::Unknown, false, true, false),
        (KeyState::Active, true, true, false),
        (KeyState::NotFound, false, false, false),
    ] {
        let key = key_in(state, has_been_active, has_worked);
        assert_eq!(key.is_forgotten(), is_forgotten, "{key:?}");
    }
}

/// A key that is in this state since the second 1.
fn key_in(state: KeyState, has_been_active: bool, has_worked: bool) -> PersistedKeyState {
    let history = KeyHistory { has_worked, broken_since: None };
    PersistedKeyState { state, since: at(1), has_been_active, history }
}

#[test]
fn after_an_absence_only_what_a_key_was_is_known() {
    for (has_been_active, has_worked) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut key = key_in(KeyState::Revoked, has_been_active, has_worked);
        key.history.broken_since = Some(at(1));
        let expected = PersistedKeyState {
            since: at(7),
            ..key_in(KeyState::Unknown, has_been_active, has_been_active || has_worked)
        };
        assert_eq!(key.after_absence(at(7)), expected);
    }
}

#[test]
fn what_is_remembered_elsewhere_counts_less_than_what_the_api_said() {
    use KeyState::{Active, NotFound, Pending, Revoked, Unknown};
    let active = PersistedKeyState { since: at(0), ..key_in(Active, true, true) };
    let mut revoked = PersistedKeyState { since: at(0), ..key_in(Revoked, true, true) };
    revoked.history.broken_since = Some(at(0));
    let unseen = PersistedKeyState { since: at(0), ..key_in(NotFound, false, false) };
    for (present, remembered, state, since, broken_since) in [
        (Unknown, &active, Active, at(0), None),
        (Unknown, &revoked, Revoked, at(0), Some(at(0))),
        (Unknown, &unseen, NotFound, at(0), None),
        (NotFound, &active, Revoked, at(1), Some(at(1))),
        (NotFound, &revoked, Revoked, at(1), Some(at(0))),
        (NotFound, &unseen, NotFound, at(1), None),
        (Pending, &active, Pending, at(1), None),
        (Active, &revoked, Active, at(1), None),
    ] {
        let key = key_in(present, present == Active, false).with_remembered(remembered);
        assert_eq!((key.state, key.since), (state, since), "{present} {remembered:?}");
        assert_eq!(key.history.broken_since, broken_since, "{present} {remembered:?}");
        let was_active = present == Active || remembered.has_been_active;
        assert_eq!(key.has_been_active, was_active, "{present} {remembered:?}");
    }
}

#[test]
fn what_is_remembered_elsewhere_about_a_secret_counts_less_than_what_the_api_said() {
    use SecretState::{Active, Pending, Rejected, Unknown};
    let secret = |state, has_been_active| PersistedSecretState { state, since: at(1), has_been_active };
    for (present, had_been_active, remembered, was_active, expected, is_blank) in [
        (Unknown, false, Rejected, true, (Rejected, true), true),
        (Unknown, true, Pending, false, (Pending, true), false),
        (Unknown, false, Pending, false, (Pending, false), true),
        (Pending, false, Active, true, (Rejected, true), false),
        (Pending, false, Pending, false, (Pending, false), false),
        (Active, true, Rejected, true, (Active, true), false),
        (Rejected, true, Active, true, (Rejected, true), false),
    ] {
        let present = secret(present, had_been_active);
        assert_eq!(present.is_blank(), is_blank, "{present:?}");
        let next = present.with_remembered(&secret(remembered, was_active));
        assert_eq!((next.state, next.has_been_active), expected, "{present:?} {remembered:?}");
    }
}

#[test]
fn evidence_agrees_with_a_state_that_it_does_not_change() {
    let accepted = judge_response(CANARY, 200, "[]");
    let judged: Vec<_> = rows().iter().map(|row| judge_error(CANARY, 403, row.code)).collect();
    for judgement in judged.iter().chain([&accepted]) {
        for persisted in key_states() {
            let Some(evidence) = judgement.key else { continue };
            let next = persisted.step(evidence, EvidenceSource::Authority, at(9));
            assert_eq!(persisted.agrees_with(evidence), next.state == persisted.state, "{persisted:?}");
        }
        for persisted in secret_states() {
            let Some(evidence) = judgement.secret else { continue };
            let next = persisted.step(evidence, at(9));
            assert_eq!(persisted.agrees_with(evidence), next.state == persisted.state, "{persisted:?}");
            assert_eq!(next.since, if next.state == persisted.state { at(1) } else { at(9) });
        }
    }
}

#[test]
fn only_refusals_of_the_whole_key_or_secret_must_be_confirmed() {
    for row in rows() {
        let judgement = judge_error(CANARY, 403, row.code);
        assert!(judgement.key.is_none_or(Statement::is_refusal), "{}", row.code);
        assert!(judgement.secret.is_none_or(Statement::is_refusal), "{}", row.code);
    }
    let accepted = judge_response(CANARY, 200, "[]");
    let pending = judge_response(EXTENDED, 200, r#"{"isActivated":false}"#);
    for judgement in [accepted, pending] {
        assert!(!judgement.key.unwrap().is_refusal() && !judgement.secret.unwrap().is_refusal());
    }
}

#[test]
fn a_token_takes_over_the_history_of_its_key() {
    let history = |has_worked, day: Option<u64>| KeyHistory { has_worked, broken_since: day.map(at) };
    let token = |has_been_active, history| PersistedKeyState {
        has_been_active,
        history,
        ..PersistedKeyState::new(at(1))
    };
    // The token's own history, whether it was active, the history of the key, and the result.
    let cases = [
        (history(false, None), false, history(false, None), history(false, None)),
        (history(false, None), false, history(true, None), history(true, None)),
        (history(false, None), true, history(false, None), history(true, None)),
        (history(true, None), false, history(false, None), history(true, None)),
        (history(true, Some(3)), true, history(true, None), history(true, None)),
        (history(true, Some(3)), true, history(false, None), history(true, Some(3))),
        (history(true, Some(3)), true, history(true, Some(2)), history(true, Some(2))),
    ];
    for (of_token, has_been_active, of_key, expected) in cases {
        let adopted = token(has_been_active, of_token).with_history(&of_key);
        assert_eq!(adopted.history, expected, "{of_token:?} {has_been_active} {of_key:?}");
    }
}

#[test]
fn a_record_of_version_1_is_completed_from_its_state() {
    for (state, has_been_active, broken_since) in [
        (KeyState::Revoked, true, Some(at(1))),
        (KeyState::Active, true, None),
        (KeyState::Pending, true, None),
        (KeyState::NotFound, false, None),
    ] {
        let mut persisted = PersistedKeyState { state, has_been_active, ..PersistedKeyState::new(at(1)) };
        persisted.complete_version_1();
        assert_eq!(persisted.history, KeyHistory { has_worked: has_been_active, broken_since }, "{state}");
    }
}

#[test]
fn an_unknown_state_in_a_file_is_named() {
    assert_eq!("fine".parse::<KeyState>().unwrap_err(), "unknown state \"fine\"");
    assert_eq!("fine".parse::<SecretState>().unwrap_err(), "unknown state \"fine\"");
}
