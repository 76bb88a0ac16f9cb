//! The states of keys and secrets: pure functions from a state and new evidence to the next state.
//!
//! Only an explicit statement of the API is evidence. A timeout, the page of a proxy, maintenance, a
//! used-up request budget or a refused route is not evidence, and changes no state.

#[cfg(test)]
mod tests;

use serde_with::{DeserializeFromStr, SerializeDisplay, serde_as};
use std::time::SystemTime;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use serde::{Deserialize, Serialize};

use crate::partner_api::judge::{KeyEvidence, SecretEvidence};
use crate::rfc3339::Rfc3339;

/// The state of a key: the `state` label of `myunisoft_key_state`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Display,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
    EnumString,
    DeserializeFromStr,
)]
#[strum(
    const_into_str,
    serialize_all = "snake_case",
    parse_err_ty = UnknownState,
    parse_err_fn = UnknownState::new
)]
pub(crate) enum KeyState {
    /// No evidence yet.
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
    PartialEq,
    Eq,
    Display,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
    EnumString,
    DeserializeFromStr,
)]
#[strum(
    const_into_str,
    serialize_all = "snake_case",
    parse_err_ty = UnknownState,
    parse_err_fn = UnknownState::new
)]
pub(crate) enum SecretState {
    /// No evidence yet.
    Unknown,
    /// The API refused the secret, and never accepted it: MyUnisoft has not activated it yet, or it is wrong.
    Pending,
    /// The API accepted the secret.
    Active,
    /// The API refused the secret, and accepted it before.
    Rejected,
}

/// The name of the state is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown state {0:?}")]
pub(crate) struct UnknownState(String);

impl UnknownState {
    fn new(name: &str) -> Self {
        Self(name.to_owned())
    }
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

/// A change from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transition<S> {
    pub from: S,
    pub to: S,
}

impl<S: Copy + PartialEq> PersistedState<S> {
    /// Changes `since` only if the state changes.
    fn enter(self, state: S, now: SystemTime) -> (Self, Option<Transition<S>>) {
        if self.state == state {
            return (self, None);
        }
        (Self { state, since: now, ..self }, Some(Transition { from: self.state, to: state }))
    }
}

impl PersistedKeyState {
    /// The state of a new key.
    pub(crate) const fn new(now: SystemTime) -> Self {
        Self { state: KeyState::Unknown, since: now, has_been_active: false }
    }

    /// The next state, and the transition if the state changed.
    pub(crate) fn step(
        self,
        evidence: KeyEvidence,
        source: EvidenceSource,
        now: SystemTime,
    ) -> (Self, Option<Transition<KeyState>>) {
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
            return (next, None);
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
    /// The state of a new secret.
    pub(crate) const fn new(now: SystemTime) -> Self {
        Self { state: SecretState::Unknown, since: now, has_been_active: false }
    }

    /// The next state, and the transition if the state changed.
    pub(crate) fn step(
        self,
        evidence: SecretEvidence,
        now: SystemTime,
    ) -> (Self, Option<Transition<SecretState>>) {
        let state = match evidence {
            SecretEvidence::Accepted => SecretState::Active,
            SecretEvidence::Refused if self.has_been_active => SecretState::Rejected,
            SecretEvidence::Refused => SecretState::Pending,
        };
        let next = Self { has_been_active: self.has_been_active || state == SecretState::Active, ..self };
        next.enter(state, now)
    }
}
