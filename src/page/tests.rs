//! The status page of a large fleet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strum::VariantArray as _;

use crate::config::Labels;
use crate::key_state::{KeyState, SecretState};
use crate::language::Language;
use crate::page::{self, Frame, Listing, Reader};
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
    let frame = Frame { edition: "1", announcement: None, language: Language::English, is_chosen: false };
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
    let captions = [0, 1, 2].map(|probes| super::chart::caption_of_recent(probes, Reader::english()));
    assert_eq!(captions, ["No probe yet", "Last probe", "Last 2 probes"]);
}

/// The texts in English, without its arguments, that are long enough to be no accident.
fn english_texts() -> Vec<&'static str> {
    let file = include_str!("../../i18n/en/myunisoft-exporter.ftl");
    let french = include_str!("../../i18n/fr/myunisoft-exporter.ftl");
    let messages = file.lines().filter(|line| !line.starts_with('#'));
    let parts =
        messages.flat_map(|line| line.split_once(" = ").map_or(line, |(_, text)| text).split(['{', '}']));
    let parts = parts.map(str::trim).filter(|part| part.split_whitespace().count() > 1);
    parts.filter(|part| part.is_ascii() && !part.contains(['$', '[']) && !french.contains(part)).collect()
}

#[test]
fn no_english_sentence_stands_on_a_french_page() {
    let fleet = SyntheticFleet::with_keys(KeyState::VARIANTS.len(), |number| {
        (format!("client-{number}"), number % 2 == 0)
    })
    .unwrap();
    let inventory = fleet.shared_state.inventory();
    for (state, key) in KeyState::VARIANTS.iter().zip(&inventory.keys) {
        key.status().persisted.state = *state;
    }
    let source = StatusSource::new(&fleet.shared_state, Language::French);
    let frame = Frame { edition: "1", announcement: None, language: Language::French, is_chosen: true };
    let mut pages = Vec::new();
    for filter in [Filter::default(), Filter { name: Some("client".to_owned()), ..Filter::default() }] {
        let selection = status::select(&source, &filter);
        let overview = Overview::new(&source, &selection);
        let listing = Listing::new(&source, &selection, filter, 1);
        pages.push(page::overview(frame, &overview, &listing).into_string());
        for key in &inventory.keys {
            for secret in SecretState::VARIANTS {
                let detail = KeyDetail::new(&source, key);
                pages.push(page::key(frame, &detail, *secret, &overview.api, source.now).into_string());
            }
        }
    }
    pages.push(page::error_page(frame, "").into_string());
    let texts = english_texts();
    assert!(texts.len() > 150, "{} texts", texts.len());
    for page in &pages {
        assert!(page.contains("<html lang=\"fr\">"));
        let page = page.replace("&amp;", "&").replace("&quot;", "\"").replace("&#39;", "'");
        for text in &texts {
            assert!(!page.contains(text), "{text}");
        }
        let visible: String =
            page.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
        for word in [" the ", " is ", " and ", " of ", " since ", " not ", " key ", "ago", "needs"] {
            assert!(!visible.contains(word), "{word}: {visible}");
        }
    }
}

#[test]
fn the_links_keep_a_language_that_the_address_names() {
    let links = |is_chosen| {
        let fleet = SyntheticFleet::with_keys(2, |number| (format!("client-{number}"), true)).unwrap();
        let source = StatusSource::new(&fleet.shared_state, Language::French);
        let selection = status::select(&source, &Filter::default());
        let overview = Overview::new(&source, &selection);
        let listing = Listing::new(&source, &selection, Filter::default(), 1);
        let frame = Frame { edition: "1", announcement: None, language: Language::French, is_chosen };
        page::overview(frame, &overview, &listing).into_string().matches("lang=fr").count()
    };
    assert_eq!(links(false), 0);
    assert!(links(true) > 5);
}

#[test]
fn figures_and_times_are_written_as_in_the_language() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_037_732);
    let english = Reader { now: at, ..Reader::english() };
    let french = Reader { language: Language::French, ..english };
    let ago = at - Duration::from_secs(90_061);
    for (reader, expected) in [
        (english, ["99.9 %", "1.2 ms", "1 d 1 h ago", "2025-11-25 02:28:52 UTC", "2025-11-25"]),
        (
            french,
            [
                "99,9\u{a0}%",
                "1,2\u{a0}ms",
                "il y a 1\u{a0}j 1\u{a0}h",
                "25/11/2025 à 02:28:52 UTC",
                "25/11/2025",
            ],
        ),
    ] {
        let latency = reader.latency(Duration::from_micros(1_234));
        let written =
            [reader.percent(0.999), latency, reader.relative(ago), reader.time(at), reader.date(at)];
        assert_eq!(
            written.map(|text| text.replace("\u{a0}1", " 1")),
            expected.map(|text| text.replace("\u{a0}1", " 1"))
        );
    }
}

#[test]
fn the_page_of_a_lost_key_has_a_mail_to_the_customer() {
    let fleet = SyntheticFleet::with_keys(1, |_| ("client".to_owned(), true)).unwrap();
    let inventory = fleet.shared_state.inventory();
    let key = &inventory.keys[0];
    key.status().persisted.since = SystemTime::UNIX_EPOCH;
    let mail = |language, state| {
        key.status().persisted.state = state;
        let source = StatusSource::new(&fleet.shared_state, language);
        let frame = Frame { edition: "1", announcement: None, language, is_chosen: false };
        let selection = status::select(&source, &Filter::default());
        let api = Overview::new(&source, &selection).api;
        let detail = KeyDetail::new(&source, key);
        let page = page::key(frame, &detail, SecretState::Active, &api, source.now).into_string();
        page.split_once("<pre class=\"mail\">").map(|(_, mail)| mail.split('<').next().unwrap().to_owned())
    };
    let revoked = mail(Language::French, KeyState::Revoked).unwrap();
    assert!(revoked.contains("Votre clé client a été révoquée le 01/01/1970"), "{revoked}");
    let revoked = mail(Language::English, KeyState::Revoked).unwrap();
    assert!(revoked.contains("Your key client was revoked on 1970-01-01"), "{revoked}");
    for state in KeyState::VARIANTS {
        assert_eq!(mail(Language::French, *state).is_some(), state.is_problem(), "{state}");
    }
}
