//! The state of the simulated API: all data that requests and handles change.

pub(crate) mod account;
pub(crate) mod budget;
pub(crate) mod exports;
pub(crate) mod fault_rules;
pub(crate) mod request_log;
pub(crate) mod token;
pub(crate) mod traffic;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::builder::{Concurrency, SimulatorBuilder};
use crate::clock::{Clock, since_epoch};
use crate::refusal::Refusal;
use crate::spec::{Access, EndedTokens, FirmSpec, KeySpec, Limits, PartnerSpec, TokenForm};
use crate::state::account::AccountState;
use crate::state::budget::Budget;
use crate::state::exports::Exports;
use crate::state::fault_rules::FaultRules;
use crate::state::request_log::RequestLog;
use crate::state::token::{TokenState, claims, create_token, token_not_found};
use crate::state::traffic::{Counts, Traffic};

/// The state, which the server's tasks and the handles share.
pub(crate) struct Shared(Mutex<State>);

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self(Mutex::new(state))
    }

    /// The lock is never held across an await. A test that panics while it holds the lock does not break the others.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct State {
    pub(crate) clock: Clock,
    limits: Limits,
    pub(crate) concurrency: Concurrency,
    pub(crate) costs: BTreeMap<String, u32>,
    pub(crate) partners: BTreeMap<Arc<str>, PartnerState>,
    pub(crate) keys: BTreeMap<Arc<str>, KeyState>,
    /// By e-mail address.
    pub(crate) accounts: BTreeMap<String, AccountState>,
    pub(crate) tokens: HashMap<String, TokenState>,
    pub(crate) fault_rules: FaultRules,
    pub(crate) request_log: RequestLog,
    pub(crate) traffic: Traffic,
    pub(crate) exports: Exports,
    /// The number of connections accepted so far.
    pub(crate) connections: u64,
    next_third_party: u64,
    issued_tokens: u64,
    /// Whether permanent tokens contain a fixed time of issue.
    repeatable_tokens: bool,
}

pub(crate) struct PartnerState {
    pub(crate) secret: String,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) third_party: u64,
}

pub(crate) struct KeyState {
    pub(crate) partner: Arc<str>,
    /// The settings at the start, with the changes since then.
    pub(crate) spec: KeySpec,
    /// The token issued last.
    pub(crate) token: Option<String>,
    pub(crate) counts: Counts,
}

/// When repeatable tokens say that they were issued, in seconds since the Unix epoch.
const FIXED_ISSUE_TIME: u64 = 1_767_225_600;

impl State {
    pub(crate) fn new(options: SimulatorBuilder, clock: Clock) -> Self {
        let mut state = Self {
            clock,
            limits: options.limits,
            concurrency: options.concurrency,
            costs: options.costs,
            partners: BTreeMap::new(),
            keys: BTreeMap::new(),
            accounts: BTreeMap::new(),
            tokens: HashMap::new(),
            fault_rules: FaultRules::default(),
            request_log: RequestLog::new(options.request_log_capacity),
            traffic: Traffic::default(),
            exports: Exports::default(),
            connections: 0,
            // The examples in MyUnisoft's documentation have this third-party ID.
            next_third_party: 101,
            issued_tokens: 0,
            repeatable_tokens: options.repeatable_tokens,
        };
        for partner in &options.partners {
            state.add_partner(partner);
        }
        state
    }

    pub(crate) fn add_partner(&mut self, spec: &PartnerSpec) {
        let third_party = self.next_third_party;
        self.next_third_party += 1;
        let PartnerSpec { name, secret, refusal, keys } = spec.clone();
        self.partners.insert(name.as_str().into(), PartnerState { secret, refusal, third_party });
        for key in keys {
            self.add_key(&name, key);
        }
    }

    pub(crate) fn remove_partner(&mut self, name: &str) {
        let Self { keys, tokens, accounts, .. } = self;
        keys.retain(|_, key| &*key.partner != name);
        tokens.retain(|_, token| keys.contains_key(&token.key));
        accounts.retain(|_, account| account.retain_keys(|key| keys.contains_key(key)));
        self.partners.remove(name);
    }

    pub(crate) fn add_key(&mut self, partner: &str, spec: KeySpec) {
        self.remove_key(&spec.name);
        let name: Arc<str> = spec.name.as_str().into();
        let (login, access, token) = (spec.login.clone(), spec.access.clone(), spec.token.clone());
        let key = KeyState { partner: partner.into(), spec, token: None, counts: Counts::default() };
        self.keys.insert(Arc::clone(&name), key);
        if let Some(spec) = login {
            let firms = spec.firms.clone();
            let account = self.accounts.entry(spec.mail.clone()).or_insert_with(|| AccountState::new(spec));
            account.add_key(name, &firms);
        } else {
            self.issue_token(&name, access, None, token);
        }
    }

    /// Removes the key. The simulator no longer knows its tokens and accounts.
    pub(crate) fn remove_key(&mut self, name: &str) {
        // Tests add thousands of keys one by one. A new key has no tokens and accounts to search for.
        if self.keys.remove(name).is_none() {
            return;
        }
        self.tokens.retain(|_, token| &*token.key != name);
        self.accounts.retain(|_, account| account.retain_keys(|key| key != name));
    }

    /// Issues `token`, or a generated token if it is `None`. `lifetime` is how long the token is valid, and how requests
    /// are refused after that. `None`: the token does not expire.
    pub(crate) fn issue_token(
        &mut self,
        name: &Arc<str>,
        access: Access,
        lifetime: Option<(Duration, Refusal)>,
        token: Option<String>,
    ) -> Option<String> {
        self.issued_tokens += 1;
        let key = self.keys.get_mut(name)?;
        let is_repeatable = self.repeatable_tokens && lifetime.is_none();
        let issued_at =
            if is_repeatable { FIXED_ISSUE_TIME } else { since_epoch(self.clock.shown()).as_secs() };
        let third_party = self.partners.get(&key.partner).map_or(0, |partner| partner.third_party);
        let lifetime_in_claims = lifetime.as_ref().filter(|_| key.spec.form == TokenForm::JwtWithExp);
        let exp = lifetime_in_claims.map(|(lifetime, _)| issued_at + lifetime.as_secs());
        let claims = claims(&access, third_party, issued_at, exp);
        let token = token.unwrap_or_else(|| create_token(key.spec.form, &claims, self.issued_tokens));
        key.token = Some(token.clone());
        let (expires_at, refusal_after_expiry) = match lifetime {
            Some((lifetime, expired)) => (Some(Instant::now() + lifetime), expired),
            None => (None, token_not_found(&access)),
        };
        let budget = Budget::new(key.spec.limits.unwrap_or(self.limits));
        let issued = TokenState { key: Arc::clone(name), access, expires_at, refusal_after_expiry, budget };
        self.tokens.insert(token.clone(), issued);
        Some(token)
    }

    /// Issues the token of a log-in, and ends the earlier tokens that the account does not keep.
    pub(crate) fn log_in(&mut self, mail: &str, firm: &FirmSpec) -> Option<String> {
        let account = self.accounts.get(mail)?;
        let (key, spec) = (Arc::clone(account.key_of(Some(firm.id))?), &account.spec);
        let (ended, lifetime) = (spec.ended_tokens, (spec.lifetime, spec.expired.clone()));
        // Most accounts keep their tokens, and tests have thousands of accounts. So there is nothing to search for.
        if ended != EndedTokens::None {
            let all_firms = ended == EndedTokens::AllFirms;
            let of_account = self.tokens.values_mut().filter(|token| account.has_key(&token.key));
            for token in of_account.filter(|token| all_firms || token.access.schema() == firm.id) {
                token.expires_at = Some(Instant::now());
            }
        }
        let access = Access::Firm { schema: firm.id, societies: firm.societies.clone() };
        self.issue_token(&key, access, Some(lifetime), None)
    }

    /// Revokes all tokens of the key.
    pub(crate) fn revoke_tokens(&mut self, key: &str) {
        for token in self.tokens.values_mut().filter(|token| &*token.key == key) {
            token.expires_at = Some(Instant::now());
            token.refusal_after_expiry = token_not_found(&token.access);
        }
    }

    /// The budget of the key's token issued last.
    pub(crate) fn budget(&mut self, key: &str) -> Option<&mut Budget> {
        let token = self.keys.get(key)?.token.as_ref()?;
        Some(&mut self.tokens.get_mut(token)?.budget)
    }
}
