//! The shared state in memory: what the exporter knows at this moment about the API and every partner, key and
//! probe.
//!
//! The probes write it; `/metrics` and the pages read it. It makes no decisions, and it never holds the body of
//! a response. Each key has its own lock, which is held only for a few assignments, so that 10,000 keys and a
//! scrape do not wait for each other.

mod certificates;
pub(crate) mod history;
mod status;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use url::Url;

use crate::clock_steps::Step;
use crate::config::{Labels, Settings};
use crate::key_state::{PersistedSecretState, SecretState};
use crate::label::escape;
use crate::partner_api::Access;

use crate::partner_api::request_id::RequestId;
use certificates::Certificates;
use history::{TransitionRecord, Transitions};
pub(crate) use status::{
    Episode, EpisodeChange, HealthState, HealthStatus, KeyStatus, KeyUse, LastProbe, ProbeStatus, Skip,
    TokenUse, TransitionCause,
};

#[derive(Debug, Default)]
pub(crate) struct SharedState {
    health: Mutex<HealthStatus>,
    inventory: RwLock<Arc<Inventory>>,
    certificates: Mutex<Certificates>,
    reload_failure: Mutex<Option<ReloadFailure>>,
    storage_failure: Mutex<Option<StorageFailure>>,
    restore_failure: Mutex<Option<RestoreFailure>>,
}

/// Why the last reload of the configuration failed.
#[derive(Clone, Debug)]
pub(crate) struct ReloadFailure {
    pub at: SystemTime,
    /// Contains no secret.
    pub text: Arc<str>,
}

/// Why the persisted state cannot be written.
#[derive(Clone, Debug)]
pub(crate) struct StorageFailure {
    pub since: SystemTime,
    pub text: Arc<str>,
}

/// Why what the storage lost is not restored from Prometheus.
#[derive(Clone, Debug)]
pub(crate) struct RestoreFailure {
    pub since: SystemTime,
    /// Contains no secret.
    pub text: Arc<str>,
}

/// The configured partners and keys. A reload replaces the whole inventory; partners and keys that did not
/// change are carried over.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub settings: Arc<Settings>,
    /// In the order of the configuration.
    pub partners: Vec<Arc<MonitoredPartner>>,
    /// The keys of all partners, partner by partner.
    pub keys: Vec<Arc<MonitoredKey>>,
    /// For each name of a probe, the interval that most keys use. [`SharedState::set_inventory`] sets it.
    pub usual_intervals: BTreeMap<Arc<str>, Duration>,
}

/// Why a secret, token or password cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CredentialProblem {
    /// Contains no secret.
    pub text: Arc<str>,
    /// Whether it was read before, so that the probes continue with that value.
    pub last_value_serves: bool,
}

#[derive(Debug)]
pub(crate) struct MonitoredPartner {
    pub name: Arc<str>,
    /// The labels of all series about the partner, escaped for the text format.
    pub labels: Box<str>,
    secret: Mutex<PersistedSecretState>,
    transitions: Mutex<Transitions<SecretState>>,
    /// Whether the API accepted the secret since the start of the process.
    was_accepted: AtomicBool,
    /// Why the secret cannot be read now, if it cannot.
    credential_problem: Mutex<Option<CredentialProblem>>,
}

#[derive(Debug)]
pub(crate) struct MonitoredKey {
    pub partner: Arc<MonitoredPartner>,
    pub name: Arc<str>,
    /// The labels of all series about the key, escaped for the text format. They are in every sample, so they
    /// are built once.
    pub labels: Box<str>,
    pub access: Access,
    /// What the operator wants to see beside the key. A reload can change them.
    operator_labels: Mutex<Labels>,
    status: Mutex<KeyStatus>,
}

impl SharedState {
    pub(crate) fn health(&self) -> MutexGuard<'_, HealthStatus> {
        lock(&self.health)
    }

    pub(crate) fn inventory(&self) -> Arc<Inventory> {
        Arc::clone(&self.inventory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The system clock was set: the times of the last probes follow it.
    pub(crate) fn correct_times(&self, step: Step) {
        self.health().probe.correct_times(step);
        for key in &self.inventory().keys {
            for probe in &mut key.status().probes {
                probe.correct_times(step);
            }
        }
    }

    pub(crate) fn set_inventory(&self, mut inventory: Inventory) {
        inventory.usual_intervals = usual_intervals(&inventory.keys);
        *self.inventory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(inventory);
    }

    /// Records when the certificate chain that `url`'s server just sent expires, whether it is trusted or not.
    pub(crate) fn record_certificate(&self, url: &Url, expiry: SystemTime) {
        lock(&self.certificates).record(url, expiry, Instant::now());
    }

    /// Why the last reload failed; `None` after one that succeeded.
    pub(crate) fn reload_failure(&self) -> Option<ReloadFailure> {
        lock(&self.reload_failure).clone()
    }

    pub(crate) fn set_reload_failure(&self, failure: Option<ReloadFailure>) {
        *lock(&self.reload_failure) = failure;
    }

    /// Why the persisted state cannot be written; `None` if the last write succeeded.
    pub(crate) fn storage_failure(&self) -> Option<StorageFailure> {
        lock(&self.storage_failure).clone()
    }

    /// Records the result of a write.
    pub(crate) fn record_write(&self, written: Result<(), &std::io::Error>) {
        let mut failure = lock(&self.storage_failure);
        match written {
            Ok(()) => *failure = None,
            Err(cause) => {
                let since = failure.as_ref().map_or_else(SystemTime::now, |failure| failure.since);
                *failure = Some(StorageFailure { since, text: cause.to_string().into() });
            }
        }
    }

    /// Why nothing can be restored from Prometheus; `None` if the last query succeeded, or if nothing is restored.
    pub(crate) fn restore_failure(&self) -> Option<RestoreFailure> {
        lock(&self.restore_failure).clone()
    }

    /// Records the result of a query. A failure that goes on keeps its begin.
    pub(crate) fn set_restore_failure(&self, new: Option<RestoreFailure>) {
        let mut failure = lock(&self.restore_failure);
        let since = failure.as_ref().map(|failure| failure.since);
        *failure = new.map(|new| RestoreFailure { since: since.unwrap_or(new.since), ..new });
    }

    /// For each configured host that a probe connected to, the earliest expiry of a certificate chain lately seen.
    pub(crate) fn certificates(&self) -> BTreeMap<String, SystemTime> {
        let settings = Arc::clone(&self.inventory().settings);
        let configured = [&settings.api.base_url, &settings.api.auth_url];
        lock(&self.certificates).earliest_by_host(configured, Instant::now())
    }
}

impl RestoreFailure {
    pub(crate) fn now(text: &str) -> Self {
        Self { since: SystemTime::now(), text: text.into() }
    }
}

impl Inventory {
    /// Finds a key by the name of its partner and its own name.
    pub(crate) fn key(&self, partner: &str, key: &str) -> Option<&Arc<MonitoredKey>> {
        self.keys.iter().find(|candidate| *candidate.name == *key && *candidate.partner.name == *partner)
    }

    /// Each partner with the number of its keys.
    pub(crate) fn key_counts(&self) -> impl Iterator<Item = (&MonitoredPartner, usize)> {
        let mut counts = BTreeMap::<&str, usize>::new();
        for key in &self.keys {
            *counts.entry(&key.partner.name).or_default() += 1;
        }
        let count = move |partner: &MonitoredPartner| counts.get(&*partner.name).copied().unwrap_or_default();
        self.partners.iter().map(move |partner| (&**partner, count(partner)))
    }
}

impl MonitoredPartner {
    pub(crate) fn new(name: Arc<str>, secret: PersistedSecretState) -> Self {
        let labels = format!("partner=\"{}\"", escape(&name)).into();
        Self {
            name,
            labels,
            secret: Mutex::new(secret),
            transitions: Mutex::default(),
            was_accepted: AtomicBool::default(),
            credential_problem: Mutex::default(),
        }
    }

    pub(crate) fn credential_problem(&self) -> MutexGuard<'_, Option<CredentialProblem>> {
        lock(&self.credential_problem)
    }

    pub(crate) fn secret(&self) -> PersistedSecretState {
        *lock(&self.secret)
    }

    /// Shows a new state of the secret. `request_id`: of the response that caused a change.
    pub(crate) fn set_secret(&self, secret: PersistedSecretState, request_id: Option<RequestId>) {
        let before = std::mem::replace(&mut *lock(&self.secret), secret).state;
        let mut transitions = lock(&self.transitions);
        let last_change = transitions.iter().next_back().map_or(SecretState::Unknown, |last| last.from);
        let from = if before == SecretState::Unknown { last_change } else { before };
        if before != secret.state {
            let (at, to) = (secret.since, secret.state);
            let seen = self.was_accepted.load(Ordering::Relaxed);
            transitions.push(TransitionRecord { at, from, to, seen, code: None, request_id });
        }
    }

    /// Notes that the API has just accepted the secret: a refusal after that is a change that was seen.
    pub(crate) fn note_acceptance(&self) {
        self.was_accepted.store(true, Ordering::Relaxed);
    }

    /// The last changes of the secret's state.
    pub(crate) fn transitions(&self) -> MutexGuard<'_, Transitions<SecretState>> {
        lock(&self.transitions)
    }
}

impl MonitoredKey {
    pub(crate) fn new(
        partner: Arc<MonitoredPartner>,
        name: Arc<str>,
        access: Access,
        status: KeyStatus,
    ) -> Self {
        let labels = format!("{},key=\"{}\"", partner.labels, escape(&name)).into();
        Self { partner, name, labels, access, operator_labels: Mutex::default(), status: Mutex::new(status) }
    }

    /// The labels that the operator gave the key in the configuration.
    pub(crate) fn operator_labels(&self) -> Labels {
        Arc::clone(&lock(&self.operator_labels))
    }

    pub(crate) fn set_operator_labels(&self, labels: Labels) {
        *lock(&self.operator_labels) = labels;
    }

    pub(crate) fn status(&self) -> MutexGuard<'_, KeyStatus> {
        lock(&self.status)
    }
}

/// Of two intervals that are used equally often, the shorter one is the usual one.
fn usual_intervals(keys: &[Arc<MonitoredKey>]) -> BTreeMap<Arc<str>, Duration> {
    let mut counts = BTreeMap::<Arc<str>, BTreeMap<Duration, usize>>::new();
    for key in keys {
        for probe in &key.status().probes {
            let intervals = match counts.get_mut(&probe.name) {
                Some(intervals) => intervals,
                None => counts.entry(Arc::clone(&probe.name)).or_default(),
            };
            *intervals.entry(probe.interval).or_default() += 1;
        }
    }
    let usual = |intervals: BTreeMap<Duration, usize>| {
        intervals.into_iter().rev().max_by_key(|(_, count)| *count).map(|(interval, _)| interval)
    };
    counts.into_iter().filter_map(|(name, intervals)| Some((name, usual(intervals)?))).collect()
}

/// Uses a lock also after a panic: the state consists of plain values, and a panic leaves none of them half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
