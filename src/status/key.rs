//! One key, as it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use strum::VariantArray as _;

use serde::Serialize;
use serde_with::serde_as;

use super::StatusSource;
use super::seconds::Seconds;
use crate::diagnosis::{self, FailedProbe, KeyFacts, Verdict};
use crate::key_state::{KeyState, SecretState};
use crate::partner_api::Access;
use crate::partner_api::budget::Budget;
use crate::partner_api::error::ErrorCode;
use crate::partner_api::failure::Reason;
use crate::partner_api::request_id::RequestId;
use crate::report::Phases;
use crate::state::history::{PastProbe, TransitionRecord};
use crate::state::{KeyStatus, LastProbe, MonitoredKey, ProbeStatus, Skip};

/// A key.
#[serde_as]
#[derive(Clone, Debug, Serialize)]
pub struct KeyView {
    /// Whose key it is.
    pub partner: Arc<str>,
    /// Its name.
    pub key: Arc<str>,
    /// What its token opens.
    pub access: Access,
    /// Its state.
    pub state: KeyState,
    /// Since when.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "state_since_timestamp_seconds")]
    pub since: SystemTime,
    /// What is wrong, whose fault it is, what to do.
    pub verdict: Verdict,
    /// The schema (tenant) behind it.
    pub schema_id: Option<String>,
    /// The partner's number at MyUnisoft.
    pub third_party_id: Option<String>,
    /// The society behind it; a firm key has none.
    pub society_id: Option<String>,
    /// Its version.
    pub version: Option<u64>,
    /// The newest version that it could have.
    pub latest_version: Option<u64>,
    /// How many routes it may call.
    pub routes: Option<usize>,
    /// When its token ends, if it does.
    #[serde_as(as = "Option<Seconds>")]
    #[serde(rename = "token_expiry_timestamp_seconds")]
    pub token_expiry: Option<SystemTime>,
    /// Its budget, as last answered.
    pub rate_limit: Option<RateLimitView>,
    /// Its probes, in the configuration's order.
    pub probes: Vec<ProbeView>,
    /// Which of them the verdict is about.
    #[serde(skip)]
    verdict_probe: Option<Arc<str>>,
}

/// A key's budget.
#[serde_as]
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RateLimitView {
    /// Requests in the whole window.
    pub requests: Option<u32>,
    /// Requests left in it.
    #[serde(rename = "remaining_requests")]
    pub remaining: Option<u32>,
    /// When it starts anew.
    #[serde_as(as = "Option<Seconds>")]
    #[serde(rename = "reset_timestamp_seconds")]
    pub reset: Option<SystemTime>,
}

/// A probe.
#[serde_as]
#[derive(Clone, Debug, Serialize)]
pub struct ProbeView {
    /// Its name.
    pub probe: Arc<str>,
    /// Whether the last one succeeded; `None`: none ran.
    pub up: Option<bool>,
    /// From when it is due until it is due again.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "interval_seconds")]
    pub interval: Duration,
    /// How long the last one took.
    #[serde_as(as = "Option<Seconds>")]
    #[serde(rename = "last_duration_seconds")]
    pub last_duration: Option<Duration>,
    /// When the last one ended.
    #[serde_as(as = "Option<Seconds>")]
    #[serde(rename = "last_timestamp_seconds")]
    pub last: Option<SystemTime>,
    /// When one last succeeded.
    #[serde_as(as = "Option<Seconds>")]
    #[serde(rename = "last_success_timestamp_seconds")]
    pub last_success: Option<SystemTime>,
    /// The last one's HTTP status; `None`: no answer came.
    pub http_status_code: Option<u16>,
    /// Why the last one failed; `None`: it succeeded, or none ran.
    pub reason: Option<Reason>,
    /// The last one's request-id.
    pub request_id: Option<String>,
    /// The trouble it is in, as it began.
    pub error: Option<ErrorView>,
    /// Why it did not run when it was last due; `None`: it ran.
    #[serde(rename = "left_out")]
    pub last_skip: Option<Skip>,
    /// How many ran.
    #[serde(rename = "probes_total")]
    pub total: u64,
    /// How many failed, by reason.
    #[serde(rename = "probe_failures_total")]
    pub failures: BTreeMap<Reason, u64>,
    /// How many were due and did not run, by reason.
    #[serde(rename = "probes_skipped_total")]
    pub skipped: BTreeMap<Skip, u64>,
}

/// The trouble that a probe is in, as it began.
#[serde_as]
#[derive(Clone, Debug, Serialize)]
pub struct ErrorView {
    /// Why.
    pub reason: Reason,
    /// The API's code.
    pub code: Option<String>,
    /// One sentence: never a secret, never a body.
    pub detail: String,
    /// To quote to MyUnisoft's support.
    pub request_id: Option<String>,
    /// When it began.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "since_timestamp_seconds")]
    pub since: SystemTime,
}

/// A key with what was.
#[derive(Clone, Debug, Serialize)]
pub struct KeyDetail {
    /// What is.
    #[serde(flatten)]
    pub key: KeyView,
    /// The moves of its state, newest first, as far as this process has seen them.
    pub state_changes: Vec<TransitionView>,
    /// Its last probes, newest first.
    pub history: Vec<PastProbeView>,
}

/// A move of a key's state.
#[serde_as]
#[derive(Clone, Debug, Serialize)]
pub struct TransitionView {
    /// When.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "timestamp_seconds")]
    pub at: SystemTime,
    /// The state that was entered.
    pub to: KeyState,
    /// The API's code.
    pub code: Option<String>,
    /// The id of the answer that said so.
    pub request_id: Option<String>,
}

/// A probe that ran.
#[serde_as]
#[derive(Clone, Debug, Serialize)]
pub struct PastProbeView {
    /// Its name.
    pub probe: Arc<str>,
    /// When it ended.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "timestamp_seconds")]
    pub finished: SystemTime,
    /// Whether it succeeded.
    pub up: bool,
    /// The HTTP status; `None`: no answer came.
    pub http_status_code: Option<u16>,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// The API's code, where it is a documented one.
    pub code: Option<&'static str>,
    /// The failure's request-id.
    pub request_id: Option<String>,
    /// How long it took.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "duration_seconds")]
    pub duration: Duration,
    /// Where its time went.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "phase_duration_seconds")]
    pub phases: Phases,
}

impl KeyView {
    /// `certificate_expired`: whether the certificate of the API's host has expired.
    pub(super) fn new(key: &MonitoredKey, certificate_expired: bool) -> Self {
        let secret = key.partner.secret().state;
        Self::with_status(key, &key.status(), secret, certificate_expired)
    }

    fn with_status(
        key: &MonitoredKey,
        status: &KeyStatus,
        secret: SecretState,
        certificate_expired: bool,
    ) -> Self {
        let known = |id: &String| (!id.is_empty()).then(|| id.clone());
        let facts = facts(status, secret, certificate_expired);
        Self {
            partner: Arc::clone(&key.partner.name),
            key: Arc::clone(&key.name),
            access: key.access,
            state: status.persisted.state,
            since: status.persisted.since,
            verdict: diagnosis::diagnose_key(&facts),
            verdict_probe: diagnosis::most_important(&facts.failed_probes).map(|failed| failed.probe.into()),
            schema_id: known(&status.identity.schema_id),
            third_party_id: known(&status.identity.third_party_id),
            society_id: known(&status.identity.society_id),
            version: status.version.map(|version| version.current),
            latest_version: status.version.map(|version| version.latest),
            routes: status.routes,
            token_expiry: status.token_expiry,
            rate_limit: status.budget.map(RateLimitView::new),
            probes: status.probes.iter().map(ProbeView::new).collect(),
        }
    }

    /// The probe to show where there is room for one: the one that the verdict is about, else the one that ran
    /// last.
    pub fn displayed_probe(&self) -> Option<&ProbeView> {
        let about = self
            .verdict_probe
            .as_ref()
            .and_then(|name| self.probes.iter().find(|probe| probe.probe == *name));
        about.or_else(|| self.probes.iter().max_by_key(|probe| probe.last))
    }

    /// The request-id to quote: of the trouble's beginning, else of the last answer.
    pub fn request_id(&self) -> Option<&str> {
        self.displayed_probe().and_then(ProbeView::request_id_to_quote)
    }
}

fn facts(status: &KeyStatus, secret: SecretState, certificate_expired: bool) -> KeyFacts<'_> {
    let skipped = |skip| status.probes.iter().any(|probe| probe.last_skip == Some(skip));
    KeyFacts {
        state: status.persisted.state,
        secret,
        failed_probes: status.probes.iter().filter_map(|probe| failed(probe, certificate_expired)).collect(),
        was_probed: status.probes.iter().any(|probe| probe.last.is_some()),
        over_budget: skipped(Skip::RateLimit),
        out_of_resources: skipped(Skip::NoResources),
    }
}

/// The last run of a probe, if it failed. The failure episode is not enough: it keeps its first failure, and the last
/// one may be of another kind.
pub(super) fn failed(probe: &ProbeStatus, certificate_expired: bool) -> Option<FailedProbe<'_>> {
    let last = probe.last.as_ref()?;
    Some(FailedProbe {
        probe: &probe.name,
        failure: last.failure.as_ref()?,
        reached: last.reached,
        status: last.status,
        from_api: last.request_id.is_some(),
        certificate_expired,
    })
}

impl RateLimitView {
    const fn new(budget: Budget) -> Self {
        Self { requests: budget.total, remaining: budget.remaining, reset: budget.reset }
    }
}

impl ProbeView {
    /// The request-id to quote: of the trouble's beginning, else of the last answer.
    pub fn request_id_to_quote(&self) -> Option<&str> {
        let first = self.error.as_ref().and_then(|error| error.request_id.as_deref());
        first.or(self.request_id.as_deref())
    }

    /// What is known of a probe.
    pub(super) fn new(probe: &ProbeStatus) -> Self {
        let last = probe.last.as_ref();
        let error = probe.episode.as_ref().map(|episode| ErrorView {
            reason: episode.failure.reason,
            code: episode.failure.code.as_ref().map(ErrorCode::to_string),
            detail: episode.failure.detail.clone(),
            request_id: episode.request_id.as_ref().map(RequestId::to_string),
            since: episode.since,
        });
        Self {
            probe: Arc::clone(&probe.name),
            up: last.map(LastProbe::success),
            interval: probe.interval,
            last_duration: last.map(|last| last.duration),
            last: last.map(|last| last.finished),
            last_success: probe.last_success,
            http_status_code: last.and_then(|last| last.status),
            reason: last.and_then(|last| last.failure.as_ref()).map(|failure| failure.reason),
            request_id: last.and_then(|last| last.request_id.as_ref()).map(RequestId::to_string),
            error,
            last_skip: probe.last_skip,
            total: probe.total,
            failures: probe.failures.iter().copied().collect(),
            skipped: Skip::VARIANTS
                .iter()
                .copied()
                .zip(probe.skipped)
                .filter(|(_, times)| *times > 0)
                .collect(),
        }
    }
}

impl KeyDetail {
    pub fn new(source: &StatusSource<'_>, key: &MonitoredKey) -> Self {
        let secret = key.partner.secret().state;
        let status = key.status();
        Self {
            key: KeyView::with_status(key, &status, secret, source.certificate_expired()),
            state_changes: status.transitions.iter().rev().map(TransitionView::new).collect(),
            history: status.recent.iter().rev().map(PastProbeView::new).collect(),
        }
    }
}

impl TransitionView {
    fn new(entered: &TransitionRecord) -> Self {
        Self {
            at: entered.at,
            to: entered.to,
            code: entered.code.as_ref().map(ErrorCode::to_string),
            request_id: entered.request_id.as_ref().map(RequestId::to_string),
        }
    }
}

impl PastProbeView {
    /// What is kept of a probe.
    pub fn new(past: &PastProbe) -> Self {
        Self {
            probe: Arc::clone(&past.probe),
            finished: past.finished(),
            up: past.reason.is_none(),
            http_status_code: past.status(),
            reason: past.reason,
            code: past.code.map(|code| code.into_str()),
            request_id: past.request_id.as_ref().map(RequestId::to_string),
            duration: past.phases().total(),
            phases: past.phases(),
        }
    }
}
