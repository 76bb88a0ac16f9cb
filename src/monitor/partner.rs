//! Watches one partner's secret, which all its keys are sent with.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use secrecy::SecretString;
use tracing::{info, warn};

use crate::config;
use crate::key_state::{PersistedSecretState, SecretState, Transition};
use crate::partner_api::request_id::RequestId;
use crate::report::ProbeReport;
use crate::secret::{SecretError, SecretKind, WatchedSecret};
use crate::state::MonitoredPartner;
use crate::store::{Fingerprint, StateUpdate, Store};

/// One partner's secret, shared by the watchers of its keys.
#[derive(Debug)]
pub struct PartnerMonitor {
    /// Its place on the board.
    pub partner: Arc<MonitoredPartner>,
    secret: Mutex<SecretWithFingerprint>,
    /// Held while a change is being saved, so that changes reach the disk in their order.
    saving: tokio::sync::Mutex<()>,
}

/// The secret, and what of it the board is about.
#[derive(Debug)]
struct SecretWithFingerprint {
    watched: WatchedSecret,
    fingerprint: Option<Fingerprint>,
}

impl PartnerMonitor {
    /// Watches `partner`'s secret, going on from what the store remembers of it.
    #[must_use]
    pub fn new(store: &Store, partner: &config::Partner) -> Self {
        let mut watched = WatchedSecret::new(partner.secret.clone(), SecretKind::HeaderValue);
        let fingerprint = watched.current().ok().map(|secret| Fingerprint::of_secret(&partner.name, secret));
        let persisted = fingerprint.as_ref().and_then(|fingerprint| store.secret(&partner.name, fingerprint));
        let persisted = persisted.unwrap_or_else(|| PersistedSecretState::new(SystemTime::now()));
        Self {
            partner: Arc::new(MonitoredPartner::new(Arc::clone(&partner.name), persisted)),
            secret: Mutex::new(SecretWithFingerprint { watched, fingerprint }),
            saving: tokio::sync::Mutex::default(),
        }
    }

    /// The secret, read afresh where its file changed. A replaced one starts anew.
    pub(super) fn secret(&self) -> Result<(SecretString, Fingerprint), SecretError> {
        let mut held = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = held.watched.current()?.clone();
        let fingerprint = Fingerprint::of_secret(&self.partner.name, &secret);
        if held.fingerprint.as_ref() != Some(&fingerprint) {
            *self.partner.secret() = PersistedSecretState::new(SystemTime::now());
            if held.fingerprint.replace(fingerprint.clone()).is_some() {
                info!(partner = &*self.partner.name, "the secret was replaced: its history starts anew");
            }
        }
        Ok((secret, fingerprint))
    }

    /// Learns what the answer to a call made with the secret of this fingerprint says about it.
    pub(super) async fn apply_secret_evidence(
        &self,
        fingerprint: Fingerprint,
        report: &ProbeReport,
        store: &Store,
    ) {
        self.restore_persisted(&fingerprint, store);
        let Some(evidence) = report.answer.as_ref().and_then(|answer| answer.secret) else { return };
        let step = || {
            let known = *self.partner.secret();
            let (next, change) = known.step(evidence, SystemTime::now());
            (next != known).then_some((next, change))
        };
        if step().is_none() {
            return;
        }
        let _saving = self.saving.lock().await;
        // Another key of this partner may have been first; and an answer to a secret that was
        // replaced meanwhile says nothing about the new one.
        let Some((next, change)) = step().filter(|_| self.belongs_to(&fingerprint)) else { return };
        let partner = Arc::clone(&self.partner.name);
        super::persist(store, StateUpdate::Secret { partner, fingerprint, persisted: next }).await;
        *self.partner.secret() = next;
        if let Some(change) = change {
            self.log_transition(change, report);
        }
    }

    /// Takes up what the store remembers and this watch does not know: the storage folder, or the
    /// secret, may have become readable only after the start.
    fn restore_persisted(&self, fingerprint: &Fingerprint, store: &Store) {
        // What is being saved right now is shown once it is on disk.
        let Ok(_saving) = self.saving.try_lock() else { return };
        if self.partner.secret().has_been_active || !self.belongs_to(fingerprint) {
            return;
        }
        if let Some(persisted) = store.secret(&self.partner.name, fingerprint) {
            *self.partner.secret() = persisted;
        }
    }

    fn belongs_to(&self, fingerprint: &Fingerprint) -> bool {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner).fingerprint.as_ref() == Some(fingerprint)
    }

    fn log_transition(&self, Transition { from, to }: Transition<SecretState>, report: &ProbeReport) {
        let partner = &*self.partner.name;
        let code = report.code();
        let request_id = report.request_id.as_ref().map(RequestId::as_str);
        if to == SecretState::Active {
            info!(partner, %from, %to, request_id, "secret state changed");
        } else {
            warn!(partner, %from, %to, code, request_id, "secret state changed");
        }
    }
}
