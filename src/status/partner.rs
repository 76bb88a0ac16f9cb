//! One partner, as it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_with::serde_as;

use super::seconds::Seconds;
use crate::key_state::{KeyState, SecretState};
use crate::state::MonitoredPartner;

/// A partner.
#[serde_as]
#[derive(Clone, Debug, Serialize)]
pub struct PartnerView {
    /// Its name.
    pub partner: Arc<str>,
    /// The state of its secret.
    pub secret_state: SecretState,
    /// Since when.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "secret_state_since_timestamp_seconds")]
    pub since: SystemTime,
    /// How many keys of it are watched.
    pub keys: usize,
    /// How many of them are in which state; states without a key are left out.
    pub key_states: BTreeMap<KeyState, usize>,
    /// How many of them have a probe that fails, whatever their state.
    pub failing_keys: usize,
}

impl PartnerView {
    /// A partner none of whose keys is counted yet.
    pub(super) fn new(partner: &MonitoredPartner) -> Self {
        let secret = *partner.secret();
        Self {
            partner: Arc::clone(&partner.name),
            secret_state: secret.state,
            since: secret.since,
            keys: 0,
            key_states: BTreeMap::new(),
            failing_keys: 0,
        }
    }

    /// Counts one of its keys.
    pub(super) fn count(&mut self, state: KeyState, is_failing: bool) {
        self.keys += 1;
        self.failing_keys += usize::from(is_failing);
        *self.key_states.entry(state).or_default() += 1;
    }

    /// By what partners are put in order: a refused secret first, then whoever has most keys in trouble.
    pub(super) fn order(&self) -> impl Ord + use<> {
        let secret = match self.secret_state {
            SecretState::Rejected => 0,
            SecretState::Pending => 1,
            SecretState::Unknown | SecretState::Active => 2,
        };
        let well = self.key_states.get(&KeyState::Active).copied().unwrap_or_default();
        let troubled = (self.keys - well).max(self.failing_keys);
        (secret, std::cmp::Reverse(troubled))
    }
}
