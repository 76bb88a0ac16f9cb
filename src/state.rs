//! The board: what is known right now of the API, every partner, key and probe.
//!
//! Probes write to it, `/metrics` and the pages read from it. Nothing here decides anything, and
//! nothing of an answer's body ever gets here. Each key has a lock of its own, held for a few
//! assignments only, so that ten thousand keys and a scrape do not wait for one another.

pub mod history;
mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use crate::config::Settings;
use crate::key_state::PersistedSecretState;
use crate::label::escape;
use crate::partner_api::Access;

pub use status::{
    Episode, EpisodeChange, HealthState, HealthStatus, KeyStatus, LastProbe, ProbeStatus, Skip,
};

/// The board itself.
#[derive(Debug, Default)]
pub struct SharedState {
    health: Mutex<HealthStatus>,
    inventory: RwLock<Arc<Inventory>>,
    certificates: Mutex<BTreeMap<String, SystemTime>>,
}

/// Who is watched; replaced whole when the configuration is. Entries that stay are carried over.
#[derive(Debug, Default)]
pub struct Inventory {
    /// What holds for the whole fleet.
    pub settings: Arc<Settings>,
    /// The partners, in the configuration's order.
    pub partners: Vec<Arc<MonitoredPartner>>,
    /// All their keys, partner by partner.
    pub keys: Vec<Arc<MonitoredKey>>,
}

/// A partner on the board.
#[derive(Debug)]
pub struct MonitoredPartner {
    /// Its label.
    pub name: Arc<str>,
    /// The labels of what is about it, as they are written.
    pub labels: Box<str>,
    secret: Mutex<PersistedSecretState>,
}

/// A key on the board.
#[derive(Debug)]
pub struct MonitoredKey {
    /// Whose key it is.
    pub partner: Arc<MonitoredPartner>,
    /// Its label.
    pub name: Arc<str>,
    /// The labels of what is about it, as they are written: made once, for they stand in every sample.
    pub labels: Box<str>,
    /// What its token opens.
    pub access: Access,
    status: Mutex<KeyStatus>,
}

impl SharedState {
    /// What is known of the health route.
    pub fn health(&self) -> MutexGuard<'_, HealthStatus> {
        lock(&self.health)
    }

    /// Who is watched now.
    #[must_use]
    pub fn inventory(&self) -> Arc<Inventory> {
        Arc::clone(&self.inventory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another fleet up, at once and whole.
    pub fn set_inventory(&self, inventory: Inventory) {
        *self.inventory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(inventory);
    }

    /// Notes when a host's certificate chain ends (the earliest of it), verified or not.
    pub fn set_certificate_expiry(&self, host: &str, expiry: SystemTime) {
        let mut certificates = lock(&self.certificates);
        match certificates.get_mut(host) {
            Some(known) => *known = expiry,
            None => drop(certificates.insert(host.to_owned(), expiry)),
        }
    }

    /// Each host seen, with the earliest end of its certificate chain.
    #[must_use]
    pub fn certificates(&self) -> BTreeMap<String, SystemTime> {
        lock(&self.certificates).clone()
    }
}

impl Inventory {
    /// The key of these names.
    #[must_use]
    pub fn key(&self, partner: &str, key: &str) -> Option<&Arc<MonitoredKey>> {
        self.keys.iter().find(|entry| *entry.name == *key && *entry.partner.name == *partner)
    }
}

impl MonitoredPartner {
    /// A partner whose secret is remembered as `memory`.
    #[must_use]
    pub fn new(name: Arc<str>, memory: PersistedSecretState) -> Self {
        let labels = format!("partner=\"{}\"", escape(&name)).into();
        Self { name, labels, secret: Mutex::new(memory) }
    }

    /// The state of its secret.
    pub fn secret(&self) -> MutexGuard<'_, PersistedSecretState> {
        lock(&self.secret)
    }
}

impl MonitoredKey {
    /// A key with what is known of it.
    #[must_use]
    pub fn new(partner: Arc<MonitoredPartner>, name: Arc<str>, access: Access, status: KeyStatus) -> Self {
        let labels = format!("{},key=\"{}\"", partner.labels, escape(&name)).into();
        Self { partner, name, labels, access, status: Mutex::new(status) }
    }

    /// What is known of it.
    pub fn status(&self) -> MutexGuard<'_, KeyStatus> {
        lock(&self.status)
    }
}

/// A panic while a lock is held leaves plain figures behind, none of them half-written: go on with them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
