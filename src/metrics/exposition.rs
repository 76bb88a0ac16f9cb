//! Writes the in-memory state in the Prometheus text format, piece by piece.
//!
//! With ten thousand keys there are some 300,000 series. As children of a metrics library, copied at each
//! scrape, they would cost hundreds of megabytes; written from the state they cost one piece.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::table::{Description, EXPOSED, Source};
use crate::label::escape;
use crate::state::{Inventory, SharedState};

/// A piece is sent when it has about this size, in bytes. A scrape of any fleet holds no more in memory.
const PIECE_SIZE: usize = 128 << 10;

/// Writes the samples of one metric about one subject.
pub(super) struct SampleWriter<'a> {
    out: &'a mut String,
    name: &'a str,
    /// The labels that say what the samples are about, already escaped.
    subject: &'a str,
    is_health: bool,
    with_request_ids: bool,
}

impl SampleWriter<'_> {
    /// Whether the samples are about the health probe.
    pub(super) const fn is_health(&self) -> bool {
        self.is_health
    }

    /// Whether request IDs may become labels.
    pub(super) const fn with_request_ids(&self) -> bool {
        self.with_request_ids
    }

    /// Writes a sample without further labels.
    pub(super) fn value(&mut self, value: impl Display) {
        self.labelled(&[], value);
    }

    /// Writes a sample without further labels, if there is a value.
    pub(super) fn optional(&mut self, value: Option<impl Display>) {
        if let Some(value) = value {
            self.value(value);
        }
    }

    /// Writes one sample per state: 1 for the current one, 0 for the others.
    pub(super) fn one_of<S: Copy + PartialEq + Into<&'static str>>(&mut self, states: &[S], current: S) {
        for &state in states {
            self.labelled(&[("state", state.into())], u8::from(state == current));
        }
    }

    /// Writes a sample with further labels.
    pub(super) fn labelled(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let out = &mut *self.out;
        out.push_str(self.name);
        out.push('{');
        out.push_str(self.subject);
        for (label, text) in labels {
            for part in [",", label, "=\"", &escape(text), "\""] {
                out.push_str(part);
            }
        }
        // Writing to a string cannot fail.
        let _ = writeln!(out, "}} {value}");
    }
}

/// A time as seconds since the epoch, with milliseconds.
pub(super) struct Timestamp(pub(super) SystemTime);

impl Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Only a wrong clock yields a time before 1970.
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        write!(f, "{}.{:03}", since.as_secs(), since.subsec_millis())
    }
}

/// The pieces of one exposition. They are made as they are taken.
pub(super) struct Exposition {
    shared_state: Arc<SharedState>,
    inventory: Arc<Inventory>,
    /// The index of the metric that is being written.
    metric: usize,
    /// How many keys this metric has been written for.
    keys: usize,
}

impl Exposition {
    pub(super) fn new(shared_state: &Arc<SharedState>) -> Self {
        let inventory = shared_state.inventory();
        Self { shared_state: Arc::clone(shared_state), inventory, metric: 0, keys: 0 }
    }

    /// Continues the current metric until the piece is full or the metric is finished.
    fn write(&mut self, out: &mut String, name: &str, source: Source) {
        if self.keys == 0 {
            self.write_without_keys(out, name, source);
        }
        let inventory = Arc::clone(&self.inventory);
        let mut subject = String::new();
        while let Some(key) = inventory.keys.get(self.keys) {
            match source {
                Source::Probe(write) => {
                    for probe in &key.status().probes {
                        subject.clear();
                        // Writing to a string cannot fail.
                        let _ = write!(subject, "probe=\"{}\",{}", escape(&probe.name), key.labels);
                        write(probe, &mut self.samples(out, name, &subject));
                    }
                }
                Source::Key(write) => {
                    let status = key.status();
                    write(key, &status, &mut self.samples(out, name, &key.labels));
                }
                Source::Partner(_) | Source::Certificate(_) => break,
            }
            self.keys += 1;
            if out.len() >= PIECE_SIZE {
                return;
            }
        }
        self.metric += 1;
        self.keys = 0;
    }

    /// Writes the samples that are not about a key.
    fn write_without_keys(&self, out: &mut String, name: &str, source: Source) {
        match source {
            Source::Probe(write) => {
                let health = self.shared_state.health().probe.clone();
                let mut samples = self.samples(out, name, "probe=\"health\"");
                samples.is_health = true;
                write(&health, &mut samples);
            }
            Source::Partner(write) => {
                for partner in &self.inventory.partners {
                    write(partner, &mut self.samples(out, name, &partner.labels));
                }
            }
            Source::Certificate(write) => {
                for (host, expiry) in self.shared_state.certificates() {
                    let subject = format!("host=\"{}\"", escape(&host));
                    write(expiry, &mut self.samples(out, name, &subject));
                }
            }
            Source::Key(_) => {}
        }
    }

    fn samples<'a>(&self, out: &'a mut String, name: &'a str, subject: &'a str) -> SampleWriter<'a> {
        let with_request_ids = self.inventory.settings.metrics.request_ids;
        SampleWriter { out, name, subject, is_health: false, with_request_ids }
    }
}

impl Iterator for Exposition {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut out = String::with_capacity(PIECE_SIZE + PIECE_SIZE / 8);
        while let Some(metric) = EXPOSED.get(self.metric) {
            let Description { name, kind, help, .. } = metric.description;
            if self.keys == 0 {
                // A metric without samples is announced, too: every name is there from the first scrape on.
                let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            }
            self.write(&mut out, name, metric.source);
            if out.len() >= PIECE_SIZE {
                break;
            }
        }
        (!out.is_empty()).then(|| out.into())
    }
}
