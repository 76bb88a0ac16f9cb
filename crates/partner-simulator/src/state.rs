//! Everything the simulated API knows, behind one lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::account::AccountState;
use super::budget::{Budget, Limits};
use super::clock::{Clock, since_epoch};
use super::fault::Commands;
use super::journal::{Counts, Journal, Traffic};
use super::options::{Concurrency, SimulatorOptions};
use super::refusal::Refusal;
use super::spec::{Access, Activation, KeySpec, PartnerSpec, Version};
use super::tokens::{Claims, TokenForm, mint};

/// What the server's tasks and the test's handles share.
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) concurrency: Concurrency,
    pub(super) costs: BTreeMap<String, u32>,
    pub(super) compress: bool,
    /// Calls so far: the source of request-ids.
    calls: AtomicU64,
    connections: AtomicU64,
    state: Mutex<State>,
}

impl World {
    pub(super) fn new(options: &SimulatorOptions, clock: Clock) -> Self {
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
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A partner and its secret.
pub(super) struct PartnerState {
    pub(super) secret: String,
    pub(super) refusal: Option<Refusal>,
    pub(super) third_party: u64,
}

/// A key, whatever its tokens.
pub(super) struct KeyState {
    pub(super) partner: Arc<str>,
    pub(super) access: Access,
    pub(super) form: TokenForm,
    /// The token last issued.
    pub(super) token: Option<String>,
    pub(super) activated: bool,
    pub(super) activation: Activation,
    pub(super) refusal: Option<Refusal>,
    pub(super) forbidden: BTreeMap<String, Refusal>,
    pub(super) version: Version,
    pub(super) limits: Limits,
    pub(super) traffic: Traffic,
}

/// A token that was issued; it stays known after its end, so that its calls are still told apart.
pub(super) struct TokenState {
    pub(super) key: Arc<str>,
    pub(super) opens: Access,
    pub(super) ends: Option<Instant>,
    /// What it gets after its end.
    pub(super) ended: Refusal,
    pub(super) budget: Budget,
}

impl TokenState {
    pub(super) fn has_ended(&self, now: Instant) -> bool {
        self.ends.is_some_and(|end| end <= now)
    }
}

/// What changes.
pub(super) struct State {
    clock: Clock,
    limits: Limits,
    pub(super) partners: BTreeMap<Arc<str>, PartnerState>,
    pub(super) keys: BTreeMap<Arc<str>, KeyState>,
    /// By mail.
    pub(super) accounts: BTreeMap<String, AccountState>,
    pub(super) tokens: HashMap<String, TokenState>,
    pub(super) commands: Commands,
    pub(super) journal: Journal,
    pub(super) traffic: Traffic,
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

    pub(super) fn add_partner(&mut self, spec: &PartnerSpec) {
        let third_party = FIRST_THIRD_PARTY + self.third_parties;
        self.third_parties += 1;
        let partner =
            PartnerState { secret: spec.secret.clone(), refusal: spec.refusal.clone(), third_party };
        self.partners.insert(spec.name.as_str().into(), partner);
        for key in &spec.keys {
            self.add_key(&spec.name, key);
        }
    }

    pub(super) fn remove_partner(&mut self, name: &str) {
        let Self { keys, tokens, accounts, .. } = self;
        keys.retain(|_, key| &*key.partner != name);
        tokens.retain(|_, token| keys.contains_key(&token.key));
        accounts.retain(|_, account| keys.contains_key(&account.key));
        self.partners.remove(name);
    }

    pub(super) fn add_key(&mut self, partner: &str, spec: &KeySpec) {
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
    pub(super) fn remove_key(&mut self, name: &str) {
        // Fleets of thousands are built key by key: a new one has nothing to look for.
        if self.keys.remove(name).is_none() {
            return;
        }
        self.tokens.retain(|_, token| &*token.key != name);
        self.accounts.retain(|_, account| &*account.key != name);
    }

    /// Gives the key a token, the one at hand or a minted one, that ends after its lifetime if it has one.
    pub(super) fn issue(
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
    pub(super) fn end_tokens(&mut self, key: &str) {
        for token in self.tokens.values_mut().filter(|token| &*token.key == key) {
            token.ends = Some(Instant::now());
            token.ended = not_found(&token.opens);
        }
    }

    pub(super) fn counts(&self, key: &str) -> Counts {
        self.keys.get(key).map(|key| key.traffic.counts).unwrap_or_default()
    }
}

/// What a token gets that doesn't exist, or was revoked.
pub(super) fn not_found(access: &Access) -> Refusal {
    Refusal::new(match access {
        Access::Society { .. } => "ERR-API-TOKEN-NOT-FOUND",
        Access::Firm { .. } => "ERR-FIRM-TOKEN-NOT-FOUND",
    })
}
