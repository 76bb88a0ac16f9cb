//! The HTTP routes: metrics, status, probes on demand, service discovery, and health and reload of the
//! exporter itself.

mod compression;
mod discovery;
mod page;
mod probe;
mod query;
mod same_origin;
mod status;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tower::{Layer as _, ServiceExt as _};
use url::Url;

use crate::demo::Scenario;
use crate::fleet::KeyIndex;
use crate::monitor::Context;
use crate::watchdog::StuckLoop;

/// The Prometheus text format, version 0.0.4.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A request to reload the configuration. Its receiver gets the result; the error may be shown.
pub(crate) type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// The state that the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct AppState {
    pub context: Arc<Context>,
    /// The keys that can be probed on demand.
    pub key_index: Arc<KeyIndex>,
    /// Where reload requests are sent; `None` unless `--web.enable-lifecycle` was given.
    pub reload: Option<mpsc::Sender<ReloadRequest>>,
    /// The path below which everything is served: empty, or `/…` without a final slash.
    pub prefix: Arc<str>,
    /// `--web.external-url`: where users and Prometheus reach the exporter.
    pub external: Option<Arc<Url>>,
    /// The scenario of the demo, which the pages announce; `None` for every other exporter.
    pub scenario: Option<Scenario>,
}

/// All routes, below the prefix.
pub(crate) fn router(app: AppState) -> Router {
    let at = |path: &str| format!("{}{path}", app.prefix);
    let mut router = Router::new();
    if !app.prefix.is_empty() {
        let home = at("/");
        let redirect_home = move |RawQuery(query): RawQuery| {
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            std::future::ready(Redirect::temporary(&format!("{home}{query}")))
        };
        router = router.route("/", get(redirect_home.clone())).route(&app.prefix, get(redirect_home));
    }
    router
        .route(&at("/"), get(page::overview))
        .route(&at("/key"), get(page::key))
        .route(&at("/static/{name}"), get(page::asset))
        .route(&at("/metrics"), get(metrics))
        .route(&at("/probe"), get(probe::probe))
        .route(&at("/sd"), get(discovery::targets))
        .route(&at("/api/v1/status"), get(status::all))
        .route(&at("/api/v1/status/key"), get(status::key))
        .route(&at("/-/healthy"), get(healthy))
        .route(&at("/-/ready"), get(ready))
        .route(&at("/-/reload"), post(reload).put(reload))
        .fallback(not_found)
        .with_state(app)
        .layer(compression::layer())
        .layer(middleware::from_fn(compression::head_as_get))
}

/// Streamed, so that the whole exposition of a large fleet is never in memory at once.
async fn metrics(State(app): State<AppState>) -> Response {
    let chunks = app.context.metrics.render(&app.context.shared_state);
    let body = compression::streamed(chunks);
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], body).into_response()
}

/// Whether a restart would help: 503 if a probe loop no longer runs.
async fn healthy(State(app): State<AppState>) -> (StatusCode, String) {
    match app.context.watchdog.stuck() {
        None => (StatusCode::OK, "myunisoft-exporter is healthy.\n".to_owned()),
        Some(StuckLoop { kind, since_heartbeat }) => {
            let duration = humantime::format_duration(Duration::from_secs(since_heartbeat.as_secs()));
            let text = format!("myunisoft-exporter is not healthy: {kind} did not run for {duration}.\n");
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404 page not found\n")
}

async fn ready(State(app): State<AppState>) -> (StatusCode, &'static str) {
    if app.context.is_probing() {
        (StatusCode::OK, "myunisoft-exporter is ready.\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "myunisoft-exporter is not ready: the probe loop does not run.\n")
    }
}

async fn reload(State(app): State<AppState>) -> (StatusCode, String) {
    let Some(requests) = &app.reload else {
        let text = "The lifecycle API is not enabled: start with --web.enable-lifecycle, or send SIGHUP.\n";
        return (StatusCode::FORBIDDEN, text.to_owned());
    };
    let (request, result) = oneshot::channel();
    let sent = requests.send(request).await.is_ok();
    match if sent { result.await.ok() } else { None } {
        Some(Ok(())) => (StatusCode::OK, String::new()),
        Some(Err(problems)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("not reloaded:\n{problems}\n")),
        None => (StatusCode::SERVICE_UNAVAILABLE, "not reloaded: the exporter is stopping\n".to_owned()),
    }
}

/// These pieces as the server sends them to a client that accepts gzip. For benchmarks.
pub(crate) async fn compressed_body<B: Into<Bytes> + Send + 'static>(
    pieces: impl Iterator<Item = B> + Send + 'static,
) -> Body {
    let mut body = Some(compression::streamed(pieces));
    let service = tower::service_fn(move |_: Request| {
        std::future::ready(Ok::<_, Infallible>(Response::new(body.take().unwrap_or_default())))
    });
    let request = Request::get("/").header(header::ACCEPT_ENCODING, "gzip").body(Body::empty());
    let response = compression::layer().layer(service).oneshot(request.unwrap_or_default()).await;
    response.map_or_else(|never| match never {}, |response| Body::new(response.into_body()))
}
