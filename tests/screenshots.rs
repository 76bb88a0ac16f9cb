//! Takes the screenshots in docs/images: `make screenshots`. Those of the page show the demo, after all events of its
//! scenario have happened; those of the dashboards show a fleet of 300 keys, three of which are broken.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the program reports errors by panicking"
)]

#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use fantoccini::Locator;
use serde_json::Value;
use support::browser::Browser;
use support::drawing::{Drawing, View, shipped_dashboards};
use support::history;
use support::server::{Exporter, until_within};

const FOLDER: &str = "docs/images";
const DESKTOP: (u32, u32) = (1440, 1400);
/// The first screen of a common laptop.
const LAPTOP: (u32, u32) = (1366, 768);
const PHONE: (u32, u32) = (390, 844);

/// The name of the screenshot, the path, the window size, and whether the colour scheme is dark.
const PAGES: [(&str, &str, (u32, u32), bool); 11] = [
    ("overview-laptop", "/", LAPTOP, false),
    ("overview-light", "/", DESKTOP, false),
    ("overview-dark", "/", DESKTOP, true),
    ("overview-phone-light", "/", PHONE, false),
    ("overview-phone-dark", "/", PHONE, true),
    ("key-light", "/key?partner=valmy-logiciels&key=girard", DESKTOP, false),
    ("key-phone-dark", "/key?partner=valmy-logiciels&key=girard", PHONE, true),
    ("overview-laptop-fr", "/?lang=fr", LAPTOP, false),
    ("overview-phone-fr", "/?lang=fr", PHONE, true),
    ("key-laptop-fr", "/key?partner=valmy-logiciels&key=roux&lang=fr", LAPTOP, true),
    ("key-phone-fr", "/key?partner=valmy-logiciels&key=roux&lang=fr", PHONE, false),
];

/// A laptop's width. The picture ends where the drawing ends.
const BOARD: (u32, u32) = (1366, 1600);

/// The name of the screenshot, the dashboard, what is selected and drawn, and whether the colour scheme is dark.
const DASHBOARDS: [(&str, &str, &str, bool); 3] = [
    ("grafana-overview-dark", "overview", "rows=20", true),
    ("grafana-overview-light", "overview", "rows=20", false),
    ("grafana-key-dark", "key", "partner=valmy-logiciels&key=garnier-lyon&rows=21", true),
];

#[tokio::main]
async fn main() {
    std::fs::create_dir_all(FOLDER).unwrap();
    // `cargo test --test screenshots -- dashboards` takes only those.
    let only = std::env::args().nth(1);
    if only.as_deref() != Some("dashboards") {
        take_pages().await;
    }
    if only.as_deref() != Some("pages") {
        take_dashboards().await;
    }
}

async fn take_pages() {
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
    for (name, path, size, dark) in PAGES {
        let browser = Browser::open(size, dark).await;
        browser.goto(&format!("{}{path}", exporter.url)).await;
        save(name, &browser.client.screenshot().await.unwrap());
        browser.close().await;
    }
}

async fn take_dashboards() {
    let folder = tempfile::tempdir().unwrap();
    let (prometheus, at) = history::start(folder.path()).await;
    let drawing = Drawing::start(&shipped_dashboards()).await;
    let prometheus = prometheus.url();
    for (name, board, more, dark) in DASHBOARDS {
        let view = View { prometheus: &prometheus, at, board, more, size: BOARD, dark };
        let (browser, _) = drawing.draw(&view).await;
        let drawn = browser.client.find(Locator::Css("body")).await.unwrap();
        save(name, &drawn.screenshot().await.unwrap());
        browser.close().await;
    }
}

fn save(name: &str, picture: &[u8]) {
    let file = Path::new(FOLDER).join(format!("{name}.png"));
    std::fs::write(&file, picture).unwrap();
    println!("{}", file.display());
}
