//! A real browser, headless, with nobody's profile, that ends with the test.

use std::process::Command;
use std::sync::LazyLock;

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::server::{Server, client, until};

/// A browser takes a whole core to start: more of them at once would only wait for one another.
static FEW: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(3));

pub(crate) struct Browser {
    pub(crate) client: Client,
    /// Ends the browser, whatever became of the test.
    _driver: Server,
    driver_url: String,
    _profile: TempDir,
    _permit: SemaphorePermit<'static>,
}

impl Browser {
    /// One with a window of this size, that prefers this colour scheme.
    pub(crate) async fn open(size: (u32, u32), dark: bool) -> Self {
        let permit = FEW.acquire().await.unwrap();
        let (driver, port) = start_driver().await;
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

    /// What a script returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The text of the first element that fits, as a person sees it.
    pub(crate) async fn text(&self, css: &str) -> String {
        let element = self.client.find(Locator::Css(css)).await.unwrap_or_else(|e| panic!("{css}: {e}"));
        element.text().await.unwrap()
    }

    /// Waits until a script returns true.
    pub(crate) async fn until(&self, what: &str, script: &str) {
        until(what, || async { (self.run(script).await == Value::Bool(true)).then_some(()) }).await;
    }

    /// Everything of a log since it was last asked for; `browser` is the console.
    async fn log(&self, kind: &str) -> Vec<Value> {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/se/log", self.driver_url);
        let answer = client().post(url).body(json!({ "type": kind }).to_string()).send().await.unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        answer["value"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }

    /// What the console complained of.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        self.log("browser").await.iter().map(ToString::to_string).collect()
    }

    /// Where requests went.
    pub(crate) async fn requested(&self) -> Vec<String> {
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

/// Starts chromedriver, and returns it with its port.
///
/// It lets the system pick a port of IPv6, and then asks for the same port of IPv4, which another process may
/// have. It exits in that case, and the next attempt gets another port.
async fn start_driver() -> (Server, u16) {
    loop {
        let driver = Server::spawn(Command::new("chromedriver").arg("--port=0"));
        let started_or_failed = || async {
            let output = driver.output();
            let started = output.lines().find_map(|line| line.split_once("started successfully on port "));
            let port = started.map(|(_, port)| port.trim_end_matches('.').parse::<u16>().unwrap());
            (port.is_some() || output.contains("port not available")).then_some(port)
        };
        if let Some(port) = until("chromedriver to start", started_or_failed).await {
            return (driver, port);
        }
    }
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
    arguments.push(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)));
    let wanted = json!({
        "browserName": "chrome",
        "goog:chromeOptions": {
            "args": arguments,
            // A window is never narrower than a desk's: a phone is asked for as one.
            "mobileEmulation": (width < 500).then(|| json!({
                "deviceMetrics": { "width": width, "height": height, "pixelRatio": 2.0, "touch": true }
            })),
        },
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
    });
    let Value::Object(mut wanted) = wanted else { panic!("an object was written") };
    let options = wanted["goog:chromeOptions"].as_object_mut().unwrap();
    options.retain(|_, value| !value.is_null());
    wanted
}
