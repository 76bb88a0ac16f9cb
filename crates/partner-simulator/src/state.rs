//! The state of the simulated API.

pub(crate) mod account;
pub(crate) mod budget;
pub(crate) mod fault_rules;
pub(crate) mod key;
pub(crate) mod partner;
pub(crate) mod request_log;
pub(crate) mod token;
pub(crate) mod traffic;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, since_epoch};
use crate::options::SimulatorOptions;
use crate::refusal::Refusal;
use crate::spec::key::{Access, KeySpec};
use crate::spec::limits::Limits;
use crate::spec::partner::PartnerSpec;
use crate::state::account::AccountState;
use crate::state::budget::Budget;
use crate::state::fault_rules::FaultRules;
use crate::state::key::KeyState;
use crate::state::partner::PartnerState;
use crate::state::request_log::RequestLog;
use crate::state::token::{Claims, TokenState, create_token, token_not_found};
use crate::state::traffic::{Counts, Traffic};

/// All data that requests and handles change.
pub(crate) struct State {
    clock: Clock,
    limits: Limits,
    pub(crate) partners: BTreeMap<Arc<str>, PartnerState>,
    pub(crate) keys: BTreeMap<Arc<str>, KeyState>,
    /// By e-mail address.
    pub(crate) accounts: BTreeMap<String, AccountState>,
    pub(crate) tokens: HashMap<String, TokenState>,
    pub(crate) fault_rules: FaultRules,
    pub(crate) request_log: RequestLog,
    pub(crate) traffic: Traffic,
    third_parties: u64,
    issued: u64,
}

/// The first third-party ID. MyUnisoft's documentation uses this number in its examples.
const FIRST_THIRD_PARTY: u64 = 101;

impl State {
    pub(crate) fn new(options: &SimulatorOptions, clock: Clock) -> Self {
        let mut state = Self {
            clock,
            limits: options.limits,
            partners: BTreeMap::new(),
            keys: BTreeMap::new(),
            accounts: BTreeMap::new(),
            tokens: HashMap::new(),
            fault_rules: FaultRules::default(),
            request_log: RequestLog::new(options.request_log_capacity),
            traffic: Traffic::default(),
            third_parties: 0,
            issued: 0,
        };
        for partner in &options.partners {
            state.add_partner(partner);
        }
        state
    }

    pub(crate) fn add_partner(&mut self, spec: &PartnerSpec) {
        let third_party = FIRST_THIRD_PARTY + self.third_parties;
        self.third_parties += 1;
        let partner =
            PartnerState { secret: spec.secret.clone(), refusal: spec.refusal.clone(), third_party };
        self.partners.insert(spec.name.as_str().into(), partner);
        for key in &spec.keys {
            self.add_key(&spec.name, key);
        }
    }

    pub(crate) fn remove_partner(&mut self, name: &str) {
        let Self { keys, tokens, accounts, .. } = self;
        keys.retain(|_, key| &*key.partner != name);
        tokens.retain(|_, token| keys.contains_key(&token.key));
        accounts.retain(|_, account| keys.contains_key(&account.key));
        self.partners.remove(name);
    }

    pub(crate) fn add_key(&mut self, partner: &str, spec: &KeySpec) {
        self.remove_key(&spec.name);
        let name: Arc<str> = spec.name.as_str().into();
        let key = KeyState {
            partner: partner.into(),
            access: spec.access.clone(),
            form: spec.form,
            token: None,
            activated: spec.activated,
            activation: spec.activation.clone(),
            refusal: spec.refusal.clone(),
            forbidden: spec.forbidden.iter().cloned().collect(),
            version: spec.version,
            limits: spec.limits.unwrap_or(self.limits),
            traffic: Traffic::default(),
        };
        self.keys.insert(Arc::clone(&name), key);
        match &spec.login {
            Some(login) => {
                self.accounts.insert(login.mail.clone(), AccountState::new(login.clone(), name));
            }
            None => {
                self.issue_token(&name, spec.access.clone(), None, spec.token.clone());
            }
        }
    }

    /// Removes the key. The simulator no longer knows its tokens and accounts.
    pub(crate) fn remove_key(&mut self, name: &str) {
        // Tests add thousands of keys one by one. A new key has no tokens and accounts to search for.
        if self.keys.remove(name).is_none() {
            return;
        }
        self.tokens.retain(|_, token| &*token.key != name);
        self.accounts.retain(|_, account| &*account.key != name);
    }

    /// Issues `token`, or a generated token if it is `None`. With a lifetime, the token expires.
    pub(crate) fn issue_token(
        &mut self,
        name: &Arc<str>,
        access: Access,
        lifetime: Option<(Duration, Refusal)>,
        token: Option<String>,
    ) -> Option<String> {
        self.issued += 1;
        let key = self.keys.get_mut(name)?;
        let issued_at = since_epoch(self.clock.now()).as_secs();
        let claims = Claims {
            access: &access,
            third_party: self.partners.get(&key.partner).map_or(0, |partner| partner.third_party),
            issued_at,
            expires_at: lifetime.as_ref().map(|(lifetime, _)| issued_at + lifetime.as_secs()),
        };
        let token = token.unwrap_or_else(|| create_token(key.form, &claims, self.issued));
        key.token = Some(token.clone());
        let (expires_at, refusal_after_expiry) = match lifetime {
            Some((lifetime, expired)) => (Some(Instant::now() + lifetime), expired),
            None => (None, token_not_found(&access)),
        };
        let issued = TokenState {
            key: Arc::clone(name),
            access,
            expires_at,
            refusal_after_expiry,
            budget: Budget::default(),
        };
        self.tokens.insert(token.clone(), issued);
        Some(token)
    }

    /// Revokes all tokens of the key.
    pub(crate) fn revoke_tokens(&mut self, key: &str) {
        for token in self.tokens.values_mut().filter(|token| &*token.key == key) {
            token.expires_at = Some(Instant::now());
            token.refusal_after_expiry = token_not_found(&token.access);
        }
    }

    pub(crate) fn counts(&self, key: &str) -> Counts {
        self.keys.get(key).map(|key| key.traffic.counts).unwrap_or_default()
    }
}
