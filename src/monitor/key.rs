//! Watches one key.

use std::sync::Arc;
use std::time::SystemTime;

use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::account::TokenFailure;
use super::budget_guard::BudgetGuard;
use super::partner::PartnerMonitor;
use super::token::{TokenProvider, unreadable};
use super::{Context, MonitorSettings, log_episode, persist};
use crate::config::{self, Probe, Target};
use crate::key_state::{EvidenceSource, KeyState, PersistedKeyState, Transition};
use crate::partner_api::KeyInfoMode;
use crate::partner_api::failure::Reason;
use crate::partner_api::judge::{KeyEvidence, RequestKind};
use crate::partner_api::request_id::RequestId;
use crate::partner_api::{KEY_INFO_EXTENDED_PATH, KEY_INFO_PATH};
use crate::probe::{Call, Credentials};
use crate::report::ProbeReport;
use crate::state::{KeyStatus, MonitoredKey, ProbeStatus, Skip};
use crate::store::{Fingerprint, StateUpdate};
use crate::watchdog::Watchdog;

/// Asks with one key, one call at a time.
#[derive(Debug)]
pub struct KeyMonitor {
    context: Arc<Context>,
    settings: MonitorSettings,
    partner_monitor: Arc<PartnerMonitor>,
    key: Arc<MonitoredKey>,
    probes: Vec<Probe>,
    /// Its lock is held for the whole of a call: that is what makes it one at a time.
    session: Mutex<KeySession>,
}

/// What one call leaves to the next.
#[derive(Debug)]
struct KeySession {
    tokens: TokenProvider,
    budget_guard: BudgetGuard,
    /// The token that all on the board is about.
    fingerprint: Option<Fingerprint>,
}

/// What became of a probe that was to run.
#[derive(Debug)]
pub enum ProbeRun {
    /// It ran.
    Done(Box<ProbeReport>),
    /// It was left out, for the sake of the key's budget or for want of what a connection takes.
    Skipped(Skip),
}

impl KeyMonitor {
    /// Watches `key`, going on from what the store remembers of it and, where its definition changed
    /// in mid-life, from the figures that `old` has.
    #[must_use]
    pub fn new(
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
            status.describe(token);
        }
        let (partner, name) = (Arc::clone(&partner_monitor.partner), Arc::clone(&key.name));
        let monitored_key = MonitoredKey::new(partner, name, key.access, status);
        let session = KeySession { tokens, budget_guard: BudgetGuard::default(), fingerprint };
        Self {
            context,
            settings,
            partner_monitor,
            key: Arc::new(monitored_key),
            probes: key.probes.clone(),
            session: Mutex::new(session),
        }
    }

    /// Its probes, in order: an index into them is what [`Self::run`] takes.
    #[must_use]
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// Its place on the board.
    #[must_use]
    pub const fn monitored_key(&self) -> &Arc<MonitoredKey> {
        &self.key
    }

    /// Where its loop shows that it turns.
    #[must_use]
    pub fn watchdog(&self) -> &Watchdog {
        &self.context.watchdog
    }

    /// Counts points of the schedule that went by while the key was busy.
    pub fn record_missed(&self, index: usize, times: u64) {
        self.skip(index, Skip::StillRunning, times);
    }

    /// Runs one probe, which was due at `due`. `None` where there is no such probe.
    pub async fn run(&self, index: usize, due: Option<Instant>) -> Option<ProbeRun> {
        let probe = self.probes.get(index)?;
        let mut session = self.session.lock().await;
        self.restore_persisted(&session);
        if session.budget_guard.blocks(self.settings.keep_free, Instant::now()) {
            self.skip(index, Skip::RateLimit, 1);
            return Some(ProbeRun::Skipped(Skip::RateLimit));
        }
        // The semaphore is never closed; if it were, unbounded probing would beat none.
        let _permit = self.context.permits.acquire().await.ok();
        let _in_flight = self.context.metrics.in_flight();
        self.context.observe_start(due);
        let report = self.probe_with_token_renewal(&mut session, probe).await;
        if self.context.detect_resource_exhaustion(&report) {
            self.skip(index, Skip::NoResources, 1);
            return Some(ProbeRun::Skipped(Skip::NoResources));
        }
        self.publish_report(index, probe, &session, &report);
        Some(ProbeRun::Done(Box::new(report)))
    }

    fn skip(&self, index: usize, reason: Skip, times: u64) {
        if let Some(probe) = self.key.status().probes.get_mut(index) {
            probe.skip(reason, times);
        }
    }

    /// A four-hour token may end early (another log-in, a restart at MyUnisoft's): only where a new one
    /// is refused too does the answer say something about the key.
    async fn probe_with_token_renewal(&self, session: &mut KeySession, probe: &Probe) -> ProbeReport {
        let mut report = self.send_request(session, probe).await;
        let evidence = report.answer.as_ref().and_then(|answer| answer.key);
        let is_refused = matches!(evidence, Some(KeyEvidence::NotFound | KeyEvidence::Invalid));
        if is_refused && session.tokens.discard_if_old() {
            report = self.send_request(session, probe).await;
        }
        self.apply_evidence(session, probe, &report).await;
        report
    }

    /// Sends one call, if token and secret can be had.
    async fn send_request(&self, session: &mut KeySession, probe: &Probe) -> ProbeReport {
        let unsent = |TokenFailure { failure, request_id }| ProbeReport::unsent(failure, request_id);
        let (secret, secret_fingerprint) = match self.partner_monitor.secret() {
            Ok(secret) => secret,
            Err(error) => return unsent(unreadable(Reason::Secret, &error)),
        };
        let token = match session.tokens.token(&self.context, &self.settings.prober).await {
            Ok(token) => token.clone(),
            Err(failure) => return unsent(failure),
        };
        self.reset_if_token_changed(session, &token);
        let (kind, path, society_id) = match &probe.target {
            Target::KeyInfo(mode @ KeyInfoMode::Extended) => {
                (RequestKind::KeyInfo(*mode), KEY_INFO_EXTENDED_PATH, None)
            }
            Target::KeyInfo(mode @ KeyInfoMode::Routes) => (RequestKind::KeyInfo(*mode), KEY_INFO_PATH, None),
            Target::Canary(canary) => (RequestKind::Canary(canary.method), &*canary.path, canary.society_id),
        };
        let credentials = Some(Credentials { token: &token, secret: &secret, society_id });
        let call = Call { kind, path, credentials, timeout: probe.timing.timeout };
        let report = self.settings.prober.probe(call).await;
        if let Some(answer) = &report.answer {
            session.budget_guard.update(&answer.budget, is_out_of_budget(&report), Instant::now());
        }
        self.partner_monitor.apply_secret_evidence(secret_fingerprint, &report, &self.context.store).await;
        report
    }

    /// Takes up what the store remembers and this watch does not know: the storage folder, or the token,
    /// may have become readable only after the start. What this watch learnt itself, the store has too.
    /// Whoever was seen active has nothing more to gain from an older memory.
    fn restore_persisted(&self, session: &KeySession) {
        let Some(fingerprint) = &session.fingerprint else { return };
        if self.key.status().persisted.has_been_active {
            return;
        }
        if let Some(persisted) = self.context.store.key(&self.key.partner.name, &self.key.name, fingerprint) {
            self.key.status().persisted = persisted;
        }
    }

    /// A replaced token starts anew: what was known is about another one.
    fn reset_if_token_changed(&self, session: &mut KeySession, token: &SecretString) {
        let fingerprint = session.tokens.fingerprint(&self.key.partner.name, &self.key.name, token);
        if session.fingerprint.as_ref() == Some(&fingerprint) {
            return;
        }
        let mut status = self.key.status();
        status.remember(PersistedKeyState::new(SystemTime::now()), None);
        status.describe(token);
        drop(status);
        if session.fingerprint.replace(fingerprint).is_some() {
            let (partner, key) = (&*self.key.partner.name, &*self.key.name);
            info!(partner, key, "the token was replaced: its history starts anew");
        }
        self.restore_persisted(session);
    }

    /// Moves the key's state where the answer says so: on disk first, then on the board.
    async fn apply_evidence(&self, session: &KeySession, probe: &Probe, report: &ProbeReport) {
        let Some(evidence) = report.answer.as_ref().and_then(|answer| answer.key) else { return };
        let Some(fingerprint) = session.fingerprint.clone() else { return };
        let known = self.key.status().persisted;
        let (next, change) = known.step(evidence, self.evidence_source(probe), SystemTime::now());
        if next == known {
            return;
        }
        let (partner, key) = (Arc::clone(&self.key.partner.name), Arc::clone(&self.key.name));
        persist(&self.context.store, StateUpdate::Key { partner, key, fingerprint, persisted: next }).await;
        self.key.status().remember(next, Some(report));
        if let Some(change) = change {
            self.log_transition(change, probe, report);
        }
    }

    fn evidence_source(&self, probe: &Probe) -> EvidenceSource {
        let extended = |probe: &Probe| matches!(probe.target, Target::KeyInfo(KeyInfoMode::Extended));
        if extended(probe) {
            return EvidenceSource::Authority;
        }
        // A key/info that no longer answers can't have the last word: the key would be pending for ever.
        let speaks = self.probes.iter().position(extended).is_some_and(|index| {
            let status = self.key.status();
            status.probes.get(index).is_some_and(|probe| probe.episode.is_none())
        });
        if speaks { EvidenceSource::CanaryBesideKeyInfo } else { EvidenceSource::Authority }
    }

    /// Puts the report on the board.
    fn publish_report(&self, index: usize, probe: &Probe, session: &KeySession, report: &ProbeReport) {
        self.context.observe(probe.route(), self.settings.prober.host(), report);
        let mut status = self.key.status();
        if let Some(answer) = &report.answer {
            status.learn(answer);
        }
        status.token_expiry = session.tokens.expiry().or(status.token_expiry);
        let change = status.record(index, report);
        drop(status);
        log_episode(change.as_ref(), Some(&self.key), &probe.name);
    }

    fn log_transition(
        &self,
        Transition { from, to }: Transition<KeyState>,
        probe: &Probe,
        report: &ProbeReport,
    ) {
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

/// A proxy's 429 is respected too, although the API's budget may not be what is spent.
fn is_out_of_budget(report: &ProbeReport) -> bool {
    let reason = report.outcome.as_ref().err().map(|failure| failure.reason);
    reason == Some(Reason::RateLimited) || report.status == Some(429)
}
