//! Creates the metrics in the registry of the `prometheus` crate, each from its row in the table.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, Result,
};

use super::description::{Description, MetricKind};

/// A metric type of the `prometheus` crate.
pub(super) trait Registrable: Collector + Clone + 'static {
    const KIND: MetricKind;

    fn create(description: &Description, buckets: &[f64]) -> Result<Self>;
}

macro_rules! registrable {
    ($type:ident, $kind:ident, |$description:ident, $buckets:ident| $create:expr) => {
        impl Registrable for $type {
            const KIND: MetricKind = MetricKind::$kind;

            fn create($description: &Description, $buckets: &[f64]) -> Result<Self> {
                $create
            }
        }
    };
}

registrable!(IntCounter, Counter, |metric, _buckets| Self::with_opts(opts(metric)));
registrable!(IntCounterVec, Counter, |metric, _buckets| Self::new(opts(metric), metric.labels));
registrable!(Gauge, Gauge, |metric, _buckets| Self::with_opts(opts(metric)));
registrable!(GaugeVec, Gauge, |metric, _buckets| Self::new(opts(metric), metric.labels));
registrable!(IntGauge, Gauge, |metric, _buckets| Self::with_opts(opts(metric)));
registrable!(Histogram, Histogram, |metric, buckets| Self::with_opts(histogram_opts(metric, buckets)));
registrable!(HistogramVec, Histogram, |metric, buckets| {
    Self::new(histogram_opts(metric, buckets), metric.labels)
});

/// Creates a metric and adds it to the registry.
pub(super) fn register<M: Registrable>(
    registry: &Registry,
    description: &Description,
    buckets: &[f64],
) -> Result<M> {
    let metric = M::create(description, buckets)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn opts(metric: &Description) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn histogram_opts(metric: &Description, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(metric.name, metric.help).buckets(buckets.to_vec())
}

/// Declares a struct with one field per row and a constant with the rows' descriptions.
///
/// A row is `field: Type, "name", ["label", …], buckets, "HELP";`. Only histograms use the buckets.
macro_rules! registered_metrics {
    (
        $vis:vis struct $struct:ident, const $table:ident;
        $( $field:ident: $type:ty, $name:literal, [$($label:literal),*], $buckets:expr, $help:literal; )+
    ) => {
        #[derive(Debug)]
        $vis struct $struct { $( $vis $field: $type, )+ }

        impl $struct {
            /// Creates every metric and adds it to the registry.
            ///
            /// # Errors
            /// If two metrics have the same name.
            $vis fn register(registry: &prometheus::Registry) -> prometheus::Result<Self> {
                use $crate::metrics::registered::register;
                let mut rows = $table.iter();
                let mut row = || rows.next().ok_or_else(|| prometheus::Error::Msg("a row is missing".into()));
                Ok(Self { $( $field: register(registry, row()?, &$buckets)?, )+ })
            }
        }

        $vis const $table: &[Description] = &[ $(
            Description {
                name: $name,
                kind: <$type as $crate::metrics::registered::Registrable>::KIND,
                subject: &[],
                labels: &[$($label),*],
                help: $help,
            },
        )+ ];
    };
}

pub(super) use registered_metrics;
