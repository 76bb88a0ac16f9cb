//! The JSON schema of the status, which refusals are outdated, and which request ID is quoted.

use std::sync::Arc;
use std::time::Duration;

use strum::VariantArray as _;

use super::key::outdated_refusals;
use super::{Filter, KeyDetail, StatusSource, select};
use crate::diagnosis::Blame;
use crate::key_state::{KeyHistory, KeyState, PersistedKeyState, PersistedSecretState, SecretState};
use crate::language::Language;
use crate::partner_api::Access;
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::request_id::RequestId;
use crate::report::{Phases, ProbeReport};
use crate::state::{
    HealthState, Inventory, KeyStatus, LastProbe, MonitoredKey, MonitoredPartner, ProbeStatus, SharedState,
    Skip,
};
use crate::synthetic::SyntheticFleet;
use crate::test_support::{at, report};
use serde_json::Value;

#[test]
fn the_schema_has_the_words_of_the_code() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/status.schema.json")).unwrap();
    let to_owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
    for (pointer, expected) in [
        ("/definitions/key_state/enum", KeyState::VARIANTS.iter().map(KeyState::into_str).collect()),
        ("/definitions/secret_state/enum", SecretState::VARIANTS.iter().map(SecretState::into_str).collect()),
        ("/definitions/skip/enum", Skip::VARIANTS.iter().map(Skip::into_str).collect()),
        ("/definitions/reason/enum", Reason::VARIANTS.iter().map(Reason::into_str).collect()),
        (
            "/definitions/api/properties/state/enum",
            HealthState::VARIANTS.iter().map(HealthState::into_str).collect(),
        ),
        (
            "/definitions/verdict/properties/blame/enum",
            Blame::VARIANTS.iter().map(Blame::into_str).collect::<Vec<_>>(),
        ),
    ] {
        assert_eq!(words(&schema, pointer), to_owned(expected), "{pointer}");
    }
}

fn words(schema: &Value, pointer: &str) -> Vec<String> {
    let list = schema.pointer(pointer).unwrap().as_array().unwrap();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The state of key and secret, when each began, why the probe failed, and whether this is outdated.
#[test]
fn a_refusal_is_outdated_if_it_is_older_than_the_acceptance_of_what_was_refused() {
    for (key, secret, reason, outdated_since) in [
        ((KeyState::Active, 20), (SecretState::Active, 1), Reason::Token, Some(20)),
        ((KeyState::Active, 1), (SecretState::Active, 1), Reason::Token, None),
        ((KeyState::Revoked, 20), (SecretState::Active, 1), Reason::Token, None),
        ((KeyState::Active, 20), (SecretState::Active, 1), Reason::Timeout, None),
        ((KeyState::Active, 1), (SecretState::Active, 20), Reason::Secret, Some(20)),
        ((KeyState::Unknown, 1), (SecretState::Active, 20), Reason::Secret, Some(20)),
        ((KeyState::Active, 1), (SecretState::Active, 20), Reason::Token, None),
        ((KeyState::Active, 1), (SecretState::Rejected, 20), Reason::Secret, None),
    ] {
        let mut probe = ProbeStatus::new("exercices".into(), Duration::from_mins(1));
        probe.last = Some(LastProbe {
            finished: at(10),
            phases: Phases::default(),
            status: Some(401),
            request_id: None,
            failure: Some(Box::new(Failure::new(reason, ""))),
        });
        let persisted = PersistedKeyState { state: key.0, ..PersistedKeyState::new(at(key.1)) };
        let secret_state =
            PersistedSecretState { state: secret.0, ..PersistedSecretState::new(at(secret.1)) };
        let status = KeyStatus::new(persisted, [probe]);
        let found = outdated_refusals(&status, &secret_state).map(|outdated| outdated.accepted_since);
        assert_eq!(found, outdated_since.map(at), "{key:?} {secret:?} {reason}");
    }
}

#[test]
fn a_key_works_again_only_if_it_worked_before() {
    let summary = |states: &[KeyState]| {
        let probes =
            ["key_info", "exercices"].map(|name| ProbeStatus::new(name.into(), Duration::from_mins(1)));
        let mut status = KeyStatus::new(PersistedKeyState::new(at(1)), probes);
        status.record(1, &failed(2, Failure::new(Reason::Token, ""), "r"));
        for (state, second) in states.iter().zip(3..) {
            status.set_persisted(
                PersistedKeyState { state: *state, ..PersistedKeyState::new(at(second)) },
                None,
            );
        }
        detail_of(status).key.verdict.summary
    };
    let (pending, active, revoked) = (KeyState::Pending, KeyState::Active, KeyState::Revoked);
    for states in [&[active][..], &[pending, active], &[KeyState::NotFound, active]] {
        let text = summary(states);
        assert!(text.starts_with("The key works since"), "{states:?}: {text}");
    }
    for states in [&[active, revoked, active][..], &[revoked, active], &[active, pending, active]] {
        let text = summary(states);
        assert!(text.starts_with("The key works again since"), "{states:?}: {text}");
    }
}

/// The report of a probe that failed at this second, with this request ID.
fn failed(second: u64, failure: Failure, id: &str) -> ProbeReport {
    ProbeReport { request_id: RequestId::parse(id), ..report(at(second), Err(failure)) }
}

/// The status of a key in this state whose probes, `key_info` and one canary, ran with these results.
fn detail(state: KeyState, runs: &[(usize, ProbeReport)]) -> KeyDetail {
    let probes = ["key_info", "exercices"].map(|name| ProbeStatus::new(name.into(), Duration::from_mins(1)));
    let history = KeyHistory { has_worked: true, broken_since: state.is_refused().then(|| at(5)) };
    let persisted = PersistedKeyState { state, history, ..PersistedKeyState::new(at(5)) };
    let mut status = KeyStatus::new(persisted, probes);
    for (probe, report) in runs {
        status.record(*probe, report);
    }
    detail_of(status)
}

/// The view of a key with this status.
fn detail_of(status: KeyStatus) -> KeyDetail {
    let partner = Arc::new(MonitoredPartner::new("acme".into(), PersistedSecretState::new(at(1))));
    let key = Arc::new(MonitoredKey::new(Arc::clone(&partner), "dupont".into(), Access::Society, status));
    let shared_state = SharedState::default();
    let inventory =
        Inventory { partners: vec![partner], keys: vec![Arc::clone(&key)], ..Inventory::default() };
    shared_state.set_inventory(inventory);
    KeyDetail::new(&StatusSource::new(&shared_state, Language::English), &key)
}

#[test]
fn no_answer_that_says_nothing_about_the_key_is_quoted_for_a_key_that_is_lost_or_pending() {
    let refusal = || Failure::new(Reason::Token, "");
    let maintenance = |id| failed(30, Failure::new(Reason::Maintenance, ""), id);
    let login = |cause| Failure { underlying: cause, ..Failure::new(Reason::Login, "") };
    for state in [KeyState::Revoked, KeyState::Pending] {
        let quoted = |runs: &[(usize, ProbeReport)]| detail(state, runs).key.request_id().map(str::to_owned);
        let refused = failed(10, refusal(), "req-refused");
        // After a restart during maintenance, no other answer is known.
        assert_eq!(quoted(&[(0, maintenance("req-m")), (1, maintenance("req-n"))]), None, "{state}");
        let runs = [(1, refused.clone()), (0, maintenance("req-m")), (1, maintenance("req-n"))];
        assert_eq!(
            quoted(&runs).as_deref(),
            Some("req-refused"),
            "{state}: the probe that was refused before"
        );
        let runs = [(0, failed(30, login(Some(Reason::Maintenance)), "req-m"))];
        assert_eq!(quoted(&runs), None, "{state}: the log-in route is under maintenance");
        let runs = [(0, failed(30, login(None), "req-l"))];
        assert_eq!(quoted(&runs).as_deref(), Some("req-l"), "{state}: the account is refused");
    }
    let active = detail(KeyState::Active, &[(0, maintenance("req-m"))]);
    assert_eq!(active.key.request_id(), Some("req-m"), "the verdict is about the maintenance");
}

#[test]
fn a_refusal_goes_on_after_a_failure_of_another_kind() {
    let since = |runs: &[(u64, Reason)]| {
        let runs: Vec<_> = runs
            .iter()
            .map(|(second, reason)| (0, failed(*second, Failure::new(*reason, ""), "r")))
            .collect();
        detail(KeyState::Revoked, &runs).key.probes[0].error.as_ref().map(|error| error.since)
    };
    let token = Reason::Token;
    for other in [Reason::Login, Reason::Credential, Reason::RateLimited] {
        assert_eq!(since(&[(10, token), (20, other)]), Some(at(20)), "{other} calls for another action");
        assert_eq!(since(&[(10, token), (20, other), (30, token)]), Some(at(10)), "{other}");
        let runs = [(10, token), (20, other), (25, Reason::Timeout), (30, token)];
        assert_eq!(since(&runs), Some(at(10)), "{other}, then a timeout");
        let runs = [(10, token), (20, other), (25, Reason::Forbidden), (30, token)];
        assert_eq!(since(&runs), Some(at(30)), "another refusal replaces it");
    }
    let mut probe = ProbeStatus::new("key_info".into(), Duration::from_mins(1));
    for (second, outcome) in [(1, Err(token)), (2, Err(Reason::Login)), (3, Ok(())), (4, Err(token))] {
        probe.record(&report(at(second), outcome.map_err(|reason| Failure::new(reason, ""))));
    }
    assert_eq!(probe.episode.map(|episode| episode.since), Some(at(4)), "a success ends it");
}

#[test]
fn the_status_says_since_when_a_key_that_worked_is_refused() {
    let since =
        |state| serde_json::to_value(detail(state, &[])).unwrap()["broken_since_timestamp_seconds"].clone();
    assert_eq!(since(KeyState::Revoked), 5.0);
    assert_eq!(since(KeyState::Active), Value::Null);
}

#[test]
fn the_filter_on_the_name_finds_the_values_of_labels() {
    let fleet = SyntheticFleet::with_keys(3, |number| (format!("customer-{number}"), false)).unwrap();
    let inventory = fleet.shared_state.inventory();
    let labels = [("contact".into(), "SAV@acme.example".into())];
    inventory.keys[1].set_operator_labels(Arc::new(labels.into()));
    let found = |text: &str| {
        let filter = Filter { name: Some(text.to_owned()), ..Filter::default() };
        select(&StatusSource::new(&fleet.shared_state, Language::English), &filter)
            .keys
            .iter()
            .map(|key| key.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("sav@"), ["customer-1"]);
    assert_eq!(found("CUSTOMER-2"), ["customer-2"]);
    assert_eq!(found("contact"), [""; 0], "the name of a label is not searched");
}
