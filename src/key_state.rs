//! The states of keys and secrets: pure functions from a state and new evidence to the next state.
//!
//! Only an explicit statement of the API is evidence. A timeout, the page of a proxy, maintenance, a
//! used-up request budget or a refused route is not evidence, and changes no state.

#[cfg(test)]
mod tests;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay, serde_as};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::partner_api::judge::{KeyEvidence, SecretEvidence};
use crate::rfc3339::Rfc3339;

/// The state of a key: the `state` label of `myunisoft_key_state`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
    DeserializeFromStr,
)]
#[strum(const_into_str, serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_state)]
pub(crate) enum KeyState {
    /// No evidence yet.
    #[default]
    Unknown,
    /// key/info says that the key is not activated.
    Pending,
    /// An authenticated request was accepted.
    Active,
    /// The API does not find the token, and the key was never seen active: it is not created yet, it is
    /// mistyped, or it was revoked before.
    NotFound,
    /// The API does not find the token, and the key was active before.
    Revoked,
    /// MyUnisoft's technical team disconnected the integration.
    Disconnected,
    /// The key belongs to no active folder, or to no schema.
    FolderNotFound,
    /// The token is not valid.
    Invalid,
    /// The token has no permission to use the API.
    Forbidden,
}

/// The state of a partner's secret: the `state` label of `myunisoft_secret_state`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
    DeserializeFromStr,
)]
#[strum(const_into_str, serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_state)]
pub(crate) enum SecretState {
    /// No evidence yet.
    #[default]
    Unknown,
    /// The API refused the secret, and never accepted it: MyUnisoft has not activated it yet, or it is wrong.
    Pending,
    /// The API accepted the secret.
    Active,
    /// The API refused the secret, and accepted it before.
    Rejected,
}

/// The error for a name in a state file that is not the name of a state.
fn unknown_state(name: &str) -> String {
    format!("unknown state {name:?}")
}

/// The state of one key or secret, as it is persisted.
#[serde_as]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PersistedState<S> {
    pub state: S,
    /// When this state began, by the wall clock.
    #[serde_as(as = "Rfc3339")]
    pub since: SystemTime,
    /// Whether it was active at any time since it is monitored.
    pub has_been_active: bool,
}

pub(crate) type PersistedKeyState = PersistedState<KeyState>;
pub(crate) type PersistedSecretState = PersistedState<SecretState>;

impl<S: Copy + Default + PartialEq> PersistedState<S> {
    /// The state of a new key or secret.
    pub(crate) fn new(now: SystemTime) -> Self {
        Self { state: S::default(), since: now, has_been_active: false }
    }

    /// Changes `since` only if the state changes.
    fn enter(self, state: S, now: SystemTime) -> Self {
        if self.state == state { self } else { Self { state, since: now, ..self } }
    }
}

impl PersistedKeyState {
    /// The next state.
    pub(crate) fn step(self, evidence: KeyEvidence, source: EvidenceSource, now: SystemTime) -> Self {
        let state = match evidence {
            KeyEvidence::Activated | KeyEvidence::Accepted => KeyState::Active,
            KeyEvidence::NotActivated => KeyState::Pending,
            KeyEvidence::NotFound if self.has_been_active => KeyState::Revoked,
            KeyEvidence::NotFound => KeyState::NotFound,
            KeyEvidence::Disconnected => KeyState::Disconnected,
            KeyEvidence::FolderNotFound => KeyState::FolderNotFound,
            KeyEvidence::Invalid => KeyState::Invalid,
            KeyEvidence::Forbidden => KeyState::Forbidden,
        };
        let next = Self { has_been_active: self.has_been_active || state == KeyState::Active, ..self };
        if self.state == KeyState::Pending && source == EvidenceSource::CanaryBesideKeyInfo {
            return next;
        }
        next.enter(state, now)
    }
}

/// Which probe gave the evidence.
///
/// It is not documented how the API responds to a canary of a key that is not activated yet. Only the
/// extended form of key/info can say that a key is pending. If that form is probed too, only its responses
/// end this state. Otherwise the two probes could contradict each other, and the state would change with
/// every probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EvidenceSource {
    /// key/info in either mode, or a canary of a key whose activation is unknown, because the extended form
    /// of key/info is not probed or fails.
    Authority,
    /// A canary of a key whose activation is known from the extended form of key/info.
    CanaryBesideKeyInfo,
}

impl PersistedSecretState {
    /// The next state.
    pub(crate) fn step(self, evidence: SecretEvidence, now: SystemTime) -> Self {
        let state = match evidence {
            SecretEvidence::Accepted => SecretState::Active,
            SecretEvidence::Refused if self.has_been_active => SecretState::Rejected,
            SecretEvidence::Refused => SecretState::Pending,
        };
        let next = Self { has_been_active: self.has_been_active || state == SecretState::Active, ..self };
        next.enter(state, now)
    }
}
