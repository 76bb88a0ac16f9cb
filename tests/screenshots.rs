//! Takes the pictures in docs/images, of the demo, once everything of its story has happened: `make screenshots`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "it fails by panicking"
)]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/server.rs"]
mod server;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use browser::Browser;
use serde_json::Value;
use server::{BINARY, Exporter, Server, until_within};

const FOLDER: &str = "docs/images";
const DESK: (u32, u32) = (1280, 1400);
const PHONE: (u32, u32) = (390, 844);

/// The name of the picture, the path, the window and whether it is dark.
const PICTURES: [(&str, &str, (u32, u32), bool); 6] = [
    ("overview-light", "/", DESK, false),
    ("overview-dark", "/", DESK, true),
    ("overview-phone-light", "/", PHONE, false),
    ("overview-phone-dark", "/", PHONE, true),
    ("key-light", "/key?partner=valmy-logiciels&key=girard", DESK, false),
    ("key-phone-dark", "/key?partner=valmy-logiciels&key=girard", PHONE, true),
];

#[tokio::main]
async fn main() {
    let demo = Server::spawn(Command::new(BINARY).args(["demo", "--web.listen-address=127.0.0.1:0"]));
    let exporter = Exporter::listening(demo).await;
    // Maintenance has come and gone, a key was revoked, and there are some probes to draw.
    until_within(Duration::from_mins(4), "the demo's story", || async {
        let status: Value = serde_json::from_str(&exporter.get("/api/v1/status").await?.1).unwrap();
        let api = &status["api"];
        let told = status["key_states"]["revoked"].is_u64()
            && api["state"] == "up"
            && api["availability"]["maintenance"] != 0
            && api["availability"]["succeeded"].as_u64() > Some(45);
        told.then_some(())
    })
    .await;
    std::fs::create_dir_all(FOLDER).unwrap();
    for (name, path, size, dark) in PICTURES {
        let browser = Browser::open(size, dark).await;
        browser.goto(&format!("{}{path}", exporter.url)).await;
        let file = Path::new(FOLDER).join(format!("{name}.png"));
        std::fs::write(&file, browser.client.screenshot().await.unwrap()).unwrap();
        println!("{}", file.display());
        browser.close().await;
    }
}
