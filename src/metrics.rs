//! Every metric, and the text that Prometheus reads. Its reference is `docs/metrics.md`.
//!
//! What is observed over time in few series is kept by the `prometheus` crate; what exists once a key
//! is written from the board.

mod exposition;
mod family;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use strum::VariantArray as _;

use bytes::Bytes;
use http::StatusCode;
use prometheus::{
    Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, Opts, Registry, TextEncoder,
};
use tracing::error;

use crate::report::{Phase, Phases};
use crate::state::SharedState;
use exposition::Exposition;
use web_toolkit::{DropReason, Observer};

pub use family::{FAMILIES, Family, Kind};

/// Probes of a good API take 50 to 500 ms; below, connections within one data centre, above, what an
/// SLO is about, up to the longest time-outs in use.
const PROBE_BUCKETS: &[f64] = &[0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0];
/// A phase may take next to nothing, or all of the probe.
const PHASE_BUCKETS: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// On time is within milliseconds; late is a fleet that is too large, or a machine that is too slow.
const LATENESS_BUCKETS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

/// The metrics of one exporter.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    duration: HistogramVec,
    phase: HistogramVec,
    lateness: Histogram,
    in_flight: IntGauge,
    reload_ok: IntGauge,
    reload_time: Gauge,
    write_failures: IntCounter,
    connections: IntGauge,
    connections_dropped: IntCounterVec,
    requests: IntCounterVec,
    panics: IntCounter,
    routes: Mutex<BTreeSet<String>>,
}

/// Counts a probe as under way until it is dropped.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// All metrics at their beginning.
    ///
    /// # Errors
    /// Where two of them have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            duration: histograms(&family::DURATION, PROBE_BUCKETS)?,
            phase: histograms(&family::PHASE, PHASE_BUCKETS)?,
            lateness: Histogram::with_opts(histogram_opts(&family::LATENESS, LATENESS_BUCKETS))?,
            in_flight: IntGauge::with_opts(opts(&family::IN_FLIGHT))?,
            reload_ok: IntGauge::with_opts(opts(&family::RELOAD_OK))?,
            reload_time: Gauge::with_opts(opts(&family::RELOAD_TIME))?,
            write_failures: IntCounter::with_opts(opts(&family::WRITE_FAILURES))?,
            connections: IntGauge::with_opts(opts(&family::CONNECTIONS))?,
            connections_dropped: counters(&family::CONNECTIONS_DROPPED)?,
            requests: counters(&family::REQUESTS)?,
            panics: IntCounter::with_opts(opts(&family::PANICS))?,
            routes: Mutex::default(),
        };
        let build = GaugeVec::new(opts(&family::BUILD), family::BUILD.labels)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        let registry = &metrics.registry;
        registry.register(Box::new(build))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.phase.clone()))?;
        registry.register(Box::new(metrics.lateness.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.reload_ok.clone()))?;
        registry.register(Box::new(metrics.reload_time.clone()))?;
        registry.register(Box::new(metrics.write_failures.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.connections_dropped.clone()))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.panics.clone()))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        // From the start, so that the first of each is an increase.
        for reason in DropReason::VARIANTS {
            metrics.connections_dropped.with_label_values(&[reason.into_str()]);
        }
        for code in ["200", "401"] {
            metrics.requests.with_label_values(&[code]);
        }
        metrics.set_probes(&[crate::config::HEALTH]);
        Ok(metrics)
    }

    /// Which probes there are: their histograms exist from now on, those of others no more.
    pub fn set_probes(&self, routes: &[&str]) {
        let wanted: BTreeSet<String> = routes.iter().map(|&route| route.to_owned()).collect();
        let mut present = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        for route in present.difference(&wanted) {
            // A probe that ends just now may have been the last to touch it: nothing to remove is fine.
            let _ = self.duration.remove_label_values(&[route]);
            for phase in Phase::VARIANTS {
                let _ = self.phase.remove_label_values(&[route, phase.into_str()]);
            }
        }
        for route in &wanted {
            self.duration.with_label_values(&[route]);
            for phase in Phase::VARIANTS {
                self.phase.with_label_values(&[route, phase.into_str()]);
            }
        }
        *present = wanted;
    }

    /// Observes one probe.
    pub fn observe_probe(&self, route: &str, phases: &Phases) {
        self.duration.with_label_values(&[route]).observe(phases.total().as_secs_f64());
        for (phase, took) in phases.iter() {
            self.phase.with_label_values(&[route, phase.into_str()]).observe(took.as_secs_f64());
        }
    }

    /// Observes how long after it was due a probe started.
    pub fn observe_lateness(&self, late: Duration) {
        self.lateness.observe(late.as_secs_f64());
    }

    /// Counts a probe as under way.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// The configuration was read, at this time, with or without an error.
    pub fn config_reloaded(&self, ok: bool, at: SystemTime) {
        self.reload_ok.set(i64::from(ok));
        if ok {
            let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.reload_time.set(since.as_secs_f64());
        }
    }

    /// A write of the states to disk failed.
    pub fn storage_write_failed(&self) {
        self.write_failures.inc();
    }

    /// Where panics are counted.
    #[must_use]
    pub fn panics(&self) -> IntCounter {
        self.panics.clone()
    }

    /// Everything in the Prometheus text format 0.0.4, in pieces that are made as they are taken.
    pub fn render(&self, shared_state: &Arc<SharedState>) -> impl Iterator<Item = Bytes> + Send + use<> {
        let mut own = Vec::new();
        if let Err(cause) = TextEncoder::new().encode(&self.registry.gather(), &mut own) {
            // It would be a metric without a sample, which none of these can be.
            error!(%cause, "the exporter's own metrics can't be encoded");
        }
        Exposition::new(shared_state).chain(std::iter::once(own.into()))
    }
}

impl Observer for Metrics {
    fn connection_opened(&self) {
        self.connections.inc();
    }

    fn connection_closed(&self) {
        self.connections.dec();
    }

    fn connection_dropped(&self, reason: DropReason) {
        self.connections_dropped.with_label_values(&[reason.into_str()]).inc();
    }

    fn request_answered(&self, status: StatusCode) {
        self.requests.with_label_values(&[status.as_str()]).inc();
    }
}

fn opts(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn counters(family: &Family) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(opts(family), family.labels)
}

fn histogram_opts(family: &Family, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(family.name, family.help).buckets(buckets.to_vec())
}

fn histograms(family: &Family, buckets: &[f64]) -> Result<HistogramVec, prometheus::Error> {
    HistogramVec::new(histogram_opts(family, buckets), family.labels)
}
