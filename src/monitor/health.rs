//! Monitors the API's health route.

use std::sync::Arc;

use tokio::time::Instant;

use super::log::{log_health_episode, log_probe};
use super::{Context, ProbeRun};
use crate::config::{Connection, HEALTH, Timing};
use crate::partner_api::HEALTH_PATH;
use crate::partner_api::judge::RequestKind;
use crate::probe::{ProbeRequest, Prober};
use crate::state::Skip;

/// Probes the health route. It does not wait for a permit: if all keys' probes hang, the health probe
/// shows why.
#[derive(Debug)]
pub(crate) struct HealthMonitor {
    pub context: Arc<Context>,
    prober: Prober,
    pub timing: Timing,
}

impl HealthMonitor {
    pub(crate) fn new(context: Arc<Context>, prober: Prober, timing: Timing) -> Self {
        context.shared_state.health().probe.interval = timing.interval;
        Self { context, prober, timing }
    }

    /// Runs one probe that was due at `due`; `None` if it is not scheduled.
    pub(crate) async fn run(&self, due: Option<Instant>) -> ProbeRun {
        let _in_flight = self.context.metrics.in_flight();
        self.context.record_start(due);
        let (kind, timeout) = (RequestKind::Health, self.timing.timeout);
        let request = ProbeRequest {
            kind,
            path: HEALTH_PATH,
            credentials: None,
            timeout,
            connection: Connection::Fresh,
        };
        let pauses = self.context.pauses.observe();
        let report = self.prober.probe(request).await;
        if self.context.pauses.observe() != pauses {
            self.context.shared_state.health().probe.skip(Skip::NoResources, 1);
            return ProbeRun::Interrupted;
        }
        if self.context.detect_resource_exhaustion(&report) {
            self.context.shared_state.health().probe.skip(Skip::NoResources, 1);
            return ProbeRun::Skipped;
        }
        self.context.record_report(HEALTH, self.prober.base_url(), &report);
        let change = self.context.shared_state.health().record(&report);
        log_probe(&report, None, HEALTH);
        log_health_episode(change.as_ref(), HEALTH);
        ProbeRun::Ran(Box::new(report))
    }
}
