//! The status of one key, of its probes and of the health route, and how a report, a response or a state change
//! updates it.

use serde_with::{DeserializeFromStr, SerializeDisplay};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use secrecy::{ExposeSecret, SecretString};

use super::CredentialProblem;
use super::history::{Day, PastProbe, RecentProbes, TransitionRecord, Transitions};
use crate::clock_steps::Step;
use crate::config::HEALTH;
use crate::config::budget::share;
use crate::key_state::{KeyState, PersistedKeyState};
use crate::partner_api::budget::Budget;
use crate::partner_api::error::ErrorCode;
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::judge::Judgement;
use crate::partner_api::key_info::Version;
use crate::partner_api::request_id::RequestId;
use crate::partner_api::token::{Claims, Identity};
use crate::report::{Phases, ProbeReport};

/// Why a due probe did not run: the label `reason` of skipped probes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display, IntoStaticStr, VariantArray, SerializeDisplay,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(crate) enum Skip {
    /// The key's request budget is low or used up.
    RateLimit,
    /// Another probe of the key still ran until this one was due again.
    StillRunning,
    /// This process or its machine has no file descriptors, ports or memory left, so that no request could be
    /// sent.
    NoResources,
}

/// The state of the API, from its health route.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
    DeserializeFromStr,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(crate) enum HealthState {
    /// No health probe ran yet.
    Unknown,
    /// The last probe succeeded.
    Up,
    /// The response to the last probe announced maintenance.
    Maintenance,
    /// The last probe failed.
    Down,
}

#[derive(Clone, Debug)]
pub(crate) struct HealthStatus {
    pub probe: ProbeStatus,
    pub state: HealthState,
    /// When this process first saw this state; before the first probe, when monitoring began.
    pub since: SystemTime,
    /// When this process began to monitor the API.
    pub monitored_since: SystemTime,
    pub recent: RecentProbes,
    pub day: Day,
    pub transitions: Transitions<HealthState>,
    /// The state when an earlier process ended a short time ago, and since when it was in it.
    pub before_start: Option<(HealthState, SystemTime)>,
}

#[derive(Clone, Debug)]
pub(crate) struct KeyStatus {
    pub persisted: PersistedKeyState,
    /// Whether Prometheus remembers the state, and no answer of the API confirmed or changed it yet.
    pub is_remembered: bool,
    /// How often each state was entered since the start of the process, in the order of first entry.
    pub changes: Vec<(KeyState, u64)>,
    /// The IDs behind the key: from key/info, or else from the token.
    pub identity: Identity,
    /// From key/info.
    pub version: Option<Version>,
    /// From key/info: the number of routes that the key may call.
    pub routes: Option<usize>,
    /// Whether the token comes from a log-in.
    pub has_login: bool,
    /// Why the token or password cannot be read now, if it cannot.
    pub credential_problem: Option<CredentialProblem>,
    /// When the token expires, if it does.
    pub token_expiry: Option<SystemTime>,
    /// The request budget in the last response that had one.
    pub budget: Option<Budget>,
    /// Which share of its token's budget the probes of all its keys use.
    pub token_use: TokenUse,
    /// In the order of the configuration.
    pub probes: Vec<ProbeStatus>,
    /// The last runs of all its probes together.
    pub recent: RecentProbes,
    pub transitions: Transitions<KeyState>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ProbeStatus {
    pub name: Arc<str>,
    /// The time between two due times.
    pub interval: Duration,
    /// The number of runs.
    pub total: u64,
    /// The number of successful runs.
    pub successes: u64,
    /// The number of failed runs by reason, in the order of first failure.
    pub failures: Vec<(Reason, u64)>,
    /// The number of skipped runs, in the order of [`Skip::VARIANTS`].
    pub skipped: [u64; Skip::VARIANTS.len()],
    /// Why the probe was skipped when it was last due; `None` if it ran.
    pub last_skip: Option<Skip>,
    pub last: Option<LastProbe>,
    /// When a run last succeeded.
    pub last_success: Option<SystemTime>,
    /// The present failure episode.
    pub episode: Option<Box<Episode>>,
    /// The episode of a refusal that the present one has replaced, although it is not about what was refused: a failed
    /// log-in, for example. It goes on if the same refusal returns.
    pub hidden_refusal: Option<Box<Episode>>,
    /// How many runs ended without an answer to it since the API last refused the key or the secret as a whole; `None`
    /// if it did not, or if this is too long ago to be true still.
    pub runs_since_refusal: Option<u8>,
}

/// After this number of runs without an answer, the last refusal does not describe the present any more.
const MAX_RUNS_SINCE_REFUSAL: u8 = 2;

/// The last run of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastProbe {
    /// When the run ended.
    pub finished: SystemTime,
    pub phases: Phases,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The request ID, if the response had one.
    pub request_id: Option<RequestId>,
    /// Most probes succeed.
    pub failure: Option<Box<Failure>>,
}

/// What the response said that changed a key's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TransitionCause {
    pub code: Option<ErrorCode>,
    pub request_id: Option<RequestId>,
}

impl From<&ProbeReport> for TransitionCause {
    fn from(report: &ProbeReport) -> Self {
        let code = report.outcome.as_ref().err().and_then(|failure| failure.code.clone());
        Self { code, request_id: report.request_id.clone() }
    }
}

/// A failure episode: consecutive failures of one kind ([`Failure::belongs_to_episode_of`]). It keeps its *first* failure,
/// so that its series changes once per episode, and an alert quotes the request ID from the start of the
/// episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Episode {
    pub since: SystemTime,
    /// Whether the probe had run before; if not, what makes it fail may be older.
    pub seen: bool,
    /// The first failure.
    pub failure: Failure,
    /// The request ID of the first failure.
    pub request_id: Option<RequestId>,
}

/// A change that the log reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EpisodeChange {
    /// The first failure of all, after a success, or of another kind.
    Began(Episode),
    /// The first success after failures.
    Ended(Episode),
}

/// Which share of the documented request budget of one token the configured probes use. The keys with this token share the
/// value.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenUse(Arc<AtomicU64>);

impl TokenUse {
    /// Shares are added as integers, so that removing one leaves no rounding error.
    const UNIT: f64 = 1e9;

    /// Adds the share of one key until the result is dropped.
    pub(crate) fn add(&self, share: f64) -> KeyUse {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share is small and not negative"
        )]
        let share = (share * Self::UNIT) as u64;
        self.0.fetch_add(share, Ordering::Relaxed);
        KeyUse { token: self.clone(), share }
    }

    #[expect(clippy::cast_precision_loss, reason = "a share is small")]
    pub(crate) fn share(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / Self::UNIT
    }
}

/// The share of one key.
#[derive(Debug, Default)]
pub(crate) struct KeyUse {
    token: TokenUse,
    share: u64,
}

impl Drop for KeyUse {
    fn drop(&mut self) {
        self.token.0.fetch_sub(self.share, Ordering::Relaxed);
    }
}

impl LastProbe {
    pub(crate) const fn success(&self) -> bool {
        self.failure.is_none()
    }
}

impl KeyStatus {
    /// A key of which only the persisted state and the probes are known.
    pub(crate) fn new(persisted: PersistedKeyState, probes: impl IntoIterator<Item = ProbeStatus>) -> Self {
        Self {
            persisted,
            is_remembered: false,
            changes: Vec::new(),
            identity: Identity::default(),
            version: None,
            routes: None,
            has_login: false,
            credential_problem: None,
            token_expiry: None,
            budget: None,
            token_use: TokenUse::default(),
            probes: probes.into_iter().collect(),
            recent: RecentProbes::with_room(),
            transitions: Transitions::default(),
        }
    }

    /// Takes IDs and expiry from the claims in a new token, and removes what earlier responses said. key/info
    /// can replace the IDs.
    pub(crate) fn reset_from_token(&mut self, token: &SecretString) {
        let claims = Claims::parse(token.expose_secret()).unwrap_or_default();
        self.identity = claims.identity;
        self.token_expiry = claims.expires;
        self.version = None;
        self.routes = None;
        self.budget = None;
    }

    /// Which share of its token's budget the probes use, with those of the other keys of this token.
    pub(crate) fn budget_share(&self) -> f64 {
        self.token_use.share().max(share(self.probes.iter().map(|probe| probe.interval)))
    }

    /// Takes over the history and the counters of the same key under an earlier configuration.
    pub(crate) fn carry_over(&mut self, old: &Self) {
        self.is_remembered = old.is_remembered && old.persisted == self.persisted;
        self.changes.clone_from(&old.changes);
        self.identity.clone_from(&old.identity);
        self.credential_problem.clone_from(&old.credential_problem);
        self.token_expiry = old.token_expiry;
        self.transitions.clone_from(&old.transitions);
        self.recent.clone_from(&old.recent);
        for probe in &mut self.probes {
            if let Some(old) = old.probes.iter().find(|old| old.name == probe.name) {
                *probe = ProbeStatus { interval: probe.interval, ..old.clone() };
            }
        }
    }

    /// Its last probes and state changes.
    pub(crate) fn history(&self) -> (RecentProbes, Transitions<KeyState>) {
        (self.recent.clone(), self.transitions.clone())
    }

    /// Takes over the history of the same key under another name, unless it has one of its own. The counters begin anew, as
    /// the series do.
    pub(crate) fn take_history(&mut self, history: (RecentProbes, Transitions<KeyState>)) {
        if self.transitions.iter().len() == 0 && self.recent.iter().len() == 0 {
            (self.recent, self.transitions) = history;
        }
    }

    /// Records what a response says besides success or failure: the budget, and the data of key/info.
    pub(crate) fn record_response(&mut self, response: &Judgement) {
        if response.budget.is_reported() {
            self.budget = Some(response.budget);
        }
        self.is_remembered &= response.key.is_none();
        let Some(info) = &response.key_info else { return };
        self.routes = info.route_count;
        if let Some(extended) = &info.extended {
            self.version = extended.version;
            self.identity.clone_from(&extended.identity);
        }
    }

    /// Sets the persisted state. If the state changes, this is counted and added to the history with its
    /// `cause`, if a response caused it.
    pub(crate) fn set_persisted(&mut self, persisted: PersistedKeyState, cause: Option<TransitionCause>) {
        if persisted.state != self.persisted.state {
            count(&mut self.changes, persisted.state);
            let TransitionCause { code, request_id } = cause.unwrap_or_default();
            let (at, from, to) = (persisted.since, self.last_verdict(), persisted.state);
            let seen = self.has_seen_other_than(to);
            self.transitions.push(TransitionRecord { at, from, to, seen, code, request_id });
            if to == KeyState::Active {
                // What refused the key before does not describe the present any more.
                self.probes.iter_mut().for_each(|probe| probe.runs_since_refusal = None);
            }
        }
        self.persisted = persisted;
    }

    /// Whether an answer since the start of the process shows that the state was another one.
    fn has_seen_other_than(&self, to: KeyState) -> bool {
        let was_refused = |probe: &ProbeStatus| probe.failures.iter().any(|(reason, _)| reason.is_refusal());
        let mut probes = self.probes.iter();
        if to == KeyState::Active { probes.any(was_refused) } else { probes.any(|probe| probe.successes > 0) }
    }

    /// The last state that is a verdict. While the state is unknown, it is that of the token before.
    fn last_verdict(&self) -> KeyState {
        let before = || self.transitions.iter().next_back().map_or(KeyState::Unknown, |last| last.from);
        if self.persisted.state == KeyState::Unknown { before() } else { self.persisted.state }
    }

    /// Records the report of the probe at `index`. Returns whether a failure episode began or ended.
    pub(crate) fn record(&mut self, index: usize, report: &ProbeReport) -> Option<EpisodeChange> {
        let probe = self.probes.get_mut(index)?;
        self.recent.push(PastProbe::new(Arc::clone(&probe.name), report));
        probe.record(report)
    }
}

impl HealthStatus {
    /// Starts again for another API: the data is about the old one. The counters continue, because a counter
    /// never goes back.
    pub(crate) fn reset(&mut self) {
        let Self { probe, .. } = std::mem::take(self);
        self.probe = ProbeStatus {
            last: None,
            last_success: None,
            episode: None,
            hidden_refusal: None,
            last_skip: None,
            ..probe
        };
    }

    /// Records a report. Returns whether a failure episode began or ended.
    pub(crate) fn record(&mut self, report: &ProbeReport) -> Option<EpisodeChange> {
        self.recent.push(PastProbe::new(Arc::clone(&self.probe.name), report));
        self.day.record(report);
        let change = self.probe.record(report);
        let state = match &report.outcome {
            Ok(()) => HealthState::Up,
            Err(failure) if failure.reason == Reason::Maintenance => HealthState::Maintenance,
            Err(_) => HealthState::Down,
        };
        self.change(state, report);
        change
    }
}

impl HealthStatus {
    fn change(&mut self, to: HealthState, report: &ProbeReport) {
        if to == self.state {
            return;
        }
        let before = self.before_start.take();
        let seen = self.state != HealthState::Unknown;
        let from = if self.state == HealthState::Unknown {
            before.map(|(state, _)| state)
        } else {
            Some(self.state)
        };
        self.since = before.filter(|(state, _)| *state == to).map_or(report.finished, |(_, since)| since);
        self.state = to;
        if let Some(from) = from.filter(|from| *from != to) {
            let code = report.outcome.as_ref().err().and_then(|failure| failure.code.clone());
            let request_id = report.request_id.clone();
            let at = report.finished;
            self.transitions.push(TransitionRecord { at, from, to, seen, code, request_id });
        }
    }
}

impl Default for HealthStatus {
    fn default() -> Self {
        let now = SystemTime::now();
        Self {
            // The interval is set when a configuration is applied.
            probe: ProbeStatus::new(HEALTH.into(), Duration::ZERO),
            state: HealthState::Unknown,
            since: now,
            monitored_since: now,
            recent: RecentProbes::default(),
            day: Day::default(),
            transitions: Transitions::default(),
            before_start: None,
        }
    }
}

impl ProbeStatus {
    pub(crate) fn new(name: Arc<str>, interval: Duration) -> Self {
        Self { name, interval, ..Self::default() }
    }

    /// The system clock was set: the times of the last runs follow it.
    pub(super) fn correct_times(&mut self, step: Step) {
        if let Some(last) = &mut self.last {
            last.finished = step.correct(last.finished);
        }
        self.last_success = self.last_success.map(|success| step.correct(success));
    }

    /// Records a report. Returns whether a failure episode began or ended.
    pub(crate) fn record(&mut self, report: &ProbeReport) -> Option<EpisodeChange> {
        self.total += 1;
        self.last_skip = None;
        self.last = Some(LastProbe {
            finished: report.finished,
            phases: report.phases,
            status: report.status,
            request_id: report.request_id.clone(),
            failure: report.outcome.as_ref().err().cloned().map(Box::new),
        });
        self.runs_since_refusal = match &report.outcome {
            Ok(()) => None,
            Err(failure) if failure.refuses_key_or_secret() => Some(0),
            Err(_) => {
                self.runs_since_refusal.map(|runs| runs + 1).filter(|runs| *runs <= MAX_RUNS_SINCE_REFUSAL)
            }
        };
        match &report.outcome {
            Ok(()) => {
                self.successes += 1;
                self.last_success = Some(report.finished);
                self.hidden_refusal = None;
                self.episode.take().map(|episode| EpisodeChange::Ended(*episode))
            }
            Err(failure) => {
                count(&mut self.failures, failure.reason);
                let continues = |episode: &Episode| failure.belongs_to_episode_of(&episode.failure);
                if self.episode.as_deref().is_some_and(continues) {
                    return None;
                }
                Some(EpisodeChange::Began(self.begin_episode(failure, report).clone()))
            }
        }
    }

    /// Begins an episode, or goes on with that of a refusal that was hidden only.
    fn begin_episode(&mut self, failure: &Failure, report: &ProbeReport) -> &Episode {
        let is_refusal = |episode: &Episode| episode.failure.reason.is_refusal();
        let mut returned = None;
        if failure.reason.is_refusal() {
            // Another refusal replaces the hidden one.
            let hidden = self.hidden_refusal.take();
            returned = hidden.filter(|hidden| failure.belongs_to_episode_of(&hidden.failure));
        } else if let Some(refusal) = self.episode.take_if(|episode| is_refusal(episode)) {
            self.hidden_refusal = Some(refusal);
        }
        self.episode.insert(returned.unwrap_or_else(|| {
            Box::new(Episode {
                since: report.finished,
                // This run is counted already.
                seen: self.total > 1,
                failure: failure.clone(),
                request_id: report.request_id.clone(),
            })
        }))
    }

    /// Whether the API refuses the key or the secret as a whole in this probe, as far as is known now.
    pub(crate) const fn is_refused(&self) -> bool {
        self.runs_since_refusal.is_some()
    }

    /// Counts `times` skipped runs.
    pub(crate) fn skip(&mut self, reason: Skip, times: u64) {
        self.last_skip = Some(reason);
        if let Some(count) = self.skipped.get_mut(reason as usize) {
            *count += times;
        }
    }
}

/// Adds one to the count of a word. There are only a few different words, so a list is faster than a map.
fn count<W: PartialEq>(counts: &mut Vec<(W, u64)>, word: W) {
    if let Some((_, times)) = counts.iter_mut().find(|(counted, _)| *counted == word) {
        *times += 1;
    } else {
        // Most keys have one.
        counts.reserve_exact(1);
        counts.push((word, 1));
    }
}
