//! What is known of one key and of each of its probes: how a report, an answer or a move of the state is entered.

use serde_with::SerializeDisplay;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use secrecy::{ExposeSecret, SecretString};

use super::history::{Day, PastProbe, RecentProbes, TransitionHistory, TransitionRecord};
use crate::config::HEALTH;
use crate::key_state::{KeyState, PersistedKeyState};
use crate::partner_api::budget::Budget;
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::judge::Judgement;
use crate::partner_api::key_info::Version;
use crate::partner_api::request_id::RequestId;
use crate::partner_api::token::{Claims, Identity};
use crate::report::{Phase, ProbeReport};

/// Why a probe that was due did not run: the `reason` label of skipped probes.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Skip {
    /// The key's budget is known to be low, or spent.
    RateLimit,
    /// The key was still busy when it was due, until it was due again.
    StillRunning,
    /// This process, or its machine, has run out of descriptors or memory: nothing could be asked.
    NoResources,
}

/// The API in one word, as its health route tells.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum HealthState {
    /// Nothing was asked yet.
    Unknown,
    /// The last probe succeeded.
    Up,
    /// The last probe was answered with announced maintenance.
    Maintenance,
    /// The last probe failed.
    Down,
}

/// What is known of the health route.
#[derive(Clone, Debug)]
pub struct HealthStatus {
    /// Its probe.
    pub probe: ProbeStatus,
    /// In one word.
    pub state: HealthState,
    /// Since when, as far as this process has seen; while nothing was asked, since it began.
    pub since: SystemTime,
    /// Since when this process has watched it.
    pub monitored_since: SystemTime,
    /// Its last probes.
    pub recent: RecentProbes,
    /// Its last day.
    pub day: Day,
}

/// What is known of a key.
#[derive(Clone, Debug)]
pub struct KeyStatus {
    /// Its state.
    pub persisted: PersistedKeyState,
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
    /// The last that ran, of all its probes.
    pub recent: RecentProbes,
    /// The last moves of its state.
    pub transitions: TransitionHistory,
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
    /// How many did not run, in the order of [`Skip::VARIANTS`].
    pub skipped: [u64; Skip::VARIANTS.len()],
    /// Why it did not run when it was last due; `None`: it ran.
    pub last_skip: Option<Skip>,
    /// The last one.
    pub last: Option<LastProbe>,
    /// When one last succeeded.
    pub last_success: Option<SystemTime>,
    /// The failure episode under way.
    pub episode: Option<Episode>,
}

/// The last probe's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastProbe {
    /// When it ended.
    pub finished: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// The request-id, if the answer had one.
    pub request_id: Option<RequestId>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// The last phase that it came to; `None`: it could not be sent.
    pub reached: Option<Phase>,
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

impl LastProbe {
    /// Whether it succeeded.
    #[must_use]
    pub const fn success(&self) -> bool {
        self.failure.is_none()
    }
}

impl KeyStatus {
    /// A key of which only its memory and its probes are known.
    #[must_use]
    pub fn new(persisted: PersistedKeyState, probes: impl IntoIterator<Item = ProbeStatus>) -> Self {
        Self {
            persisted,
            changes: Vec::new(),
            identity: Identity::default(),
            version: None,
            routes: None,
            token_expiry: None,
            budget: None,
            probes: probes.into_iter().collect(),
            recent: RecentProbes::default(),
            transitions: TransitionHistory::default(),
        }
    }

    /// Labels the key with what its token says of itself, until key/info says more.
    pub fn reset_from_token(&mut self, token: &SecretString) {
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
        self.transitions.clone_from(&old.transitions);
        self.recent.clone_from(&old.recent);
        for probe in &mut self.probes {
            if let Some(old) = old.probes.iter().find(|old| old.name == probe.name) {
                *probe = ProbeStatus { interval: probe.interval, ..old.clone() };
            }
        }
    }

    /// Enters what an answer tells beside its outcome.
    pub fn record_response(&mut self, answer: &Judgement) {
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

    /// Enters what a move of the state leaves behind; `report` is what said so, where an answer did.
    pub fn set_persisted(&mut self, persisted: PersistedKeyState, report: Option<&ProbeReport>) {
        if persisted.state != self.persisted.state {
            count(&mut self.changes, persisted.state);
            let failure = report.and_then(|report| report.outcome.as_ref().err());
            self.transitions.push(TransitionRecord {
                at: persisted.since,
                to: persisted.state,
                code: failure.and_then(|failure| failure.code.clone()),
                request_id: report.and_then(|report| report.request_id.clone()),
            });
        }
        self.persisted = persisted;
    }

    /// Enters the report of the probe at `index`, and tells whether a failure episode began or ended with it.
    pub fn record(&mut self, index: usize, report: &ProbeReport) -> Option<EpisodeChange> {
        let probe = self.probes.get_mut(index)?;
        self.recent.push(PastProbe::of(Arc::clone(&probe.name), report));
        probe.record(report)
    }
}

impl HealthStatus {
    /// Begins anew with another API: what was known is not about it. What is counted goes on, as counters do.
    pub fn reset(&mut self) {
        let Self { probe, .. } = std::mem::take(self);
        self.probe = ProbeStatus { last: None, last_success: None, episode: None, last_skip: None, ..probe };
    }

    /// Enters a report, and tells whether a failure episode began or ended with it.
    pub fn record(&mut self, report: &ProbeReport) -> Option<EpisodeChange> {
        self.recent.push(PastProbe::of(Arc::clone(&self.probe.name), report));
        self.day.record(report);
        let change = self.probe.record(report);
        let state = match &report.outcome {
            Ok(()) => HealthState::Up,
            Err(failure) if failure.reason == Reason::Maintenance => HealthState::Maintenance,
            Err(_) => HealthState::Down,
        };
        if state != self.state {
            (self.state, self.since) = (state, report.finished);
        }
        change
    }
}

impl Default for HealthStatus {
    fn default() -> Self {
        let now = SystemTime::now();
        Self {
            // The interval is known once a configuration is.
            probe: ProbeStatus::new(HEALTH.into(), Duration::ZERO),
            state: HealthState::Unknown,
            since: now,
            monitored_since: now,
            recent: RecentProbes::default(),
            day: Day::default(),
        }
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
            skipped: [0; Skip::VARIANTS.len()],
            last_skip: None,
            last: None,
            last_success: None,
            episode: None,
        }
    }

    /// Enters a report, and tells whether a failure episode began or ended with it.
    pub fn record(&mut self, report: &ProbeReport) -> Option<EpisodeChange> {
        self.total += 1;
        self.last_skip = None;
        self.last = Some(LastProbe {
            finished: report.finished,
            duration: report.phases.total(),
            status: report.status,
            request_id: report.request_id.clone(),
            failure: report.outcome.as_ref().err().cloned(),
            reached: report.phases.last_reached(),
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
        self.last_skip = Some(reason);
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
