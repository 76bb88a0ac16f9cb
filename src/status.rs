//! The status: what there is to tell of the API, the partners and the keys, in one shape.
//!
//! The page, its JSON and `probe` on the command line are all made of this, so they can't tell different
//! stories. Its words and units are those of the metrics; docs/status.md describes it. Pure: a board and
//! a time in, a view out.

mod api;
mod key;
mod partner;
mod seconds;
mod selection;

use std::time::SystemTime;

use serde::Serialize;

use crate::board::{Board, Fleet};

pub use api::{ApiView, Availability, SlotView, certificate_ended};
pub use key::{ErrorView, KeyDetail, KeyView, MoveView, PastView, ProbeView, RateLimitView};
pub use partner::PartnerView;
pub use selection::{Filter, Selection, gravity_of, select};

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
    /// The partners that the filter wants, the gravest trouble first.
    pub partners: Vec<PartnerView>,
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
    pub fn of(board: &Board, fleet: &Fleet, selection: &Selection, now: SystemTime) -> Self {
        Self {
            exporter: ExporterView { version: env!("CARGO_PKG_VERSION") },
            now,
            api: ApiView::of(board, fleet, now),
            partners: selection.partners.clone(),
        }
    }
}
