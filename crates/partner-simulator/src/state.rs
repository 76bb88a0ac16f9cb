//! Everything the simulated API knows, behind one lock.

pub(crate) mod budget;
pub(crate) mod request_log;
pub(crate) mod token;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, since_epoch};
use crate::control::account::AccountState;
use crate::fault::Commands;
use crate::options::{Concurrency, SimulatorOptions};
use crate::refusal::Refusal;
use crate::spec::{Access, Activation, KeySpec, PartnerSpec, Version};
use crate::state::budget::{Budget, Limits};
use crate::state::request_log::{Counts, Journal, Traffic};
use crate::state::token::{Claims, TokenForm, mint};

/// What the server's tasks and the test's handles share.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) concurrency: Concurrency,
    pub(crate) costs: BTreeMap<String, u32>,
    pub(crate) compress: bool,
    /// Calls so far: the source of request-ids.
    calls: AtomicU64,
    connections: AtomicU64,
    state: Mutex<State>,
}

impl World {
    pub(crate) fn new(options: &SimulatorOptions, clock: Clock) -> Self {
        Self {
            clock,
            concurrency: options.concurrency,
            costs: options.costs.iter().cloned().collect(),
            compress: options.compress,
            calls: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            state: Mutex::new(State::new(options, clock)),
        }
    }

    /// The lock is never held across an await; and a test that panicked while it held it spoils no other.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A partner and its secret.
pub(crate) struct PartnerState {
    pub(crate) secret: String,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) third_party: u64,
}

/// A key, whatever its tokens.
pub(crate) struct KeyState {
    pub(crate) partner: Arc<str>,
    pub(crate) access: Access,
    pub(crate) form: TokenForm,
    /// The token last issued.
    pub(crate) token: Option<String>,
    pub(crate) activated: bool,
    pub(crate) activation: Activation,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) forbidden: BTreeMap<String, Refusal>,
    pub(crate) version: Version,
    pub(crate) limits: Limits,
    pub(crate) traffic: Traffic,
}

/// A token that was issued; it stays known after its end, so that its calls are still told apart.
pub(crate) struct TokenState {
    pub(crate) key: Arc<str>,
    pub(crate) opens: Access,
    pub(crate) ends: Option<Instant>,
    /// What it gets after its end.
    pub(crate) ended: Refusal,
    pub(crate) budget: Budget,
}

impl TokenState {
    pub(crate) fn has_ended(&self, now: Instant) -> bool {
        self.ends.is_some_and(|end| end <= now)
    }
}

/// What changes.
pub(crate) struct State {
    clock: Clock,
    limits: Limits,
    pub(crate) partners: BTreeMap<Arc<str>, PartnerState>,
    pub(crate) keys: BTreeMap<Arc<str>, KeyState>,
    /// By mail.
    pub(crate) accounts: BTreeMap<String, AccountState>,
    pub(crate) tokens: HashMap<String, TokenState>,
    pub(crate) commands: Commands,
    pub(crate) journal: Journal,
    pub(crate) traffic: Traffic,
    third_parties: u64,
    issued: u64,
}

/// Third-party ids are given out from here, the one in MyUnisoft's own examples.
const FIRST_THIRD_PARTY: u64 = 101;

impl State {
    fn new(options: &SimulatorOptions, clock: Clock) -> Self {
        let mut state = Self {
            clock,
            limits: options.limits,
            partners: BTreeMap::new(),
            keys: BTreeMap::new(),
            accounts: BTreeMap::new(),
            tokens: HashMap::new(),
            commands: Commands::default(),
            journal: Journal::new(options.journal_capacity),
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
                self.issue(&name, spec.access.clone(), None, spec.token.clone());
            }
        }
    }

    /// The key's tokens are those of nobody from now on.
    pub(crate) fn remove_key(&mut self, name: &str) {
        // Fleets of thousands are built key by key: a new one has nothing to look for.
        if self.keys.remove(name).is_none() {
            return;
        }
        self.tokens.retain(|_, token| &*token.key != name);
        self.accounts.retain(|_, account| &*account.key != name);
    }

    /// Gives the key a token, the one at hand or a minted one, that ends after its lifetime if it has one.
    pub(crate) fn issue(
        &mut self,
        name: &Arc<str>,
        opens: Access,
        lifetime: Option<(Duration, Refusal)>,
        token: Option<String>,
    ) -> Option<String> {
        self.issued += 1;
        let key = self.keys.get_mut(name)?;
        let issued_at = since_epoch(self.clock.now()).as_secs();
        let claims = Claims {
            access: &opens,
            third_party: self.partners.get(&key.partner).map_or(0, |partner| partner.third_party),
            issued_at,
            expires_at: lifetime.as_ref().map(|(lifetime, _)| issued_at + lifetime.as_secs()),
        };
        let token = token.unwrap_or_else(|| mint(key.form, &claims, self.issued));
        key.token = Some(token.clone());
        let ended = not_found(&opens);
        let (ends, ended) = match lifetime {
            Some((lifetime, expired)) => (Some(Instant::now() + lifetime), expired),
            None => (None, ended),
        };
        let issued = TokenState { key: Arc::clone(name), opens, ends, ended, budget: Budget::default() };
        self.tokens.insert(token.clone(), issued);
        Some(token)
    }

    /// Ends every token of the key.
    pub(crate) fn end_tokens(&mut self, key: &str) {
        for token in self.tokens.values_mut().filter(|token| &*token.key == key) {
            token.ends = Some(Instant::now());
            token.ended = not_found(&token.opens);
        }
    }

    pub(crate) fn counts(&self, key: &str) -> Counts {
        self.keys.get(key).map(|key| key.traffic.counts).unwrap_or_default()
    }
}

/// What a token gets that doesn't exist, or was revoked.
pub(crate) fn not_found(access: &Access) -> Refusal {
    Refusal::new(match access {
        Access::Society { .. } => "ERR-API-TOKEN-NOT-FOUND",
        Access::Firm { .. } => "ERR-FIRM-TOKEN-NOT-FOUND",
    })
}
