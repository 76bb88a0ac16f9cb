//! A synthetic fleet in memory, for benchmarks and tests of size. Nothing is probed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::http;
use crate::key_state::{KeyHistory, KeyState, PersistedKeyState, PersistedSecretState};
use crate::language::Language;
use crate::metrics::Metrics;
use crate::page::{self, Frame, Listing};
use crate::partner_api::Access;
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::request_id::RequestId;
use crate::report::{Phases, ProbeReport};
use crate::state::history::MAX_RECENT_PROBES;
use crate::state::{Inventory, KeyStatus, MonitoredKey, MonitoredPartner, ProbeStatus, SharedState};
use crate::status::{self, Filter, Overview, StatusSource};

/// A fleet of one partner. Each key has two probes and a full history.
pub struct SyntheticFleet {
    metrics: Metrics,
    pub(crate) shared_state: Arc<SharedState>,
}

impl SyntheticFleet {
    /// A fleet with this number of keys. Every fourth key is revoked.
    ///
    /// # Errors
    /// If the metrics cannot be created.
    pub fn new(keys: usize) -> Result<Self, prometheus::Error> {
        Self::with_keys(keys, |number| (format!("customer-{number}"), number.is_multiple_of(4)))
    }

    /// A fleet with this number of keys. `key` returns the name of each key, and whether it is revoked.
    pub(crate) fn with_keys(
        keys: usize,
        key: impl Fn(usize) -> (String, bool),
    ) -> Result<Self, prometheus::Error> {
        let secret = PersistedSecretState::new(SystemTime::now());
        let partner = Arc::new(MonitoredPartner::new("acme".into(), secret));
        let keys = (0..keys).map(|number| {
            let (name, is_revoked) = key(number);
            let status = key_status(is_revoked);
            Arc::new(MonitoredKey::new(Arc::clone(&partner), name.into(), Access::Society, status))
        });
        let keys = keys.collect();
        let shared_state = Arc::new(SharedState::default());
        shared_state.set_inventory(Inventory { partners: vec![partner], keys, ..Inventory::default() });
        Ok(Self { metrics: Metrics::new()?, shared_state })
    }

    /// `/metrics`, in pieces.
    pub fn metrics(&self) -> impl Iterator<Item = Bytes> {
        self.metrics.render(&self.shared_state)
    }

    /// The size of `/metrics` as gzip, as the server sends it.
    pub async fn compressed_metrics(&self) -> usize {
        let body = http::compressed_body(self.metrics.render(&self.shared_state)).await;
        body.into_data_stream().fold(0, async |sum, piece| sum + piece.map_or(0, |piece| piece.len())).await
    }

    /// The first page of the status page.
    pub fn page(&self) -> String {
        let source = StatusSource::new(&self.shared_state, Language::English);
        let selection = status::select(&source, &Filter::default());
        let overview = Overview::new(&source, &selection);
        let listing = Listing::new(&source, &selection, Filter::default(), 1);
        page::overview(
            Frame { edition: "", announcement: None, language: Language::English, is_chosen: false },
            &overview,
            &listing,
        )
        .into_string()
    }

    /// `/api/v1/status`, in pieces.
    ///
    /// # Errors
    /// If a value cannot be written as JSON.
    pub fn status(&self) -> serde_json::Result<impl Iterator<Item = Vec<u8>>> {
        let source = StatusSource::new(&self.shared_state, Language::English);
        let selection = status::select(&source, &Filter::default());
        status::document(&source, selection)
    }
}

fn key_status(is_revoked: bool) -> KeyStatus {
    let state = if is_revoked { KeyState::Revoked } else { KeyState::Active };
    let now = SystemTime::now();
    let persisted = PersistedKeyState {
        state,
        since: now,
        has_been_active: true,
        history: KeyHistory { has_worked: true, broken_since: state.is_refused().then_some(now) },
    };
    let probes = ["key_info", "exercices"].map(|name| ProbeStatus::new(name.into(), Duration::from_mins(1)));
    let mut status = KeyStatus::new(persisted, probes);
    for round in 0..MAX_RECENT_PROBES {
        status.record(round % 2, &report(is_revoked));
    }
    status
}

fn report(is_refused: bool) -> ProbeReport {
    let failure = Failure::new(Reason::Token, "the API refused with ERR-API-TOKEN-NOT-FOUND (status 401)");
    ProbeReport {
        finished: SystemTime::now(),
        phases: Phases::new([Duration::from_micros(12_345); 5]),
        status: Some(if is_refused { 401 } else { 200 }),
        request_id: RequestId::parse("0d3b2f0e-9c1f-4b7e-8a53-1f2e3d4c5b6a"),
        judgement: None,
        outcome: if is_refused { Err(failure) } else { Ok(()) },
        certificate_expiry: None,
    }
}
