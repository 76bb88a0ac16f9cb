//! The states of keys and secrets: pure functions from memory and evidence to memory.
//!
//! Only an explicit answer of the API is evidence: time-outs, proxies' pages, maintenance, a spent
//! budget or a refused route never get here.

#[cfg(test)]
mod tests;

use serde_with::{DeserializeFromStr, SerializeDisplay, serde_as};
use std::time::SystemTime;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use serde::{Deserialize, Serialize};

use crate::partner_api::judge::{KeyEvidence, SecretEvidence};
use crate::rfc3339::Rfc3339;

/// What is known of a key: the `state` label of `myunisoft_key_state`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
    DeserializeFromStr,
)]
#[strum(
    const_into_str,
    serialize_all = "snake_case",
    parse_err_ty = UnknownState,
    parse_err_fn = UnknownState::new
)]
pub enum KeyState {
    /// No verdict yet.
    Unknown,
    /// key/info says it is not activated.
    Pending,
    /// An authenticated call was accepted.
    Active,
    /// The token is not found, and was never seen active: not created yet, mistyped, or revoked before.
    NotFound,
    /// The token is not found, and has been active.
    Revoked,
    /// MyUnisoft's technical team disconnected the integration.
    Disconnected,
    /// No active folder, or no schema, behind it.
    FolderNotFound,
    /// Not a valid token.
    Invalid,
    /// No permission to use the API.
    Forbidden,
}

/// What is known of a partner's secret: the `state` label of `myunisoft_secret_state`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
    DeserializeFromStr,
)]
#[strum(
    const_into_str,
    serialize_all = "snake_case",
    parse_err_ty = UnknownState,
    parse_err_fn = UnknownState::new
)]
pub enum SecretState {
    /// No verdict yet.
    Unknown,
    /// Refused, and never accepted before: not activated by MyUnisoft yet, or wrong.
    Pending,
    /// Accepted.
    Active,
    /// Refused, and was accepted before.
    Rejected,
}

/// A word that is not the name of a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown state {0:?}")]
pub struct UnknownState(String);

impl UnknownState {
    fn new(word: &str) -> Self {
        Self(word.to_owned())
    }
}

/// What outlives a restart of one key or secret.
#[serde_as]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistedState<S> {
    /// The state.
    pub state: S,
    /// Since when, by the wall clock.
    #[serde_as(as = "Rfc3339")]
    pub since: SystemTime,
    /// Whether it has been active since it is watched.
    pub has_been_active: bool,
}

/// A key's memory.
pub type PersistedKeyState = PersistedState<KeyState>;
/// A secret's memory.
pub type PersistedSecretState = PersistedState<SecretState>;

/// A move from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition<S> {
    /// The state left.
    pub from: S,
    /// The state entered.
    pub to: S,
}

impl<S: Copy + PartialEq> PersistedState<S> {
    /// Enters `state`; `since` moves only if the state does.
    fn enter(self, state: S, now: SystemTime) -> (Self, Option<Transition<S>>) {
        if self.state == state {
            return (self, None);
        }
        (Self { state, since: now, ..self }, Some(Transition { from: self.state, to: state }))
    }
}

impl PersistedKeyState {
    /// A key never heard of before.
    #[must_use]
    pub const fn new(now: SystemTime) -> Self {
        Self { state: KeyState::Unknown, since: now, has_been_active: false }
    }

    /// The next memory. `asked` tells whether the evidence is key/info's; see [`EvidenceSource`].
    #[must_use]
    pub fn step(
        self,
        evidence: KeyEvidence,
        asked: EvidenceSource,
        now: SystemTime,
    ) -> (Self, Option<Transition<KeyState>>) {
        let proven = matches!(evidence, KeyEvidence::Activated | KeyEvidence::Accepted);
        let memory = Self { has_been_active: self.has_been_active || proven, ..self };
        if self.state == KeyState::Pending && asked == EvidenceSource::CanaryBesideKeyInfo {
            return (memory, None);
        }
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
        memory.enter(state, now)
    }
}

/// Who gave the evidence.
///
/// Nothing documents what a canary of a not yet activated key is answered. Where key/info's extended
/// form is asked too, it alone can say that a key is pending, so it alone ends that: else the two
/// could contradict each other, and the state would flip with every probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceSource {
    /// key/info in whichever mode, or a canary of a key whose activation nobody asks for, or nobody
    /// tells, because key/info fails.
    Authority,
    /// A canary of a key whose activation key/info (extended) tells.
    CanaryBesideKeyInfo,
}

impl PersistedSecretState {
    /// A secret never heard of before.
    #[must_use]
    pub const fn new(now: SystemTime) -> Self {
        Self { state: SecretState::Unknown, since: now, has_been_active: false }
    }

    /// The next memory.
    #[must_use]
    pub fn step(self, evidence: SecretEvidence, now: SystemTime) -> (Self, Option<Transition<SecretState>>) {
        let memory =
            Self { has_been_active: self.has_been_active || evidence == SecretEvidence::Accepted, ..self };
        let state = match evidence {
            SecretEvidence::Accepted => SecretState::Active,
            SecretEvidence::Refused if self.has_been_active => SecretState::Rejected,
            SecretEvidence::Refused => SecretState::Pending,
        };
        memory.enter(state, now)
    }
}
