//! What a person sees first: on a laptop, on a phone, with three broken keys among 300.

use std::fmt::Write as _;

use partner_simulator::{Fault, Limits, Scope, Simulator};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::SECRET;
use crate::support::acme::{key_line, state_line, write_config};
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

/// Which cells of the table of keys are wider than their column, overlap the next one, or leave the window.
const BAD_CELLS: &str = "return [...document.querySelectorAll('table.keys tr')].flatMap(row => { \
    const cells = [...row.children].filter(cell => cell.offsetWidth > 0); \
    return cells.filter((cell, place) => { \
        const box = cell.getBoundingClientRect(); const next = cells[place + 1]?.getBoundingClientRect(); \
        const covers = next !== undefined && next.top < box.bottom && box.right > next.left + 1; \
        const inside = [...cell.querySelectorAll('*')].some(e => e.closest('.clip') === null && e.getBoundingClientRect().right > box.right + 1); \
        return covers || inside || box.right > innerWidth; }).map(cell => cell.innerText); })";

#[tokio::test]
async fn the_list_of_keys_fits_a_laptop_and_a_phone_in_both_languages() {
    let Fleet { exporter, _folder, simulator } = three_broken_among_300().await;
    simulator.inject(Scope::Everything, Fault::Close);
    wait_for_fleet(&exporter, "affected", KEYS - BROKEN.len()).await;
    for size in [LAPTOP, PHONE] {
        let browser = Browser::open(size, false).await;
        for language in ["en", "fr"] {
            for query in ["", "&state=active", "&name=key1"] {
                browser.goto(&format!("{}/?lang={language}{query}", exporter.url)).await;
                let rows =
                    browser.run("return document.querySelectorAll('table.keys tbody tr').length").await;
                assert!(rows.as_u64() > Some(50), "{rows}");
                assert_eq!(
                    browser.run(BAD_CELLS).await,
                    serde_json::json!([]),
                    "{size:?} {language} {query}"
                );
                let width = browser.run("return document.scrollingElement.scrollWidth - innerWidth").await;
                assert_eq!(width, 0, "{size:?} {language} {query}");
            }
        }
        browser.close().await;
    }
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

/// Two partners: one whose secret is refused, and one that loses so many keys.
async fn a_refused_secret_and_nine_revoked_keys() -> Fleet {
    let keys: Vec<_> = (0..12).map(|number| format!("key{number:02}")).collect();
    let mut builder = Simulator::builder()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET);
    for (key, society) in keys.iter().zip(1_000..) {
        builder = builder.society_key(key, 80, society);
    }
    let simulator =
        builder.partner("nord", "secret-of-nord").society_key("nord01", 81, 2_000).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_config(
        folder.path(),
        &simulator,
        &keys.iter().map(|key| key_line(&simulator, key)).collect::<Vec<_>>(),
    );
    let file = folder.path().join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    let nord = format!(
        "  - name: nord\n    secret: secret-of-nord\n    keys:\n{}\n",
        key_line(&simulator, "nord01")
    );
    let text = (text + &nord).replace("interval: 300ms, timeout: 300ms", "interval: 2s, timeout: 1s");
    std::fs::write(&file, text).unwrap();
    let exporter = Exporter::start(folder.path(), &[]).await;
    wait_for_fleet(&exporter, "working", keys.len() + 1).await;
    simulator.partner("nord").unwrap().deactivate_secret();
    for key in keys.iter().take(9) {
        simulator.key(key).unwrap().revoke();
    }
    for key in keys.iter().take(9) {
        exporter.wait_for_line(&state_line(key, "revoked")).await;
    }
    wait_for_fleet(&exporter, "partners_need_someone", 1).await;
    Fleet { simulator, _folder: folder, exporter }
}

#[tokio::test]
async fn a_laptop_shows_eight_problems_on_its_first_screen_and_a_refused_secret_comes_first() {
    let Fleet { exporter, _folder, .. } = a_refused_secret_and_nine_revoked_keys().await;
    let browser = Browser::open(LAPTOP, false).await;
    // The name, the state, since when, why, what to do, and the request ID: completely inside the window, and not cut.
    let seen = "return [...document.querySelectorAll('.entry')].map(entry => \
        ['.name', '.badge', '.since', '.verdict', '.action', '.quote code'].every(part => { \
            const e = entry.querySelector(part); const r = e.getBoundingClientRect(); \
            return r.width > 0 && r.bottom <= innerHeight && r.right <= innerWidth && e.scrollWidth <= e.clientWidth + 1 || \
                getComputedStyle(e).display === 'inline' && r.width > 0 && r.bottom <= innerHeight && r.right <= innerWidth; }))";
    for (language, first) in [("en", "The secret of nord"), ("fr", "La clé secrète de nord")] {
        browser.goto(&format!("{}/?lang={language}", exporter.url)).await;
        let headline = browser.text("#headline-title").await;
        assert!(headline.contains("1 part"), "the headline begins with the partner: {headline}");
        assert_eq!(browser.text(".entry .name").await, first);
        let seen: Vec<bool> = serde_json::from_value(browser.run(seen).await).unwrap();
        assert!(seen.len() == 10 && seen.iter().take(8).all(|seen| *seen), "{language}: {seen:?}");
    }
    // What to do has a first sentence; the others unfold, and stay unfolded when the page is refreshed.
    let open = "return document.querySelector('.entry.key details').open";
    assert_eq!(browser.run(open).await, false);
    browser.run("document.querySelector('.entry.key summary').click(); window.before = document.querySelector('#attention')").await;
    browser
        .wait_until_true("a refresh", "return document.querySelector('#attention') !== window.before")
        .await;
    assert_eq!(browser.run(open).await, true);
    browser.close().await;
}
