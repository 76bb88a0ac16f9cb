//! The API, as its health route tells.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_with::serde_as;

use super::key::failed;
use super::seconds::Seconds;
use super::{PastProbeView, ProbeView, StatusSource};
use crate::diagnosis::{self, Verdict};
use crate::partner_api::failure::Reason;
use crate::report::Phases;
use crate::state::history::Slot;
use crate::state::{HealthState, Skip};

/// What the availability is counted over.
const WINDOW: Duration = Duration::from_hours(24);

/// The API.
#[serde_as]
#[derive(Clone, Debug, Serialize)]
pub struct ApiView {
    /// Its base URL.
    pub url: Arc<str>,
    /// In one word.
    pub state: HealthState,
    /// Since when, as far as this process has seen.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "state_since_timestamp_seconds")]
    pub since: SystemTime,
    /// Since when this process has watched it.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "watched_since_timestamp_seconds")]
    pub monitored_since: SystemTime,
    /// What is wrong, whose fault it is, what to do.
    pub verdict: Verdict,
    /// When the first certificate of its chain ends, as last shown.
    #[serde_as(as = "Option<Seconds>")]
    #[serde(rename = "tls_certificate_expiry_timestamp_seconds")]
    pub certificate_expiry: Option<SystemTime>,
    /// Over the last day, as far as this process has seen it.
    pub availability: Availability,
    /// The health probe.
    pub probe: ProbeView,
    /// The last day, oldest first, in quarters of an hour; those without a probe are left out.
    pub day: Vec<SlotView>,
    /// The last probes, newest first.
    pub history: Vec<PastProbeView>,
}

/// How much of the time the API was there, and what is left of the error budget.
#[serde_as]
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Availability {
    /// Over which span.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "window_seconds")]
    pub window: Duration,
    /// The share of probes that are to succeed, announced maintenance apart.
    pub objective: f64,
    /// Probes that succeeded.
    pub succeeded: u64,
    /// Probes that failed, announced maintenance apart.
    pub failed: u64,
    /// Probes that were answered with announced maintenance.
    pub maintenance: u64,
    /// The share that succeeded, announced maintenance apart; `None`: there was none.
    pub ratio: Option<f64>,
    /// What is left of the failures that the objective allows for so many probes: 1 is all, 0 nothing,
    /// and below 0 it is overspent.
    pub error_budget_remaining_ratio: Option<f64>,
}

/// A quarter of an hour of the health route.
#[serde_as]
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SlotView {
    /// When it began.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "start_timestamp_seconds")]
    pub start: SystemTime,
    /// How many slots it lies before the present one.
    #[serde(skip)]
    pub age: usize,
    /// Probes that succeeded.
    pub succeeded: u32,
    /// Probes that failed, announced maintenance apart.
    pub failed: u32,
    /// Probes that were answered with announced maintenance.
    pub maintenance: u32,
    /// Why a probe first failed.
    pub reason: Option<Reason>,
    /// What the phases of those that succeeded took on average.
    #[serde_as(as = "Option<Seconds>")]
    #[serde(rename = "mean_phase_duration_seconds")]
    pub phases: Option<Phases>,
}

impl ApiView {
    pub fn new(source: &StatusSource<'_>) -> Self {
        let settings = &source.inventory.settings;
        let health = source.shared_state.health().clone();
        let day: Vec<_> = health.day.slots(source.now).map(|slot| SlotView::new(slot, source.now)).collect();
        Self {
            url: settings.api.base_url.as_str().into(),
            state: health.state,
            since: health.since,
            monitored_since: health.monitored_since,
            verdict: diagnosis::diagnose_api(
                health.probe.last.is_some(),
                health.probe.last_skip == Some(Skip::NoResources),
                failed(&health.probe, source.certificate_expired()),
            ),
            certificate_expiry: source.certificate_expiry,
            availability: Availability::new(&day, settings.health.objective),
            probe: ProbeView::new(&health.probe),
            day,
            history: health.recent.iter().rev().map(PastProbeView::new).collect(),
        }
    }
}

impl Availability {
    #[expect(clippy::cast_precision_loss, reason = "a day's probes fit")]
    fn new(day: &[SlotView], objective: f64) -> Self {
        let sum = |count: fn(&SlotView) -> u32| day.iter().map(|slot| u64::from(count(slot))).sum::<u64>();
        let (succeeded, failed) = (sum(|slot| slot.succeeded), sum(|slot| slot.failed));
        let counted = (succeeded + failed) as f64;
        let some = succeeded + failed > 0;
        Self {
            window: WINDOW,
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
