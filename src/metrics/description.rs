//! The description of a metric: everything except its values.

use strum::{Display, IntoStaticStr};

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, IntoStaticStr)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// What `/metrics` and its reference say about a metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Description {
    pub(crate) name: &'static str,
    pub(crate) kind: MetricKind,
    /// The labels that say what a sample is about. A sample about the health probe has no `partner` and no `key`.
    pub(crate) subject: &'static [&'static str],
    /// Further labels. The configuration can remove `request_id`.
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}
