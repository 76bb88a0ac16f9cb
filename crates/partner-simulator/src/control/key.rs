//! A handle to change one key while the simulator runs.

use std::sync::Arc;

use tokio::time::Instant;

use crate::fault::{Fault, Scope};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::spec::key::Version;
use crate::state::key::KeyState;
use crate::state::request_log::Call;
use crate::state::token::token_not_found;
use crate::state::traffic::Counts;

/// One key. The handle of one that was removed does nothing.
#[derive(Clone)]
pub struct Key {
    pub(crate) shared: Arc<Shared>,
    pub(crate) name: Arc<str>,
}

impl Key {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The token last issued; a key behind a log-in has none before the first.
    #[must_use]
    pub fn token(&self) -> Option<String> {
        self.change(|key| key.token.clone()).flatten()
    }

    /// Whether it was activated.
    #[must_use]
    pub fn is_activated(&self) -> bool {
        self.change(|key| key.activated).unwrap_or_default()
    }

    /// It is activated, whatever it takes otherwise.
    pub fn activate(&self) {
        self.change(|key| key.activated = true);
    }

    /// It isn't activated (any more).
    pub fn set_pending(&self) {
        self.change(|key| key.activated = false);
    }

    /// Every call is refused like this, until it is restored.
    pub fn refuse(&self, refusal: Refusal) {
        self.change(|key| key.refusal = Some(refusal));
    }

    /// The manager of the folder revoked it: its token isn't found.
    pub fn revoke(&self) {
        self.change(|key| key.refusal = Some(token_not_found(&key.access)));
    }

    /// MyUnisoft's technical team disconnected it, for this reason.
    pub fn disconnect(&self, reason: &str) {
        self.refuse(Refusal::new("ERR-THIRD-PARTY-DISCONNECTED").message(reason));
    }

    /// It is refused no longer.
    pub fn restore(&self) {
        self.change(|key| key.refusal = None);
    }

    /// A new token, which is waiting to be activated; its predecessors aren't found any more.
    pub fn replace_token(&self) -> Option<String> {
        let mut state = self.shared.lock();
        state.revoke_tokens(&self.name);
        let key = state.keys.get_mut(&self.name)?;
        key.refusal = None;
        key.activated = false;
        let access = key.access.clone();
        state.issue_token(&self.name, access, None, None)
    }

    /// Every token ends now, as if its time was over; a log-in gets a new one.
    pub fn expire_tokens(&self) {
        let mut state = self.shared.lock();
        for token in state.tokens.values_mut().filter(|token| token.key == self.name) {
            token.expires_at = Some(Instant::now());
        }
    }

    /// Calls to this route (path without query) are refused, and key/info doesn't list it.
    pub fn forbid(&self, route: &str, refusal: Refusal) {
        self.change(|key| key.forbidden.insert(route.to_owned(), refusal));
    }

    /// What key/info says of its version.
    pub fn set_version(&self, version: Version) {
        self.change(|key| key.version = version);
    }

    /// Production traffic takes so many requests of the budget, or what is left of it.
    pub fn spend(&self, requests: u32) {
        let mut state = self.shared.lock();
        let Some((limits, token)) = state.keys.get(&self.name).map(|key| (key.limits, key.token.clone()))
        else {
            return;
        };
        if let Some(token) = token.and_then(|token| state.tokens.get_mut(&token)) {
            token.budget.spend(requests, &limits, Instant::now());
        }
    }

    /// What is left of the budget of the token last issued.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let state = self.shared.lock();
        let remaining = state.keys.get(&self.name).and_then(|key| {
            let token = state.tokens.get(key.token.as_ref()?)?;
            Some(token.budget.remaining(&key.limits, Instant::now()))
        });
        remaining.unwrap_or_default()
    }

    /// Commands a fault for this key's calls.
    pub fn inject(&self, fault: Fault) {
        self.shared.lock().fault_rules.add(self.scope(), fault, None);
    }

    /// Commands a fault for so many of this key's calls.
    pub fn inject_times(&self, times: u32, fault: Fault) {
        self.shared.lock().fault_rules.add(self.scope(), fault, Some(times));
    }

    /// Commands a fault for this key's calls to one route (path without query), such as its log-ins.
    pub fn inject_on(&self, route: &str, fault: Fault) {
        let scope = Scope::KeyRoute { key: self.name.to_string(), route: route.to_owned() };
        self.shared.lock().fault_rules.add(scope, fault, None);
    }

    /// Withdraws what was commanded for all of this key's calls, and for those to single routes.
    pub fn heal(&self) {
        self.shared.lock().fault_rules.remove_for_key(&self.name);
    }

    /// Its calls, log-ins included, as far back as the journal remembers.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        let state = self.shared.lock();
        state.request_log.calls().filter(|call| call.key.as_ref() == Some(&self.name)).cloned().collect()
    }

    /// When its calls began, log-ins included, as far back as the journal remembers.
    #[must_use]
    pub fn starts(&self) -> Vec<Instant> {
        self.calls().iter().map(|call| call.started).collect()
    }

    /// How many calls it made, log-ins included, and how many at once.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts(&self.name)
    }

    /// Forgets the key and its tokens.
    pub fn remove(&self) {
        self.shared.lock().remove_key(&self.name);
    }

    fn scope(&self) -> Scope {
        Scope::Key(self.name.to_string())
    }

    fn change<T>(&self, change: impl FnOnce(&mut KeyState) -> T) -> Option<T> {
        self.shared.lock().keys.get_mut(&self.name).map(change)
    }
}
