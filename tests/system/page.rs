//! The pages, as a person sees them in a real browser.

use std::process::Command;

use fantoccini::Locator;
use fantoccini::key::Key;
use partner_simulator::{Limits, Simulator};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::SECRET;
use crate::support::acme::{key_line, two_keys, write_config};
use crate::support::browser::Browser;
use crate::support::server::{BINARY, Exporter, Server, client, until};

const DESK: (u32, u32) = (1400, 1000);
const PHONE: (u32, u32) = (360, 740);
const AXE: &str = "target/venv/lib";

async fn demo() -> Exporter {
    demo_with(&[]).await
}

/// Where a flag puts it below a path, its address has that too.
async fn demo_with(flags: &[&str]) -> Exporter {
    let mut demo = Command::new(BINARY);
    demo.args(["demo", "--web.listen-address=127.0.0.1:0"]).args(flags);
    let mut exporter = Exporter::listening(Server::spawn(&mut demo)).await;
    for prefix in flags.iter().filter_map(|flag| flag.strip_prefix("--web.route-prefix=")) {
        exporter.url.push_str(prefix);
    }
    exporter
}

/// The states that the demo's fleet has from its first probes on, and never leaves.
const LASTING: [(&str, &str); 6] = [
    ("fontaine", "disconnected"),
    ("chevalier", "folder_not_found"),
    ("petit", "invalid"),
    ("garnier", "forbidden"),
    ("roux", "not_found"),
    ("leroy", "unknown"),
];

/// Waits until every key was asked.
async fn all_asked(exporter: &Exporter) {
    until("every key to be asked", || async {
        let (_, text) = exporter.get("/api/v1/status").await?;
        let status: Value = serde_json::from_str(&text).unwrap();
        let keys = status["keys"].as_array().unwrap();
        let asked = |key: &Value| key["probes"].as_array().unwrap().iter().all(|p| p["probes_total"] != 0);
        keys.iter().all(asked).then_some(())
    })
    .await;
}

/// The names of the keys that are listed, in their order.
async fn listed(browser: &Browser) -> Vec<String> {
    let names = "return [...document.querySelectorAll('.keys tbody th a')].map(a => a.textContent)";
    serde_json::from_value(browser.run(names).await).unwrap()
}

/// Nothing was complained of, and nobody else was asked for anything.
async fn is_innocent(browser: &Browser, exporter: &Exporter) {
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    let asked = browser.requested().await;
    assert!(asked.iter().any(|url| url.contains("/static/status.js")), "{asked:?}");
    // The browser's own empty tab is none of ours, and asks nobody.
    let inner = |url: &String| [&exporter.url, "chrome://", "data:"].iter().any(|own| url.starts_with(*own));
    let others: Vec<_> = asked.iter().filter(|url| !inner(url)).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn the_states_of_the_demo_are_shown_with_cause_and_remedy() {
    let exporter = demo().await;
    all_asked(&exporter).await;
    let browser = Browser::open(DESK, false).await;
    browser.goto(&exporter.url).await;
    let headline = browser.text("#api-state").await;
    assert!(headline.contains("The API has been"), "{headline}");
    for (key, state) in LASTING {
        let row = browser.run(&format!(
            "return [...document.querySelectorAll('.keys tbody tr')].map(row => row.innerText).find(row => row.startsWith('{key}'))"
        )).await;
        let row = row.as_str().unwrap_or_else(|| panic!("{key} is not listed"));
        assert!(row.contains(state), "{key}: {row}");
        assert!(row.contains("ERR-") || key == "leroy", "{key}: {row}");
    }
    // Let in, and yet not well.
    let blanchet = "return [...document.querySelectorAll('.keys tbody tr')].map(row => row.innerText).find(row => row.startsWith('blanchet'))";
    let blanchet = browser.run(blanchet).await;
    assert!(blanchet.as_str().unwrap().contains("failing"), "{blanchet}");
    let partners = browser.text("#partners").await;
    assert!(partners.contains("Partners (3)") && partners.contains("quai-ouest"), "{partners}");
    // Worst first: what works comes last.
    let order = listed(&browser).await;
    let place = |name: &str| order.iter().position(|key| key == name).unwrap();
    assert!(place("fontaine") < place("petit") && place("roux") < place("martin"), "{order:?}");
    // A key's own page tells the same, and what was.
    browser.client.find(Locator::LinkText("fontaine")).await.unwrap().click().await.unwrap();
    let page = browser.text("main").await;
    for part in ["disconnected", "ERR-THIRD-PARTY-DISCONNECTED", "atelier-nord", "State history"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let waterfalls = browser.run("return document.querySelectorAll('svg.waterfall rect').length").await;
    assert!(waterfalls.as_u64().unwrap() > 0);
    is_innocent(&browser, &exporter).await;
    browser.close().await;
}

#[tokio::test]
async fn filters_by_state_partner_and_name_work_by_form_and_by_link() {
    let exporter = demo_with(&["--web.route-prefix=/below/this"]).await;
    all_asked(&exporter).await;
    let browser = Browser::open(DESK, false).await;
    browser.goto(&exporter.url).await;
    let all = listed(&browser).await.len();
    let client = &browser.client;
    client.find(Locator::Css("#filter-state")).await.unwrap().select_by_value("invalid").await.unwrap();
    client.find(Locator::Css("form.filter button")).await.unwrap().click().await.unwrap();
    assert_eq!(listed(&browser).await, ["petit"]);
    client.find(Locator::Css("nav.states a")).await.unwrap().click().await.unwrap();
    assert_eq!(listed(&browser).await.len(), all, "the first link is all states");
    client.find(Locator::Css("#filter-name")).await.unwrap().send_keys("GIRA").await.unwrap();
    client.find(Locator::Css("#filter-partner")).await.unwrap().send_keys("valmy\n").await.unwrap();
    browser.until("the filter", "return location.search.includes('name=GIRA')").await;
    assert_eq!(listed(&browser).await, ["girard"]);
    client.find(Locator::LinkText("girard")).await.unwrap().click().await.unwrap();
    browser.until("the key's page", "return location.pathname === '/below/this/key'").await;
    client.find(Locator::LinkText("All keys")).await.unwrap().click().await.unwrap();
    assert_eq!(listed(&browser).await.len(), all);
    browser.goto(&format!("{}/?name=nobody", exporter.url)).await;
    assert!(browser.text("#listing").await.contains("No key matches the filter"));
    browser.goto(&format!("{}/?state=lost", exporter.url)).await;
    assert!(browser.text("main").await.contains("use one of unknown, pending"));
    browser.close().await;
}

#[tokio::test]
async fn the_copy_button_copies_the_request_id() {
    let exporter = demo().await;
    all_asked(&exporter).await;
    let browser = Browser::open(DESK, false).await;
    browser.goto(&format!("{}/?state=invalid", exporter.url)).await;
    let shown = browser.text(".keys .copyable code").await;
    assert!(shown.len() > 4, "{shown}");
    browser.client.find(Locator::Css(".keys button.copy")).await.unwrap().click().await.unwrap();
    browser.until("the button to say so", "return document.body.innerText.includes('Copied')").await;
    let field = browser.client.find(Locator::Css("#filter-name")).await.unwrap();
    field.send_keys(&format!("{}v{}", char::from(Key::Control), char::from(Key::Control))).await.unwrap();
    assert_eq!(browser.run("return document.getElementById('filter-name').value").await, *shown);
    // As where a browser offers no clipboard: over plain HTTP to another machine. What was copied before is
    // gone first, and the button says nothing yet.
    field.clear().await.unwrap();
    let (control, none) = (char::from(Key::Control), char::from(Key::Null));
    field.send_keys(&format!("other{control}ac{none}")).await.unwrap();
    field.clear().await.unwrap();
    field.send_keys(&format!("{control}v{none}")).await.unwrap();
    assert_eq!(browser.run("return document.getElementById('filter-name').value").await, "other");
    field.clear().await.unwrap();
    browser.until("the button to be quiet", "return !document.body.innerText.includes('Copied')").await;
    browser.run("Object.defineProperty(navigator, 'clipboard', {value: undefined})").await;
    browser.client.find(Locator::Css(".keys button.copy")).await.unwrap().click().await.unwrap();
    browser.until("the button to say so", "return document.body.innerText.includes('Copied')").await;
    field.send_keys(&format!("{control}v{none}")).await.unwrap();
    assert_eq!(browser.run("return document.getElementById('filter-name').value").await, *shown);
    browser.close().await;
}

/// Keys whose names are meant to do harm, and their exporter.
async fn with_names(folder: &TempDir, names: &[&str]) -> (Simulator, Exporter) {
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
    let (_simulator, exporter) = with_names(&folder, &names).await;
    all_asked(&exporter).await;
    let browser = Browser::open(DESK, false).await;
    browser.goto(&exporter.url).await;
    let mut shown = listed(&browser).await;
    shown.sort_unstable();
    let mut wanted = names.map(str::to_owned);
    wanted.sort_unstable();
    assert_eq!(shown, wanted);
    for name in names {
        browser.goto(&exporter.url).await;
        let find = format!(
            "[...document.querySelectorAll('.keys tbody th a')].find(a => a.textContent === {})",
            serde_json::to_string(name).unwrap()
        );
        browser.run(&format!("{find}.click()")).await;
        browser
            .until(
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
    is_innocent(&browser, &exporter).await;
    browser.close().await;
}

#[tokio::test]
async fn the_page_refreshes_itself_keeps_the_focus_and_reports_a_failed_refresh() {
    let (simulator, folder) = two_keys().await;
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    all_asked(&exporter).await;
    let browser = Browser::open(DESK, false).await;
    browser.goto(&exporter.url).await;
    let has = |text: &str| format!("return document.getElementById('listing').innerText.includes('{text}')");
    assert_eq!(browser.run(&has("revoked")).await, false);
    browser.run("document.querySelector('.keys tbody th a[href*=martin]').focus(); window.kept = true").await;
    simulator.key("dupont").unwrap().revoke();
    browser.until("the new state", &has("revoked")).await;
    assert_eq!(browser.run("return window.kept").await, true, "it was not loaded anew");
    assert_eq!(browser.run("return document.activeElement.textContent").await, "martin");
    assert!(browser.client.title().await.unwrap().contains("1 key failing"));
    // Paused, it stands still.
    browser.client.find(Locator::Css("#pause")).await.unwrap().click().await.unwrap();
    assert_eq!(browser.text("#refreshed").await, "Paused");
    browser.client.find(Locator::Css("#pause")).await.unwrap().click().await.unwrap();
    exporter.server.signal(Signal::KILL);
    exporter.server.end().await;
    browser
        .until(
            "the warning",
            "return document.getElementById('refreshed').innerText.includes(\"can't be reached\")",
        )
        .await;
    assert_eq!(browser.run(&has("revoked")).await, true, "what was seen stays");
    browser.close().await;
}

#[tokio::test]
async fn every_control_is_reachable_by_keyboard() {
    let exporter = demo().await;
    all_asked(&exporter).await;
    let browser = Browser::open(DESK, false).await;
    browser.goto(&format!("{}/?state=invalid", exporter.url)).await;
    let mut reached = Vec::new();
    for _ in 0..80 {
        press(&browser, char::from(Key::Tab)).await;
        let name = "const e = document.activeElement; const r = e.getBoundingClientRect(); \
            return e.matches('body') ? '' : (e.id || e.className || e.textContent.trim()) + (r.width > 0 && r.height > 0 && getComputedStyle(e).outlineStyle !== 'none' ? '' : ' (unseen)')";
        let name = browser.run(name).await.as_str().unwrap().to_owned();
        if name.is_empty() {
            break;
        }
        reached.push(name);
    }
    for wanted in [
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
        assert!(reached.iter().any(|name| name == wanted), "{wanted} in {reached:?}");
    }
    assert!(
        reached.iter().all(|name| !name.contains("(unseen)")),
        "each is seen when it is reached: {reached:?}"
    );
    browser.run("document.querySelector('.keys tbody th a').focus()").await;
    press(&browser, char::from(Key::Enter)).await;
    browser.until("the key's page", "return location.pathname === '/key'").await;
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
    let library = std::fs::read_dir(AXE).expect("run `make deps`").next().unwrap().unwrap().path();
    std::fs::read_to_string(library.join("site-packages/axe_playwright_python/axe.min.js")).unwrap()
}

/// What axe-core finds serious or critical.
async fn barriers(browser: &Browser, axe: &str) -> Vec<String> {
    // Run by the driver, which the page's own policy does not bind.
    browser.run(axe).await;
    let script = "const done = arguments[arguments.length - 1]; axe.run().then(found => done(found.violations.filter(v => \
        ['serious', 'critical'].includes(v.impact)).map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' '))))";
    let found = browser.client.execute_async(script, Vec::new()).await.unwrap();
    serde_json::from_value(found).unwrap()
}

#[tokio::test]
async fn the_accessibility_check_finds_nothing_serious_in_any_theme_or_size() {
    let axe = axe();
    let exporter = demo().await;
    all_asked(&exporter).await;
    for (size, dark) in [(DESK, false), (DESK, true), (PHONE, false), (PHONE, true)] {
        let browser = Browser::open(size, dark).await;
        for path in ["/", "/key?partner=atelier-nord&key=petit", "/?name=nobody", "/key?partner=x&key=y"] {
            browser.goto(&format!("{}{path}", exporter.url)).await;
            let scheme = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches").await;
            assert_eq!(scheme, dark, "the browser prefers what was asked for");
            let found = barriers(&browser, &axe).await;
            assert!(found.is_empty(), "{path} {size:?} dark: {dark}\n{}", found.join("\n"));
            let fits = browser.run("return document.scrollingElement.scrollWidth <= window.innerWidth").await;
            assert_eq!(fits, true, "{path} is wider than {size:?}");
        }
        browser.close().await;
    }
}

#[tokio::test]
async fn without_javascript_all_content_is_shown_and_script_controls_are_hidden() {
    let exporter = demo().await;
    all_asked(&exporter).await;
    let response = client().get(&exporter.url).send().await.unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let page = response.text().await.unwrap();
    for (key, state) in LASTING {
        assert!(page.contains(&format!(">{key}</a>")) && page.contains(state), "{key}");
    }
    assert!(page.contains("<div id=\"refresh\" hidden>"), "it does nothing without");
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
