//! Writes sample lines in the Prometheus text format.

use super::value::Value;
use crate::label::escape;

/// Writes the samples of one metric about one subject.
pub(super) struct SampleWriter<'a> {
    pub(super) out: &'a mut String,
    pub(super) name: &'a str,
    /// The labels that say what the samples are about, already escaped.
    pub(super) subject: &'a str,
    /// Whether the samples are about the health probe.
    pub(super) is_health: bool,
    /// Whether request IDs may become labels.
    pub(super) with_request_ids: bool,
}

impl SampleWriter<'_> {
    /// Writes a sample without further labels.
    pub(super) fn value(&mut self, value: impl Value) {
        self.labelled(&[], value);
    }

    /// Writes a sample without further labels, if there is a value.
    pub(super) fn optional(&mut self, value: Option<impl Value>) {
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
    pub(super) fn labelled(&mut self, labels: &[(&str, &str)], value: impl Value) {
        let out = &mut *self.out;
        out.push_str(self.name);
        out.push('{');
        out.push_str(self.subject);
        for (label, text) in labels {
            for part in [",", label, "=\"", &escape(text), "\""] {
                out.push_str(part);
            }
        }
        out.push_str("} ");
        value.write(out);
        out.push('\n');
    }
}
