//! Monitors one partner's secret, which is sent with the requests of all its keys.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use secrecy::SecretString;
use tracing::{info, warn};

use crate::config;
use crate::key_state::{PersistedSecretState, SecretState};
use crate::partner_api::request_id::RequestId;
use crate::report::ProbeReport;
use crate::secret::{SecretError, SecretKind, SecretSource, WatchedSecret};
use crate::state::MonitoredPartner;
use crate::store::{Fingerprint, StateUpdate, Store};

/// Monitors one partner's secret; shared by the monitors of its keys.
#[derive(Debug)]
pub(crate) struct PartnerMonitor {
    /// The partner in the shared state.
    pub partner: Arc<MonitoredPartner>,
    /// Where the secret is read from, to compare it with a new configuration.
    pub source: SecretSource,
    secret: Mutex<SecretWithFingerprint>,
    /// Locked while a change is being persisted, so that changes reach the disk in order.
    saving: tokio::sync::Mutex<()>,
}

/// The secret, and the fingerprint of the secret that the shared state belongs to.
#[derive(Debug)]
struct SecretWithFingerprint {
    watched: WatchedSecret,
    fingerprint: Option<Fingerprint>,
}

impl PartnerMonitor {
    /// Starts with the persisted state of the secret, if there is one.
    pub(crate) fn new(store: &Store, partner: &config::Partner) -> Self {
        let mut watched = WatchedSecret::new(partner.secret.clone(), SecretKind::HeaderValue);
        let fingerprint = watched.current().ok().map(|secret| Fingerprint::of_secret(&partner.name, secret));
        let persisted = fingerprint.as_ref().and_then(|fingerprint| store.secret(&partner.name, fingerprint));
        let persisted = persisted.unwrap_or_else(|| PersistedSecretState::new(SystemTime::now()));
        Self {
            partner: Arc::new(MonitoredPartner::new(Arc::clone(&partner.name), persisted)),
            source: partner.secret.clone(),
            secret: Mutex::new(SecretWithFingerprint { watched, fingerprint }),
            saving: tokio::sync::Mutex::default(),
        }
    }

    /// The current secret, read again if its file changed. The state of a replaced secret starts again
    /// from unknown.
    pub(super) fn secret(&self) -> Result<(SecretString, Fingerprint), SecretError> {
        let mut guarded = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = guarded.watched.current()?.clone();
        let fingerprint = Fingerprint::of_secret(&self.partner.name, &secret);
        if guarded.fingerprint.as_ref() != Some(&fingerprint) {
            *self.partner.secret() = PersistedSecretState::new(SystemTime::now());
            if guarded.fingerprint.replace(fingerprint.clone()).is_some() {
                info!(partner = &*self.partner.name, "the secret was replaced; its state starts again");
            }
        }
        Ok((secret, fingerprint))
    }

    /// Applies what the response to a request proves about the secret with this fingerprint, which the
    /// request was sent with. A change is persisted before it is shown.
    pub(super) async fn apply_secret_evidence(
        &self,
        fingerprint: Fingerprint,
        report: &ProbeReport,
        store: &Store,
    ) {
        self.restore_persisted(&fingerprint, store);
        let Some(evidence) = report.judgement.as_ref().and_then(|judgement| judgement.secret) else { return };
        let next_state = || {
            let known = *self.partner.secret();
            let next = known.step(evidence, SystemTime::now());
            (next != known).then_some((known.state, next))
        };
        if next_state().is_none() {
            return;
        }
        let _guard = self.saving.lock().await;
        // Another key of this partner may have applied the same evidence, and a response to a secret that was
        // replaced meanwhile proves nothing about the new one.
        let Some((from, next)) = next_state().filter(|_| self.belongs_to(&fingerprint)) else { return };
        let partner = Arc::clone(&self.partner.name);
        super::persist(store, StateUpdate::Secret { partner, fingerprint, persisted: next }).await;
        *self.partner.secret() = next;
        if next.state != from {
            self.log_transition(from, next.state, report);
        }
    }

    /// Restores a persisted state that this monitor does not know yet: the storage directory or the
    /// secret may have become readable only after the start. A secret that was active needs no older
    /// state.
    fn restore_persisted(&self, fingerprint: &Fingerprint, store: &Store) {
        // A state that is being persisted is shown when it is on disk.
        let Ok(_guard) = self.saving.try_lock() else { return };
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

    fn log_transition(&self, from: SecretState, to: SecretState, report: &ProbeReport) {
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
