//! What stands still is told: no loop ends, hangs or fails behind a green light.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use myunisoft_exporter::config::Config;
use myunisoft_exporter::fleet::Directory;
use myunisoft_exporter::http::{Site, router};
use myunisoft_exporter::metrics::Metrics;
use myunisoft_exporter::monitor::Context;
use myunisoft_exporter::state::Board;
use myunisoft_exporter::store::Store;
use myunisoft_exporter::watchdog::Loop;
use tower::ServiceExt as _;

async fn ask(site: &Site, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router(site.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The routes of an exporter that watches nobody.
pub(crate) fn site(storage: &Path) -> Site {
    let store = Store::open(storage, || ()).unwrap();
    let context = Context::new(Arc::new(Board::default()), Arc::new(Metrics::new().unwrap()), store);
    Site {
        context: Arc::new(context),
        directory: Arc::new(Directory::default()),
        reload: None,
        prefix: "".into(),
        external: None,
    }
}

#[tokio::test(start_paused = true)]
async fn the_health_route_is_red_while_a_loop_stands_and_green_when_it_turns_again() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    let context = Arc::clone(&site.context);
    context.pulse.expect(&Config::default());
    assert_eq!(ask(&site, "/-/healthy").await.0, StatusCode::OK);
    tokio::time::advance(Duration::from_mins(3)).await;
    let (status, text) = ask(&site, "/-/healthy").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("the health probe did not run for 3m"), "{text}");
    context.pulse.beat(Loop::Health);
    assert_eq!(ask(&site, "/-/healthy").await.0, StatusCode::OK);
}
