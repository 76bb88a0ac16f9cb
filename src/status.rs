//! The status of the API, the partners and the keys, as views of the shared state.
//!
//! The page, its JSON and the command `probe` use the same views, so that they cannot differ. Names and units
//! are those of the metrics; docs/status.md describes them. The views read the shared state and never change
//! it.

mod api;
mod changes;
mod document;
mod exporter;
mod failed;
mod key;
mod partner;
mod seconds;
mod selection;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_with::As;

use crate::key_state::KeyState;
use crate::language::Language;
use crate::state::{HealthState, Inventory, SharedState};

pub(crate) use api::{ApiView, Availability, SlotView};
pub(crate) use changes::ChangeView;
use changes::recent_changes;
pub(crate) use document::document;
pub(crate) use exporter::ExporterView;
pub(crate) use key::{
    ErrorView, KeyDetail, KeyView, PastProbeView, ProbeView, RateLimitView, TransitionView,
};
pub(crate) use partner::PartnerView;
use seconds::Seconds;
pub(crate) use selection::{Filter, Selection, select};
pub(crate) use standing::{FleetView, Standing};

/// What views are made from: the shared state, the keys and partners configured at one moment, and the time.
#[derive(Clone, Debug)]
pub(crate) struct StatusSource<'a> {
    shared_state: &'a SharedState,
    /// The inventory at that moment. A reload does not change it.
    pub inventory: Arc<Inventory>,
    /// That moment.
    pub now: SystemTime,
    /// The language of the texts.
    pub language: Language,
    /// The earliest expiry of a certificate chain that the API's host lately sent.
    certificate_expiry: Option<SystemTime>,
    api_works: bool,
}

/// What the view of a key depends on besides the key and its partner.
#[derive(Clone, Copy, Debug)]
struct Circumstances {
    now: SystemTime,
    /// Whether the last health probe succeeded.
    api_works: bool,
    /// Whether the certificate of the API's host has expired. If it has, a failed handshake is not the network's fault.
    certificate_expired: bool,
    language: Language,
}

impl<'a> StatusSource<'a> {
    /// Takes the present inventory and time.
    pub(crate) fn new(shared_state: &'a SharedState, language: Language) -> Self {
        let inventory = shared_state.inventory();
        let host = inventory.settings.api.base_url.host_str();
        let certificate_expiry = host.and_then(|host| shared_state.certificates().get(host).copied());
        let api_works = shared_state.health().state == HealthState::Up;
        Self { shared_state, inventory, now: SystemTime::now(), language, certificate_expiry, api_works }
    }

    fn circumstances(&self) -> Circumstances {
        let (now, api_works, certificate_expired) = (self.now, self.api_works, self.certificate_expired());
        Circumstances { now, api_works, certificate_expired, language: self.language }
    }

    fn certificate_expired(&self) -> bool {
        self.certificate_expiry.is_some_and(|expiry| expiry <= self.now)
    }
}

/// The whole status except the keys: the views of 10,000 keys would take too much memory.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Overview {
    pub exporter: ExporterView,
    #[serde(rename = "timestamp_seconds", with = "As::<Seconds>")]
    pub now: SystemTime,
    pub api: ApiView,
    /// What the keys of the whole fleet need. No filter applies.
    pub fleet: FleetView,
    /// The newest first. No filter applies.
    pub recent_changes: Vec<ChangeView>,
    /// The number of keys in each state. The filter on the state does not apply.
    pub key_states: BTreeMap<KeyState, usize>,
    /// The number of these keys that have a failing probe.
    pub failing_keys: usize,
    /// The number of these keys that need someone.
    #[serde(skip)]
    pub needing: usize,
    /// The partners that the filter accepts, the most severe problems first.
    pub partners: Vec<PartnerView>,
}

/// The common scale of several waterfalls: the longest duration, but at most four times the median. Otherwise
/// one probe that hung would make all others too short to read.
pub(crate) fn common_scale(durations: impl Iterator<Item = Duration>) -> Duration {
    let mut durations: Vec<_> = durations.collect();
    durations.sort_unstable();
    let median = durations.get(durations.len() / 2).copied().unwrap_or_default();
    durations.last().copied().unwrap_or_default().min(median * 4)
}

impl Overview {
    pub(crate) fn new(source: &StatusSource<'_>, selection: &Selection) -> Self {
        Self {
            exporter: ExporterView::new(source),
            now: source.now,
            api: ApiView::new(source),
            fleet: selection.fleet,
            recent_changes: recent_changes(source),
            key_states: selection.states.clone(),
            failing_keys: selection.failing,
            needing: selection.needing,
            partners: selection.partners.clone(),
        }
    }
}
