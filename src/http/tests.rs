//! What stands still is told: no loop ends, hangs or fails behind a green light.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::fleet::KeyIndex;
use crate::http::{AppState, router};
use crate::metrics::Metrics;
use crate::monitor::Context;
use crate::state::SharedState;
use crate::store::Store;
use crate::watchdog::Loop;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tower::ServiceExt as _;

async fn ask(app: &AppState, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router(app.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The routes of an exporter that watches nobody.
pub(crate) fn app(storage: &Path) -> AppState {
    let store = Store::open(storage, || ()).unwrap();
    let context = Context::new(Arc::new(SharedState::default()), Arc::new(Metrics::new().unwrap()), store);
    AppState {
        context: Arc::new(context),
        key_index: Arc::new(KeyIndex::default()),
        reload: None,
        prefix: "".into(),
        external: None,
    }
}

#[tokio::test(start_paused = true)]
async fn the_health_route_is_red_while_a_loop_stands_and_green_when_it_turns_again() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path());
    let context = Arc::clone(&app.context);
    context.watchdog.arm(&Config::default());
    assert_eq!(ask(&app, "/-/healthy").await.0, StatusCode::OK);
    tokio::time::advance(Duration::from_mins(3)).await;
    let (status, text) = ask(&app, "/-/healthy").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("the health probe did not run for 3m"), "{text}");
    context.watchdog.heartbeat(Loop::Health);
    assert_eq!(ask(&app, "/-/healthy").await.0, StatusCode::OK);
}
