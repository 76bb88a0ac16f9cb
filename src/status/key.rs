//! The view of a key, of its probes and of its history.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use strum::VariantArray as _;

use serde::Serialize;
use serde_with::As;

use super::failed::{failed, is_outdated};
use super::seconds::Seconds;
use super::standing::{Standing, severity};
use super::{Circumstances, StatusSource};
use crate::config::{KEY_INFO, Labels};
use crate::diagnosis::{self, Answers, KeyFacts, OutdatedRefusals, TokenOrigin, Verdict};
use crate::key_state::{KeyState, PersistedSecretState, SecretState};
use crate::language::text;
use crate::partner_api::Access;
use crate::partner_api::error::ErrorCode;
use crate::partner_api::failure::Reason;
use crate::partner_api::request_id::RequestId;
use crate::report::Phases;
use crate::state::history::{PastProbe, TransitionRecord, Transitions};
use crate::state::{KeyStatus, LastProbe, MonitoredKey, ProbeStatus, Skip};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeyView {
    pub partner: Arc<str>,
    pub key: Arc<str>,
    pub access: Access,
    pub state: KeyState,
    #[serde(rename = "state_since_timestamp_seconds", with = "As::<Seconds>")]
    pub since: SystemTime,
    /// Since when a key that worked is refused: until the API accepts it, whatever its state is meanwhile.
    #[serde(rename = "broken_since_timestamp_seconds", with = "As::<Option<Seconds>>")]
    pub broken_since: Option<SystemTime>,
    /// What the key needs.
    pub standing: Standing,
    /// Since when it has its problem; `None` if it has none.
    #[serde(rename = "problem_since_timestamp_seconds", with = "As::<Option<Seconds>>")]
    pub problem_since: Option<SystemTime>,
    /// Whether the beginning of the problem was seen; if not, it may be older.
    #[serde(skip)]
    pub problem_seen: bool,
    /// Whether the change to the present state was seen.
    #[serde(skip)]
    pub state_seen: bool,
    /// Whether the state is what Prometheus remembers, and the API has not answered about the key yet.
    pub remembered_by_prometheus: bool,
    pub verdict: Verdict,
    /// The labels that the operator gave the key.
    pub labels: Labels,
    /// The ID of the schema (tenant) behind the key.
    pub schema_id: Option<String>,
    /// The partner's ID at MyUnisoft.
    pub third_party_id: Option<String>,
    /// The ID of the society behind the key; a firm key has none.
    pub society_id: Option<String>,
    pub version: Option<u64>,
    /// The newest version that the key could have.
    pub latest_version: Option<u64>,
    /// The number of routes that the key may call.
    pub routes: Option<usize>,
    /// When the token expires, if it does.
    #[serde(rename = "token_expiry_timestamp_seconds", with = "As::<Option<Seconds>>")]
    pub token_expiry: Option<SystemTime>,
    /// The request budget in the last response that had one.
    pub rate_limit: Option<RateLimitView>,
    /// Which share of the documented budget of a token its probes use; with other keys of the same token, if there are any.
    pub probes_budget_ratio: f64,
    /// In the order of the configuration.
    pub probes: Vec<ProbeView>,
    /// The probe that the verdict is about.
    #[serde(skip)]
    verdict_probe: Option<Arc<str>>,
}

/// The request budget of a key.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct RateLimitView {
    /// The number of requests per window.
    pub requests: Option<u32>,
    /// The number of requests left in the present window.
    #[serde(rename = "remaining_requests")]
    pub remaining: Option<u32>,
    /// When the next window begins.
    #[serde(rename = "reset_timestamp_seconds", with = "As::<Option<Seconds>>")]
    pub reset: Option<SystemTime>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProbeView {
    pub probe: Arc<str>,
    /// Whether the last run succeeded; `None` if none ran.
    pub up: Option<bool>,
    /// The time between two due times.
    #[serde(rename = "interval_seconds", with = "As::<Seconds>")]
    pub interval: Duration,
    /// The duration of the last run.
    #[serde(rename = "last_duration_seconds", with = "As::<Option<Seconds>>")]
    pub last_duration: Option<Duration>,
    /// When the last run ended.
    #[serde(rename = "last_timestamp_seconds", with = "As::<Option<Seconds>>")]
    pub last: Option<SystemTime>,
    /// When a run last succeeded.
    #[serde(rename = "last_success_timestamp_seconds", with = "As::<Option<Seconds>>")]
    pub last_success: Option<SystemTime>,
    /// The HTTP status of the last run; `None` if there was no response.
    pub http_status_code: Option<u16>,
    /// Why the last run failed; `None` if it succeeded, or none ran.
    pub reason: Option<Reason>,
    /// The request ID of the last run.
    pub request_id: Option<String>,
    /// The present failure episode.
    pub error: Option<ErrorView>,
    /// Why the probe was skipped when it was last due; `None` if it ran.
    #[serde(rename = "left_out")]
    pub last_skip: Option<Skip>,
    /// The number of runs.
    #[serde(rename = "probes_total")]
    pub total: u64,
    /// The number of failed runs by reason.
    #[serde(rename = "probe_failures_total")]
    pub failures: BTreeMap<Reason, u64>,
    /// The number of skipped runs by reason.
    #[serde(rename = "probes_skipped_total")]
    pub skipped: BTreeMap<Skip, u64>,
}

/// The failure episode of a probe, as of its first failure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ErrorView {
    pub reason: Reason,
    /// The API's error code.
    pub code: Option<String>,
    /// One sentence, without any secret or body.
    pub detail: String,
    /// The request ID to quote to MyUnisoft's support.
    pub request_id: Option<String>,
    /// When the episode began.
    #[serde(rename = "since_timestamp_seconds", with = "As::<Seconds>")]
    pub since: SystemTime,
    /// Whether the probe had run before; if not, what makes it fail may be older.
    #[serde(skip)]
    pub seen: bool,
    #[serde(skip)]
    concerns_credentials: bool,
}

/// A key with its history.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeyDetail {
    #[serde(flatten)]
    pub key: KeyView,
    /// The state changes that this process has seen, newest first.
    pub state_changes: Vec<TransitionView>,
    /// The last probes, newest first.
    pub history: Vec<PastProbeView>,
}

/// A state change of a key.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TransitionView {
    #[serde(rename = "timestamp_seconds", with = "As::<Seconds>")]
    pub at: SystemTime,
    /// The last verdict before.
    pub from: KeyState,
    /// The new state.
    pub to: KeyState,
    /// The API's error code.
    pub code: Option<String>,
    /// The request ID of the response that caused the change.
    pub request_id: Option<String>,
}

/// A probe that ran.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PastProbeView {
    pub probe: Arc<str>,
    #[serde(rename = "timestamp_seconds", with = "As::<Seconds>")]
    pub finished: SystemTime,
    pub up: bool,
    /// The HTTP status; `None` if there was no response.
    pub http_status_code: Option<u16>,
    pub reason: Option<Reason>,
    /// The API's error code, if it is a documented one.
    pub code: Option<&'static str>,
    /// The request ID, if the probe failed.
    pub request_id: Option<String>,
    #[serde(rename = "duration_seconds", with = "As::<Seconds>")]
    pub duration: Duration,
    #[serde(rename = "phase_duration_seconds", with = "As::<Seconds>")]
    pub phases: Phases,
}

impl KeyView {
    pub(super) fn new(
        key: &MonitoredKey,
        status: &KeyStatus,
        secret: &PersistedSecretState,
        circumstances: Circumstances,
    ) -> Self {
        let known = |id: &String| (!id.is_empty()).then(|| id.clone());
        let facts = facts(key, status, secret, circumstances);
        let standing = severity(status, &key.partner, circumstances).standing();
        let problem_since = problem_since(status, secret, standing);
        Self {
            partner: Arc::clone(&key.partner.name),
            key: Arc::clone(&key.name),
            access: key.access,
            state: status.persisted.state,
            since: status.persisted.since,
            broken_since: status.persisted.history.broken_since,
            remembered_by_prometheus: status.is_remembered,
            standing,
            problem_since,
            problem_seen: problem_since.is_some_and(|since| was_seen(status, since)),
            state_seen: status.transitions.saw_change_at(status.persisted.since),
            verdict: verdict(&facts, status),
            labels: key.operator_labels(),
            verdict_probe: verdict_probe(status, &facts),
            schema_id: known(&status.identity.schema_id),
            third_party_id: known(&status.identity.third_party_id),
            society_id: known(&status.identity.society_id),
            version: status.version.map(|version| version.current),
            latest_version: status.version.map(|version| version.latest),
            routes: status.routes,
            token_expiry: status.token_expiry,
            rate_limit: status.budget.map(|budget| RateLimitView {
                requests: budget.total,
                remaining: budget.remaining,
                reset: budget.reset,
            }),
            probes_budget_ratio: status.budget_share(),
            probes: status.probes.iter().map(ProbeView::new).collect(),
        }
    }

    /// The probe to show if there is room for one only: the one that the verdict is about, or else the one that
    /// ran last.
    pub(crate) fn displayed_probe(&self) -> Option<&ProbeView> {
        let verdict_probe =
            self.probes.iter().find(|probe| self.verdict_probe.as_ref() == Some(&probe.probe));
        verdict_probe.or_else(|| self.probes.iter().max_by_key(|probe| probe.last))
    }

    /// The request ID to quote: from the start of the failure episode, or else from the last response. A person who asks
    /// why a key is lost or not activated quotes no response that says nothing about it, such as that of maintenance.
    pub(crate) fn request_id(&self) -> Option<&str> {
        let probe = self.displayed_probe()?;
        match &probe.error {
            Some(error) if self.state.is_problem() => {
                error.request_id.as_deref().filter(|_| error.concerns_credentials)
            }
            Some(_) | None => probe.request_id_to_quote(),
        }
    }
}

/// The probe that the verdict is about. If the state is the problem and the last failures do not say why, then the probe
/// that was refused before them.
fn verdict_probe(status: &KeyStatus, facts: &KeyFacts<'_>) -> Option<Arc<str>> {
    let failed = diagnosis::most_important(&facts.failed_probes)?;
    let is_refused = |probe: &&ProbeStatus| {
        probe.episode.as_ref().is_some_and(|episode| episode.failure.concerns_credentials())
    };
    let refused = status.probes.iter().find(is_refused);
    let before = refused.filter(|_| facts.state.is_problem() && !failed.failure.concerns_credentials());
    Some(before.map_or_else(|| failed.probe.into(), |probe| Arc::clone(&probe.name)))
}

/// A key that worked has its problem since it was refused, whatever its state became since then.
fn problem_since(
    status: &KeyStatus,
    secret: &PersistedSecretState,
    standing: Standing,
) -> Option<SystemTime> {
    let persisted = &status.persisted;
    let present = status.probes.iter().filter(|probe| !is_outdated(probe, persisted, secret));
    let failing = || present.filter_map(|probe| Some(probe.episode.as_ref()?.since)).min();
    let since = match persisted.state {
        KeyState::Active | KeyState::Unknown => failing(),
        KeyState::Pending
        | KeyState::NotFound
        | KeyState::Revoked
        | KeyState::Disconnected
        | KeyState::FolderNotFound
        | KeyState::Invalid
        | KeyState::Forbidden => Some(persisted.since),
    };
    let since = persisted.history.broken_since.or(since);
    since.filter(|_| standing != Standing::Working)
}

/// Whether something that began at this time was seen to begin.
fn was_seen(status: &KeyStatus, since: SystemTime) -> bool {
    let mut episodes = status.probes.iter().filter_map(|probe| probe.episode.as_ref());
    status.transitions.saw_change_at(since) || episodes.any(|episode| episode.seen && episode.since == since)
}

fn verdict(facts: &KeyFacts<'_>, status: &KeyStatus) -> Verdict {
    let mut verdict = diagnosis::diagnose_key(facts);
    if status.is_remembered {
        verdict.summary += " ";
        verdict.summary += &text!(facts.language, "remembered-by-prometheus");
    }
    verdict
}

fn facts<'a>(
    key: &MonitoredKey,
    status: &'a KeyStatus,
    secret: &PersistedSecretState,
    circumstances: Circumstances,
) -> KeyFacts<'a> {
    // Without a request ID, only the documented body of key/info shows that the API itself answered.
    let is_accepted = |probe: &&ProbeStatus| {
        let is_from_api = |last: &LastProbe| last.request_id.is_some() || &*probe.name == KEY_INFO;
        probe.last.as_ref().is_some_and(|last| last.success() && is_from_api(last))
    };
    let present = status.probes.iter().filter(|probe| !is_outdated(probe, &status.persisted, secret));
    let skipped = |skip| status.probes.iter().any(|probe| probe.last_skip == Some(skip));
    KeyFacts {
        language: circumstances.language,
        state: status.persisted.state,
        secret: secret.state,
        failed_probes: present.filter_map(|probe| failed(probe, circumstances.certificate_expired)).collect(),
        outdated: outdated_refusals(status, secret),
        accepted_probes: status.probes.iter().filter(is_accepted).map(|probe| &*probe.name).collect(),
        is_broken: status.persisted.history.broken_since.is_some(),
        origin: TokenOrigin::new(key.access, status.has_login),
        unreadable: unreadable(key, status),
        answers: answers(status),
        over_budget: skipped(Skip::RateLimit),
        out_of_resources: skipped(Skip::NoResources),
    }
}

/// Why the token, the password or the partner's secret cannot be read.
fn unreadable(key: &MonitoredKey, status: &KeyStatus) -> Option<Arc<str>> {
    let problem = status.credential_problem.clone().or_else(|| key.partner.credential_problem().clone());
    problem.map(|problem| problem.text)
}

pub(super) fn outdated_refusals<'a>(
    status: &'a KeyStatus,
    secret: &PersistedSecretState,
) -> Option<OutdatedRefusals<'a>> {
    let key = &status.persisted;
    let outdated = status.probes.iter().filter(|probe| is_outdated(probe, key, secret));
    let probes: Vec<_> = outdated.map(|probe| &*probe.name).collect();
    let accepted_since = match (key.state, secret.state) {
        (KeyState::Active, SecretState::Active) => key.since.max(secret.since),
        (KeyState::Active, _) => key.since,
        _ => secret.since,
    };
    let worked_before = worked_before_last_acceptance(&status.transitions);
    (!probes.is_empty()).then_some(OutdatedRefusals { probes, accepted_since, worked_before })
}

/// Whether the key was active before it became active last, as far as the changes are known.
fn worked_before_last_acceptance(transitions: &Transitions<KeyState>) -> bool {
    let was_active = |state| matches!(state, KeyState::Active | KeyState::Revoked);
    let is_acceptance = |transition: &&TransitionRecord<KeyState>| transition.to == KeyState::Active;
    transitions.iter().any(|transition| was_active(transition.from))
        || transitions.iter().filter(is_acceptance).count() > 1
}

fn answers(status: &KeyStatus) -> Answers {
    let mut last = status.probes.iter().filter_map(|probe| probe.last.as_ref()).peekable();
    if last.peek().is_none() {
        return Answers::None;
    }
    let is_unproven = last.any(|last| last.success() && last.request_id.is_none());
    if is_unproven { Answers::WithoutRequestId } else { Answers::Other }
}

impl ProbeView {
    /// The request ID to quote: from the start of the failure episode, or else from the last response.
    pub(crate) fn request_id_to_quote(&self) -> Option<&str> {
        let first = self.error.as_ref().and_then(|error| error.request_id.as_deref());
        first.or(self.request_id.as_deref())
    }

    pub(super) fn new(probe: &ProbeStatus) -> Self {
        let last = probe.last.as_ref();
        let error = probe.episode.as_ref().map(|episode| ErrorView {
            reason: episode.failure.reason,
            code: episode.failure.code.as_ref().map(ErrorCode::to_string),
            detail: episode.failure.detail.clone(),
            request_id: episode.request_id.as_ref().map(RequestId::to_string),
            since: episode.since,
            seen: episode.seen,
            concerns_credentials: episode.failure.concerns_credentials(),
        });
        let skipped = Skip::VARIANTS.iter().copied().zip(probe.skipped);
        Self {
            probe: Arc::clone(&probe.name),
            up: last.map(LastProbe::success),
            interval: probe.interval,
            last_duration: last.map(|last| last.phases.total()),
            last: last.map(|last| last.finished),
            last_success: probe.last_success,
            http_status_code: last.and_then(|last| last.status),
            reason: last.and_then(|last| last.failure.as_ref()).map(|failure| failure.reason),
            request_id: last.and_then(|last| last.request_id.as_ref()).map(RequestId::to_string),
            error,
            last_skip: probe.last_skip,
            total: probe.total,
            failures: probe.failures.iter().copied().collect(),
            skipped: skipped.filter(|(_, times)| *times > 0).collect(),
        }
    }
}

impl KeyDetail {
    pub(crate) fn new(source: &StatusSource<'_>, key: &MonitoredKey) -> Self {
        let secret = key.partner.secret();
        let status = key.status();
        Self {
            key: KeyView::new(key, &status, &secret, source.circumstances()),
            state_changes: status.transitions.iter().rev().map(TransitionView::new).collect(),
            history: status.recent.iter().rev().map(PastProbeView::new).collect(),
        }
    }
}

impl TransitionView {
    fn new(transition: &TransitionRecord<KeyState>) -> Self {
        Self {
            at: transition.at,
            from: transition.from,
            to: transition.to,
            code: transition.code.as_ref().map(ErrorCode::to_string),
            request_id: transition.request_id.as_ref().map(RequestId::to_string),
        }
    }
}

impl PastProbeView {
    pub(crate) fn new(past: PastProbe) -> Self {
        let phases = past.phases();
        let (finished, http_status_code) = (past.finished(), past.status());
        let failure = past.failure.as_deref();
        Self {
            finished,
            up: failure.is_none(),
            http_status_code,
            reason: failure.map(|failure| failure.reason),
            code: failure.and_then(|failure| failure.code).map(|code| code.into_str()),
            request_id: failure.and_then(|failure| Some(failure.request_id.as_ref()?.to_string())),
            duration: phases.total(),
            phases,
            probe: past.probe,
        }
    }
}
