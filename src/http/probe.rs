//! `/probe`: runs one key's probes on demand, and reports them with the metric names of
//! `blackbox_exporter`.
//!
//! These probes count like all others: one request at a time for each key, and within the key's budget.
//! So frequent requests do not overlap, and do not take the budget of the customer's production traffic.

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{AppState, TEXT_FORMAT};
use crate::label::escape;
use crate::monitor::KeyMonitor;
use crate::report::ProbeReport;

#[derive(Deserialize)]
pub(super) struct ProbeQuery {
    partner: Option<String>,
    key: Option<String>,
}

/// Runs the probes of one configured key now.
pub(super) async fn probe(State(app): State<AppState>, Query(query): Query<ProbeQuery>) -> Response {
    let ProbeQuery { partner: Some(partner), key: Some(key) } = query else {
        let text = "both parameters partner and key are required: /probe?partner=…&key=…\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let Some(monitor) = app.key_index.find(&partner, &key) else {
        return (StatusCode::NOT_FOUND, "no key with these names is configured\n").into_response();
    };
    // In its own task: if the client goes away, the result of a request that was sent must still be
    // recorded.
    let reports = tokio::spawn(async move { run(&monitor).await }).await.unwrap_or_default();
    if reports.is_empty() {
        let text = "not probed: no probe is configured for this key, its budget is low at the moment, or the \
                    exporter is out of resources\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], render(&reports)).into_response()
}

async fn run(monitor: &KeyMonitor) -> Vec<(String, ProbeReport)> {
    let mut reports = Vec::new();
    for (index, probe) in monitor.probes().iter().enumerate() {
        if let Some(report) = monitor.run(index, None).await {
            reports.push((probe.name.to_string(), report));
        }
    }
    reports
}

fn render(reports: &[(String, ProbeReport)]) -> String {
    let success = u8::from(reports.iter().all(|(_, report)| report.outcome.is_ok())).into();
    let duration = reports.iter().map(|(_, report)| report.phases.total().as_secs_f64()).sum();
    let of_key = |value| [(String::new(), value)];
    let statuses = reports.iter().map(|(probe, report)| {
        (format!("{{probe=\"{}\"}}", escape(probe)), report.status.unwrap_or_default().into())
    });
    let phases = reports.iter().flat_map(|(probe, report)| {
        report.phases.iter().map(|(phase, duration)| {
            (format!("{{probe=\"{}\",phase=\"{phase}\"}}", escape(probe)), duration.as_secs_f64())
        })
    });
    [
        family("probe_success", "Whether every probe of the key succeeded.", of_key(success)),
        family("probe_duration_seconds", "How long the key's probes took together.", of_key(duration)),
        family(
            "probe_http_status_code",
            "The HTTP status of each probe, 0 if there was no response.",
            statuses,
        ),
        family("probe_http_duration_seconds", "How long each phase of each probe took.", phases),
    ]
    .concat()
}

/// The text of one metric. A sample consists of its labels and its value.
fn family(name: &str, help: &str, samples: impl IntoIterator<Item = (String, f64)>) -> String {
    let head = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
    let lines = samples.into_iter().map(|(labels, value)| format!("{name}{labels} {value}\n"));
    std::iter::once(head).chain(lines).collect()
}
