//! Counts and exposes what Prometheus reads. docs/metrics.md is the reference of the metrics.
//!
//! The `prometheus` crate keeps the few series that observations are added to. What exists once per key
//! is written from the in-memory state.

mod description;
mod exposition;
mod registered;
mod sample_writer;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use prometheus::{Encoder as _, IntCounter, IntGauge, Registry, TextEncoder};
use strum::VariantArray as _;
use tracing::error;
use web_toolkit::{DropReason, Observer};

use crate::clock_steps::Step;
use crate::config::HEALTH;
use crate::report::{Phase, Phases};
use crate::shard::Shard;
use crate::state::SharedState;
use crate::version;
use exposition::Exposition;
use table::Registered;

pub use description::MetricKind;
pub(crate) use table::descriptions;

/// The metrics of one exporter.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    registered: Registered,
    /// The values of the label `probe` that the histograms have.
    probes: Mutex<BTreeSet<String>>,
}

/// Counts a probe as running until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Creates all metrics.
    ///
    /// # Errors
    /// If two metrics have the same name.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let registered = Registered::register(&registry)?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let build = [
            version::VERSION,
            version::REVISION,
            version::BUILD_DATE,
            version::RUST_VERSION,
            version::PLATFORM,
        ];
        registered.build_info.with_label_values(&build).set(1.0);
        // These series exist from the start, so that the first event is an increase.
        for reason in DropReason::VARIANTS {
            registered.connections_dropped.with_label_values(&[reason.into_str()]);
        }
        for code in ["200", "401"] {
            registered.http_requests.with_label_values(&[code]);
        }
        let metrics = Self { registry, registered, probes: Mutex::default() };
        metrics.set_probes(&[HEALTH]);
        metrics.set_scope("", Shard::WHOLE);
        Ok(metrics)
    }

    /// Sets the values of the label `probe`: creates the histograms of new ones, and removes those of
    /// probes that no longer exist.
    pub(crate) fn set_probes(&self, probes: &[&str]) {
        let wanted: BTreeSet<String> = probes.iter().map(|&probe| probe.to_owned()).collect();
        let mut present = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let Registered { probe_duration, probe_phase_duration, .. } = &self.registered;
        for probe in present.difference(&wanted) {
            // A series that does not exist need not be removed.
            let _ = probe_duration.remove_label_values(&[probe]);
            for phase in Phase::VARIANTS {
                let _ = probe_phase_duration.remove_label_values(&[probe, phase.into_str()]);
            }
        }
        for probe in &wanted {
            probe_duration.with_label_values(&[probe]);
            for phase in Phase::VARIANTS {
                probe_phase_duration.with_label_values(&[probe, phase.into_str()]);
            }
        }
        *present = wanted;
    }

    /// Says which API this exporter monitors, and which part of the keys.
    pub(crate) fn set_scope(&self, api: &str, shard: Shard) {
        self.registered.api_info.reset();
        self.registered.api_info.with_label_values(&[api]).set(1.0);
        self.registered.shard_ordinal.set(shard.ordinal.into());
        self.registered.total_shards.set(shard.total.into());
    }

    /// Adds the durations of one probe to the histograms.
    pub(crate) fn observe_probe(&self, probe: &str, phases: &Phases) {
        let Registered { probe_duration, probe_phase_duration, .. } = &self.registered;
        probe_duration.with_label_values(&[probe]).observe(phases.total().as_secs_f64());
        for (phase, duration) in phases.samples() {
            probe_phase_duration
                .with_label_values(&[probe, phase.into_str()])
                .observe(duration.as_secs_f64());
        }
    }

    /// Adds the time between the moment when a probe was due and its start.
    pub(crate) fn observe_lateness(&self, lateness: Duration) {
        self.registered.probe_lateness.observe(lateness.as_secs_f64());
    }

    /// Counts a probe as running.
    #[must_use]
    pub(crate) fn in_flight(&self) -> InFlight {
        let gauge = self.registered.probes_in_flight.clone();
        gauge.inc();
        InFlight(gauge)
    }

    /// Records whether the configuration was loaded, and when.
    pub(crate) fn config_reloaded(&self, ok: bool, at: SystemTime) {
        self.registered.reload_successful.set(i64::from(ok));
        if ok {
            self.registered.reload_success_timestamp.set(unix_seconds(at));
        }
    }

    /// The system clock was set: the time of the last reload follows it.
    pub(crate) fn correct_times(&self, step: Step) {
        let seconds = match step {
            Step::Forward(length) => length.as_secs_f64(),
            Step::Back(length) => -length.as_secs_f64(),
        };
        self.registered.reload_success_timestamp.add(seconds);
    }

    /// Counts a failed write of the state file.
    pub(crate) fn storage_write_failed(&self) {
        self.registered.storage_write_failures.inc();
    }

    /// Says whether the last query to restore from Prometheus succeeded. Before the first call, there is no sample.
    pub(crate) fn set_restore_success(&self, success: bool) {
        self.registered.restore_success.with_label_values(&[] as &[&str]).set(f64::from(u8::from(success)));
    }

    /// The counter of panics.
    #[must_use]
    pub(crate) fn panics(&self) -> IntCounter {
        self.registered.panics.clone()
    }

    /// Writes everything in the Prometheus text format 0.0.4, in pieces. Each is written when it is requested.
    pub(crate) fn render(
        &self,
        shared_state: &Arc<SharedState>,
    ) -> impl Iterator<Item = Bytes> + Send + use<> {
        self.registered.clock.set(unix_seconds(SystemTime::now()));
        let mut registered = Vec::new();
        if let Err(cause) = TextEncoder::new().encode(&self.registry.gather(), &mut registered) {
            // The encoder refuses only a metric without samples, and every registered metric has some.
            error!(%cause, "cannot encode the exporter's own metrics");
        }
        Exposition::new(shared_state).chain(std::iter::once(registered.into()))
    }
}

/// A time as seconds since the epoch. Only a wrong clock yields a time before 1970.
fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Observer for Metrics {
    fn connection_opened(&self) {
        self.registered.connections.inc();
    }

    fn connection_closed(&self) {
        self.registered.connections.dec();
    }

    fn connection_dropped(&self, reason: DropReason) {
        self.registered.connections_dropped.with_label_values(&[reason.into_str()]).inc();
    }

    fn request_answered(&self, status: StatusCode) {
        self.registered.http_requests.with_label_values(&[status.as_str()]).inc();
    }
}
