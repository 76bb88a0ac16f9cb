//! The handle of a key.

use std::sync::Arc;

use tokio::time::Instant;

use crate::fault::{Fault, Scope};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::state::key::KeyState;
use crate::state::request_log::Call;
use crate::state::token::token_not_found;
use crate::state::traffic::Counts;

/// Reads and changes one key while the simulator runs. The handle of a removed key does nothing.
#[derive(Clone)]
pub struct Key {
    pub(crate) shared: Arc<Shared>,
    pub(crate) name: Arc<str>,
}

impl Key {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The token issued last. A key with an account has no token before its first log-in.
    pub fn token(&self) -> Option<String> {
        self.change(|key| key.token.clone()).flatten()
    }

    pub fn is_activated(&self) -> bool {
        self.change(|key| key.activated).unwrap_or_default()
    }

    /// Activates the key, whatever its [`Activation`](crate::Activation) says.
    pub fn activate(&self) {
        self.change(|key| key.activated = true);
    }

    /// Deactivates the key, so that it must be activated again.
    pub fn set_pending(&self) {
        self.change(|key| key.activated = false);
    }

    /// Refuses all requests with this key until [`restore`](Self::restore).
    pub fn refuse(&self, refusal: Refusal) {
        self.change(|key| key.refusal = Some(refusal));
    }

    /// Revokes the key, as the manager of the folder can do: the API reports that it does not find the token.
    pub fn revoke(&self) {
        self.change(|key| key.refusal = Some(token_not_found(&key.access)));
    }

    /// Accepts requests with this key again, after [`refuse`](Self::refuse) or [`revoke`](Self::revoke).
    pub fn restore(&self) {
        self.change(|key| key.refusal = None);
    }

    /// Issues a new token, which must be activated. The API no longer finds the earlier tokens.
    pub fn replace_token(&self) -> Option<String> {
        let mut state = self.shared.lock();
        state.revoke_tokens(&self.name);
        let key = state.keys.get_mut(&self.name)?;
        key.refusal = None;
        key.activated = false;
        let access = key.access.clone();
        state.issue_token(&self.name, access, None, None)
    }

    /// Makes all tokens expire now, as if their lifetime had passed. A log-in returns a new token.
    pub fn expire_tokens(&self) {
        let mut state = self.shared.lock();
        for token in state.tokens.values_mut().filter(|token| token.key == self.name) {
            token.expires_at = Some(Instant::now());
        }
    }

    /// Refuses requests to this route (path without query). key/info no longer lists the route.
    pub fn forbid(&self, route: &str, refusal: Refusal) {
        self.change(|key| key.forbidden.insert(route.to_owned(), refusal));
    }

    /// Spends requests of the budget, as production traffic does. Spends at most what remains.
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

    /// The remaining budget of the token issued last.
    pub fn remaining(&self) -> u32 {
        let state = self.shared.lock();
        let remaining = state.keys.get(&self.name).and_then(|key| {
            let token = state.tokens.get(key.token.as_ref()?)?;
            Some(token.budget.remaining(&key.limits, Instant::now()))
        });
        remaining.unwrap_or_default()
    }

    /// Injects a fault for the requests of this key.
    pub fn inject(&self, fault: Fault) {
        self.shared.lock().fault_rules.add(self.scope(), fault, None);
    }

    /// Injects a fault for a number of requests of this key.
    pub fn inject_times(&self, times: u32, fault: Fault) {
        self.shared.lock().fault_rules.add(self.scope(), fault, Some(times));
    }

    /// Injects a fault for the requests of this key to one route (path without query), for example its log-ins.
    pub fn inject_on(&self, route: &str, fault: Fault) {
        let scope = Scope::KeyRoute { key: self.name.to_string(), route: route.to_owned() };
        self.shared.lock().fault_rules.add(scope, fault, None);
    }

    /// Removes all faults injected for this key, including those for one route.
    pub fn heal(&self) {
        self.shared.lock().fault_rules.remove_for_key(&self.name);
    }

    /// The logged requests of this key, including log-ins. The log keeps only the most recent requests.
    pub fn calls(&self) -> Vec<Call> {
        let state = self.shared.lock();
        state.request_log.calls().filter(|call| call.key.as_ref() == Some(&self.name)).cloned().collect()
    }

    /// The start times of the logged requests of this key, including log-ins.
    pub fn starts(&self) -> Vec<Instant> {
        self.calls().iter().map(|call| call.started).collect()
    }

    /// The number of requests of this key, including log-ins.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts(&self.name)
    }

    /// Removes the key and its tokens.
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
