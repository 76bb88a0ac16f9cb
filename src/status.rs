//! The status: what there is to tell of the API, the partners and the keys, in one shape.
//!
//! The page, its JSON and `probe` on the command line are all made of this, so they can't tell different
//! stories. Its words and units are those of the metrics; docs/status.md describes it. Pure: a board and
//! a time in, a view out.

mod api;
mod document;
mod key;
mod partner;
mod seconds;
mod selection;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::key_state::KeyState;
use crate::state::{Inventory, SharedState};

pub use api::{ApiView, Availability, SlotView, certificate_ended};
pub use document::document;
pub use key::{ErrorView, KeyDetail, KeyView, MoveView, PastView, ProbeView, RateLimitView};
pub use partner::PartnerView;
pub use selection::{Filter, Selection, select};

/// Everything but the keys, which are too many to be held all at once.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// Who tells.
    pub exporter: ExporterView,
    /// When.
    #[serde(rename = "timestamp_seconds", with = "seconds")]
    pub now: SystemTime,
    /// The API as its health route tells.
    pub api: ApiView,
    /// How many keys are in which state, among those that the filter lets through whatever their state.
    pub key_states: BTreeMap<KeyState, usize>,
    /// How many of these have a probe that fails.
    pub failing_keys: usize,
    /// The partners that the filter wants, the gravest trouble first.
    pub partners: Vec<PartnerView>,
}

/// How long the scale of several waterfalls is to be: as the longest, or four times the median where that
/// is less. One probe that hung would make nothing of all others.
#[must_use]
pub fn common_scale(durations: impl Iterator<Item = Duration>) -> Duration {
    let mut durations: Vec<_> = durations.collect();
    durations.sort_unstable();
    let median = durations.get(durations.len() / 2).copied().unwrap_or_default();
    durations.last().copied().unwrap_or_default().min(median * 4)
}

/// The exporter itself.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ExporterView {
    /// Its version.
    pub version: &'static str,
}

impl Overview {
    /// What is known at `now`. `selection` is what the same filter chose.
    #[must_use]
    pub fn of(
        shared_state: &SharedState,
        inventory: &Inventory,
        selection: &Selection,
        now: SystemTime,
    ) -> Self {
        Self {
            exporter: ExporterView { version: env!("CARGO_PKG_VERSION") },
            now,
            api: ApiView::of(shared_state, inventory, now),
            key_states: selection.states.clone(),
            failing_keys: selection.failing,
            partners: selection.partners.clone(),
        }
    }
}
