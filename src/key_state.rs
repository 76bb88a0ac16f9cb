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

use crate::confirmation::Statement;
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

impl KeyState {
    /// Whether a key in this state is lost, or not activated yet.
    pub(crate) fn is_problem(self) -> bool {
        self == Self::Pending || self.is_refused()
    }

    /// Whether the API refuses the key in this state.
    pub(crate) const fn is_refused(self) -> bool {
        match self {
            Self::Unknown | Self::Pending | Self::Active => false,
            Self::NotFound
            | Self::Revoked
            | Self::Disconnected
            | Self::FolderNotFound
            | Self::Invalid
            | Self::Forbidden => true,
        }
    }
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

/// The state of one key, as it is persisted. It belongs to a token: another token of the same key has a state of
/// its own, and takes over the history of the key.
#[serde_as]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PersistedKeyState {
    pub state: KeyState,
    /// When this state began, by the wall clock.
    #[serde_as(as = "Rfc3339")]
    pub since: SystemTime,
    /// Whether the token was active at any time since it is monitored.
    pub has_been_active: bool,
    /// About the key and not only about this token.
    #[serde(flatten)]
    pub history: KeyHistory,
}

/// What concerns a key across all its tokens.
#[serde_as]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyHistory {
    /// Whether the key ever worked: with its token or with one that this token replaced.
    #[serde(default)]
    pub has_worked: bool,
    /// Since when the key is refused, after it worked; `None` while it works, or if it never worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde_as(as = "Option<Rfc3339>")]
    pub broken_since: Option<SystemTime>,
}

/// The state of one partner's secret, as it is persisted.
#[serde_as]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PersistedSecretState {
    pub state: SecretState,
    /// When this state began, by the wall clock.
    #[serde_as(as = "Rfc3339")]
    pub since: SystemTime,
    /// Whether it was active at any time since it is monitored.
    pub has_been_active: bool,
}

impl PersistedKeyState {
    /// The state of a new token.
    pub(crate) fn new(now: SystemTime) -> Self {
        Self { state: KeyState::Unknown, since: now, has_been_active: false, history: KeyHistory::default() }
    }

    /// The state of this token for a key with this history: a key that is broken stays broken until a token of it
    /// is accepted.
    pub(crate) fn with_history(self, key: &KeyHistory) -> Self {
        // If the key never worked, what happened to the token under another name counts.
        let of_token = self.history.broken_since.filter(|_| !key.has_worked);
        let history = KeyHistory {
            has_worked: key.has_worked || self.history.has_worked || self.has_been_active,
            broken_since: key.broken_since.or(of_token),
        };
        Self { history, ..self }
    }

    /// Whether it is not known in which state this token was: nothing is known about the key, or somebody else monitored it
    /// meanwhile. A token that has replaced another one is new, and this is known.
    pub(crate) fn is_forgotten(&self) -> bool {
        let is_blank = !self.has_been_active && self.history == KeyHistory::default();
        self.state == KeyState::Unknown && (is_blank || self.has_been_active)
    }

    /// The same after a time in which somebody else monitored the key: what it was stays true, and what it is is not known.
    pub(crate) fn after_absence(self, now: SystemTime) -> Self {
        let history =
            KeyHistory { has_worked: self.history.has_worked || self.has_been_active, broken_since: None };
        Self { state: KeyState::Unknown, since: now, history, ..self }
    }

    /// Adds what somebody else remembers about the key. What the API said since counts more.
    pub(crate) fn with_remembered(self, remembered: &Self) -> Self {
        if self.state == KeyState::Active {
            return self;
        }
        let has_been_active = self.has_been_active || remembered.has_been_active;
        let has_worked = self.history.has_worked || remembered.history.has_worked;
        let state = match self.state {
            KeyState::Unknown => remembered.state,
            KeyState::NotFound if has_been_active => KeyState::Revoked,
            state => state,
        };
        let refused_since = (state.is_refused() && has_worked).then_some(self.since);
        let broken_since = remembered.history.broken_since.or(self.history.broken_since).or(refused_since);
        let since = if self.state == KeyState::Unknown { remembered.since } else { self.since };
        Self { state, since, has_been_active, history: KeyHistory { has_worked, broken_since } }
    }

    /// Adds what version 1 of the state file did not have.
    pub(crate) fn complete_version_1(&mut self) {
        let broken_since = (self.state.is_refused() && self.has_been_active).then_some(self.since);
        self.history = KeyHistory { has_worked: self.has_been_active, broken_since };
    }

    /// The state that the evidence leads to.
    const fn state_for(&self, evidence: KeyEvidence) -> KeyState {
        match evidence {
            KeyEvidence::Activated | KeyEvidence::Accepted => KeyState::Active,
            KeyEvidence::NotActivated => KeyState::Pending,
            KeyEvidence::NotFound if self.has_been_active => KeyState::Revoked,
            KeyEvidence::NotFound => KeyState::NotFound,
            KeyEvidence::Disconnected => KeyState::Disconnected,
            KeyEvidence::FolderNotFound => KeyState::FolderNotFound,
            KeyEvidence::Invalid => KeyState::Invalid,
            KeyEvidence::Forbidden => KeyState::Forbidden,
        }
    }

    /// Whether the evidence leads to the present state.
    pub(crate) fn agrees_with(&self, evidence: KeyEvidence) -> bool {
        self.state_for(evidence) == self.state
    }

    /// The next state. [`crate::confirmation`] decides whether a refusal counts.
    pub(crate) fn step(self, evidence: KeyEvidence, source: EvidenceSource, now: SystemTime) -> Self {
        let mut next = self;
        match evidence {
            KeyEvidence::Activated | KeyEvidence::Accepted => {
                next.has_been_active = true;
                next.history = KeyHistory { has_worked: true, broken_since: None };
            }
            // Not a refusal, and not an acceptance either: a key that is broken stays broken.
            KeyEvidence::NotActivated => {}
            KeyEvidence::NotFound
            | KeyEvidence::Disconnected
            | KeyEvidence::FolderNotFound
            | KeyEvidence::Invalid
            | KeyEvidence::Forbidden => {
                let KeyHistory { has_worked, broken_since } = self.history;
                next.history.broken_since = broken_since.or(has_worked.then_some(now));
            }
        }
        // Whether an unknown key is pending or active is not known before key/info says it.
        let is_for_key_info =
            self.state == KeyState::Pending || (self.state == KeyState::Unknown && !evidence.is_refusal());
        let stays = is_for_key_info && source == EvidenceSource::CanaryBesideKeyInfo;
        let state = if stays { self.state } else { self.state_for(evidence) };
        if state != self.state {
            (next.state, next.since) = (state, now);
        }
        next
    }
}

/// Which probe gave the evidence.
///
/// It is not documented how the API responds to a canary of a key that is not activated yet. Only the
/// extended form of key/info can say that a key is pending. If that form is probed too, only its responses
/// begin and end this state. Otherwise the two probes could contradict each other, and the state would change with
/// every probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EvidenceSource {
    /// key/info in either mode, or a canary of a key whose activation is unknown, because the extended form
    /// of key/info is not probed or fails.
    Authority,
    /// A canary of a key whose activation is known from the extended form of key/info, or will be known from its
    /// first response.
    CanaryBesideKeyInfo,
}

impl PersistedSecretState {
    /// The state of a new secret.
    pub(crate) fn new(now: SystemTime) -> Self {
        Self { state: SecretState::Unknown, since: now, has_been_active: false }
    }

    /// The state of this secret if it replaces a rejected one: the partner's keys do not work before it is accepted.
    pub(crate) fn replacing_rejected(self, since: SystemTime) -> Self {
        match self.state {
            SecretState::Active | SecretState::Rejected => self,
            SecretState::Unknown | SecretState::Pending => {
                Self { state: SecretState::Rejected, since, has_been_active: true }
            }
        }
    }

    /// Whether nothing is known about the secret.
    pub(crate) fn is_blank(&self) -> bool {
        self.state == SecretState::Unknown && !self.has_been_active
    }

    /// Adds what somebody else remembers about the secret. What the API said since counts more.
    pub(crate) fn with_remembered(self, remembered: &Self) -> Self {
        let has_been_active = self.has_been_active || remembered.has_been_active;
        match self.state {
            SecretState::Unknown => Self { has_been_active, ..*remembered },
            SecretState::Pending if has_been_active => {
                Self { state: SecretState::Rejected, has_been_active, ..self }
            }
            SecretState::Pending | SecretState::Active | SecretState::Rejected => self,
        }
    }

    const fn state_for(&self, evidence: SecretEvidence) -> SecretState {
        match evidence {
            SecretEvidence::Accepted => SecretState::Active,
            SecretEvidence::Refused if self.has_been_active => SecretState::Rejected,
            SecretEvidence::Refused => SecretState::Pending,
        }
    }

    /// Whether the evidence leads to the present state.
    pub(crate) fn agrees_with(&self, evidence: SecretEvidence) -> bool {
        self.state_for(evidence) == self.state
    }

    /// The next state. [`crate::confirmation`] decides whether a refusal counts.
    pub(crate) fn step(self, evidence: SecretEvidence, now: SystemTime) -> Self {
        let state = self.state_for(evidence);
        let since = if state == self.state { self.since } else { now };
        Self { state, since, has_been_active: self.has_been_active || state == SecretState::Active }
    }
}

impl Statement for KeyEvidence {
    fn is_refusal(self) -> bool {
        match self {
            Self::Activated | Self::Accepted | Self::NotActivated => false,
            Self::NotFound | Self::Disconnected | Self::FolderNotFound | Self::Invalid | Self::Forbidden => {
                true
            }
        }
    }
}

impl Statement for SecretEvidence {
    fn is_refusal(self) -> bool {
        self == Self::Refused
    }
}
