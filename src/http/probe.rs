//! `/probe`: one key's results, brought up to date on demand, with the metric names of `blackbox_exporter`.
//!
//! These probes count like all others: one request at a time for each key, and within the key's budget. The
//! clients of a key share one run ([`crate::monitor::KeyMonitor::run_on_request`]), so frequent requests do not
//! take the budget of the customer's production traffic.

mod answer;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::{Duration, timeout};

use super::query::NO_STORE;
use super::{AppState, TEXT_FORMAT, same_origin};
use crate::config::{Division, Probe};
use crate::language::Language;
use crate::monitor::KeyMonitor;
use crate::status::{KeyDetail, StatusSource};
use answer::Progress;

/// The longest wait for a run. Clients that wait longer have lost interest.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// The time that a run may wait for its turn, in addition to its probes' timeouts.
const EXTRA_WAIT: Duration = Duration::from_secs(5);
/// The time that remains for sending the response before Prometheus' own timeout.
const SCRAPE_MARGIN: Duration = Duration::from_millis(500);
/// Prometheus tells how long it waits.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

#[derive(Deserialize)]
pub(super) struct ProbeQuery {
    partner: Option<String>,
    key: Option<String>,
    debug: Option<String>,
}

/// Brings the results of one configured key up to date, and reports them.
pub(super) async fn probe(
    State(app): State<AppState>,
    Query(query): Query<ProbeQuery>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if same_origin::is_cross_site(&headers, &uri, app.external.as_deref()) {
        let text =
            "probes are run for pages of this exporter and for programs, not for pages of other sites\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let is_debug = query.debug.is_some_and(|value| matches!(&*value, "true" | "1"));
    let (Some(partner), Some(key)) = (query.partner, query.key) else {
        let text = "both parameters partner and key are required: /probe?partner=…&key=…\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let Some(monitor) = app.key_index.find(&partner, &key) else {
        let text = not_here(&app.context.shared_state.inventory().settings.division, &partner, &key);
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let progress = refresh(&monitor, &headers).await;
    let key = monitor.monitored_key();
    let with_request_ids = app.context.shared_state.inventory().settings.request_ids;
    let metrics = answer::metrics(&key.status(), progress, with_request_ids);
    if is_debug {
        let detail = KeyDetail::new(&StatusSource::new(&app.context.shared_state, Language::English), key);
        let credential = monitor.credential_description();
        let steps = answer::steps(&key.status(), progress, &detail.key.verdict, credential.as_deref());
        let metrics = metrics.unwrap_or_else(|reasons| reasons);
        let text = format!("{steps}\nMetrics that are returned without debug=true:\n\n{metrics}");
        return ([NO_STORE], text).into_response();
    }
    match metrics {
        Ok(metrics) => ([NO_STORE, (header::CONTENT_TYPE, TEXT_FORMAT)], metrics).into_response(),
        Err(reasons) => (StatusCode::SERVICE_UNAVAILABLE, [NO_STORE], reasons).into_response(),
    }
}

/// Why there is no monitor with these names here.
fn not_here(division: &Division, partner: &str, key: &str) -> String {
    match division.elsewhere(partner, key) {
        Some(other) => format!(
            "shard {other} of {total} monitors this key, and this is shard {this}: ask the exporter with --shard={other}/{total}\n",
            total = division.shard.total,
            this = division.shard.ordinal,
        ),
        None => "no key with these names is configured\n".to_owned(),
    }
}

/// Runs the probes whose results are out of date, or waits for the run that does, for a limited time.
async fn refresh(monitor: &Arc<KeyMonitor>, headers: &HeaderMap) -> Progress {
    let Some(run) = monitor.run_on_request() else { return Progress::UpToDate };
    match timeout(max_wait(monitor.probes(), headers), run).await {
        Ok(()) => Progress::Ran,
        Err(_) => Progress::StillRunning,
    }
}

fn max_wait(probes: &[Probe], headers: &HeaderMap) -> Duration {
    let probes: Duration = probes.iter().map(|probe| probe.timing.timeout).sum();
    let wait = (probes + EXTRA_WAIT).min(MAX_WAIT);
    let scrape_timeout = headers.get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok()?.parse().ok());
    let scrape_timeout = scrape_timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    scrape_timeout.map_or(wait, |limit| wait.min(limit.saturating_sub(SCRAPE_MARGIN)))
}
