//! The handles of partners, keys and accounts.

use std::sync::Arc;

use tokio::time::Instant;

use crate::fault::{Fault, Scope};
use crate::refusal::Refusal;
use crate::request::Call;
use crate::spec::{KeySpec, LoginStatus};
use crate::state::account::{AccountState, Attempts};
use crate::state::token::token_not_found;
use crate::state::traffic::Counts;
use crate::state::{KeyState, PartnerState, Shared};

/// Reads and changes one partner while the simulator runs. The handle of a removed partner does nothing.
#[derive(Clone)]
pub struct Partner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) name: Arc<str>,
}

impl Partner {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn secret(&self) -> String {
        self.change(|partner| partner.secret.clone()).unwrap_or_default()
    }

    /// Accepts the secret from now on.
    pub fn activate_secret(&self) {
        self.change(|partner| partner.refusal = None);
    }

    /// Deactivates the secret: the API refuses it as invalid.
    pub fn deactivate_secret(&self) {
        self.change(|partner| partner.refusal = Some(Refusal::new("ERR-INVALID-SECRET")));
    }

    /// Replaces the secret. The API no longer knows the earlier one.
    pub fn replace_secret(&self, secret: &str) {
        self.change(|partner| secret.clone_into(&mut partner.secret));
    }

    pub fn add_key(&self, key: &KeySpec) -> Key {
        self.shared.lock().add_key(&self.name, key.clone());
        Key { shared: Arc::clone(&self.shared), name: key.name.as_str().into() }
    }

    /// Removes the partner and its keys.
    pub fn remove(&self) {
        self.shared.lock().remove_partner(&self.name);
    }

    /// Injects a fault for the requests with this partner's secret.
    pub fn inject(&self, fault: Fault) {
        self.shared.lock().fault_rules.add(self.scope(), fault, None);
    }

    /// Removes the faults injected for this partner.
    pub fn heal(&self) {
        self.shared.lock().fault_rules.remove(|scope| *scope == self.scope());
    }

    fn scope(&self) -> Scope {
        Scope::Partner(self.name.to_string())
    }

    fn change<T>(&self, change: impl FnOnce(&mut PartnerState) -> T) -> Option<T> {
        self.shared.lock().partners.get_mut(&self.name).map(change)
    }
}

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
        self.change(|key| key.spec.activated).unwrap_or_default()
    }

    /// Activates the key, whatever its [`Activation`](crate::Activation) says.
    pub fn activate(&self) {
        self.change(|key| key.spec.activated = true);
    }

    /// Deactivates the key, so that it must be activated again.
    pub fn set_pending(&self) {
        self.change(|key| key.spec.activated = false);
    }

    /// Refuses all requests with this key until [`restore`](Self::restore).
    pub fn refuse(&self, refusal: Refusal) {
        self.change(|key| key.spec.refusal = Some(refusal));
    }

    /// Revokes the key, as the manager of the folder can do: the API reports that it does not find the token.
    pub fn revoke(&self) {
        self.change(|key| key.spec.refusal = Some(token_not_found(&key.spec.access)));
    }

    /// Disconnects the integration, as MyUnisoft's technical team can do. The refusal's message contains the reason.
    pub fn disconnect(&self, reason: &str) {
        self.refuse(Refusal::new("ERR-THIRD-PARTY-DISCONNECTED").message(reason));
    }

    /// Accepts requests with this key again, after [`refuse`](Self::refuse), [`revoke`](Self::revoke) or
    /// [`disconnect`](Self::disconnect).
    pub fn restore(&self) {
        self.change(|key| key.spec.refusal = None);
    }

    /// Issues a new token, which must be activated. The API no longer finds the earlier tokens.
    pub fn replace_token(&self) -> Option<String> {
        let mut state = self.shared.lock();
        state.revoke_tokens(&self.name);
        let key = state.keys.get_mut(&self.name)?;
        key.spec.refusal = None;
        key.spec.activated = false;
        let access = key.spec.access.clone();
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
        self.change(|key| key.spec.forbidden.insert(route.to_owned(), refusal));
    }

    /// Spends requests of the budget, as production traffic does. Spends at most what remains.
    pub fn spend(&self, requests: u32) {
        if let Some(budget) = self.shared.lock().budget(&self.name) {
            budget.spend(requests);
        }
    }

    /// The remaining budget of the token issued last.
    pub fn remaining(&self) -> u32 {
        self.shared.lock().budget(&self.name).map_or(0, |budget| budget.remaining())
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

    /// Injects a fault for the requests of this key that are also in this scope, for example those about one society.
    /// Log-ins are not included.
    pub fn inject_within(&self, scope: Scope, fault: Fault) {
        self.shared.lock().fault_rules.add(self.scope().and(scope), fault, None);
    }

    /// Removes all faults injected for this key, including those for a part of its requests.
    pub fn heal(&self) {
        self.shared.lock().fault_rules.remove(|scope| scope.is_of_key(&self.name));
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
        self.change(|key| key.counts).unwrap_or_default()
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

/// Reads and changes one account. The handle of a removed account does nothing.
#[derive(Clone)]
pub struct Account {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mail: String,
}

impl Account {
    pub fn attempts(&self) -> Attempts {
        self.shared.lock().accounts.get(&self.mail).map(|account| account.attempts).unwrap_or_default()
    }

    /// Unlocks the account, as MyUnisoft's support does.
    pub fn unlock(&self) {
        self.change(|account| {
            account.attempts.locked = false;
            account.attempts.consecutive_wrong_passwords = 0;
        });
    }

    /// Accepts only this password from now on.
    pub fn set_password(&self, password: &str) {
        self.change(|account| password.clone_into(&mut account.spec.password));
    }

    /// Sets the `status` of the answers to correct passwords. `None`: as documented.
    pub fn set_status(&self, status: Option<LoginStatus>) {
        self.change(|account| account.spec.status = status);
    }

    /// Logs in to one of the firms as another program of the customer does, without an HTTP request. Ends the earlier
    /// tokens that [`EndedTokens`](crate::EndedTokens) says. Returns the token, or `None` if the account has no such firm.
    pub fn another_log_in(&self, firm: u64) -> Option<String> {
        let mut state = self.shared.lock();
        let firm = state.accounts.get(&self.mail)?.spec.firms.iter().find(|known| known.id == firm)?.clone();
        state.log_in(&self.mail, &firm)
    }

    fn change(&self, change: impl FnOnce(&mut AccountState)) {
        if let Some(account) = self.shared.lock().accounts.get_mut(&self.mail) {
            change(account);
        }
    }
}
