//! Watches one key.

use std::sync::Arc;
use std::time::SystemTime;

use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::account::LoginFailure;
use super::budget_guard::BudgetGuard;
use super::partner::PartnerMonitor;
use super::token::{TokenHolder, unreadable};
use super::{Context, MonitorSettings, log_episode, save};
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
use crate::store::{Fingerprint, Record};
use crate::watchdog::Watchdog;

/// Asks with one key, one call at a time.
#[derive(Debug)]
pub struct KeyMonitor {
    context: Arc<Context>,
    rules: MonitorSettings,
    partner: Arc<PartnerMonitor>,
    entry: Arc<MonitoredKey>,
    probes: Vec<Probe>,
    /// Its lock is held for the whole of a call: that is what makes it one at a time.
    turn: Mutex<CallState>,
}

/// What one call leaves to the next.
#[derive(Debug)]
struct CallState {
    holder: TokenHolder,
    budget_guard: BudgetGuard,
    /// The token that all on the board is about.
    about: Option<Fingerprint>,
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
        rules: MonitorSettings,
        partner: Arc<PartnerMonitor>,
        key: &config::Key,
        old: Option<&MonitoredKey>,
    ) -> Self {
        let mut holder = TokenHolder::new(&key.credential);
        let about = holder.fingerprint_now(&partner.entry.name, &key.name);
        let memory =
            about.as_ref().and_then(|about| context.store.key(&partner.entry.name, &key.name, about));
        let memory = memory.unwrap_or_else(|| PersistedKeyState::new(SystemTime::now()));
        let probes = key.probes.iter();
        let probes = probes.map(|probe| ProbeStatus::new(Arc::clone(&probe.name), probe.timing.interval));
        let mut status = KeyStatus::new(memory, probes);
        if let Some(old) = old {
            status.carry_over(&old.status());
        }
        if let Some(token) = holder.permanent() {
            status.reset_from_token(token);
        }
        let entry = MonitoredKey::new(Arc::clone(&partner.entry), Arc::clone(&key.name), key.access, status);
        let turn = CallState { holder, budget_guard: BudgetGuard::default(), about };
        Self {
            context,
            rules,
            partner,
            entry: Arc::new(entry),
            probes: key.probes.clone(),
            turn: Mutex::new(turn),
        }
    }

    /// Its probes, in order: an index into them is what [`Self::run`] takes.
    #[must_use]
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// Its place on the board.
    #[must_use]
    pub const fn entry(&self) -> &Arc<MonitoredKey> {
        &self.entry
    }

    /// Where its loop shows that it turns.
    #[must_use]
    pub fn watchdog(&self) -> &Watchdog {
        &self.context.watchdog
    }

    /// Counts points of the schedule that went by while the key was busy.
    pub fn missed(&self, index: usize, times: u64) {
        self.skip(index, Skip::StillRunning, times);
    }

    /// Runs one probe, which was due at `due`. `None` where there is no such probe.
    pub async fn run(&self, index: usize, due: Option<Instant>) -> Option<ProbeRun> {
        let probe = self.probes.get(index)?;
        let mut turn = self.turn.lock().await;
        self.recall(&turn);
        if turn.budget_guard.is_closed(self.rules.keep_free, Instant::now()) {
            self.skip(index, Skip::RateLimit, 1);
            return Some(ProbeRun::Skipped(Skip::RateLimit));
        }
        // The semaphore is never closed; if it were, unbounded probing would beat none.
        let _permit = self.context.permits.acquire().await.ok();
        let _in_flight = self.context.metrics.in_flight();
        self.context.observe_start(due);
        let report = self.ask_again_with_a_fresh_token(&mut turn, probe).await;
        if self.context.is_out_of_resources(&report) {
            self.skip(index, Skip::NoResources, 1);
            return Some(ProbeRun::Skipped(Skip::NoResources));
        }
        self.show(index, probe, &turn, &report);
        Some(ProbeRun::Done(Box::new(report)))
    }

    fn skip(&self, index: usize, reason: Skip, times: u64) {
        if let Some(probe) = self.entry.status().probes.get_mut(index) {
            probe.skip(reason, times);
        }
    }

    /// A four-hour token may end early (another log-in, a restart at MyUnisoft's): only where a new one
    /// is refused too does the answer say something about the key.
    async fn ask_again_with_a_fresh_token(&self, turn: &mut CallState, probe: &Probe) -> ProbeReport {
        let mut report = self.ask(turn, probe).await;
        let evidence = report.answer.as_ref().and_then(|answer| answer.key);
        let is_refused = matches!(evidence, Some(KeyEvidence::NotFound | KeyEvidence::Invalid));
        if is_refused && turn.holder.discard_aged() {
            report = self.ask(turn, probe).await;
        }
        self.learn(turn, probe, &report).await;
        report
    }

    /// Sends one call, if token and secret can be had.
    async fn ask(&self, turn: &mut CallState, probe: &Probe) -> ProbeReport {
        let unsent = |LoginFailure { failure, request_id }| ProbeReport::unsent(failure, request_id);
        let (secret, secret_fingerprint) = match self.partner.secret() {
            Ok(secret) => secret,
            Err(error) => return unsent(unreadable(Reason::Secret, &error)),
        };
        let token = match turn.holder.token(&self.context, &self.rules.prober).await {
            Ok(token) => token.clone(),
            Err(failure) => return unsent(failure),
        };
        self.notice_another_token(turn, &token);
        let (kind, path, society_id) = match &probe.target {
            Target::KeyInfo(mode @ KeyInfoMode::Extended) => {
                (RequestKind::KeyInfo(*mode), KEY_INFO_EXTENDED_PATH, None)
            }
            Target::KeyInfo(mode @ KeyInfoMode::Routes) => (RequestKind::KeyInfo(*mode), KEY_INFO_PATH, None),
            Target::Canary(canary) => (RequestKind::Canary(canary.method), &*canary.path, canary.society_id),
        };
        let credentials = Some(Credentials { token: &token, secret: &secret, society_id });
        let call = Call { kind, path, credentials, timeout: probe.timing.timeout };
        let report = self.rules.prober.probe(call).await;
        if let Some(answer) = &report.answer {
            turn.budget_guard.note(&answer.budget, is_out_of_budget(&report), Instant::now());
        }
        self.partner.learn(secret_fingerprint, &report, &self.context.store).await;
        report
    }

    /// Takes up what the store remembers and this watch does not know: the storage folder, or the token,
    /// may have become readable only after the start. What this watch learnt itself, the store has too.
    /// Whoever was seen active has nothing more to gain from an older memory.
    fn recall(&self, turn: &CallState) {
        let Some(about) = &turn.about else { return };
        if self.entry.status().persisted.has_been_active {
            return;
        }
        if let Some(memory) = self.context.store.key(&self.entry.partner.name, &self.entry.name, about) {
            self.entry.status().persisted = memory;
        }
    }

    /// A replaced token starts anew: what was known is about another one.
    fn notice_another_token(&self, turn: &mut CallState, token: &SecretString) {
        let fingerprint = turn.holder.fingerprint(&self.entry.partner.name, &self.entry.name, token);
        if turn.about.as_ref() == Some(&fingerprint) {
            return;
        }
        let mut status = self.entry.status();
        status.set_persisted(PersistedKeyState::new(SystemTime::now()), None);
        status.reset_from_token(token);
        drop(status);
        if turn.about.replace(fingerprint).is_some() {
            let (partner, key) = (&*self.entry.partner.name, &*self.entry.name);
            info!(partner, key, "the token was replaced: its history starts anew");
        }
        self.recall(turn);
    }

    /// Moves the key's state where the answer says so: on disk first, then on the board.
    async fn learn(&self, turn: &CallState, probe: &Probe, report: &ProbeReport) {
        let Some(evidence) = report.answer.as_ref().and_then(|answer| answer.key) else { return };
        let Some(fingerprint) = turn.about.clone() else { return };
        let known = self.entry.status().persisted;
        let (next, change) = known.step(evidence, self.asked(probe), SystemTime::now());
        if next == known {
            return;
        }
        let (partner, key) = (Arc::clone(&self.entry.partner.name), Arc::clone(&self.entry.name));
        save(&self.context.store, Record::Key { partner, key, fingerprint, persisted: next }).await;
        self.entry.status().set_persisted(next, Some(report));
        if let Some(change) = change {
            self.log_state(change, probe, report);
        }
    }

    fn asked(&self, probe: &Probe) -> EvidenceSource {
        let extended = |probe: &Probe| matches!(probe.target, Target::KeyInfo(KeyInfoMode::Extended));
        if extended(probe) {
            return EvidenceSource::Authority;
        }
        // A key/info that no longer answers can't have the last word: the key would be pending for ever.
        let speaks = self.probes.iter().position(extended).is_some_and(|index| {
            let status = self.entry.status();
            status.probes.get(index).is_some_and(|probe| probe.episode.is_none())
        });
        if speaks { EvidenceSource::CanaryBesideKeyInfo } else { EvidenceSource::Authority }
    }

    /// Puts the report on the board.
    fn show(&self, index: usize, probe: &Probe, turn: &CallState, report: &ProbeReport) {
        self.context.observe(probe.route(), self.rules.prober.host(), report);
        let mut status = self.entry.status();
        if let Some(answer) = &report.answer {
            status.record_response(answer);
        }
        status.token_expiry = turn.holder.expiry().or(status.token_expiry);
        let change = status.record(index, report);
        drop(status);
        log_episode(change.as_ref(), Some(&self.entry), &probe.name);
    }

    fn log_state(&self, Transition { from, to }: Transition<KeyState>, probe: &Probe, report: &ProbeReport) {
        let (partner, key, probe) = (&*self.entry.partner.name, &*self.entry.name, &*probe.name);
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
