//! Writes the in-memory state in the Prometheus text format, piece by piece.
//!
//! With ten thousand keys there are some 300,000 series. As children of a metrics library, copied at each
//! scrape, they would cost hundreds of megabytes; written from the state they cost one piece.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use super::description::Description;
use super::sample_writer::SampleWriter;
use super::table::{FROM_STATE, Source};
use crate::label::escape;
use crate::state::{Inventory, SharedState};

/// A piece is sent when it has about this size, in bytes. A scrape of any fleet holds no more in memory.
const PIECE_SIZE: usize = 128 << 10;

/// The pieces of one exposition. Each is written when it is requested.
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
                        for part in ["probe=\"", &escape(&probe.name), "\",", &key.labels] {
                            subject.push_str(part);
                        }
                        write(probe, &mut self.samples(out, name, &subject));
                    }
                }
                Source::Interval(write) => {
                    for probe in &key.status().probes {
                        if inventory.usual_intervals.get(&probe.name) != Some(&probe.interval) {
                            let subject = probe_labels(&probe.name, &key.labels);
                            write(probe.interval, &mut self.samples(out, name, &subject));
                        }
                    }
                }
                Source::Key(write) => {
                    let status = key.status();
                    write(key, &status, &mut self.samples(out, name, &key.labels));
                }
                Source::UnreadableCredential => {
                    if key.status().credential_problem.is_some() {
                        self.samples(out, name, &key.labels).value(1_u8);
                    }
                }
                Source::Partner(_) | Source::ConfiguredKeys | Source::Certificate(_) => break,
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
            Source::Interval(write) => {
                let health = self.shared_state.health().probe.interval;
                write(health, &mut self.samples(out, name, "probe=\"health\""));
                for (probe, interval) in &self.inventory.usual_intervals {
                    let subject = format!("probe=\"{}\"", escape(probe));
                    write(*interval, &mut self.samples(out, name, &subject));
                }
            }
            Source::Partner(write) => {
                for partner in &self.inventory.partners {
                    write(partner, &mut self.samples(out, name, &partner.labels));
                }
            }
            Source::UnreadableCredential => {
                for partner in &self.inventory.partners {
                    if partner.credential_problem().is_some() {
                        let subject = format!("{},key=\"\"", partner.labels);
                        self.samples(out, name, &subject).value(1_u8);
                    }
                }
            }
            Source::ConfiguredKeys => {
                for (partner, keys) in self.inventory.key_counts() {
                    self.samples(out, name, &partner.labels).value(keys);
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
        let with_request_ids = self.inventory.settings.request_ids;
        SampleWriter { out, name, subject, is_health: false, with_request_ids }
    }
}

fn probe_labels(probe: &str, key_labels: &str) -> String {
    format!("probe=\"{}\",{key_labels}", escape(probe))
}

impl Iterator for Exposition {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut out = String::with_capacity(PIECE_SIZE + PIECE_SIZE / 8);
        while let Some(metric) = FROM_STATE.get(self.metric) {
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
