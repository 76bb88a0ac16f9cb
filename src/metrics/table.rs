//! Declares every metric, one row each: name, type, labels, HELP text, and where the value comes from.
//!
//! [`FROM_STATE`] has the metrics that exist once per probe, key, partner or host; their samples are written
//! from the in-memory state. [`REGISTERED`] has the few series that the `prometheus` crate keeps.

use std::time::{Duration, SystemTime};

use prometheus::{Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use strum::VariantArray as _;

use super::description::{Description, MetricKind};
use super::registered::registered_metrics;
use super::sample_writer::SampleWriter;
use super::value::{Seconds, Timestamp};
use crate::key_state::{KeyState, SecretState};
use crate::partner_api::failure::Reason;
use crate::partner_api::request_id::RequestId;
use crate::state::{KeyStatus, LastProbe, MonitoredKey, MonitoredPartner, ProbeStatus, Skip};

/// A metric whose samples are written from the in-memory state.
pub(super) struct StateMetric {
    pub(super) description: Description,
    pub(super) source: Source,
}

/// What the samples of a metric are about, and the function that writes them.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// Each probe, the health probe first.
    Probe(fn(&ProbeStatus, &mut SampleWriter<'_>)),
    Key(fn(&MonitoredKey, &KeyStatus, &mut SampleWriter<'_>)),
    Partner(fn(&MonitoredPartner, &mut SampleWriter<'_>)),
    /// The interval of each name of a probe, and of each probe that has another one.
    Interval(fn(Duration, &mut SampleWriter<'_>)),
    /// Each secret, token or password that cannot be read. The `key` of a partner's secret is empty.
    UnreadableCredential,
    /// The number of keys of each partner.
    ConfiguredKeys,
    /// Each host that has shown a certificate.
    Certificate(fn(SystemTime, &mut SampleWriter<'_>)),
}

/// Probes of a healthy API take 50 to 500 ms. The smaller buckets are for connections within one
/// data centre; the larger ones cover what an SLO is about, up to the longest timeouts in use.
const PROBE_BUCKETS: &[f64] = &[0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0];
/// A phase can take almost no time, or all the time of the probe.
const PHASE_BUCKETS: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// A probe on time starts within milliseconds. A late one means that the fleet is too large or the
/// machine too slow.
const LATENESS_BUCKETS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

registered_metrics! {
    pub(super) struct Registered, const REGISTERED;

    probe_duration: HistogramVec, "myunisoft_probe_duration_seconds", ["probe"], PROBE_BUCKETS,
        "Duration of probes, over all keys.";
    probe_phase_duration: HistogramVec, "myunisoft_probe_phase_duration_seconds", ["probe", "phase"], PHASE_BUCKETS,
        "Duration of each phase of probes, over all keys.";
    clock: Gauge, "myunisoft_exporter_clock_timestamp_seconds", [], [],
        "Unix time of the exporter's clock at the time of the scrape.";
    build_info: GaugeVec, "myunisoft_exporter_build_info",
        ["version", "revision", "build_date", "rust_version", "platform"], [],
        "Always 1; the labels describe the running exporter.";
    api_info: GaugeVec, "myunisoft_exporter_api_info", ["identity"], [],
        "Always 1; the label is the identity of the API that the states of keys and secrets belong to.";
    shard_ordinal: IntGauge, "myunisoft_exporter_shard_ordinal", [], [],
        "Which part of the keys this exporter monitors, from 0; 0 if it monitors all keys.";
    total_shards: IntGauge, "myunisoft_exporter_total_shards", [], [],
        "Into how many parts the keys are divided; 1 if this exporter monitors all keys.";
    reload_successful: IntGauge, "myunisoft_exporter_config_last_reload_successful", [], [],
        "Whether the last load of the configuration succeeded (1) or failed (0).";
    reload_success_timestamp: Gauge, "myunisoft_exporter_config_last_reload_success_timestamp_seconds", [], [],
        "Unix time of the last successful load of the configuration.";
    restore_success: GaugeVec, "myunisoft_exporter_restore_success", [], [],
        "Whether the last query to Prometheus, for what the storage lost, succeeded (1) or failed (0).";
    probe_lateness: Histogram, "myunisoft_exporter_probe_lateness_seconds", [], LATENESS_BUCKETS,
        "Time between the moment when a probe was due and its start.";
    probes_in_flight: IntGauge, "myunisoft_exporter_probes_in_flight", [], [],
        "Probes that are running now.";
    storage_write_failures: IntCounter, "myunisoft_exporter_storage_write_failures_total", [], [],
        "Failed attempts to write the state file.";
    connections: IntGauge, "myunisoft_exporter_connections", [], [],
        "Open client connections.";
    connections_dropped: IntCounterVec, "myunisoft_exporter_connections_dropped_total", ["reason"], [],
        "Client connections that the exporter closed or did not accept, by reason.";
    http_requests: IntCounterVec, "myunisoft_exporter_http_requests_total", ["code"], [],
        "HTTP requests answered, by status code.";
    panics: IntCounter, "myunisoft_exporter_panics_total", [], [],
        "Panics caught since the exporter started. Any increase is a bug in the exporter.";
}

/// The metrics whose samples are written from the in-memory state, in the order of `/metrics`.
pub(super) const FROM_STATE: &[StateMetric] = &[
    gauge("myunisoft_probe_up", "Whether the last probe succeeded (1) or failed (0).")
        .per_probe(|probe, samples| samples.optional(last(probe, |last| u8::from(last.success())))),
    counter("myunisoft_probes_total", "Probes run since the exporter started.")
        .per_probe(|probe, samples| samples.value(probe.total)),
    counter("myunisoft_probe_successes_total", "Successful probes since the exporter started.")
        .per_probe(|probe, samples| samples.value(probe.successes)),
    counter(
        "myunisoft_probe_failures_total",
        "Failed probes since the exporter started, by reason. Each failure has one reason.",
    )
    .labels(&["reason"])
    .per_probe(failures),
    counter("myunisoft_probes_skipped_total", "Probes that were due but did not run, by reason.")
        .labels(&["reason"])
        .per_probe(skipped),
    gauge(
        "myunisoft_probe_interval_seconds",
        "Configured interval between two probes: of all probes with this name, or (with partner and key) of one that differs.",
    )
    .with_source(&["probe", "partner", "key"], Source::Interval(|interval, samples| samples.value(Seconds(interval)))),
    gauge("myunisoft_probe_last_duration_seconds", "Duration of the last probe, all phases together.")
        .per_probe(|probe, samples| samples.optional(last(probe, |last| Seconds(last.phases.total())))),
    gauge("myunisoft_probe_last_timestamp_seconds", "Unix time of the end of the last probe.")
        .per_probe(|probe, samples| samples.optional(last(probe, |last| Timestamp(last.finished)))),
    gauge(
        "myunisoft_probe_last_success_timestamp_seconds",
        "Unix time of the end of the last successful probe.",
    )
    .per_probe(|probe, samples| samples.optional(probe.last_success.map(Timestamp))),
    gauge(
        "myunisoft_probe_http_status_code",
        "HTTP status code of the last probe; 0 if there was no response.",
    )
    .per_probe(|probe, samples| samples.optional(last(probe, |last| last.status.unwrap_or_default()))),
    gauge(
        "myunisoft_probe_error_info",
        "1 while the probe fails; the labels describe the first failure of the episode.",
    )
    .labels(&["reason", "code", "request_id"])
    .per_probe(error_info),
    gauge(
        "myunisoft_key_refused_probes",
        "Probes in which the API now refuses the key or the secret as a whole; no sample for a key without such refusals.",
    )
    .per_key(refused_probes),
    gauge("myunisoft_key_state", "State of the key: 1 for the current state, 0 for the others.")
        .labels(&["state"])
        .per_key(|_, status, samples| samples.one_of(KeyState::VARIANTS, status.persisted.state)),
    gauge("myunisoft_key_state_since_timestamp_seconds", "Unix time since which the key is in its state.")
        .per_key(|_, status, samples| samples.value(Timestamp(status.persisted.since))),
    gauge(
        "myunisoft_key_broken_since_timestamp_seconds",
        "Unix time since which the key is refused, after it worked. No sample while it works, or if it never worked.",
    )
    .per_key(|_, status, samples| samples.optional(status.persisted.history.broken_since.map(Timestamp))),
    counter(
        "myunisoft_key_state_changes_total",
        "Changes of the key's state since the exporter started, by the new state.",
    )
    .labels(&["to"])
    .per_key(|_, status, samples| {
        for &(state, times) in &status.changes {
            samples.labelled(&[("to", state.into_str())], times);
        }
    }),
    gauge(
        "myunisoft_key_info",
        "Always 1; the labels hold the IDs behind the key, as far as they are known.",
    )
    .labels(&["access", "schema_id", "third_party_id", "society_id"])
    .per_key(key_info),
    gauge(
        "myunisoft_key_labels",
        "Always 1; each further label is one of the operator's labels, with the prefix label_. Only keys that have some.",
    )
    .per_key(operator_labels),
    gauge("myunisoft_key_version", "Version of the key, from key/info.")
        .per_key(|_, status, samples| samples.optional(status.version.map(|version| version.current))),
    gauge("myunisoft_key_latest_version", "Latest version that a key can have, from key/info.")
        .per_key(|_, status, samples| samples.optional(status.version.map(|version| version.latest))),
    gauge("myunisoft_key_routes", "Number of routes that the key may call, from key/info.")
        .per_key(|_, status, samples| samples.optional(status.routes)),
    gauge(
        "myunisoft_key_token_expiry_timestamp_seconds",
        "Unix time at which the key's token expires, if it does.",
    )
    .per_key(|_, status, samples| samples.optional(status.token_expiry.map(Timestamp))),
    gauge(
        "myunisoft_rate_limit_requests",
        "Size of the key's request budget, from the last response that reported it.",
    )
    .per_key(|_, status, samples| samples.optional(status.budget.and_then(|budget| budget.total))),
    gauge(
        "myunisoft_rate_limit_remaining_requests",
        "Requests left in the key's budget, from the last response that reported it.",
    )
    .per_key(|_, status, samples| samples.optional(status.budget.and_then(|budget| budget.remaining))),
    gauge(
        "myunisoft_rate_limit_reset_timestamp_seconds",
        "Unix time at which the key's budget resets, from the last response that reported it.",
    )
    .per_key(|_, status, samples| {
        samples.optional(status.budget.and_then(|budget| budget.reset).map(Timestamp));
    }),
    gauge(
        "myunisoft_secret_state",
        "State of the partner's secret: 1 for the current state, 0 for the others.",
    )
    .labels(&["state"])
    .per_partner(|partner, samples| samples.one_of(SecretState::VARIANTS, partner.secret().state)),
    gauge(
        "myunisoft_secret_state_since_timestamp_seconds",
        "Unix time since which the partner's secret is in its state.",
    )
    .per_partner(|partner, samples| samples.value(Timestamp(partner.secret().since))),
    gauge("myunisoft_exporter_configured_keys", "Keys that this exporter monitors, by partner.")
        .with_source(&["partner"], Source::ConfiguredKeys),
    gauge(
        "myunisoft_exporter_credential_unreadable",
        "1 while the secret (key is empty), token or password cannot be read; no sample while it can.",
    )
    .with_source(&["partner", "key"], Source::UnreadableCredential),
    gauge(
        "myunisoft_tls_certificate_expiry_timestamp_seconds",
        "Earliest expiry of a certificate chain that the host sent within the last hour, as Unix time, whether trusted or not.",
    )
    .per_certificate(|expiry, samples| samples.value(Timestamp(expiry))),
];

/// Every metric that the exporter itself defines, in the order of `/metrics`.
pub(crate) fn descriptions() -> impl Iterator<Item = &'static Description> {
    FROM_STATE.iter().map(|metric| &metric.description).chain(REGISTERED)
}

const fn counter(name: &'static str, help: &'static str) -> Description {
    Description { name, kind: MetricKind::Counter, subject: &[], labels: &[], help }
}

const fn gauge(name: &'static str, help: &'static str) -> Description {
    Description { name, kind: MetricKind::Gauge, subject: &[], labels: &[], help }
}

impl Description {
    const fn labels(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    const fn with_source(self, subject: &'static [&'static str], source: Source) -> StateMetric {
        StateMetric { description: Self { subject, ..self }, source }
    }

    const fn per_probe(self, write: fn(&ProbeStatus, &mut SampleWriter<'_>)) -> StateMetric {
        self.with_source(&["probe", "partner", "key"], Source::Probe(write))
    }

    const fn per_key(self, write: fn(&MonitoredKey, &KeyStatus, &mut SampleWriter<'_>)) -> StateMetric {
        self.with_source(&["partner", "key"], Source::Key(write))
    }

    const fn per_partner(self, write: fn(&MonitoredPartner, &mut SampleWriter<'_>)) -> StateMetric {
        self.with_source(&["partner"], Source::Partner(write))
    }

    const fn per_certificate(self, write: fn(SystemTime, &mut SampleWriter<'_>)) -> StateMetric {
        self.with_source(&["host"], Source::Certificate(write))
    }
}

fn last<T>(probe: &ProbeStatus, value: impl FnOnce(&LastProbe) -> T) -> Option<T> {
    probe.last.as_ref().map(value)
}

fn failures(probe: &ProbeStatus, samples: &mut SampleWriter<'_>) {
    for &(reason, times) in &probe.failures {
        samples.labelled(&[("reason", reason.into_str())], times);
    }
    if samples.is_health {
        // These are few series. Starting from 0 makes the first failure visible as an increase.
        for reason in
            Reason::VARIANTS.iter().filter(|reason| probe.failures.iter().all(|(known, _)| known != *reason))
        {
            samples.labelled(&[("reason", reason.into_str())], 0_u8);
        }
    }
}

fn skipped(probe: &ProbeStatus, samples: &mut SampleWriter<'_>) {
    for (reason, times) in Skip::VARIANTS.iter().zip(probe.skipped) {
        // Few probes are ever skipped, so not every probe of a large fleet needs these series. The health probe has them
        // from the start, so that an increase is visible.
        if times > 0 || samples.is_health {
            samples.labelled(&[("reason", reason.into_str())], times);
        }
    }
}

fn error_info(probe: &ProbeStatus, samples: &mut SampleWriter<'_>) {
    let Some(episode) = &probe.episode else { return };
    let reason = ("reason", episode.failure.reason.into_str());
    let code = ("code", episode.failure.code_label());
    let id = ("request_id", episode.request_id.as_ref().map_or("", RequestId::as_str));
    let labels: &[_] = if samples.with_request_ids { &[reason, code, id] } else { &[reason, code] };
    samples.labelled(labels, 1_u8);
}

/// A working key has no sample. After a refusal there is one until the episode ends, although the probes may fail
/// for another cause by then: the episode keeps its first failure, and this value follows the present.
fn refused_probes(_: &MonitoredKey, status: &KeyStatus, samples: &mut SampleWriter<'_>) {
    let began_with_refusal = |probe: &ProbeStatus| {
        probe.episode.as_ref().is_some_and(|episode| episode.failure.refuses_key_or_secret())
    };
    if status.probes.iter().any(began_with_refusal) {
        samples.value(status.probes.iter().filter(|probe| probe.is_refused()).count());
    }
}

fn operator_labels(key: &MonitoredKey, _: &KeyStatus, samples: &mut SampleWriter<'_>) {
    let labels = key.operator_labels();
    if !labels.is_empty() {
        // A label of the operator never has the name of another label, because of the prefix.
        let prefixed: Vec<_> = labels.iter().map(|(name, value)| (format!("label_{name}"), value)).collect();
        let labels: Vec<_> = prefixed.iter().map(|(name, value)| (name.as_str(), &***value)).collect();
        samples.labelled(&labels, 1_u8);
    }
}

fn key_info(key: &MonitoredKey, status: &KeyStatus, samples: &mut SampleWriter<'_>) {
    let identity = &status.identity;
    let labels = [
        ("access", key.access.into_str()),
        ("schema_id", &*identity.schema_id),
        ("third_party_id", &*identity.third_party_id),
        ("society_id", &*identity.society_id),
    ];
    samples.labelled(&labels, 1_u8);
}
