//! The pages in a real browser.

use fantoccini::Locator;
use fantoccini::key::Key;
use partner_simulator::{Limits, Simulator};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::SECRET;
use crate::support::acme::{key_line, two_keys, write_config};
use crate::support::browser::Browser;
use crate::support::server::{Exporter, client, until};

const DESKTOP: (u32, u32) = (1400, 1000);
const PHONE: (u32, u32) = (360, 740);
const AXE: &str = "target/venv/lib";

/// Keys of the demo whose state stays the same after their first probes.
const CONSTANT_STATES: [(&str, &str); 6] = [
    ("fontaine", "disconnected"),
    ("chevalier", "folder_not_found"),
    ("petit", "invalid"),
    ("garnier", "forbidden"),
    ("roux", "not_found"),
    ("leroy", "unknown"),
];

/// Waits until all probes of all keys have run.
async fn all_probed(exporter: &Exporter) {
    until("a probe of each key", || async {
        let (_, text) = exporter.get("/api/v1/status").await?;
        let status: Value = serde_json::from_str(&text).unwrap();
        let keys = status["keys"].as_array().unwrap();
        let probed = |key: &Value| key["probes"].as_array().unwrap().iter().all(|p| p["probes_total"] != 0);
        keys.iter().all(probed).then_some(())
    })
    .await;
}

/// The names of the listed keys, in their order.
async fn listed_keys(browser: &Browser) -> Vec<String> {
    let names = "return [...document.querySelectorAll('.key a.name')].map(a => a.textContent)";
    serde_json::from_value(browser.run(names).await).unwrap()
}

/// Checks that the console is empty, and that all requests went to the exporter.
async fn assert_no_errors_and_no_external_requests(browser: &Browser, exporter: &Exporter) {
    assert_eq!(browser.console_messages().await, Vec::<String>::new());
    let urls = browser.requested_urls().await;
    assert!(urls.iter().any(|url| url.contains("/static/status.js")), "{urls:?}");
    // The empty first tab of the browser loads internal pages, which send no requests to other hosts.
    let allowed =
        |url: &String| [&exporter.url, "chrome://", "data:"].iter().any(|own| url.starts_with(*own));
    let external: Vec<_> = urls.iter().filter(|url| !allowed(url)).collect();
    assert!(external.is_empty(), "{external:?}");
}

#[tokio::test]
async fn the_states_of_the_demo_are_shown_with_cause_and_remedy() {
    let exporter = Exporter::start_demo(&[]).await;
    all_probed(&exporter).await;
    let browser = Browser::open(DESKTOP, false).await;
    browser.goto(&exporter.url).await;
    let headline = browser.text("#api-state").await;
    assert!(headline.contains("API "), "{headline}");
    for (key, state) in CONSTANT_STATES {
        let row = browser.run(&format!(
            "return [...document.querySelectorAll('.key')].find(row => row.querySelector('.name').textContent === '{key}')?.innerText"
        )).await;
        let row = row.as_str().unwrap_or_else(|| panic!("{key} is not listed"));
        assert!(row.contains(state), "{key}: {row}");
        assert!(row.contains("ERR-") || key == "leroy", "{key}: {row}");
    }
    // This key is active, but a canary fails.
    let blanchet = "return [...document.querySelectorAll('.key')].find(row => row.querySelector('.name').textContent === 'blanchet').innerText";
    let blanchet = browser.run(blanchet).await;
    assert!(blanchet.as_str().unwrap().contains("failing"), "{blanchet}");
    let partners = browser.text("#partners").await;
    assert!(partners.contains("Partners (3)") && partners.contains("quai-ouest"), "{partners}");
    // Failing keys come first, keys without a problem last.
    let order = listed_keys(&browser).await;
    let position = |name: &str| order.iter().position(|key| key == name).unwrap();
    assert!(position("fontaine") < position("petit") && position("roux") < position("martin"), "{order:?}");
    // The page of a key shows the same, and its history.
    browser.client.find(Locator::LinkText("fontaine")).await.unwrap().click().await.unwrap();
    let page = browser.text("main").await;
    for part in ["disconnected", "ERR-THIRD-PARTY-DISCONNECTED", "atelier-nord", "Life of the key"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let waterfalls = browser.run("return document.querySelectorAll('svg.waterfall rect').length").await;
    assert!(waterfalls.as_u64().unwrap() > 0);
    assert_no_errors_and_no_external_requests(&browser, &exporter).await;
    browser.close().await;
}

#[tokio::test]
async fn filters_by_state_partner_and_name_work_by_form_and_by_link() {
    let mut exporter = Exporter::start_demo(&["--web.route-prefix=/below/this"]).await;
    exporter.url.push_str("/below/this");
    all_probed(&exporter).await;
    let browser = Browser::open(DESKTOP, false).await;
    browser.goto(&exporter.url).await;
    let all = listed_keys(&browser).await.len();
    let client = &browser.client;
    client.find(Locator::Css("#filter-state")).await.unwrap().select_by_value("invalid").await.unwrap();
    client.find(Locator::Css("form.filter button")).await.unwrap().click().await.unwrap();
    assert_eq!(listed_keys(&browser).await, ["petit"]);
    client.find(Locator::Css("nav.states a")).await.unwrap().click().await.unwrap();
    assert_eq!(listed_keys(&browser).await.len(), all, "the first link shows all states");
    client.find(Locator::Css("#filter-name")).await.unwrap().send_keys("GIRA").await.unwrap();
    client.find(Locator::Css("#filter-partner")).await.unwrap().send_keys("valmy\n").await.unwrap();
    browser.wait_until_true("the filter", "return location.search.includes('name=GIRA')").await;
    assert_eq!(listed_keys(&browser).await, ["girard"]);
    client.find(Locator::LinkText("girard")).await.unwrap().click().await.unwrap();
    browser.wait_until_true("the key's page", "return location.pathname === '/below/this/key'").await;
    client.find(Locator::LinkText("All keys")).await.unwrap().click().await.unwrap();
    assert_eq!(listed_keys(&browser).await.len(), all);
    browser.goto(&format!("{}/?name=nobody", exporter.url)).await;
    assert!(browser.text("#keys").await.contains("No key matches the filter"));
    browser.goto(&format!("{}/?state=lost", exporter.url)).await;
    assert!(browser.text("main").await.contains("use one of unknown, pending"));
    browser.close().await;
}

#[tokio::test]
async fn the_copy_button_copies_the_request_id() {
    let exporter = Exporter::start_demo(&[]).await;
    all_probed(&exporter).await;
    let browser = Browser::open(DESKTOP, false).await;
    browser.goto(&format!("{}/?state=invalid", exporter.url)).await;
    let shown = browser.text("#keys .copyable code").await;
    assert!(shown.len() > 4, "{shown}");
    browser.client.find(Locator::Css("#keys button.copy")).await.unwrap().click().await.unwrap();
    browser
        .wait_until_true("the button to show 'Copied'", "return document.body.innerText.includes('Copied')")
        .await;
    let field = browser.client.find(Locator::Css("#filter-name")).await.unwrap();
    field.send_keys(&format!("{}v{}", char::from(Key::Control), char::from(Key::Control))).await.unwrap();
    assert_eq!(browser.run("return document.getElementById('filter-name').value").await, *shown);
    // Over plain HTTP to another machine, the browser has no clipboard API. First, the clipboard gets another content, and
    // the button must have its normal text again.
    field.clear().await.unwrap();
    let (control, none) = (char::from(Key::Control), char::from(Key::Null));
    field.send_keys(&format!("other{control}ac{none}")).await.unwrap();
    field.clear().await.unwrap();
    field.send_keys(&format!("{control}v{none}")).await.unwrap();
    assert_eq!(browser.run("return document.getElementById('filter-name').value").await, "other");
    field.clear().await.unwrap();
    browser
        .wait_until_true(
            "the button to show its normal text",
            "return !document.body.innerText.includes('Copied')",
        )
        .await;
    browser.run("Object.defineProperty(navigator, 'clipboard', {value: undefined})").await;
    browser.client.find(Locator::Css("#keys button.copy")).await.unwrap().click().await.unwrap();
    browser
        .wait_until_true("the button to show 'Copied'", "return document.body.innerText.includes('Copied')")
        .await;
    field.send_keys(&format!("{control}v{none}")).await.unwrap();
    assert_eq!(browser.run("return document.getElementById('filter-name').value").await, *shown);
    browser.close().await;
}

/// Starts an exporter with keys of these names.
async fn exporter_with_names(folder: &TempDir, names: &[&str]) -> (Simulator, Exporter) {
    let mut simulator = Simulator::builder()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET);
    for (number, _) in names.iter().enumerate() {
        simulator = simulator.society_key(&format!("key{number}"), 80, 127);
    }
    let simulator = simulator.start().await.unwrap();
    let quoted = |name: &str| serde_json::to_string(name).unwrap();
    let line = |(number, name): (usize, &&str)| {
        let name = quoted(name);
        key_line(&simulator, &format!("key{number}"))
            .replace(&format!("name: key{number}"), &format!("name: {name}"))
    };
    write_config(folder.path(), &simulator, &names.iter().enumerate().map(line).collect::<Vec<_>>());
    let exporter = Exporter::start(folder.path(), &[]).await;
    (simulator, exporter)
}

#[tokio::test]
async fn names_that_contain_markup_are_shown_as_text() {
    let names = [
        "<script>document.title='owned'</script>",
        "\"><img src=x onerror=\"document.title='owned'\">",
        "' onclick='document.title=1",
        "<!-- </table></main>",
        "%3Cb%3E&amp;&lt;",
        "é/?&=#+ \u{202e}x",
    ];
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, exporter) = exporter_with_names(&folder, &names).await;
    all_probed(&exporter).await;
    let browser = Browser::open(DESKTOP, false).await;
    browser.goto(&exporter.url).await;
    let mut shown = listed_keys(&browser).await;
    shown.sort_unstable();
    let mut expected = names.map(str::to_owned);
    expected.sort_unstable();
    assert_eq!(shown, expected);
    for name in names {
        browser.goto(&exporter.url).await;
        let find = format!(
            "[...document.querySelectorAll('.key a.name')].find(a => a.textContent === {})",
            serde_json::to_string(name).unwrap()
        );
        browser.run(&format!("{find}.click()")).await;
        browser
            .wait_until_true(
                "the key's page",
                "return location.pathname === '/key' && document.readyState === 'complete'",
            )
            .await;
        let title = browser.client.title().await.unwrap();
        assert!(title.contains("of acme") && !title.contains("owned ·"), "{title}");
        let heading = browser.run("return document.getElementById('key-title').textContent").await;
        assert!(heading.as_str().unwrap().contains(name), "{heading}");
    }
    let (injected, inline) = (
        "document.querySelectorAll('main script, main img').length",
        "document.querySelectorAll('[style], [onclick], style').length",
    );
    assert_eq!(browser.run(&format!("return {injected} + {inline}")).await, 0);
    assert_no_errors_and_no_external_requests(&browser, &exporter).await;
    browser.close().await;
}

#[tokio::test]
async fn the_page_refreshes_itself_keeps_the_focus_and_reports_a_failed_refresh() {
    let (simulator, folder) = two_keys().await;
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    all_probed(&exporter).await;
    let browser = Browser::open(DESKTOP, false).await;
    browser.goto(&exporter.url).await;
    let has =
        |text: &str| format!("return document.getElementById('attention').innerText.includes('{text}')");
    assert_eq!(browser.run(&has("revoked")).await, false);
    browser.run("document.querySelector('.key a.name[href*=martin]').focus(); window.kept = true").await;
    simulator.key("dupont").unwrap().revoke();
    browser.wait_until_true("the new state", &has("revoked")).await;
    assert_eq!(browser.run("return window.kept").await, true, "the page was not loaded again");
    assert_eq!(browser.run("return document.activeElement.textContent").await, "martin");
    assert!(browser.client.title().await.unwrap().contains("1 key needs someone"));
    // The refresh can be paused.
    browser.client.find(Locator::Css("#pause")).await.unwrap().click().await.unwrap();
    assert_eq!(browser.text("#refreshed").await, "Paused");
    browser.client.find(Locator::Css("#pause")).await.unwrap().click().await.unwrap();
    exporter.server.signal(Signal::KILL);
    exporter.server.wait_for_exit().await;
    browser
        .wait_until_true(
            "the warning",
            "return document.getElementById('refreshed').innerText.includes(\"can't be reached\")",
        )
        .await;
    assert_eq!(browser.run(&has("revoked")).await, true, "the last content stays on the page");
    browser.close().await;
}

#[tokio::test]
async fn every_control_is_reachable_by_keyboard() {
    let exporter = Exporter::start_demo(&[]).await;
    all_probed(&exporter).await;
    let browser = Browser::open(DESKTOP, false).await;
    browser.goto(&format!("{}/?state=invalid", exporter.url)).await;
    let mut reached = Vec::new();
    for _ in 0..80 {
        press(&browser, char::from(Key::Tab)).await;
        let name = "const e = document.activeElement; const r = e.getBoundingClientRect(); \
            return e.matches('body') ? '' : (e.id || (e.matches('.name') ? '' : e.className) || e.textContent.trim()) + (r.width > 0 && r.height > 0 && getComputedStyle(e).outlineStyle !== 'none' ? '' : ' (not visible)')";
        let name = browser.run(name).await.as_str().unwrap().to_owned();
        if name.is_empty() {
            break;
        }
        reached.push(name);
    }
    for expected in [
        "skip",
        "brand",
        "pause",
        "filter-state",
        "filter-partner",
        "filter-name",
        "Filter",
        "petit",
        "copy",
        "Metrics",
    ] {
        assert!(reached.iter().any(|name| name == expected), "{expected} in {reached:?}");
    }
    assert!(
        reached.iter().all(|name| !name.contains("(not visible)")),
        "each focused control is visible and has an outline: {reached:?}"
    );
    browser.run("document.querySelector('.key a.name').focus()").await;
    press(&browser, char::from(Key::Enter)).await;
    browser.wait_until_true("the key's page", "return location.pathname === '/key'").await;
    browser.close().await;
}

async fn press(browser: &Browser, key: char) {
    use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
    let actions = KeyActions::new("keys".to_owned())
        .then(KeyAction::Down { value: key })
        .then(KeyAction::Up { value: key });
    browser.client.perform_actions(actions).await.unwrap();
}

fn axe() -> String {
    let library = std::fs::read_dir(AXE)
        .expect("target/venv with axe: run `make test`")
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::read_to_string(library.join("site-packages/axe_playwright_python/axe.min.js")).unwrap()
}

/// The serious and critical violations that axe-core finds.
async fn violations(browser: &Browser, axe: &str) -> Vec<String> {
    // The driver runs the script, so the content security policy of the page does not apply.
    browser.run(axe).await;
    let script = "const done = arguments[arguments.length - 1]; axe.run().then(found => done(found.violations.filter(v => \
        ['serious', 'critical'].includes(v.impact)).map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' '))))";
    let found = browser.client.execute_async(script, Vec::new()).await.unwrap();
    serde_json::from_value(found).unwrap()
}

#[tokio::test]
async fn the_accessibility_check_finds_nothing_serious_in_any_theme_or_size() {
    let axe = axe();
    let exporter = Exporter::start_demo(&[]).await;
    all_probed(&exporter).await;
    for (size, dark) in [(DESKTOP, false), (DESKTOP, true), (PHONE, false), (PHONE, true)] {
        let browser = Browser::open(size, dark).await;
        for path in ["/", "/key?partner=atelier-nord&key=petit", "/?name=nobody", "/key?partner=x&key=y"] {
            browser.goto(&format!("{}{path}", exporter.url)).await;
            let scheme = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches").await;
            assert_eq!(scheme, dark, "the browser has the requested colour scheme");
            let found = violations(&browser, &axe).await;
            assert!(found.is_empty(), "{path} {size:?} dark: {dark}\n{}", found.join("\n"));
            let fits = browser.run("return document.scrollingElement.scrollWidth <= window.innerWidth").await;
            assert_eq!(fits, true, "{path} is wider than {size:?}");
        }
        browser.close().await;
    }
}

#[tokio::test]
async fn without_javascript_all_content_is_shown_and_script_controls_are_hidden() {
    let exporter = Exporter::start_demo(&[]).await;
    all_probed(&exporter).await;
    let response = client().get(&exporter.url).send().await.unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let page = response.text().await.unwrap();
    for (key, state) in CONSTANT_STATES {
        assert!(page.contains(&format!(">{key}</a>")) && page.contains(state), "{key}");
    }
    assert!(
        page.contains("<div id=\"refresh\" hidden>"),
        "the refresh controls are hidden without JavaScript"
    );
    assert!(page.matches("class=\"copy\"").count() == page.matches(" hidden>Copy<").count());
    assert!(!page.contains(" style=") && !page.contains("<style") && page.matches("<script").count() == 1);
    for asset in ["style.css", "status.js", "icon.svg"] {
        let path = page.split('"').find(|part| part.starts_with(&format!("./static/{asset}?v="))).unwrap();
        let response = client().get(format!("{}/{path}", exporter.url)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    }
    assert_eq!(exporter.get("/static/../Cargo.toml").await.unwrap().0, 404);
}
