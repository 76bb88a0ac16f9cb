//! What a person sees first: on a laptop, on a phone, with three broken keys among 300.

use std::fmt::Write as _;

use partner_simulator::{Fault, Limits, Scope, Simulator};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::SECRET;
use crate::support::acme::{key_line, write_config};
use crate::support::browser::Browser;
use crate::support::server::{Exporter, until};

const LAPTOP: (u32, u32) = (1366, 768);
const PHONE: (u32, u32) = (390, 844);
const KEYS: usize = 300;
const BROKEN: [&str; 3] = ["key007", "key123", "key299"];

/// Selects the entry of a key.
const ENTRY: &str =
    "[...document.querySelectorAll('.key')].find(e => e.querySelector('.name').textContent === 'NAME')";

struct Fleet {
    simulator: Simulator,
    _folder: TempDir,
    exporter: Exporter,
}

/// Starts an exporter with 300 keys, all of which work, and then revokes three of them.
async fn three_broken_among_300() -> Fleet {
    let mut builder = Simulator::builder()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET);
    let name = |number: usize| format!("key{number:03}");
    for number in 0..KEYS {
        builder = builder.society_key(&name(number), 80, 1_000 + u64::try_from(number).unwrap());
    }
    let simulator = builder.start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let line = |number: usize| {
        let line = key_line(&simulator, &name(number));
        line.replace('}', &format!(", labels: {{customer: \"C-{number}\", contact: sav@acme.example}}}}"))
    };
    write_config(folder.path(), &simulator, &(0..KEYS).map(line).collect::<Vec<_>>());
    let file = folder.path().join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("interval: 300ms, timeout: 300ms", "interval: 5s, timeout: 4s"))
        .unwrap();
    let exporter = Exporter::start(folder.path(), &[]).await;
    wait_for_fleet(&exporter, "working", KEYS).await;
    for key in BROKEN {
        simulator.key(key).unwrap().revoke();
    }
    wait_for_fleet(&exporter, "needs_someone", BROKEN.len()).await;
    Fleet { simulator, _folder: folder, exporter }
}

async fn wait_for_fleet(exporter: &Exporter, standing: &str, keys: usize) {
    until(standing, || async {
        let (_, status) = exporter.get_json("/api/v1/status?name=none").await;
        (status["fleet"][standing] == keys).then_some(())
    })
    .await;
}

/// Which of the parts of a key's entry are completely inside the window, without scrolling.
async fn visible_parts(browser: &Browser, key: &str, parts: &[&str]) -> Vec<bool> {
    let mut script = format!("const e = {}; const seen = []; ", ENTRY.replace("NAME", key));
    for part in parts {
        write!(
            script,
            "{{ const r = e.querySelector('{part}').getBoundingClientRect(); \
             seen.push(r.width > 0 && r.top >= 0 && r.left >= 0 && r.bottom <= innerHeight && r.right <= innerWidth); }} "
        )
        .unwrap();
    }
    serde_json::from_value(browser.run(&format!("{script} return seen")).await).unwrap()
}

#[tokio::test]
async fn a_laptop_shows_who_needs_someone_on_its_first_screen_whatever_the_filter_is() {
    let Fleet { simulator, exporter, _folder } = three_broken_among_300().await;
    let browser = Browser::open(LAPTOP, false).await;
    browser.goto(&exporter.url).await;
    let headline = browser.text("#headline-title").await;
    assert!(headline.contains("3 keys need someone. The API is up."), "{headline}");
    assert!(browser.text("#headline").await.contains("297 of 300 keys work"));
    // Name, state, request ID, cause and labels.
    let first = browser.text(".entry .name").await;
    let parts = [".name", ".badge", ".copyable code", ".verdict", ".label"];
    assert_eq!(visible_parts(&browser, &first, &parts).await, [true; 5], "{first}");
    for key in BROKEN {
        assert_eq!(visible_parts(&browser, key, &parts[..3]).await, [true; 3], "{key}");
    }
    let changes = browser.text("#changes").await;
    assert!(BROKEN.iter().all(|key| changes.contains(key)), "{changes}");
    assert_eq!(browser.run("return document.getElementById('api').open").await, false, "the API is folded");
    // A filter changes neither the headline nor the place of the filter.
    let place = "return document.getElementById('filter').getBoundingClientRect().top + scrollY";
    let before = browser.run(place).await;
    for query in ["?state=revoked", "?standing=needs_someone", "?name=c-123"] {
        browser.goto(&format!("{}/{query}", exporter.url)).await;
        assert_eq!(visible_parts(&browser, BROKEN[1], &parts[..3]).await, [true; 3], "{query}");
        assert_eq!(browser.run("return scrollY").await, 0);
        assert_eq!(browser.text("#headline-title").await, headline, "{query}");
        assert_eq!(browser.run(place).await, before, "{query}");
    }
    // A key that works is one line.
    browser.goto(&format!("{}/?state=active", exporter.url)).await;
    let heights = "return Math.max(...[...document.querySelectorAll('tr.key')].map(row => row.offsetHeight))";
    assert!(browser.run(heights).await.as_f64().unwrap() < 40.0);
    // A key that works again leaves a trace.
    for key in BROKEN {
        simulator.key(key).unwrap().restore();
    }
    wait_for_fleet(&exporter, "working", KEYS).await;
    browser.goto(&exporter.url).await;
    assert!(browser.text("#headline-title").await.contains("All 300 keys work. The API is up."));
    let changes = browser.text("#changes").await;
    assert!(
        changes.contains("revoked") && changes.contains("active") && changes.contains(BROKEN[0]),
        "{changes}"
    );
    browser.close().await;
}

#[tokio::test]
async fn a_phone_shows_the_first_broken_key_and_does_not_scroll_sideways() {
    let Fleet { exporter, _folder, .. } = three_broken_among_300().await;
    let browser = Browser::open(PHONE, true).await;
    for path in ["/", "/?state=revoked", "/?state=active", "/key?partner=acme&key=key007"] {
        browser.goto(&format!("{}{path}", exporter.url)).await;
        let fits = browser.run("return document.scrollingElement.scrollWidth <= innerWidth").await;
        assert_eq!(fits, true, "{path}");
    }
    browser.goto(&exporter.url).await;
    let first = browser.text(".entry .name").await;
    let parts = [".name", ".badge", ".copyable code"];
    assert_eq!(visible_parts(&browser, &first, &parts).await, [true; 3], "{first}");
    browser.close().await;
}

#[tokio::test]
async fn times_are_in_the_zone_of_the_reader_with_utc_beside() {
    let exporter = Exporter::start_demo(&[]).await;
    let browser = Browser::open_in_zone(LAPTOP, "Asia/Kathmandu").await;
    browser.goto(&exporter.url).await;
    let text = browser.text("#api-state time").await;
    let (local, utc) = text.strip_suffix(" UTC)").unwrap().split_once(" (").unwrap();
    let minutes = |clock: &str| {
        let (hours, minutes) = clock.rsplit(' ').next().unwrap().split_once(':').unwrap();
        hours.parse::<u32>().unwrap() * 60 + minutes.parse::<u32>().unwrap()
    };
    assert_eq!((minutes(local) + 24 * 60 - minutes(utc)) % (24 * 60), 5 * 60 + 45, "{text}");
    // Without the script, it is UTC.
    let (_, page) = exporter.get("/").await.unwrap();
    assert!(page.contains("UTC</time>"), "{page}");
    browser.close().await;
}

#[tokio::test]
async fn the_card_of_the_api_opens_when_the_api_goes_down() {
    let (simulator, folder) = crate::support::acme::two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    wait_for_fleet(&exporter, "working", 2).await;
    let browser = Browser::open(LAPTOP, false).await;
    browser.goto(&exporter.url).await;
    let is_open = "return document.getElementById('api').open";
    assert_eq!(browser.run(is_open).await, false);
    simulator.inject(Scope::Everything, Fault::Close);
    browser.wait_until_true("the open card", is_open).await;
    browser
        .wait_until_true(
            "the headline",
            "return document.getElementById('headline-title').innerText.includes('The API is down.')",
        )
        .await;
    let (_, status): (u16, Value) = exporter.get_json("/api/v1/status").await;
    assert_eq!(
        status["fleet"]["needs_someone"], 0,
        "nobody can do anything about a key: {}",
        status["fleet"]
    );
    // What the reader folds stays folded.
    browser.run("document.getElementById('api').open = false; window.before = document.getElementById('refreshed').textContent").await;
    browser
        .wait_until_true(
            "the next refresh",
            "return document.getElementById('refreshed').textContent !== window.before",
        )
        .await;
    assert_eq!(browser.run(is_open).await, false);
    browser.close().await;
}
