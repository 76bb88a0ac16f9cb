//! Draws the dashboards with Grafana's own components, in a real browser: `tests/dashboards/draw`.

use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Router;
use axum::extract::Path as UrlPath;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::task::AbortOnDropHandle;

use super::browser::Browser;
use super::server::run_tool;

/// The time range of the pictures, in seconds: what *Overview* shows when it is opened.
pub(crate) const RANGE: u64 = 6 * 3600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder with the dashboards that the project ships.
pub(crate) fn shipped_dashboards() -> PathBuf {
    root().join("dashboards")
}

/// The page that draws, served on a local port.
pub(crate) struct Drawing {
    url: String,
    _folder: TempDir,
    _task: AbortOnDropHandle<()>,
}

/// What to draw.
pub(crate) struct View<'a> {
    pub(crate) prometheus: &'a str,
    /// The end of the time range, in seconds since the Unix epoch.
    pub(crate) at: u64,
    /// The name of the dashboard's file, without `.json`.
    pub(crate) board: &'a str,
    /// What the variables select, and how many rows of the grid are drawn: `partner=…&key=…&rows=…`.
    pub(crate) more: &'a str,
    pub(crate) size: (u32, u32),
    pub(crate) dark: bool,
}

impl Drawing {
    /// Builds the page, and serves it with the dashboards of this folder.
    pub(crate) async fn start(dashboards: &Path) -> Self {
        let dashboards = dashboards.to_owned();
        let folder = tempfile::tempdir().unwrap();
        bundle(folder.path());
        let page = folder.path().to_owned();
        let dashboard = |UrlPath(name): UrlPath<String>| async move { file(&dashboards.join(name)) };
        let part = |UrlPath(name): UrlPath<String>| async move { file(&page.join(name)) };
        let routes = Router::new().route("/dashboards/{name}", get(dashboard)).route("/{name}", get(part));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serve = async move { axum::serve(listener, routes).await.unwrap() };
        Self { url, _folder: folder, _task: AbortOnDropHandle::new(tokio::spawn(serve)) }
    }

    /// Draws a dashboard. Returns the browser that shows it, and the report of the page.
    pub(crate) async fn draw(&self, view: &View<'_>) -> (Browser, Value) {
        let browser = Browser::open(view.size, view.dark).await;
        let mode = if view.dark { "dark" } else { "light" };
        let address = format!(
            "{}/index.html?board={}&prometheus={}&at={}&range={RANGE}&scrape_interval={}&mode={mode}&{}",
            self.url,
            view.board,
            view.prometheus,
            view.at,
            super::history::SCRAPE_INTERVAL.as_secs(),
            view.more,
        );
        browser.goto(&address).await;
        browser.wait_until_true(view.board, "return window.report !== undefined").await;
        let report = browser.run("return window.report").await;
        assert!(
            report["error"].is_null(),
            "{}: {}",
            view.board,
            report["error"].as_str().unwrap_or_default()
        );
        (browser, report)
    }
}

fn file(path: &Path) -> Response {
    let kind = match path.extension().and_then(|end| end.to_str()) {
        Some("html") => "text/html",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        _ => "application/json",
    };
    match std::fs::read(path) {
        Ok(content) => ([(CONTENT_TYPE, kind)], content).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Builds the page with its libraries into a folder.
fn bundle(folder: &Path) {
    let source = root().join("tests/dashboards/draw");
    let modules = root().join("target/grafana/node_modules");
    let library = |name: &str| {
        let module = modules.join(format!("@grafana/{name}/dist/cjs/index.cjs"));
        format!("--alias:@grafana/{name}={}", module.display())
    };
    let output = run_tool(
        Command::new(modules.join(".bin/esbuild"))
            .arg(source.join("page.jsx"))
            .args(["--bundle", "--jsx=automatic", "--minify", "--log-level=error"])
            .arg("--define:process.env.NODE_ENV=\"production\"")
            .args(["svg", "woff", "woff2", "ttf", "png"].map(|end| format!("--loader:.{end}=dataurl")))
            .args(["ui", "data"].map(library))
            .arg(format!("--outfile={}", folder.join("page.js").display()))
            .env("NODE_PATH", &modules),
    );
    assert!(output.status.success(), "esbuild: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::copy(source.join("index.html"), folder.join("index.html")).unwrap();
}
