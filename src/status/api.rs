//! The view of the API, from its health route.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_with::As;

use super::failed::failed;
use super::seconds::Seconds;
use super::{PastProbeView, ProbeView, StatusSource};
use crate::diagnosis::{self, Verdict};
use crate::partner_api::failure::Reason;
use crate::report::Phases;
use crate::state::history::Slot;
use crate::state::{HealthState, Skip};

/// The period of the availability.
const WINDOW: Duration = Duration::from_hours(24);

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ApiView {
    /// The base URL.
    pub url: Arc<str>,
    pub state: HealthState,
    /// When this state was first seen.
    #[serde(rename = "state_since_timestamp_seconds", with = "As::<Seconds>")]
    pub since: SystemTime,
    /// Whether the change to it was seen; if not, it may be in this state for longer.
    #[serde(skip)]
    pub changed: bool,
    /// When this process began to monitor the API.
    #[serde(rename = "watched_since_timestamp_seconds", with = "As::<Seconds>")]
    pub monitored_since: SystemTime,
    pub verdict: Verdict,
    /// The earliest expiry in the chain, as last seen.
    #[serde(rename = "tls_certificate_expiry_timestamp_seconds", with = "As::<Option<Seconds>>")]
    pub certificate_expiry: Option<SystemTime>,
    pub availability: Availability,
    pub probe: ProbeView,
    /// The last 24 hours in quarters of an hour, oldest first, without those that have no probe.
    pub day: Vec<SlotView>,
    /// The last probes, newest first.
    pub history: Vec<PastProbeView>,
}

/// The share of health probes that succeeded in the last 24 hours, or in the part of them that is known, and what is
/// left of the error budget.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Availability {
    /// From the first of these probes until now, at most 24 hours.
    #[serde(rename = "window_seconds", with = "As::<Seconds>")]
    pub window: Duration,
    /// The share of probes that should succeed, not counting announced maintenance.
    pub objective: f64,
    pub succeeded: u64,
    /// Does not count probes during announced maintenance.
    pub failed: u64,
    pub maintenance: u64,
    /// The share that succeeded, not counting announced maintenance; `None` if there were no probes.
    pub ratio: Option<f64>,
    /// What is left of the failures that the objective allows for this number of probes: 1 is all, 0 is
    /// nothing, below 0 is overspent.
    pub error_budget_remaining_ratio: Option<f64>,
}

/// The results of the health probes in a quarter of an hour.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct SlotView {
    #[serde(rename = "start_timestamp_seconds", with = "As::<Seconds>")]
    pub start: SystemTime,
    /// The number of slots between this one and the present one.
    #[serde(skip)]
    pub age: usize,
    pub succeeded: u32,
    /// Does not count probes during announced maintenance.
    pub failed: u32,
    pub maintenance: u32,
    /// The reason of the first failure.
    pub reason: Option<Reason>,
    /// The average phases of the probes that succeeded.
    #[serde(rename = "mean_phase_duration_seconds", with = "As::<Option<Seconds>>")]
    pub phases: Option<Phases>,
}

impl ApiView {
    pub(crate) fn new(source: &StatusSource<'_>) -> Self {
        let settings = &source.inventory.settings;
        let health = source.shared_state.health().clone();
        let day: Vec<_> = health.day.slots(source.now).map(|slot| SlotView::new(slot, source.now)).collect();
        Self {
            url: settings.api.base_url.as_str().into(),
            state: health.state,
            since: health.since,
            changed: health.transitions.saw_change_at(health.since),
            monitored_since: health.monitored_since,
            verdict: diagnosis::diagnose_api(
                source.language,
                health.probe.last.is_some(),
                health.probe.last_skip == Some(Skip::NoResources),
                failed(&health.probe, source.certificate_expired()),
            ),
            certificate_expiry: source.certificate_expiry,
            availability: Availability::new(
                &day,
                health.day.first(source.now),
                source.now,
                settings.health.objective,
            ),
            probe: ProbeView::new(&health.probe),
            day,
            history: health.recent.iter().rev().map(PastProbeView::new).collect(),
        }
    }
}

impl Availability {
    #[expect(clippy::cast_precision_loss, reason = "a day's probes fit")]
    fn new(day: &[SlotView], first: Option<SystemTime>, now: SystemTime, objective: f64) -> Self {
        let sum = |count: fn(&SlotView) -> u32| day.iter().map(|slot| u64::from(count(slot))).sum::<u64>();
        let (succeeded, failed) = (sum(|slot| slot.succeeded), sum(|slot| slot.failed));
        let counted = (succeeded + failed) as f64;
        let some = succeeded + failed > 0;
        Self {
            window: first.and_then(|first| now.duration_since(first).ok()).unwrap_or_default().min(WINDOW),
            objective,
            succeeded,
            failed,
            maintenance: sum(|slot| slot.maintenance),
            ratio: some.then(|| succeeded as f64 / counted),
            error_budget_remaining_ratio: some
                .then(|| 1.0 - failed as f64 / (counted * (1.0 - objective).max(f64::EPSILON))),
        }
    }
}

impl SlotView {
    fn new(slot: &Slot, now: SystemTime) -> Self {
        Self {
            start: slot.start(),
            age: slot.age(now),
            succeeded: slot.succeeded,
            failed: slot.failed,
            maintenance: slot.maintenance,
            reason: slot.reason,
            phases: slot.mean_phases(),
        }
    }
}
