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
use crate::key_state::SecretMemory;
use crate::label::escape;
use crate::partner_api::Access;

pub use status::{
    Episode, EpisodeChange, HealthState, HealthStatus, KeyStatus, LastProbe, ProbeStatus, Skip,
};

/// The board itself.
#[derive(Debug, Default)]
pub struct Board {
    health: Mutex<HealthStatus>,
    fleet: RwLock<Arc<Fleet>>,
    certificates: Mutex<BTreeMap<String, SystemTime>>,
}

/// Who is watched; replaced whole when the configuration is. Entries that stay are carried over.
#[derive(Debug, Default)]
pub struct Fleet {
    /// What holds for the whole fleet.
    pub settings: Arc<Settings>,
    /// The partners, in the configuration's order.
    pub partners: Vec<Arc<PartnerEntry>>,
    /// All their keys, partner by partner.
    pub keys: Vec<Arc<KeyEntry>>,
}

/// A partner on the board.
#[derive(Debug)]
pub struct PartnerEntry {
    /// Its label.
    pub name: Arc<str>,
    /// The labels of what is about it, as they are written.
    pub labels: Box<str>,
    secret: Mutex<SecretMemory>,
}

/// A key on the board.
#[derive(Debug)]
pub struct KeyEntry {
    /// Whose key it is.
    pub partner: Arc<PartnerEntry>,
    /// Its label.
    pub name: Arc<str>,
    /// The labels of what is about it, as they are written: made once, for they stand in every sample.
    pub labels: Box<str>,
    /// What its token opens.
    pub access: Access,
    status: Mutex<KeyStatus>,
}

impl Board {
    /// What is known of the health route.
    pub fn health(&self) -> MutexGuard<'_, HealthStatus> {
        lock(&self.health)
    }

    /// Who is watched now.
    #[must_use]
    pub fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&self.fleet.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another fleet up, at once and whole.
    pub fn set_fleet(&self, fleet: Fleet) {
        *self.fleet.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fleet);
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

impl Fleet {
    /// The key of these names.
    #[must_use]
    pub fn key(&self, partner: &str, key: &str) -> Option<&Arc<KeyEntry>> {
        self.keys.iter().find(|entry| *entry.name == *key && *entry.partner.name == *partner)
    }
}

impl PartnerEntry {
    /// A partner whose secret is remembered as `memory`.
    #[must_use]
    pub fn new(name: Arc<str>, memory: SecretMemory) -> Self {
        let labels = format!("partner=\"{}\"", escape(&name)).into();
        Self { name, labels, secret: Mutex::new(memory) }
    }

    /// The state of its secret.
    pub fn secret(&self) -> MutexGuard<'_, SecretMemory> {
        lock(&self.secret)
    }
}

impl KeyEntry {
    /// A key with what is known of it.
    #[must_use]
    pub fn new(partner: Arc<PartnerEntry>, name: Arc<str>, access: Access, status: KeyStatus) -> Self {
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
