//! The JSON schema of the status, and which refusals are outdated.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strum::VariantArray as _;

use super::key::outdated_refusals;
use super::{Filter, StatusSource, select};
use crate::diagnosis::Blame;
use crate::key_state::{KeyState, PersistedKeyState, PersistedSecretState, SecretState};
use crate::partner_api::failure::{Failure, Reason};
use crate::report::Phases;
use crate::state::{HealthState, KeyStatus, LastProbe, ProbeStatus, Skip};
use crate::synthetic::SyntheticFleet;
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
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
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
            failure: Some(Failure::new(reason, "")),
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
fn the_filter_on_the_name_finds_the_values_of_labels() {
    let fleet = SyntheticFleet::with_keys(3, |number| (format!("customer-{number}"), false)).unwrap();
    let inventory = fleet.shared_state.inventory();
    let labels = [("contact".into(), "SAV@acme.example".into())];
    inventory.keys[1].set_operator_labels(Arc::new(labels.into()));
    let found = |text: &str| {
        let filter = Filter { name: Some(text.to_owned()), ..Filter::default() };
        select(&StatusSource::new(&fleet.shared_state), &filter)
            .keys
            .iter()
            .map(|key| key.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("sav@"), ["customer-1"]);
    assert_eq!(found("CUSTOMER-2"), ["customer-2"]);
    assert_eq!(found("contact"), [""; 0], "the name of a label is not searched");
}
