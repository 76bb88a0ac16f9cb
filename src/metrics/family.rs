//! Every metric of the exporter, in one table: what is served, what is documented and what the tests
//! expect is this.

use serde_with::SerializeDisplay;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// What kind of metric.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Kind {
    /// Only ever grows, but for a restart.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels; those that health or an option leave out included.
    pub labels: &'static [&'static str],
    /// Its HELP.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Histogram, labels, help }
}

const PROBE: &[&str] = &["probe", "partner", "key"];
const KEY: &[&str] = &["partner", "key"];

pub(super) const UP: Family = gauge("myunisoft_probe_up", PROBE, "Whether the last probe succeeded.");
pub(super) const PROBES: Family =
    counter("myunisoft_probes_total", PROBE, "Probes that ran, since the exporter started.");
pub(super) const FAILURES: Family = counter(
    "myunisoft_probe_failures_total",
    &["probe", "partner", "key", "reason"],
    "Probes that failed, by the one reason each has.",
);
pub(super) const SKIPPED: Family = counter(
    "myunisoft_probes_skipped_total",
    &["probe", "partner", "key", "reason"],
    "Probes that were due and did not run.",
);
pub(super) const INTERVAL: Family =
    gauge("myunisoft_probe_interval_seconds", PROBE, "How often a probe is due, as configured.");
pub(super) const LAST_DURATION: Family = gauge(
    "myunisoft_probe_last_duration_seconds",
    PROBE,
    "How long the last probe took, all phases together.",
);
pub(super) const LAST_TIMESTAMP: Family =
    gauge("myunisoft_probe_last_timestamp_seconds", PROBE, "When the last probe ended.");
pub(super) const LAST_SUCCESS: Family =
    gauge("myunisoft_probe_last_success_timestamp_seconds", PROBE, "When a probe last succeeded.");
pub(super) const STATUS: Family = gauge(
    "myunisoft_probe_http_status_code",
    PROBE,
    "The HTTP status of the last probe, 0 where no answer came.",
);
pub(super) const ERROR: Family = gauge(
    "myunisoft_probe_error_info",
    &["probe", "partner", "key", "reason", "code", "request_id"],
    "1 while a probe fails, about the first failure of the trouble it is in.",
);
pub(super) const KEY_STATE: Family = gauge(
    "myunisoft_key_state",
    &["partner", "key", "state"],
    "The state of a key: one of the states is 1, the others are 0.",
);
pub(super) const KEY_STATE_SINCE: Family =
    gauge("myunisoft_key_state_since_timestamp_seconds", KEY, "Since when a key is in its state.");
pub(super) const KEY_STATE_CHANGES: Family = counter(
    "myunisoft_key_state_changes_total",
    &["partner", "key", "to"],
    "How often a key entered a state, since the exporter started.",
);
pub(super) const SECRET_STATE: Family = gauge(
    "myunisoft_secret_state",
    &["partner", "state"],
    "The state of a partner's secret: one of the states is 1, the others are 0.",
);
pub(super) const SECRET_STATE_SINCE: Family = gauge(
    "myunisoft_secret_state_since_timestamp_seconds",
    &["partner"],
    "Since when a partner's secret is in its state.",
);
pub(super) const KEY_INFO: Family = gauge(
    "myunisoft_key_info",
    &["partner", "key", "access", "schema_id", "third_party_id", "society_id"],
    "1, with the ids behind a key as far as they are known.",
);
pub(super) const KEY_VERSION: Family =
    gauge("myunisoft_key_version", KEY, "The version of a key, as key/info tells.");
pub(super) const KEY_LATEST_VERSION: Family =
    gauge("myunisoft_key_latest_version", KEY, "The newest version a key could have, as key/info tells.");
pub(super) const KEY_ROUTES: Family =
    gauge("myunisoft_key_routes", KEY, "How many routes a key may call, as key/info tells.");
pub(super) const TOKEN_EXPIRY: Family =
    gauge("myunisoft_key_token_expiry_timestamp_seconds", KEY, "When the token of a key ends, if it does.");
pub(super) const RATE_TOTAL: Family =
    gauge("myunisoft_rate_limit_requests", KEY, "The budget of a key in one window, as last answered.");
pub(super) const RATE_REMAINING: Family = gauge(
    "myunisoft_rate_limit_remaining_requests",
    KEY,
    "What was left of a key's budget, as last answered.",
);
pub(super) const RATE_RESET: Family = gauge(
    "myunisoft_rate_limit_reset_timestamp_seconds",
    KEY,
    "When the budget of a key starts anew, as last answered.",
);
pub(super) const CERTIFICATE: Family = gauge(
    "myunisoft_tls_certificate_expiry_timestamp_seconds",
    &["host"],
    "When the first certificate of a host's chain ends, as last shown, trusted or not.",
);
pub(super) const DURATION: Family =
    histogram("myunisoft_probe_duration_seconds", &["probe"], "How long probes took, over all keys.");
pub(super) const PHASE: Family = histogram(
    "myunisoft_probe_phase_duration_seconds",
    &["probe", "phase"],
    "How long the phases of probes took, over all keys.",
);
pub(super) const BUILD: Family =
    gauge("myunisoft_exporter_build_info", &["version"], "1, with the version that runs.");
pub(super) const RELOAD_OK: Family = gauge(
    "myunisoft_exporter_config_last_reload_successful",
    &[],
    "Whether the configuration was last read without an error.",
);
pub(super) const RELOAD_TIME: Family = gauge(
    "myunisoft_exporter_config_last_reload_success_timestamp_seconds",
    &[],
    "When the configuration was last read without an error.",
);
pub(super) const LATENESS: Family = histogram(
    "myunisoft_exporter_probe_lateness_seconds",
    &[],
    "How long after they were due probes started.",
);
pub(super) const IN_FLIGHT: Family =
    gauge("myunisoft_exporter_probes_in_flight", &[], "Probes that are under way.");
pub(super) const WRITE_FAILURES: Family = counter(
    "myunisoft_exporter_storage_write_failures_total",
    &[],
    "Writes of the states to disk that failed, or could not begin.",
);

pub(super) const CONNECTIONS: Family =
    gauge("myunisoft_exporter_connections", &[], "Connections of clients that are open.");
pub(super) const CONNECTIONS_DROPPED: Family = counter(
    "myunisoft_exporter_connections_dropped_total",
    &["reason"],
    "Connections of clients that were ended or not taken, by reason.",
);
pub(super) const REQUESTS: Family =
    counter("myunisoft_exporter_http_requests_total", &["code"], "Requests that were answered, by status.");

pub(super) const PANICS: Family =
    counter("myunisoft_exporter_panics_total", &[], "Times that the exporter's code failed, each a defect.");

/// All of them, in the order in which they are served.
pub const FAMILIES: &[Family] = &[
    UP,
    PROBES,
    FAILURES,
    SKIPPED,
    INTERVAL,
    LAST_DURATION,
    LAST_TIMESTAMP,
    LAST_SUCCESS,
    STATUS,
    ERROR,
    KEY_STATE,
    KEY_STATE_SINCE,
    KEY_STATE_CHANGES,
    KEY_INFO,
    KEY_VERSION,
    KEY_LATEST_VERSION,
    KEY_ROUTES,
    TOKEN_EXPIRY,
    RATE_TOTAL,
    RATE_REMAINING,
    RATE_RESET,
    SECRET_STATE,
    SECRET_STATE_SINCE,
    CERTIFICATE,
    DURATION,
    PHASE,
    BUILD,
    RELOAD_OK,
    RELOAD_TIME,
    LATENESS,
    IN_FLIGHT,
    WRITE_FAILURES,
    CONNECTIONS,
    CONNECTIONS_DROPPED,
    REQUESTS,
    PANICS,
];
