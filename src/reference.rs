//! The metrics, label values and limits that the tests of the dashboards, alerts and documents compare with.

use strum::VariantArray as _;

use crate::key_state::{KeyState, SecretState};
use crate::metrics::descriptions;
use crate::monitor;

pub use crate::metrics::MetricKind;

/// The maximum number of probes of keys that run at the same time.
pub const MAX_PROBES_IN_FLIGHT: usize = monitor::MAX_PROBES_IN_FLIGHT;

/// A metric as `/metrics` describes it.
#[derive(Clone, Debug)]
pub struct MetricReference {
    pub name: &'static str,
    pub kind: MetricKind,
    /// Every label that a sample can have.
    pub labels: Vec<&'static str>,
    pub help: &'static str,
}

/// Every metric that the exporter itself defines, in the order of `/metrics`.
pub fn metrics() -> impl Iterator<Item = MetricReference> {
    descriptions().map(|metric| MetricReference {
        name: metric.name,
        kind: metric.kind,
        labels: [metric.subject, metric.labels].concat(),
        help: metric.help,
    })
}

/// The values of the label `state` of `myunisoft_key_state`.
pub fn key_states() -> impl Iterator<Item = &'static str> {
    KeyState::VARIANTS.iter().map(KeyState::into_str)
}

/// The values of the label `state` of `myunisoft_secret_state`.
pub fn secret_states() -> impl Iterator<Item = &'static str> {
    SecretState::VARIANTS.iter().map(SecretState::into_str)
}
