//! The status page of a large fleet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strum::VariantArray as _;

use crate::config::Labels;
use crate::key_state::{KeyHistory, KeyState, PersistedKeyState, PersistedSecretState, SecretState};
use crate::language::Language;
use crate::page::{self, Frame, Listing, Reader};
use crate::partner_api::error::{DocumentedCode, ErrorCode, RouteCode};
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::request_id::RequestId;
use crate::report::{Phases, ProbeReport};
use crate::state::{KeyStatus, MonitoredKey, ProbeStatus};
use crate::status::{self, ApiView, Filter, KeyDetail, Overview, StatusSource};
use crate::synthetic::SyntheticFleet;
use crate::test_support::report;

#[test]
fn pages_of_ten_thousand_revoked_keys_stay_below_a_megabyte_and_list_every_key_once() {
    let fleet =
        SyntheticFleet::with_keys(10_000, |number| (format!("{number}{}", "k".repeat(100)), true)).unwrap();
    let labels = (0..10).map(|label| (format!("label_{label}").into(), "<".repeat(100).into()));
    let labels: Labels = Arc::new(labels.collect());
    for key in &fleet.shared_state.inventory().keys {
        key.set_operator_labels(Arc::clone(&labels));
    }
    for language in Language::VARIANTS {
        check_pages(&fleet, *language);
    }
}

/// Every page of a fleet with 10,000 keys.
fn check_pages(fleet: &SyntheticFleet, language: Language) {
    let source = StatusSource::new(&fleet.shared_state, language);
    let selection = status::select(&source, &Filter::default());
    let overview = Overview::new(&source, &selection);
    let frame = Frame { edition: "1", announcement: None, language, is_chosen: true };
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
        let visible: String =
            page.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
        assert_has_no_english(&page, &visible, &texts);
    }
}

/// `text`: with what a screen reader reads. `visible`: what is seen.
fn assert_has_no_english(text: &str, visible: &str, texts: &[&str]) {
    for english in texts {
        assert!(!text.contains(english), "{english}: {text}");
    }
    for word in [" the ", " is ", " and ", " of ", " since ", " not ", " key ", "ago", "needs"] {
        assert!(!visible.contains(word), "{word}: {visible}");
    }
}

/// Failures with every reason and, where it decides about the text, every code, cause, status, and sender.
fn failures() -> Vec<ProbeReport> {
    let documented = DocumentedCode::VARIANTS.iter().map(DocumentedCode::into_str);
    let codes: Vec<_> =
        documented.chain(RouteCode::VARIANTS.iter().map(RouteCode::into_str)).chain(["ERR-X"]).collect();
    let mut failures = Vec::new();
    for reason in Reason::VARIANTS {
        // The details of a failure are in English: they are not part of the check.
        let plain = || Failure::new(*reason, "xyz");
        failures.push(plain());
        if matches!(
            reason,
            Reason::Token | Reason::Secret | Reason::Forbidden | Reason::RateLimited | Reason::ApiError
        ) {
            failures.extend(codes.iter().map(|code| Failure { code: ErrorCode::parse(code), ..plain() }));
        }
        if *reason == Reason::Login {
            failures
                .extend(Reason::VARIANTS.iter().map(|cause| Failure { underlying: Some(*cause), ..plain() }));
        }
    }
    let reports = failures.into_iter().flat_map(|failure| {
        [(Some(401), Some("req-1")), (Some(500), None), (None, None)].map(|(status, id)| {
            let phases = if status.is_some() { [1, 2, 3, 4, 5] } else { [1, 0, 0, 0, 0] };
            ProbeReport {
                status,
                request_id: id.and_then(RequestId::parse),
                phases: Phases::new(phases.map(Duration::from_millis)),
                ..report(SystemTime::now(), Err(failure.clone()))
            }
        })
    });
    reports.collect()
}

/// Sets the state of the only key, whose probe with this index has just failed; the other one succeeded.
fn fail(key: &MonitoredKey, state: KeyState, index: usize, failure: &ProbeReport) {
    let probes = ["key_info", "exercices"].map(|name| ProbeStatus::new(name.into(), Duration::from_mins(1)));
    let persisted = PersistedKeyState { state, ..PersistedKeyState::new(SystemTime::UNIX_EPOCH) };
    let mut status = KeyStatus::new(persisted, probes);
    let success = report(SystemTime::now(), Ok(()));
    status.record(1 - index, &ProbeReport { request_id: RequestId::parse("req-2"), ..success });
    status.record(index, failure);
    *key.status() = status;
}

#[test]
fn every_reason_of_a_failure_is_explained_in_french_on_the_pages_and_in_the_json() {
    let fleet = SyntheticFleet::with_keys(1, |_| ("client".to_owned(), false)).unwrap();
    let inventory = fleet.shared_state.inventory();
    let key = &inventory.keys[0];
    let mut summaries = BTreeSet::new();
    for failure in failures() {
        fleet.shared_state.health().record(&failure);
        for (state, secret) in [
            (KeyState::Unknown, SecretState::Unknown),
            (KeyState::Active, SecretState::Active),
            (KeyState::Active, SecretState::Rejected),
            (KeyState::Revoked, SecretState::Active),
        ] {
            let secret =
                PersistedSecretState { state: secret, ..PersistedSecretState::new(SystemTime::now()) };
            key.partner.set_secret(secret, None);
            for index in [0, 1] {
                fail(key, state, index, &failure);
                let source = StatusSource::new(&fleet.shared_state, Language::French);
                let view = KeyDetail::new(&source, key).key;
                let api = ApiView::new(&source).verdict;
                // The texts were not seen before: the pages and documents that have them.
                let is_new = [&view.verdict, &api].map(|verdict| summaries.insert(verdict.summary.clone()));
                if is_new.contains(&true) {
                    assert_is_french(&source, key);
                }
            }
        }
    }
    assert!(summaries.len() > 60, "{} different verdicts", summaries.len());
}

/// Checks the pages and the JSON of a fleet with one key.
fn assert_is_french(source: &StatusSource<'_>, key: &MonitoredKey) {
    let frame = Frame { edition: "1", announcement: None, language: Language::French, is_chosen: true };
    let selection = status::select(source, &Filter::default());
    let overview = Overview::new(source, &selection);
    let detail = KeyDetail::new(source, key);
    let listing = Listing::new(source, &selection, Filter::default(), 1);
    let texts = english_texts();
    for page in [
        page::overview(frame, &overview, &listing),
        page::key(frame, &detail, key.partner.secret().state, &overview.api, source.now),
    ] {
        let page = page.into_string().replace("&amp;", "&").replace("&quot;", "\"").replace("&#39;", "'");
        let visible: String =
            page.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
        assert_has_no_english(&page, &visible, &texts);
    }
    let json = serde_json::to_value((&overview.api, &overview.partners, &detail)).unwrap();
    for verdict in [&json[0]["verdict"], &json[1][0]["verdict"], &json[2]["verdict"]] {
        let (summary, action) = (&verdict["summary"], &verdict["action"]);
        let text = format!(" {} {} ", summary.as_str().unwrap(), action.as_str().unwrap_or_default());
        assert_has_no_english(&text, &text, &texts);
    }
}

#[test]
fn a_duration_is_at_least_as_long_if_nobody_saw_how_it_began() {
    let fleet = SyntheticFleet::with_keys(1, |_| ("client".to_owned(), false)).unwrap();
    let inventory = fleet.shared_state.inventory();
    let key = &inventory.keys[0];
    let start = SystemTime::now() - Duration::from_secs(20);
    let refusal = report(start, Err(Failure::new(Reason::Token, "")));
    let persisted = |state, has_worked| PersistedKeyState {
        state,
        since: start,
        has_been_active: has_worked,
        history: KeyHistory { has_worked, broken_since: has_worked.then_some(start) },
    };
    let text = |language| {
        let source = StatusSource::new(&fleet.shared_state, language);
        let selection = status::select(&source, &Filter::default());
        let listing = Listing::new(&source, &selection, Filter::default(), 1);
        let frame = Frame { edition: "1", announcement: None, language, is_chosen: false };
        page::overview(frame, &Overview::new(&source, &selection), &listing)
            .into_string()
            .replace('\u{a0}', " ")
    };
    for was_accepted in [false, true] {
        let mut status = KeyStatus::new(
            PersistedKeyState { state: KeyState::Active, ..PersistedKeyState::new(start) },
            [ProbeStatus::new("key_info".into(), Duration::from_mins(1))],
        );
        if was_accepted {
            status.record(0, &report(start, Ok(())));
        }
        status.set_persisted(persisted(KeyState::Revoked, true), None);
        status.record(0, &refusal);
        *key.status() = status;
        let (english, french) = (text(Language::English), text(Language::French));
        assert_eq!(
            !was_accepted,
            english.contains("for at least 2") && english.contains("first seen"),
            "{english}"
        );
        assert_eq!(
            !was_accepted,
            french.contains("depuis au moins 2") && french.contains("constaté dès"),
            "{french}"
        );
        let exact = english.contains("<span class=\"since\">for 2")
            && french.contains("<span class=\"since\">depuis 2");
        assert_eq!(was_accepted, exact, "{english}");
    }
    // Restored from a file: nobody knows.
    *key.status() = KeyStatus::new(persisted(KeyState::Revoked, true), []);
    assert!(text(Language::English).contains("for at least 2"));
    // A probe that fails, but not because of the key.
    for runs in [1, 2] {
        let mut status = KeyStatus::new(
            PersistedKeyState { state: KeyState::Active, ..PersistedKeyState::new(start) },
            [ProbeStatus::new("exercices".into(), Duration::from_mins(1))],
        );
        if runs == 2 {
            status.record(0, &report(start, Ok(())));
        }
        status.record(0, &report(start, Err(Failure::new(Reason::Forbidden, ""))));
        *key.status() = status;
        assert_eq!(text(Language::English).contains("for at least 2"), runs == 1, "{runs} runs");
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
