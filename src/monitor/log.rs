//! What monitors log about probes: each one at debug level; failure episodes that are a key's own; and outages of
//! many keys as one line with a count.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Duration, Instant};
use tracing::{debug, info, warn};

use super::outages::{Change, Outages, ProbeId, is_shared};
use crate::partner_api::error::ErrorCode;
use crate::partner_api::failure::Reason;
use crate::partner_api::request_id::RequestId;
use crate::report::ProbeReport;
use crate::state::{Episode, EpisodeChange, MonitoredKey};

/// Logs one probe at debug level. `key` is `None` for the health probe.
pub(super) fn log_probe(report: &ProbeReport, key: Option<&MonitoredKey>, probe: &str) {
    let partner = key.map(|key| &*key.partner.name);
    let key = key.map(|key| &*key.name);
    let failure = report.outcome.as_ref().err();
    let reason = failure.map(|failure| failure.reason.into_str());
    let detail = failure.map(|failure| &*failure.detail);
    let request_id = report.request_id.as_ref().map(RequestId::as_str);
    debug!(
        partner,
        key,
        probe,
        success = failure.is_none(),
        status = report.status,
        reason,
        code = report.code(),
        request_id,
        phases = phases(report),
        seconds = report.phases.total().as_secs_f64(),
        detail,
        "probe finished"
    );
}

/// The phases up to the last one that was reached, such as `resolve=0.0012s connect=0.0040s`.
fn phases(report: &ProbeReport) -> String {
    let reached = report.phases.last_reached();
    let phases = report.phases.iter().filter(|(phase, _)| Some(*phase) <= reached);
    let phases: Vec<_> = phases.map(|(phase, took)| format!("{phase}={:.6}s", took.as_secs_f64())).collect();
    if phases.is_empty() { "nothing was sent".to_owned() } else { phases.join(" ") }
}

/// Logs one line when a failure episode of the health probe begins and one when it ends.
pub(super) fn log_health_episode(change: Option<&EpisodeChange>, probe: &str) {
    match change {
        Some(EpisodeChange::Began(episode)) => log_failing(episode, None, probe),
        Some(EpisodeChange::Ended(episode)) => log_succeeding(episode, None, probe),
        None => {}
    }
}

/// Logs a failure episode of a key's probe: with a line of its own if the failure is the key's own, otherwise as part
/// of the outage.
pub(super) fn log_key_episode(
    outages: &Mutex<Outages>,
    change: Option<&EpisodeChange>,
    key: &MonitoredKey,
    probe: &Arc<str>,
) {
    let id = (Arc::clone(&key.partner.name), Arc::clone(&key.name), Arc::clone(probe));
    match change {
        Some(EpisodeChange::Began(episode)) => {
            // It may replace an episode of another kind.
            for (reason, change) in end_in_outages(outages, &id, Some(episode.failure.reason)) {
                log_shrinking(reason, change);
            }
            log_begin(outages, episode, id, key);
        }
        Some(EpisodeChange::Ended(episode)) => {
            for (reason, change) in end_in_outages(outages, &id, None) {
                match change {
                    Change::Ended { lasted, peak: 1 } => {
                        log_success(reason, lasted, Some(key), probe);
                    }
                    Change::Grew { .. } | Change::Subsided { .. } | Change::Ended { .. } => {
                        log_shrinking(reason, change);
                    }
                }
            }
            if !is_shared(&episode.failure) {
                log_succeeding(episode, Some(key), probe);
            }
        }
        None => {}
    }
}

fn log_begin(outages: &Mutex<Outages>, episode: &Episode, id: ProbeId, key: &MonitoredKey) {
    if !is_shared(&episode.failure) {
        return log_failing(episode, Some(key), &id.2);
    }
    let probe = Arc::clone(&id.2);
    let mut outages = outages.lock().unwrap_or_else(PoisonError::into_inner);
    let change = outages.begin(id, episode.failure.reason, Instant::now());
    drop(outages);
    match change {
        Some(Change::Grew { failing: 1 }) => log_failing(episode, Some(key), &probe),
        Some(Change::Grew { failing }) => log_growing(failing, episode, key, &probe),
        Some(Change::Subsided { .. } | Change::Ended { .. }) | None => {}
    }
}

/// `key` and `probe` are the last ones that began to fail, as an example.
fn log_growing(
    probes: usize,
    Episode { failure, request_id, .. }: &Episode,
    key: &MonitoredKey,
    probe: &str,
) {
    let (partner, key) = (&*key.partner.name, &*key.name);
    let code = failure.code.as_ref().map(ErrorCode::as_str);
    let request_id = request_id.as_ref().map(RequestId::as_str);
    let (reason, detail) = (failure.reason.into_str(), &*failure.detail);
    warn!(
        reason,
        probes, partner, key, probe, code, request_id, detail, "probes failing; the last one is named"
    );
}

/// Counts a probe that succeeded, or began to fail for the reason `present`.
fn end_in_outages(outages: &Mutex<Outages>, id: &ProbeId, present: Option<Reason>) -> Vec<(Reason, Change)> {
    let mut outages = outages.lock().unwrap_or_else(PoisonError::into_inner);
    outages.end(id, present, Instant::now())
}

/// Logs that fewer probes fail for this reason. One probe alone has other lines.
fn log_shrinking(reason: Reason, change: Change) {
    let reason = reason.into_str();
    match change {
        Change::Grew { .. } | Change::Ended { peak: 1, .. } => {}
        Change::Subsided { failing, lasted, peak } => {
            let lasted = whole_seconds(lasted);
            info!(reason, lasted, peak, failing, "most probes no longer failing for this reason");
        }
        Change::Ended { lasted, peak } => {
            info!(reason, lasted = whole_seconds(lasted), peak, "probes no longer failing for this reason");
        }
    }
}

fn log_failing(Episode { failure, request_id, .. }: &Episode, key: Option<&MonitoredKey>, probe: &str) {
    let partner = key.map(|key| &*key.partner.name);
    let key = key.map(|key| &*key.name);
    let code = failure.code.as_ref().map(ErrorCode::as_str);
    let request_id = request_id.as_ref().map(RequestId::as_str);
    let (reason, detail) = (failure.reason.into_str(), &*failure.detail);
    warn!(partner, key, probe, reason, code, request_id, detail, "probe failing");
}

fn log_succeeding(episode: &Episode, key: Option<&MonitoredKey>, probe: &str) {
    log_success(episode.failure.reason, episode.since.elapsed().unwrap_or_default(), key, probe);
}

fn log_success(reason: Reason, lasted: Duration, key: Option<&MonitoredKey>, probe: &str) {
    let partner = key.map(|key| &*key.partner.name);
    let key = key.map(|key| &*key.name);
    let lasted = whole_seconds(lasted);
    info!(partner, key, probe, reason = reason.into_str(), lasted, "probe succeeding again");
}

fn whole_seconds(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}
