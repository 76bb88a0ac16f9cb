//! The routes that tell the state of the exporter itself.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::fleet::Fleet;
use crate::http::{AppState, router};
use crate::test_support::app;
use crate::watchdog::Loop;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tower::ServiceExt as _;

async fn get(app: &AppState, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router(app.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_health_route_fails_while_a_loop_is_stuck_and_succeeds_when_it_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path());
    let watchdog = &app.context.watchdog;
    watchdog.arm(&Config::default());
    assert_eq!(get(&app, "/-/healthy").await.0, StatusCode::OK);
    tokio::time::advance(Duration::from_mins(3)).await;
    let (status, text) = get(&app, "/-/healthy").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("the health probe did not run for 3m"), "{text}");
    watchdog.heartbeat(Loop::Health);
    assert_eq!(get(&app, "/-/healthy").await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_exporter_is_ready_from_its_first_configuration_until_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path());
    let ready = async || get(&app, "/-/ready").await.0;
    assert_eq!(ready().await, StatusCode::SERVICE_UNAVAILABLE);
    let mut fleet = Fleet::new(Arc::clone(&app.context));
    fleet.apply(&Config::default()).unwrap();
    assert_eq!(ready().await, StatusCode::OK);
    app.context.stop_probing();
    assert_eq!(ready().await, StatusCode::SERVICE_UNAVAILABLE);
}
