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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_with::serde_as;

use crate::key_state::KeyState;
use crate::state::{Inventory, SharedState};

pub use api::{ApiView, Availability, SlotView};
pub use document::document;
pub use key::{ErrorView, KeyDetail, KeyView, PastProbeView, ProbeView, RateLimitView, TransitionView};
pub use partner::PartnerView;
use seconds::Seconds;
pub use selection::{Filter, Selection, select};

/// What views are made from: the shared state, the keys and partners configured at one moment, and the time.
#[derive(Clone, Debug)]
pub struct StatusSource<'a> {
    shared_state: &'a SharedState,
    /// The inventory at that moment. A reload does not change it.
    pub inventory: Arc<Inventory>,
    /// That moment.
    pub now: SystemTime,
    /// When the first certificate in the chain of the API's host expires, as last seen.
    certificate_expiry: Option<SystemTime>,
}

impl<'a> StatusSource<'a> {
    /// Takes the present inventory and time.
    pub fn new(shared_state: &'a SharedState) -> Self {
        let inventory = shared_state.inventory();
        let host = inventory.settings.api.base_url.host_str();
        let certificate_expiry = host.and_then(|host| shared_state.certificates().get(host).copied());
        Self { shared_state, inventory, now: SystemTime::now(), certificate_expiry }
    }

    /// Whether the certificate of the API's host has expired. If it has, a failed handshake is not the network's fault.
    fn certificate_expired(&self) -> bool {
        self.certificate_expiry.is_some_and(|expiry| expiry <= self.now)
    }
}

/// Everything but the keys, which are too many to be held all at once.
#[serde_as]
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// Who tells.
    pub exporter: ExporterView,
    /// When.
    #[serde_as(as = "Seconds")]
    #[serde(rename = "timestamp_seconds")]
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
    /// The overview of the partners and states in `selection`.
    pub fn new(source: &StatusSource<'_>, selection: &Selection) -> Self {
        Self {
            exporter: ExporterView { version: env!("CARGO_PKG_VERSION") },
            now: source.now,
            api: ApiView::new(source),
            key_states: selection.states.clone(),
            failing_keys: selection.failing,
            partners: selection.partners.clone(),
        }
    }
}
