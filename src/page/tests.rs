//! The pages of a large fleet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::key_state::{KeyState, PersistedKeyState, PersistedSecretState};
use crate::page::{self, Frame, Listing};
use crate::partner_api::Access;
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::request_id::RequestId;
use crate::report::{Phases, ProbeReport};
use crate::state::{Inventory, KeyStatus, MonitoredKey, MonitoredPartner, ProbeStatus, SharedState};
use crate::status::{self, Filter, KeyDetail, Overview, StatusSource};

/// Ten thousand keys of long names, all in trouble, with all that can be remembered of each.
fn large_board() -> SharedState {
    let partner = Arc::new(MonitoredPartner::new(
        "p".repeat(100).as_str().into(),
        PersistedSecretState::new(SystemTime::now()),
    ));
    let refused =
        Failure::new(Reason::Token, "the API refused with ERR-API-TOKEN-NOT-FOUND (status 401) ".repeat(2));
    let report = ProbeReport {
        finished: SystemTime::now(),
        phases: Phases::new([Duration::from_micros(12_345); 5]),
        status: Some(401),
        request_id: RequestId::parse(&"r".repeat(64)),
        judgement: None,
        outcome: Err(refused),
        certificate_expiry: None,
    };
    let key = |number: usize| {
        let memory =
            PersistedKeyState { state: KeyState::Revoked, since: SystemTime::now(), has_been_active: true };
        let probes =
            ["key_info", "exercices"].map(|name| ProbeStatus::new(name.into(), Duration::from_mins(1)));
        let mut status = KeyStatus::new(memory, probes);
        for round in 0..60 {
            status.record(round % 2, &report);
        }
        let name = format!("{number}{}", "k".repeat(100)).as_str().into();
        Arc::new(MonitoredKey::new(Arc::clone(&partner), name, Access::Society, status))
    };
    let shared_state = SharedState::default();
    shared_state.set_inventory(Inventory {
        partners: vec![Arc::clone(&partner)],
        keys: (0..10_000).map(key).collect(),
        ..Inventory::default()
    });
    shared_state
}

#[test]
fn a_page_of_ten_thousand_keys_in_trouble_stays_under_a_megabyte_and_every_key_is_on_one() {
    let shared_state = large_board();
    let source = StatusSource::new(&shared_state);
    let selection = status::select(&source.inventory, &Filter::default());
    let overview = Overview::new(&source, &selection);
    let frame = Frame { edition: "1" };
    let mut seen = BTreeSet::new();
    for page in 1..=100 {
        let listing = Listing::new(&source, &selection, Filter::default(), page);
        assert_eq!((listing.page, listing.pages, listing.total), (page, 100, 10_000));
        seen.extend(listing.keys.iter().map(|detail| Arc::clone(&detail.key.key)));
        if page % 33 == 1 {
            let html = page::overview(frame, &overview, &listing).into_string();
            assert!(html.len() < 1_000_000, "{} bytes", html.len());
        }
    }
    assert_eq!(seen.len(), 10_000);
    let beyond = Listing::new(&source, &selection, Filter::default(), usize::MAX);
    assert_eq!((beyond.page, beyond.keys.len()), (100, 100), "beyond the last is the last");
    let one = KeyDetail::new(&source, source.inventory.keys.first().unwrap());
    assert_eq!(one.history.len(), 50);
    let html = page::key(frame, &one, None, &overview.api, source.now).into_string();
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
}
