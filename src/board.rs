//! The board: what is known right now of the API, every partner, key and probe.
//!
//! Probes write to it, `/metrics` and the pages read from it. Nothing here decides anything, and
//! nothing of an answer's body ever gets here. Each key has a lock of its own, held for a few
//! assignments only, so that ten thousand keys and a scrape do not wait for one another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};

use crate::api::answer::Answer;
use crate::api::budget::Budget;
use crate::api::key_info::Version;
use crate::api::request_id::RequestId;
use crate::api::token::{Claims, Identity};
use crate::api::verdict::{Failure, Reason};
use crate::config::{Access, HEALTH};
use crate::key_state::{KeyMemory, KeyState, SecretMemory};
use crate::label::escape;
use crate::report::Report;
use crate::words::words;

words! {
    /// Why a probe that was due did not run: the `reason` label of skipped probes.
    pub enum Skip {
        /// The key's budget is known to be low, or spent.
        RateLimit => "rate_limit",
        /// The key was still busy when it was due, until it was due again.
        StillRunning => "still_running",
        /// This process, or its machine, has run out of descriptors or memory: nothing could be asked.
        NoResources => "no_resources",
    }
}

/// The board itself.
#[derive(Debug)]
pub struct Board {
    health: Mutex<ProbeStatus>,
    fleet: RwLock<Arc<Fleet>>,
    certificates: Mutex<BTreeMap<String, SystemTime>>,
}

/// Who is watched; replaced whole when the configuration is. Entries that stay are carried over.
#[derive(Debug, Default)]
pub struct Fleet {
    /// The partners, in the configuration's order.
    pub partners: Vec<Arc<PartnerEntry>>,
    /// All their keys, partner by partner.
    pub keys: Vec<Arc<KeyEntry>>,
    /// Whether request-ids may become labels.
    pub request_ids: bool,
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

/// What is known of a key.
#[derive(Clone, Debug)]
pub struct KeyStatus {
    /// Its state.
    pub memory: KeyMemory,
    /// How often each state was entered since the start, in the order of first entry.
    pub changes: Vec<(KeyState, u64)>,
    /// The ids behind it: key/info's word, else the token's own.
    pub identity: Identity,
    /// From key/info.
    pub version: Option<Version>,
    /// From key/info: how many routes it may call.
    pub routes: Option<usize>,
    /// When its token ends, if it does.
    pub token_expiry: Option<SystemTime>,
    /// Its budget, as last told.
    pub budget: Option<Budget>,
    /// Its probes, in the configuration's order.
    pub probes: Vec<ProbeStatus>,
}

/// What is known of one probe.
#[derive(Clone, Debug)]
pub struct ProbeStatus {
    /// Its label.
    pub name: Arc<str>,
    /// From when it is due until it is due again.
    pub interval: Duration,
    /// How many ran.
    pub total: u64,
    /// How many failed, by reason, in the order of first failure.
    pub failures: Vec<(Reason, u64)>,
    /// How many did not run, in the order of [`Skip::ALL`].
    pub skipped: [u64; Skip::ALL.len()],
    /// The last one.
    pub last: Option<LastProbe>,
    /// When one last succeeded.
    pub last_success: Option<SystemTime>,
    /// The failure episode under way.
    pub episode: Option<Episode>,
}

/// The last probe's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastProbe {
    /// Whether it succeeded.
    pub success: bool,
    /// When it ended.
    pub finished: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
}

/// One trouble: failures without a success between them, of one kind ([`Reason::continues`]). It keeps
/// its *first* failure, so that its series changes once an episode and an alert quotes the request-id
/// of the moment it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// When it began.
    pub since: SystemTime,
    /// Its first failure.
    pub failure: Failure,
    /// The first failure's request-id.
    pub request_id: Option<RequestId>,
}

/// What a report changed, as far as the log is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EpisodeChange {
    /// The first failure after a success, or of another kind, or ever.
    Began(Episode),
    /// The first success after failures.
    Ended(Episode),
}

impl Default for Board {
    fn default() -> Self {
        Self {
            // The interval is known once a configuration is.
            health: Mutex::new(ProbeStatus::new(HEALTH.into(), Duration::ZERO)),
            fleet: RwLock::default(),
            certificates: Mutex::default(),
        }
    }
}

impl Board {
    /// The health probe's status.
    pub fn health(&self) -> MutexGuard<'_, ProbeStatus> {
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

impl KeyStatus {
    /// A key of which only its memory and its probes are known.
    #[must_use]
    pub fn new(memory: KeyMemory, probes: impl IntoIterator<Item = ProbeStatus>) -> Self {
        Self {
            memory,
            changes: Vec::new(),
            identity: Identity::default(),
            version: None,
            routes: None,
            token_expiry: None,
            budget: None,
            probes: probes.into_iter().collect(),
        }
    }

    /// Labels the key with what its token says of itself, until key/info says more.
    pub fn describe(&mut self, token: &SecretString) {
        let claims = Claims::of(token.expose_secret()).unwrap_or_default();
        self.identity = claims.identity;
        self.token_expiry = claims.expires;
        self.version = None;
        self.routes = None;
        self.budget = None;
    }

    /// Takes over the figures of the same key under an earlier configuration.
    pub fn carry_over(&mut self, old: &Self) {
        self.changes.clone_from(&old.changes);
        self.identity.clone_from(&old.identity);
        self.token_expiry = old.token_expiry;
        for probe in &mut self.probes {
            if let Some(old) = old.probes.iter().find(|old| old.name == probe.name) {
                *probe = ProbeStatus { interval: probe.interval, ..old.clone() };
            }
        }
    }

    /// Enters what an answer tells beside its outcome.
    pub fn learn(&mut self, answer: &Answer) {
        if answer.budget.is_told() {
            self.budget = Some(answer.budget);
        }
        let Some(info) = &answer.key_info else { return };
        self.routes = Some(info.routes);
        if let Some(extended) = &info.extended {
            self.version = extended.version;
            self.identity.clone_from(&extended.identity);
        }
    }

    /// Enters what a move of the state leaves behind.
    pub fn remember(&mut self, memory: KeyMemory) {
        if memory.state != self.memory.state {
            count(&mut self.changes, memory.state);
        }
        self.memory = memory;
    }
}

impl ProbeStatus {
    /// A probe that has not run yet.
    #[must_use]
    pub const fn new(name: Arc<str>, interval: Duration) -> Self {
        Self {
            name,
            interval,
            total: 0,
            failures: Vec::new(),
            skipped: [0; Skip::ALL.len()],
            last: None,
            last_success: None,
            episode: None,
        }
    }

    /// Enters a report, and tells whether a failure episode began or ended with it.
    pub fn record(&mut self, report: &Report) -> Option<EpisodeChange> {
        self.total += 1;
        self.last = Some(LastProbe {
            success: report.outcome.is_ok(),
            finished: report.finished,
            duration: report.phases.total(),
            status: report.status,
        });
        match &report.outcome {
            Ok(()) => {
                self.last_success = Some(report.finished);
                self.episode.take().map(EpisodeChange::Ended)
            }
            Err(failure) => {
                count(&mut self.failures, failure.reason);
                let goes_on = |episode: &Episode| failure.reason.continues(episode.failure.reason);
                if self.episode.as_ref().is_some_and(goes_on) {
                    return None;
                }
                let episode = Episode {
                    since: report.finished,
                    failure: failure.clone(),
                    request_id: report.request_id.clone(),
                };
                self.episode = Some(episode.clone());
                Some(EpisodeChange::Began(episode))
            }
        }
    }

    /// Counts probes that were due and did not run.
    pub fn skip(&mut self, reason: Skip, times: u64) {
        let [rate_limit, still_running, no_resources] = &mut self.skipped;
        match reason {
            Skip::RateLimit => *rate_limit += times,
            Skip::StillRunning => *still_running += times,
            Skip::NoResources => *no_resources += times,
        }
    }
}

/// Adds one to a word's count. A handful of words at most ever occur, so a list beats a map.
fn count<W: PartialEq>(counts: &mut Vec<(W, u64)>, word: W) {
    match counts.iter_mut().find(|(known, _)| *known == word) {
        Some((_, times)) => *times += 1,
        None => counts.push((word, 1)),
    }
}

/// A panic while a lock is held leaves plain figures behind, none of them half-written: go on with them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
