//! The status page of a large fleet.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::Labels;
use crate::key_state::SecretState;
use crate::language::Language;
use crate::page::{self, Frame, Listing};
use crate::status::{self, Filter, KeyDetail, Overview, StatusSource};
use crate::synthetic::SyntheticFleet;

#[test]
fn pages_of_ten_thousand_revoked_keys_stay_below_a_megabyte_and_list_every_key_once() {
    let fleet =
        SyntheticFleet::with_keys(10_000, |number| (format!("{number}{}", "k".repeat(100)), true)).unwrap();
    let labels = (0..10).map(|label| (format!("label_{label}").into(), "<".repeat(100).into()));
    let labels: Labels = Arc::new(labels.collect());
    for key in &fleet.shared_state.inventory().keys {
        key.set_operator_labels(Arc::clone(&labels));
    }
    let source = StatusSource::new(&fleet.shared_state, Language::English);
    let selection = status::select(&source, &Filter::default());
    let overview = Overview::new(&source, &selection);
    let frame = Frame { edition: "1" };
    let mut seen = BTreeSet::new();
    for page in 1..=100 {
        let listing = Listing::new(&source, &selection, Filter::default(), page);
        assert_eq!((listing.page, listing.pages, listing.total), (page, 100, 10_000));
        seen.extend(
            listing.attention.iter().chain(&listing.others).map(|detail| Arc::clone(&detail.key.key)),
        );
        if page % 33 == 1 {
            let html = page::overview(frame, &overview, &listing).into_string();
            assert!(html.len() < 1_000_000, "{} bytes", html.len());
        }
    }
    assert_eq!(seen.len(), 10_000);
    let beyond = Listing::new(&source, &selection, Filter::default(), usize::MAX);
    assert_eq!(
        (beyond.page, beyond.attention.len() + beyond.others.len()),
        (100, 100),
        "the page after the last is the last page"
    );
    let one = KeyDetail::new(&source, source.inventory.keys.first().unwrap());
    assert_eq!(one.history.len(), 50);
    let html = page::key(frame, &one, SecretState::Active, &overview.api, source.now).into_string();
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
}

#[test]
fn captions_agree_with_their_number() {
    let captions = [0, 1, 2].map(super::chart::caption_of_recent);
    assert_eq!(captions, ["No probe yet", "Last probe", "Last 2 probes"]);
}
