//! Monitors one key.

use std::sync::Arc;
use std::time::SystemTime;

use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::account::TokenFailure;
use super::budget_guard::BudgetGuard;
use super::partner::PartnerMonitor;
use super::token_provider::TokenProvider;
use super::{Context, MonitorSettings, log_episode, persist};
use crate::config::{self, Probe, Target};
use crate::key_state::{EvidenceSource, KeyState, PersistedKeyState};
use crate::partner_api::KeyInfoMode;
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::judge::{KeyEvidence, RequestKind};
use crate::partner_api::request_id::RequestId;
use crate::probe::{Credentials, ProbeRequest};
use crate::report::ProbeReport;
use crate::state::{KeyStatus, MonitoredKey, ProbeStatus, Skip};
use crate::store::{Fingerprint, StateUpdate};

/// Sends the probes of one key, one request at a time.
#[derive(Debug)]
pub(crate) struct KeyMonitor {
    pub context: Arc<Context>,
    settings: MonitorSettings,
    partner_monitor: Arc<PartnerMonitor>,
    key: Arc<MonitoredKey>,
    definition: config::Key,
    /// Locked during a whole probe, so that there is only one request at a time.
    session: Mutex<KeySession>,
}

/// What is kept from one request to the next.
#[derive(Debug)]
struct KeySession {
    tokens: TokenProvider,
    budget_guard: BudgetGuard,
    /// Of the token or account that the key in the shared state belongs to.
    fingerprint: Option<Fingerprint>,
}

impl KeyMonitor {
    /// Starts with the persisted state of `key`, if there is one. If the definition of the key changed,
    /// `old` is the same key under the earlier configuration, and its history is carried over.
    pub(crate) fn new(
        context: Arc<Context>,
        settings: MonitorSettings,
        partner_monitor: Arc<PartnerMonitor>,
        key: &config::Key,
        old: Option<&MonitoredKey>,
    ) -> Self {
        let mut tokens = TokenProvider::new(&key.credential);
        let fingerprint = tokens.initial_fingerprint(&partner_monitor.partner.name, &key.name);
        let persisted = fingerprint
            .as_ref()
            .and_then(|fingerprint| context.store.key(&partner_monitor.partner.name, &key.name, fingerprint))
            .unwrap_or_else(|| PersistedKeyState::new(SystemTime::now()));
        let probes = key.probes.iter();
        let probes = probes.map(|probe| ProbeStatus::new(Arc::clone(&probe.name), probe.timing.interval));
        let mut status = KeyStatus::new(persisted, probes);
        if let Some(old) = old {
            status.carry_over(&old.status());
        }
        if let Some(token) = tokens.permanent_token() {
            status.reset_from_token(token);
        }
        let (partner, name) = (Arc::clone(&partner_monitor.partner), Arc::clone(&key.name));
        let monitored_key = MonitoredKey::new(partner, name, key.access, status);
        let session = KeySession { tokens, budget_guard: BudgetGuard::default(), fingerprint };
        Self {
            context,
            settings,
            partner_monitor,
            key: Arc::new(monitored_key),
            definition: key.clone(),
            session: Mutex::new(session),
        }
    }

    /// Whether a new monitor with these arguments would do the same.
    pub(crate) fn matches(
        &self,
        settings: &MonitorSettings,
        partner: &Arc<PartnerMonitor>,
        key: &config::Key,
    ) -> bool {
        self.settings == *settings && self.definition == *key && Arc::ptr_eq(&self.partner_monitor, partner)
    }

    /// The probes in the order of the configuration; [`Self::run`] takes an index into them.
    pub(crate) fn probes(&self) -> &[Probe] {
        &self.definition.probes
    }

    /// The key in the shared state.
    pub(crate) const fn monitored_key(&self) -> &Arc<MonitoredKey> {
        &self.key
    }

    /// Runs one probe that was due at `due` (`None` if it is not scheduled). Returns `None` if it was skipped,
    /// because the key's budget is low or there are no file descriptors or memory for a connection, or if there
    /// is no probe with this index.
    pub(crate) async fn run(&self, index: usize, due: Option<Instant>) -> Option<ProbeReport> {
        let probe = self.probes().get(index)?;
        let mut session = self.session.lock().await;
        self.restore_persisted(&session);
        if session.budget_guard.blocks(self.settings.keep_free, Instant::now()) {
            self.skip(index, Skip::RateLimit, 1);
            return None;
        }
        // The semaphore is never closed. If it were, probing without a limit would be better than not
        // probing.
        let _permit = self.context.probe_permits.acquire().await.ok();
        let _in_flight = self.context.metrics.in_flight();
        self.context.record_start(due);
        let report = self.probe_with_token_renewal(&mut session, probe).await;
        if self.context.detect_resource_exhaustion(&report) {
            self.skip(index, Skip::NoResources, 1);
            return None;
        }
        self.publish_report(index, probe, &session, &report);
        Some(report)
    }

    /// Counts due times without a probe.
    pub(crate) fn skip(&self, index: usize, reason: Skip, times: u64) {
        if let Some(probe) = self.key.status().probes.get_mut(index) {
            probe.skip(reason, times);
        }
    }

    /// A four-hour token may become invalid early (another log-in, a restart at MyUnisoft). So the refusal of
    /// an older token proves nothing about the key; the refusal of a new one does.
    async fn probe_with_token_renewal(&self, session: &mut KeySession, probe: &Probe) -> ProbeReport {
        let mut report = self.send_request(session, probe).await;
        let evidence = report.judgement.as_ref().and_then(|judgement| judgement.key);
        if evidence.is_some_and(is_token_refused) && session.tokens.discard_refused_token() {
            report = self.send_request(session, probe).await;
        }
        self.apply_evidence(session, probe, &report).await;
        report
    }

    /// Sends one request, if there are a token and a secret. Applies the evidence about the secret.
    async fn send_request(&self, session: &mut KeySession, probe: &Probe) -> ProbeReport {
        let (secret, secret_fingerprint) = match self.partner_monitor.secret() {
            Ok(secret) => secret,
            Err(error) => return ProbeReport::unsent(Failure::new(Reason::Secret, error.to_string()), None),
        };
        let token = match session.tokens.token(&self.context, &self.settings.prober).await {
            Ok(token) => token,
            Err(TokenFailure { failure, request_id }) => return ProbeReport::unsent(failure, request_id),
        };
        self.reset_if_token_changed(session, &token);
        let report = self.settings.prober.probe(request(probe, &token, &secret)).await;
        if let Some(judgement) = &report.judgement {
            session.budget_guard.update(&judgement.budget, is_out_of_budget(&report), Instant::now());
        }
        self.partner_monitor.apply_secret_evidence(secret_fingerprint, &report, &self.context.store).await;
        report
    }

    /// Restores a persisted state that this monitor does not know yet: the storage directory or the
    /// token may have become readable only after the start. The store also has the states that this
    /// monitor itself determined. A key that was active needs no older state.
    fn restore_persisted(&self, session: &KeySession) {
        let Some(fingerprint) = &session.fingerprint else { return };
        if self.key.status().persisted.has_been_active {
            return;
        }
        if let Some(persisted) = self.context.store.key(&self.key.partner.name, &self.key.name, fingerprint) {
            self.key.status().persisted = persisted;
        }
    }

    /// If the token was replaced, the state starts again from unknown: the known state belongs to
    /// another token.
    fn reset_if_token_changed(&self, session: &mut KeySession, token: &SecretString) {
        let fingerprint = session.tokens.fingerprint(&self.key.partner.name, &self.key.name, token);
        if session.fingerprint.as_ref() == Some(&fingerprint) {
            return;
        }
        let mut status = self.key.status();
        status.set_persisted(PersistedKeyState::new(SystemTime::now()), None);
        status.reset_from_token(token);
        drop(status);
        if session.fingerprint.replace(fingerprint).is_some() {
            let (partner, key) = (&*self.key.partner.name, &*self.key.name);
            info!(partner, key, "the token was replaced; its state starts again");
        }
        self.restore_persisted(session);
    }

    /// Changes the key's state if the response proves something: first on disk, then in the shared state.
    async fn apply_evidence(&self, session: &KeySession, probe: &Probe, report: &ProbeReport) {
        let Some(evidence) = report.judgement.as_ref().and_then(|judgement| judgement.key) else { return };
        let Some(fingerprint) = session.fingerprint.clone() else { return };
        let known = self.key.status().persisted;
        let next = known.step(evidence, self.evidence_source(probe), SystemTime::now());
        if next == known {
            return;
        }
        let (partner, key) = (Arc::clone(&self.key.partner.name), Arc::clone(&self.key.name));
        persist(&self.context.store, StateUpdate::Key { partner, key, fingerprint, persisted: next }).await;
        self.key.status().set_persisted(next, Some(report));
        if next.state != known.state {
            self.log_transition(known.state, next.state, probe, report);
        }
    }

    fn evidence_source(&self, probe: &Probe) -> EvidenceSource {
        let is_extended = |probe: &Probe| matches!(probe.target, Target::KeyInfo(KeyInfoMode::Extended));
        if is_extended(probe) {
            return EvidenceSource::Authority;
        }
        // If key/info no longer responds, canaries decide: otherwise the key would stay pending for ever.
        let key_info_works = self.probes().iter().position(is_extended).is_some_and(|index| {
            let status = self.key.status();
            status.probes.get(index).is_some_and(|probe| probe.episode.is_none())
        });
        if key_info_works { EvidenceSource::CanaryBesideKeyInfo } else { EvidenceSource::Authority }
    }

    /// Records the report in the metrics and in the shared state.
    fn publish_report(&self, index: usize, probe: &Probe, session: &KeySession, report: &ProbeReport) {
        self.context.record_report(probe.histogram_label(), self.settings.prober.host(), report);
        let mut status = self.key.status();
        if let Some(judgement) = &report.judgement {
            status.record_response(judgement);
        }
        status.token_expiry = session.tokens.expiry().or(status.token_expiry);
        let change = status.record(index, report);
        drop(status);
        log_episode(change.as_ref(), Some(&self.key), &probe.name);
    }

    fn log_transition(&self, from: KeyState, to: KeyState, probe: &Probe, report: &ProbeReport) {
        let (partner, key, probe) = (&*self.key.partner.name, &*self.key.name, &*probe.name);
        let code = report.code();
        let request_id = report.request_id.as_ref().map(RequestId::as_str);
        if matches!(to, KeyState::Active | KeyState::Pending) {
            info!(partner, key, %from, %to, probe, request_id, "key state changed");
        } else {
            warn!(partner, key, %from, %to, probe, code, request_id, "key state changed");
        }
    }
}

/// Whether the response may mean that the token expired early.
const fn is_token_refused(evidence: KeyEvidence) -> bool {
    match evidence {
        KeyEvidence::NotFound | KeyEvidence::Invalid => true,
        KeyEvidence::Activated
        | KeyEvidence::NotActivated
        | KeyEvidence::Accepted
        | KeyEvidence::Disconnected
        | KeyEvidence::FolderNotFound
        | KeyEvidence::Forbidden => false,
    }
}

fn request<'a>(probe: &'a Probe, token: &'a SecretString, secret: &'a SecretString) -> ProbeRequest<'a> {
    let (kind, path, society_id) = match &probe.target {
        Target::KeyInfo(mode) => (RequestKind::KeyInfo(*mode), mode.path(), None),
        Target::Canary(canary) => (RequestKind::Canary(canary.method), &*canary.path, canary.society_id),
    };
    let credentials = Some(Credentials { token, secret, society_id });
    ProbeRequest { kind, path, credentials, timeout: probe.timing.timeout }
}

/// A 429 of a proxy counts too, although then the API's budget may not be exhausted.
fn is_out_of_budget(report: &ProbeReport) -> bool {
    let reason = report.outcome.as_ref().err().map(|failure| failure.reason);
    reason == Some(Reason::RateLimited) || report.status == Some(429)
}
