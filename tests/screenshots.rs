//! Takes the screenshots in docs/images, of the demo, after all events of its scenario have happened: `make screenshots`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "the program reports errors by panicking"
)]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/server.rs"]
mod server;

use std::path::Path;
use std::time::Duration;

use browser::Browser;
use serde_json::Value;
use server::{Exporter, until_within};

const FOLDER: &str = "docs/images";
const DESKTOP: (u32, u32) = (1440, 1400);
/// The first screen of a common laptop.
const LAPTOP: (u32, u32) = (1366, 768);
const PHONE: (u32, u32) = (390, 844);

/// The name of the screenshot, the path, the window size, and whether the colour scheme is dark.
const SCREENSHOTS: [(&str, &str, (u32, u32), bool); 7] = [
    ("overview-laptop", "/", LAPTOP, false),
    ("overview-light", "/", DESKTOP, false),
    ("overview-dark", "/", DESKTOP, true),
    ("overview-phone-light", "/", PHONE, false),
    ("overview-phone-dark", "/", PHONE, true),
    ("key-light", "/key?partner=valmy-logiciels&key=girard", DESKTOP, false),
    ("key-phone-dark", "/key?partner=valmy-logiciels&key=girard", PHONE, true),
];

#[tokio::main]
async fn main() {
    let exporter = Exporter::start_demo(&[]).await;
    // Maintenance is over, a key was revoked, and there are enough probes for the charts.
    until_within(Duration::from_mins(4), "the demo's scenario", || async {
        let status: Value = serde_json::from_str(&exporter.get("/api/v1/status").await?.1).unwrap();
        let api = &status["api"];
        let complete = status["key_states"]["revoked"].is_u64()
            && api["state"] == "up"
            && api["availability"]["maintenance"] != 0
            && api["availability"]["succeeded"].as_u64() > Some(45);
        complete.then_some(())
    })
    .await;
    std::fs::create_dir_all(FOLDER).unwrap();
    for (name, path, size, dark) in SCREENSHOTS {
        let browser = Browser::open(size, dark).await;
        browser.goto(&format!("{}{path}", exporter.url)).await;
        let file = Path::new(FOLDER).join(format!("{name}.png"));
        std::fs::write(&file, browser.client.screenshot().await.unwrap()).unwrap();
        println!("{}", file.display());
        browser.close().await;
    }
}
