//! Monitors one key.

mod evidence;
mod on_request;

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;
use tracing::{debug, info};

use super::budgets::TokenBudget;
use super::log::{log_key_episode, log_probe};
use super::partner::PartnerMonitor;
use super::refused_token::RefusedToken;
use super::token_failure::TokenFailure;
use super::token_provider::{Replacement, TokenProvider};
use super::{Context, MonitorSettings, ProbeRun, publish_credential_problem};
use crate::config::{self, Probe, Target};
use crate::confirmation::{Confirmation, Statement as _};
use crate::key_state::{KeyState, PersistedKeyState};
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::judge::{KeyEvidence, RequestKind, SecretEvidence};
use crate::probe::{Credentials, ProbeRequest};
use crate::report::ProbeReport;
use crate::secret;
use crate::state::{KeyStatus, KeyUse, MonitoredKey, ProbeStatus, Skip, TransitionCause};
use crate::store::{CredentialId, Fingerprint, StateUpdate};
use on_request::OnRequest;

/// Sends the probes of one key, one request at a time.
#[derive(Debug)]
pub(crate) struct KeyMonitor {
    pub context: Arc<Context>,
    settings: MonitorSettings,
    partner_monitor: Arc<PartnerMonitor>,
    /// The number of this key among those of its partner.
    number: u32,
    key: Arc<MonitoredKey>,
    definition: config::Key,
    /// Locked during a whole probe, so that there is only one request at a time.
    session: Arc<Mutex<KeySession>>,
    on_request: OnRequest,
}

/// What is kept from one request to the next.
#[derive(Debug)]
struct KeySession {
    tokens: TokenProvider,
    budget: TokenBudget,
    /// What the probes of this key add to the use of the budget.
    budget_use: KeyUse,
    /// Of the token or account that the key in the shared state belongs to.
    id: Option<CredentialId>,
    /// The version of the token that `id` was last computed for: a fingerprint costs more than a comparison.
    id_version: Option<u64>,
    confirmation: Confirmation<usize, KeyEvidence>,
    /// When the extended form of key/info last answered.
    key_info_answered: Option<Instant>,
    /// Since when this token is probed.
    started: Instant,
    /// What Prometheus remembers about the key, until its token can be read.
    remembered: Option<PersistedKeyState>,
    /// For each kind of refusal, the last response that said it.
    refusals: Vec<(KeyEvidence, TransitionCause)>,
    /// Whether the last request of the key got no answer in time.
    has_timed_out: bool,
}

/// A request that was sent, or that could not be sent.
struct Attempt {
    report: ProbeReport,
    /// Of the secret that was sent; `None` if none was sent.
    secret: Option<CredentialId>,
}

impl KeyMonitor {
    /// Starts with the persisted state of `key`, if there is one. If the definition of the key changed,
    /// `old` is the same key under the earlier configuration, and its history is carried over. If `old` has another
    /// name, its state is shown until the token can be read: only the token tells whether it is the same key.
    pub(crate) fn new(
        context: Arc<Context>,
        settings: MonitorSettings,
        partner_monitor: Arc<PartnerMonitor>,
        key: &config::Key,
        old: Option<&Self>,
    ) -> Arc<Self> {
        let mut tokens = TokenProvider::new(&key.credential);
        let partner = Arc::clone(&partner_monitor.partner);
        let id = tokens.initial_id(partner_monitor.api(), &partner.name, &key.name);
        let new = PersistedKeyState::new(SystemTime::now());
        let name = (Arc::clone(&partner.name), Arc::clone(&key.name));
        if let Some(id) = id.as_ref().filter(|_| settings.is_divided) {
            context.store.note_absence(&name, id, new.since);
        }
        let persisted = if let Some(id) = &id {
            context.store.adopt_key(Arc::clone(&name.0), Arc::clone(&name.1), id, new)
        } else {
            let api = partner_monitor.api();
            let renamed = old.filter(|old| old.partner_monitor.api() == api);
            let of_old = || renamed.map(|old| old.key.status().persisted);
            context.store.last_key(&name, api).or_else(of_old).unwrap_or(new)
        };
        let probes = key.probes.iter();
        let probes = probes.map(|probe| ProbeStatus::new(Arc::clone(&probe.name), probe.timing.interval));
        let mut status = KeyStatus::new(persisted, probes);
        status.has_login = matches!(key.credential, config::Credential::Login(_));
        if let Some(old) = old.filter(|old| old.key.name == key.name && old.key.partner.name == partner.name)
        {
            status.carry_over(&old.key.status());
        }
        if let Some(token) = tokens.permanent_token() {
            status.reset_from_token(token);
        }
        let (problem, last_value_serves) = tokens.credential_problem();
        publish_credential_problem(
            &mut status.credential_problem,
            problem,
            last_value_serves,
            &partner.name,
            Some(&key.name),
        );
        let monitored_key = MonitoredKey::new(partner, Arc::clone(&key.name), key.access, status);
        let mut confirmation = Confirmation::default();
        (0..key.probes.len()).for_each(|index| confirmation.add(index));
        if let Some(id) = &id {
            evidence::restore_contradictions(&mut confirmation, &key.probes, &context.store, &name, id);
        }
        let fingerprint = id.as_ref().map(|id| id.fingerprint.clone());
        let budget = id.as_ref().map(|id| context.budgets.of(id)).unwrap_or_default();
        let budget_use = budget.used.add(budget_share(&key.probes));
        monitored_key.status().token_use = budget.used.clone();
        let session = KeySession {
            tokens,
            budget,
            budget_use,
            id,
            id_version: None,
            confirmation,
            key_info_answered: None,
            started: Instant::now(),
            remembered: None,
            refusals: Vec::new(),
            has_timed_out: false,
        };
        Arc::new_cyclic(|monitor| Self {
            settings,
            number: partner_monitor.add_key(Weak::clone(monitor), key, fingerprint, &context.store),
            context,
            partner_monitor,
            key: Arc::new(monitored_key),
            definition: key.clone(),
            session: Arc::new(Mutex::new(session)),
            on_request: OnRequest::new(key.probes.len()),
        })
    }

    /// Whether a new monitor with these arguments would do the same.
    pub(crate) fn matches(
        &self,
        settings: &MonitorSettings,
        partner: &Arc<PartnerMonitor>,
        key: &config::Key,
    ) -> bool {
        self.settings == *settings
            && self.definition.is_probed_like(key)
            && Arc::ptr_eq(&self.partner_monitor, partner)
    }

    /// The probes in the order of the configuration; [`Self::run`] takes an index into them.
    pub(crate) fn probes(&self) -> &[Probe] {
        &self.definition.probes
    }

    /// The names of partner and key.
    fn full_name(&self) -> (Arc<str>, Arc<str>) {
        (Arc::clone(&self.key.partner.name), Arc::clone(&self.key.name))
    }

    /// The file with the token.
    pub(crate) fn token_file(&self) -> Option<&Path> {
        self.definition.credential.token_file()
    }

    /// That of its token; `None` if the token could not be read yet.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.partner_monitor.fingerprint(self.number)
    }

    /// The key in the shared state.
    pub(crate) const fn monitored_key(&self) -> &Arc<MonitoredKey> {
        &self.key
    }

    /// Runs one probe that was due at `due` (`None` if it is not scheduled), and the probe that confirms its
    /// result, if this is necessary.
    pub(crate) async fn run(&self, index: usize, due: Option<Instant>) -> ProbeRun {
        let turn = Arc::clone(&self.session).lock_owned().await;
        self.run_in_turn(turn, index, due).await
    }

    /// Has the files read ahead that a probe needs which is due in a moment.
    pub(crate) async fn read_files_ahead(&self) {
        // A key that is busy reads its files itself.
        let of_key = self.session.try_lock().is_ok_and(|session| session.tokens.read_ahead());
        if self.partner_monitor.read_secret_ahead() || of_key {
            secret::read_queued().await;
        }
    }

    /// [`Self::run`] without the wait for the key's turn.
    async fn run_in_turn(
        &self,
        mut session: OwnedMutexGuard<KeySession>,
        index: usize,
        due: Option<Instant>,
    ) -> ProbeRun {
        let (run, asked) = self.run_one(&mut session, index, due).await;
        if let Some(asked) = asked {
            // The answer to a question is never itself confirmed.
            self.run_one(&mut session, asked, None).await;
        }
        run
    }

    /// [`Self::run`] for a task of its own: the future of `run` can start such a task itself.
    fn run_detached(self: Arc<Self>, index: usize) -> BoxFuture<'static, ()> {
        async move { drop(self.run(index, None).await) }.boxed()
    }

    /// Runs one probe. Also returns the probe that must be sent now, to confirm a refusal.
    async fn run_one(
        &self,
        session: &mut KeySession,
        index: usize,
        due: Option<Instant>,
    ) -> (ProbeRun, Option<usize>) {
        let Some(probe) = self.probes().get(index) else { return (ProbeRun::Skipped, None) };
        self.restore_persisted(session);
        // Before the probe takes a permit: nobody else waits for the files of this key.
        tokio::join!(session.tokens.refresh(), self.partner_monitor.refresh_secret());
        let mut attempt = self.attempt(session, index, probe, due).await;
        if let Ok(Attempt { report, secret }) = &attempt
            && is_refused(report)
            && self.were_credentials_replaced(session, secret.as_ref()).await
        {
            attempt = self.attempt(session, index, probe, None).await;
        }
        let Attempt { report, secret } = match attempt {
            Ok(attempt) => attempt,
            Err(no_run) => {
                self.hear_secret(index, None, None).await;
                return (no_run, self.hear(session, index, None).await);
            }
        };
        self.on_request.record_end(index);
        if report.outcome.is_ok() && self.is_extended(index) {
            session.key_info_answered = Some(Instant::now());
        }
        self.hear_secret(index, secret, Some(&report)).await;
        let asked = self.hear(session, index, Some(&report)).await;
        self.publish_report(index, probe, session, &report);
        (ProbeRun::Ran(Box::new(report)), asked)
    }

    /// Whether a file has another token or secret than the last request had: it was replaced between the read and the
    /// request. Then a refusal is about the old one, and the new one must be asked about.
    async fn were_credentials_replaced(
        &self,
        session: &mut KeySession,
        secret: Option<&CredentialId>,
    ) -> bool {
        let (api, partner, key) = (self.partner_monitor.api(), &self.key.partner.name, &self.key.name);
        let (token, secret_is_new) = tokio::join!(
            session.tokens.permanent_token_now(),
            self.partner_monitor.was_secret_replaced(secret, &self.context.store),
        );
        let now = token.map(|token| CredentialId::of_token(api, partner, key, token));
        secret_is_new || now.is_some_and(|now| session.id.as_ref() != Some(&now))
    }

    /// Sends the probe, unless it has to be skipped or postponed: then the error says which.
    async fn attempt(
        &self,
        session: &mut KeySession,
        index: usize,
        probe: &Probe,
        due: Option<Instant>,
    ) -> Result<Attempt, ProbeRun> {
        let blocked_until = session.budget.lock().blocked_until(self.settings.keep_free, Instant::now());
        if let Some(until) = blocked_until {
            if due.is_some() {
                return Err(ProbeRun::OverBudget { until });
            }
            self.skip(index, Skip::RateLimit, 1);
            return Err(ProbeRun::Skipped);
        }
        let pauses = self.context.pauses.observe();
        let attempt = self.probe_with_token_renewal(session, probe, due).await;
        if self.context.pauses.observe() != pauses {
            // While this process did not run, it read no response and its timeouts passed.
            self.skip(index, Skip::NoResources, 1);
            return Err(ProbeRun::Interrupted);
        }
        if self.context.detect_resource_exhaustion(&attempt.report) {
            self.skip(index, Skip::NoResources, 1);
            return Err(ProbeRun::Skipped);
        }
        Ok(attempt)
    }

    /// Counts due times without a probe.
    pub(crate) fn skip(&self, index: usize, reason: Skip, times: u64) {
        if let Some(probe) = self.key.status().probes.get_mut(index) {
            let (partner, key) = (&*self.key.partner.name, &*self.key.name);
            debug!(partner, key, probe = &*probe.name, reason = reason.into_str(), times, "probe skipped");
            probe.skip(reason, times);
        }
    }

    /// If the API refuses a log-in's token, asks again with another one where that can change the answer.
    async fn probe_with_token_renewal(
        &self,
        session: &mut KeySession,
        probe: &Probe,
        due: Option<Instant>,
    ) -> Attempt {
        session.tokens.start_probe();
        let mut attempt = self.send_request(session, probe, due).await;
        while let Some(refused) = RefusedToken::in_report(&probe.name, &attempt.report) {
            match session.tokens.replace_refused(refused, &self.context, &self.settings.prober).await {
                Replacement::NotNeeded => break,
                Replacement::Obtained => {
                    attempt = self.send_request(session, probe, None).await;
                    // Perhaps the request was not sent, because the secret cannot be read.
                    session.tokens.end_turn();
                }
                Replacement::Failed(TokenFailure { failure, .. }) => {
                    attempt.report.discount(failure);
                    break;
                }
            }
        }
        attempt
    }

    /// Shows and logs whether the token or the password can be read.
    fn check_credential(&self, session: &mut KeySession) {
        let (problem, last_value_serves) = session.tokens.credential_problem();
        let (partner, key) = (&*self.key.partner.name, &*self.key.name);
        let known = &mut self.key.status().credential_problem;
        publish_credential_problem(known, problem, last_value_serves, partner, Some(key));
    }

    /// Sends one request, if there are a token and a secret. The permit comes last: while this waits for a log-in
    /// or for a file, it holds nothing that another key needs.
    async fn send_request(&self, session: &mut KeySession, probe: &Probe, due: Option<Instant>) -> Attempt {
        let started = Instant::now();
        let unsent =
            |failure, request_id| Attempt { report: ProbeReport::unsent(failure, request_id), secret: None };
        self.check_credential(session);
        let (secret, secret_id) = match self.partner_monitor.secret(&self.context.store) {
            Ok(secret) => secret,
            Err(problem) => return unsent(Failure::new(Reason::Credential, problem), None),
        };
        let token = match session.tokens.token(&self.context, &self.settings.prober).await {
            Ok(token) => token,
            Err(TokenFailure { failure, request_id }) => return unsent(failure, request_id),
        };
        self.adopt_replaced_token(session, &token);
        // A log-in is not lateness: it says how long the API took.
        let due = due.map(|due| due + started.elapsed());
        let permit = self.context.start_probe(due, session.has_timed_out).await;
        let request = request(probe, &token, &secret);
        let path = request.path;
        let report = self.settings.prober.probe(request).await;
        session.tokens.end_request();
        drop(permit);
        session.has_timed_out =
            report.outcome.as_ref().is_err_and(|failure| failure.reason == Reason::Timeout);
        if let Some(judgement) = &report.judgement {
            if judgement.has_request_id_header {
                self.context.store.record_request_id(self.partner_monitor.api(), path, report.finished);
            }
            session.budget.lock().update(&judgement.budget, is_out_of_budget(&report), Instant::now());
        }
        Attempt { report, secret: Some(secret_id) }
    }

    /// Restores a persisted state that this monitor does not know yet: the storage directory or the
    /// token may have become readable only after the start. The store also has the states that this
    /// monitor itself determined. A key that was active needs no older state.
    fn restore_persisted(&self, session: &KeySession) {
        let Some(id) = &session.id else { return };
        if self.key.status().persisted.has_been_active {
            return;
        }
        if let Some(persisted) = self.context.store.key(&self.full_name(), id) {
            self.key.status().persisted = persisted;
        }
    }

    /// Takes up what Prometheus remembers about the key. It is shown until the next answer of the API.
    pub(crate) async fn remember(&self, remembered: PersistedKeyState) {
        let mut session = self.session.lock().await;
        let known = self.key.status().persisted;
        let next = known.with_remembered(&remembered);
        if next == known {
            return;
        }
        if let Some(id) = session.id.clone() {
            let (partner, key) = (Arc::clone(&self.key.partner.name), Arc::clone(&self.key.name));
            self.context.store.save_later(StateUpdate::Key { partner, key, id, persisted: next });
        } else {
            session.remembered = Some(next);
        }
        let mut status = self.key.status();
        // If the API said something about the key, the state is not only remembered.
        status.is_remembered = known.state == KeyState::Unknown && next.state != known.state;
        status.persisted = next;
    }

    /// If the token was replaced, the key continues with the state of the new token, which is unknown for a
    /// token that was never used. What earlier responses said is about the old token.
    fn adopt_replaced_token(&self, session: &mut KeySession, token: &SecretString) {
        let version = session.tokens.version();
        if session.id.is_some() && session.id_version == Some(version) {
            return;
        }
        let (partner, key) = (&self.key.partner.name, &self.key.name);
        let id = session.tokens.id(self.partner_monitor.api(), partner, key, token);
        session.id_version = Some(version);
        if session.id.as_ref() == Some(&id) {
            return;
        }
        let remembered = session.remembered.take().filter(|_| session.id.is_none());
        let new = remembered.unwrap_or_else(|| PersistedKeyState::new(SystemTime::now()));
        let persisted = self.context.store.adopt_key(Arc::clone(partner), Arc::clone(key), &id, new);
        let mut status = self.key.status();
        status.set_persisted(persisted, None);
        status.reset_from_token(token);
        drop(status);
        session.confirmation.reset();
        let store = &self.context.store;
        let (confirmation, name) = (&mut session.confirmation, self.full_name());
        evidence::restore_contradictions(confirmation, self.probes(), store, &name, &id);
        self.partner_monitor.set_fingerprint(self.number, &id.fingerprint, store);
        (session.key_info_answered, session.started) = (None, Instant::now());
        session.refusals.clear();
        session.budget = self.context.budgets.of(&id);
        session.budget_use = session.budget.used.add(budget_share(self.probes()));
        self.key.status().token_use = session.budget.used.clone();
        if session.id.replace(id).is_some() {
            info!(partner = &**partner, key = &**key, state = %persisted.state, "the token was replaced");
        }
    }

    /// Records the report in the metrics and in the shared state.
    fn publish_report(&self, index: usize, probe: &Probe, session: &KeySession, report: &ProbeReport) {
        self.context.record_report(probe.histogram_label(), self.settings.prober.base_url(), report);
        let mut status = self.key.status();
        if let Some(judgement) = &report.judgement {
            status.record_response(judgement);
        }
        status.token_expiry = session.tokens.expiry().or(status.token_expiry);
        let change = status.record(index, report);
        drop(status);
        log_probe(report, Some(&self.key), &probe.name);
        log_key_episode(&self.context.outages, change.as_ref(), &self.key, &probe.name);
    }
}

impl Drop for KeyMonitor {
    fn drop(&mut self) {
        self.partner_monitor.remove_key(self.number, &self.context.store);
    }
}

fn budget_share(probes: &[Probe]) -> f64 {
    config::budget::share(probes.iter().map(|probe| probe.timing.interval))
}

fn request<'a>(probe: &'a Probe, token: &'a SecretString, secret: &'a SecretString) -> ProbeRequest<'a> {
    let (kind, path, society_id) = match &probe.target {
        Target::KeyInfo(mode) => (RequestKind::KeyInfo(*mode), mode.path(), None),
        Target::Canary(canary) => (RequestKind::Canary(canary.method), &*canary.path, canary.society_id),
    };
    let credentials = Some(Credentials { token, secret, society_id });
    ProbeRequest { kind, path, credentials, timeout: probe.timing.timeout, connection: probe.connection() }
}

/// Whether the response refuses the key or the secret.
fn is_refused(report: &ProbeReport) -> bool {
    report.judgement.as_ref().is_some_and(|judgement| {
        judgement.key.is_some_and(KeyEvidence::is_refusal)
            || judgement.secret.is_some_and(SecretEvidence::is_refusal)
    })
}

/// A 429 of a proxy counts too, although then the API's budget may not be exhausted.
fn is_out_of_budget(report: &ProbeReport) -> bool {
    let reason = report.outcome.as_ref().err().map(|failure| failure.reason);
    reason == Some(Reason::RateLimited) || report.status == Some(429)
}
