//! What the board knows, in the Prometheus text format, piece by piece.
//!
//! Written straight from the board: at ten thousand keys these are some 300,000 series, which as
//! children of a metrics library, copied at each scrape, would cost hundreds of megabytes.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use strum::VariantArray as _;

use bytes::Bytes;

use super::family::{self, Family};
use crate::key_state::{KeyState, SecretState};
use crate::label::escape;
use crate::partner_api::failure::Reason;
use crate::state::{Inventory, KeyStatus, MonitoredKey, MonitoredPartner, ProbeStatus, SharedState, Skip};

/// A piece is sent when it is about this large: a scrape of any fleet holds no more in memory.
const PIECE: usize = 128 << 10;

/// How the samples of a family come from the board.
#[derive(Clone, Copy)]
enum Source {
    /// One or more for each probe, the health probe first.
    Probe(fn(&ProbeStatus, &mut Lines<'_>)),
    /// One or more for each key.
    Key(fn(&MonitoredKey, &KeyStatus, &mut Lines<'_>)),
    /// One or more for each partner.
    Partner(fn(&MonitoredPartner, &mut Lines<'_>)),
    /// One for each host.
    Certificate,
}

const SOURCES: &[(Family, Source)] = &[
    (
        family::UP,
        Source::Probe(|probe, lines| lines.maybe(probe.last.as_ref().map(|last| u8::from(last.success())))),
    ),
    (family::PROBES, Source::Probe(|probe, lines| lines.line(probe.total))),
    (family::FAILURES, Source::Probe(failures)),
    (family::SKIPPED, Source::Probe(skipped)),
    (family::INTERVAL, Source::Probe(|probe, lines| lines.line(probe.interval.as_secs_f64()))),
    (
        family::LAST_DURATION,
        Source::Probe(|probe, lines| {
            lines.maybe(probe.last.as_ref().map(|last| last.duration.as_secs_f64()));
        }),
    ),
    (
        family::LAST_TIMESTAMP,
        Source::Probe(|probe, lines| lines.maybe(probe.last.as_ref().map(|last| Timestamp(last.finished)))),
    ),
    (family::LAST_SUCCESS, Source::Probe(|probe, lines| lines.maybe(probe.last_success.map(Timestamp)))),
    (
        family::STATUS,
        Source::Probe(|probe, lines| {
            lines.maybe(probe.last.as_ref().map(|last| last.status.unwrap_or_default()));
        }),
    ),
    (family::ERROR, Source::Probe(error)),
    (family::KEY_STATE, Source::Key(key_state)),
    (family::KEY_STATE_SINCE, Source::Key(|_, status, lines| lines.line(Timestamp(status.persisted.since)))),
    (family::KEY_STATE_CHANGES, Source::Key(key_state_changes)),
    (family::KEY_INFO, Source::Key(key_info)),
    (
        family::KEY_VERSION,
        Source::Key(|_, status, lines| lines.maybe(status.version.map(|version| version.current))),
    ),
    (
        family::KEY_LATEST_VERSION,
        Source::Key(|_, status, lines| lines.maybe(status.version.map(|version| version.latest))),
    ),
    (family::KEY_ROUTES, Source::Key(|_, status, lines| lines.maybe(status.routes))),
    (family::TOKEN_EXPIRY, Source::Key(|_, status, lines| lines.maybe(status.token_expiry.map(Timestamp)))),
    (
        family::RATE_TOTAL,
        Source::Key(|_, status, lines| lines.maybe(status.budget.and_then(|budget| budget.total))),
    ),
    (
        family::RATE_REMAINING,
        Source::Key(|_, status, lines| lines.maybe(status.budget.and_then(|budget| budget.remaining))),
    ),
    (
        family::RATE_RESET,
        Source::Key(|_, status, lines| {
            lines.maybe(status.budget.and_then(|budget| budget.reset).map(Timestamp));
        }),
    ),
    (family::SECRET_STATE, Source::Partner(secret_state)),
    (
        family::SECRET_STATE_SINCE,
        Source::Partner(|partner, lines| {
            let since = partner.secret().since;
            lines.line(Timestamp(since));
        }),
    ),
    (family::CERTIFICATE, Source::Certificate),
];

fn failures(probe: &ProbeStatus, lines: &mut Lines<'_>) {
    for &(reason, times) in &probe.failures {
        lines.labelled(&[("reason", reason.into_str())], times);
    }
    if lines.is_health {
        // Few series, and with a 0 to begin with, the first failure shows as an increase.
        for reason in
            Reason::VARIANTS.iter().filter(|reason| probe.failures.iter().all(|(r, _)| r != *reason))
        {
            lines.labelled(&[("reason", reason.into_str())], 0);
        }
    }
}

fn skipped(probe: &ProbeStatus, lines: &mut Lines<'_>) {
    for (reason, times) in Skip::VARIANTS.iter().zip(probe.skipped) {
        // So seldom that ten thousand keys need not each say that it never was; health's 0 is enough
        // to have something to begin with.
        if *reason != Skip::NoResources || times > 0 || lines.is_health {
            lines.labelled(&[("reason", reason.into_str())], times);
        }
    }
}

fn error(probe: &ProbeStatus, lines: &mut Lines<'_>) {
    let Some(episode) = &probe.episode else { return };
    let (reason, code) =
        (("reason", episode.failure.reason.into_str()), ("code", episode.failure.code_label()));
    if lines.request_ids {
        let id = episode.request_id.as_ref().map_or("", |id| id.as_str());
        lines.labelled(&[reason, code, ("request_id", id)], 1);
    } else {
        lines.labelled(&[reason, code], 1);
    }
}

fn key_state(_: &MonitoredKey, status: &KeyStatus, lines: &mut Lines<'_>) {
    for state in KeyState::VARIANTS {
        lines.labelled(&[("state", state.into_str())], u8::from(*state == status.persisted.state));
    }
}

fn key_state_changes(_: &MonitoredKey, status: &KeyStatus, lines: &mut Lines<'_>) {
    for &(state, times) in &status.changes {
        lines.labelled(&[("to", state.into_str())], times);
    }
}

fn key_info(key: &MonitoredKey, status: &KeyStatus, lines: &mut Lines<'_>) {
    let identity = &status.identity;
    let labels = [
        ("access", key.access.into_str()),
        ("schema_id", &*identity.schema_id),
        ("third_party_id", &*identity.third_party_id),
        ("society_id", &*identity.society_id),
    ];
    lines.labelled(&labels, 1);
}

fn secret_state(partner: &MonitoredPartner, lines: &mut Lines<'_>) {
    let now = partner.secret().state;
    for state in SecretState::VARIANTS {
        lines.labelled(&[("state", state.into_str())], u8::from(*state == now));
    }
}

/// Writes the sample lines of one family about one thing.
struct Lines<'a> {
    out: &'a mut String,
    name: &'a str,
    /// The labels that say what the samples are about.
    about: &'a str,
    is_health: bool,
    request_ids: bool,
}

impl Lines<'_> {
    fn line(&mut self, value: impl Display) {
        self.labelled(&[], value);
    }

    fn maybe(&mut self, value: Option<impl Display>) {
        if let Some(value) = value {
            self.line(value);
        }
    }

    fn labelled(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let out = &mut *self.out;
        out.push_str(self.name);
        out.push('{');
        out.push_str(self.about);
        for (label, word) in labels {
            for part in [",", label, "=\"", &escape(word), "\""] {
                out.push_str(part);
            }
        }
        // Writing to a string can't fail.
        let _ = writeln!(out, "}} {value}");
    }
}

/// Seconds since the epoch, with milliseconds.
struct Timestamp(SystemTime);

impl Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Times before 1970 come from a broken clock only.
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        write!(f, "{}.{:03}", since.as_secs(), since.subsec_millis())
    }
}

/// The pieces of one exposition.
pub(super) struct Exposition {
    shared_state: Arc<SharedState>,
    inventory: Arc<Inventory>,
    /// Which family is being written, and how many of its keys are.
    family: usize,
    keys: usize,
}

impl Exposition {
    pub(super) fn new(shared_state: &Arc<SharedState>) -> Self {
        Self {
            shared_state: Arc::clone(shared_state),
            inventory: shared_state.inventory(),
            family: 0,
            keys: 0,
        }
    }

    /// Writes on until the piece is full or the family at its end.
    fn write(&mut self, out: &mut String, family: &Family, source: Source) {
        let inventory = Arc::clone(&self.inventory);
        let mut lines = |about: &str, is_health: bool, write: &mut dyn FnMut(&mut Lines<'_>)| {
            let request_ids = inventory.settings.metrics.request_ids;
            write(&mut Lines { out: &mut *out, name: family.name, about, is_health, request_ids });
            out.len() >= PIECE
        };
        if self.keys == 0 {
            match source {
                Source::Probe(of) => {
                    let health = self.shared_state.health().probe.clone();
                    lines("probe=\"health\"", true, &mut |lines| of(&health, lines));
                }
                Source::Partner(of) => {
                    for partner in &self.inventory.partners {
                        lines(&partner.labels, false, &mut |lines| of(partner, lines));
                    }
                }
                Source::Certificate => {
                    for (host, expiry) in self.shared_state.certificates() {
                        let about = format!("host=\"{}\"", escape(&host));
                        lines(&about, false, &mut |lines| lines.line(Timestamp(expiry)));
                    }
                }
                Source::Key(_) => {}
            }
        }
        let mut about = String::new();
        while let Some(key) = self.inventory.keys.get(self.keys) {
            let full = match source {
                Source::Probe(of) => key.status().probes.iter().fold(false, |_, probe| {
                    about.clear();
                    // Writing to a string can't fail.
                    let _ = write!(about, "probe=\"{}\",{}", escape(&probe.name), key.labels);
                    lines(&about, false, &mut |lines| of(probe, lines))
                }),
                Source::Key(of) => {
                    let status = key.status();
                    lines(&key.labels, false, &mut |lines| of(key, &status, lines))
                }
                Source::Partner(_) | Source::Certificate => break,
            };
            self.keys += 1;
            if full {
                return;
            }
        }
        self.family += 1;
        self.keys = 0;
    }
}

impl Iterator for Exposition {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut out = String::with_capacity(PIECE + PIECE / 8);
        while let Some((family, source)) = SOURCES.get(self.family) {
            if self.keys == 0 {
                // Also for a family without a sample: every name is there from the first scrape on.
                let Family { name, kind, help, .. } = family;
                let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            }
            self.write(&mut out, family, *source);
            if out.len() >= PIECE {
                break;
            }
        }
        (!out.is_empty()).then(|| out.into())
    }
}
