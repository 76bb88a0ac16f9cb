//! The view of a partner.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_with::As;

use super::seconds::Seconds;
use crate::diagnosis::{self, UnreadableSecret, Verdict};
use crate::key_state::{KeyState, SecretState};
use crate::language::Language;
use crate::partner_api::request_id::RequestId;
use crate::state::MonitoredPartner;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct PartnerView {
    pub partner: Arc<str>,
    pub secret_state: SecretState,
    #[serde(rename = "secret_state_since_timestamp_seconds", with = "As::<Seconds>")]
    pub since: SystemTime,
    /// Whether the change at this time was seen; if not, the secret may be in this state for longer.
    #[serde(skip)]
    pub seen: bool,
    /// What is wrong with the secret.
    pub verdict: Verdict,
    /// Whether the secret cannot be read, and the value that was read before serves; `None` if it can be read.
    #[serde(skip)]
    pub last_value_serves: Option<bool>,
    /// The request ID of the response that refused the secret.
    pub request_id: Option<String>,
    /// The number of its keys.
    pub keys: usize,
    /// The number of its keys in each state, without the states that no key is in.
    pub key_states: BTreeMap<KeyState, usize>,
    /// The number of its keys that have a failing probe, in any state.
    pub failing_keys: usize,
}

/// Whether the secret is refused or cannot be read.
pub(super) fn needs_someone(partner: &MonitoredPartner) -> bool {
    matches!(partner.secret().state, SecretState::Rejected | SecretState::Pending)
        || partner.credential_problem().is_some()
}

/// Whether the secret needs someone before every key does: all keys of the partner depend on it.
pub(super) fn has_lost_secret(partner: &MonitoredPartner) -> bool {
    let problem = partner.credential_problem();
    is_lost(partner.secret().state, problem.as_ref().map(|problem| problem.last_value_serves))
}

fn is_lost(secret: SecretState, last_value_serves: Option<bool>) -> bool {
    secret == SecretState::Rejected || last_value_serves == Some(false)
}

/// The request ID of the refusal, if the secret is refused.
fn request_id(partner: &MonitoredPartner, state: SecretState) -> Option<String> {
    let transitions = partner.transitions();
    let last =
        transitions.iter().next_back().filter(|last| last.to == state && state != SecretState::Active)?;
    last.request_id.as_ref().map(RequestId::to_string)
}

impl PartnerView {
    /// A partner without keys; [`Self::count`] adds them.
    pub(super) fn new(partner: &MonitoredPartner, language: Language) -> Self {
        let (secret, problem) = (partner.secret(), partner.credential_problem().clone());
        // Not inside the value below: the lock would be held until its end.
        let seen = partner.transitions().saw_change_at(secret.since);
        Self {
            partner: Arc::clone(&partner.name),
            secret_state: secret.state,
            since: secret.since,
            seen,
            verdict: diagnosis::diagnose_secret(
                secret.state,
                problem.as_ref().map(|problem| UnreadableSecret {
                    detail: &problem.text,
                    last_value_serves: problem.last_value_serves,
                }),
                language,
            ),
            last_value_serves: problem.as_ref().map(|problem| problem.last_value_serves),
            request_id: request_id(partner, secret.state),
            keys: 0,
            key_states: BTreeMap::new(),
            failing_keys: 0,
        }
    }

    pub(super) fn count(&mut self, state: KeyState, is_failing: bool) {
        self.keys += 1;
        self.failing_keys += usize::from(is_failing);
        *self.key_states.entry(state).or_default() += 1;
    }

    /// Whether its keys may have stopped working: the secret is refused and was accepted before, or nothing can be sent.
    pub(crate) fn is_lost(&self) -> bool {
        is_lost(self.secret_state, self.last_value_serves)
    }

    /// The order of partners: a refused secret first, then the partner with the most keys that have a problem.
    pub(super) fn order(&self) -> impl Ord + use<> {
        let secret = match self.secret_state {
            SecretState::Rejected => 0,
            SecretState::Pending => 1,
            SecretState::Unknown | SecretState::Active => 2,
        };
        let active = self.key_states.get(&KeyState::Active).copied().unwrap_or_default();
        let with_problem = (self.keys - active).max(self.failing_keys);
        (secret, std::cmp::Reverse(with_problem))
    }
}
