//! A real headless browser with an empty profile, which ends with the test.

use std::process::Command;
use std::sync::LazyLock;

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::server::{Server, client, until};

/// Limits the number of browsers. A starting browser keeps one core busy, so starting more at once is not
/// faster.
static BROWSER_LIMIT: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(3));

pub(crate) struct Browser {
    pub(crate) client: Client,
    /// Ends the browser when it is dropped, even if the test fails.
    _driver: Server,
    driver_url: String,
    _profile: TempDir,
    _permit: SemaphorePermit<'static>,
}

impl Browser {
    /// Opens a browser with a window of this size and this preferred colour scheme.
    pub(crate) async fn open(size: (u32, u32), dark: bool) -> Self {
        Self::start(size, dark, "UTC").await
    }

    /// Opens a browser of a reader in this time zone.
    pub(crate) async fn open_in_zone(size: (u32, u32), zone: &str) -> Self {
        Self::start(size, false, zone).await
    }

    async fn start(size: (u32, u32), dark: bool, zone: &str) -> Self {
        let permit = BROWSER_LIMIT.acquire().await.unwrap();
        let (driver, port) = start_driver(zone).await;
        let profile = tempfile::tempdir().unwrap();
        let driver_url = format!("http://127.0.0.1:{port}");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(size, dark, &profile))
            .connect(&driver_url)
            .await
            .unwrap();
        Self { client, _driver: driver, driver_url, _profile: profile, _permit: permit }
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Runs a script, and returns its result.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The visible text of the first element that matches a CSS selector.
    pub(crate) async fn text(&self, css: &str) -> String {
        // A refresh of the page can replace the element in between.
        for _ in 0..10 {
            let element = self.client.find(Locator::Css(css)).await.unwrap_or_else(|e| panic!("{css}: {e}"));
            match element.text().await {
                Err(error) if error.is_stale_element_reference() => {}
                text => return text.unwrap(),
            }
        }
        panic!("{css} is replaced all the time")
    }

    /// Waits until a script returns true.
    pub(crate) async fn wait_until_true(&self, what: &str, script: &str) {
        until(what, || async { (self.run(script).await == Value::Bool(true)).then_some(()) }).await;
    }

    /// The new entries of a chromedriver log since the last call. `kind` is `browser` (the console) or
    /// `performance`.
    async fn log(&self, kind: &str) -> Vec<Value> {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/se/log", self.driver_url);
        let response = client().post(url).body(json!({ "type": kind }).to_string()).send().await.unwrap();
        let log: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        log["value"].as_array().unwrap_or_else(|| panic!("{log}")).clone()
    }

    /// All messages in the console.
    pub(crate) async fn console_messages(&self) -> Vec<String> {
        self.log("browser").await.iter().map(ToString::to_string).collect()
    }

    /// The URLs of all requests that the browser sent.
    pub(crate) async fn requested_urls(&self) -> Vec<String> {
        let entries = self.log("performance").await;
        let url = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let sent = message["method"] == "Network.requestWillBeSent";
            sent.then(|| message["params"]["request"]["url"].as_str().unwrap().to_owned())
        };
        entries.iter().filter_map(url).collect()
    }

    pub(crate) async fn close(self) {
        self.client.close().await.unwrap();
    }
}

/// How the start of chromedriver ended.
enum DriverStart {
    /// It listens on this port.
    Listening(u16),
    /// It exits because another process uses the port.
    PortTaken,
}

/// Reads from chromedriver's output how the start ended. `None` while it has not ended.
fn start_of(output: &str) -> Option<DriverStart> {
    let started = output.lines().find_map(|line| line.split_once("started successfully on port "));
    if let Some((_, port)) = started {
        return Some(DriverStart::Listening(port.trim_end_matches('.').parse().unwrap()));
    }
    output.contains("port not available").then_some(DriverStart::PortTaken)
}

/// Starts chromedriver, and returns it with its port.
///
/// With port 0, chromedriver gets a free IPv6 port from the system and then needs the same IPv4 port. If another
/// process uses that one, chromedriver exits, and the next attempt gets another port.
async fn start_driver(zone: &str) -> (Server, u16) {
    for _ in 0..10 {
        let driver = Server::spawn(Command::new("chromedriver").arg("--port=0").env("TZ", zone));
        match until("chromedriver to start", || async { start_of(&driver.output()) }).await {
            DriverStart::Listening(port) => return (driver, port),
            DriverStart::PortTaken => {}
        }
    }
    panic!("chromedriver found no port that is free for both IPv4 and IPv6")
}

fn capabilities((width, height): (u32, u32), dark: bool, profile: &TempDir) -> Capabilities {
    let mut arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--hide-scrollbars",
        "--no-proxy-server",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    arguments.push(format!("--window-size={width},{height}"));
    // Blink: 0 is dark, 1 is light.
    arguments.push(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)));
    let mut options = json!({ "args": arguments });
    // Chrome windows have a minimum width. For a narrower size, a phone is emulated.
    if width < 500 {
        options["mobileEmulation"] = json!({
            "deviceMetrics": { "width": width, "height": height, "pixelRatio": 2.0, "touch": true }
        });
    }
    Capabilities::from_iter([
        ("browserName".to_owned(), "chrome".into()),
        ("goog:chromeOptions".to_owned(), options),
        ("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL", "performance": "ALL" })),
    ])
}
