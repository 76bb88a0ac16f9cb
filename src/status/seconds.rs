//! Times and spans as the metrics write them: seconds, to the millisecond and the microsecond.

use std::time::{Duration, SystemTime};

use serde::Serializer;

/// Seconds since the epoch.
pub(super) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(since_epoch(*time))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit")]
fn since_epoch(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1e3
}

/// The same for a time that may be missing: `null`.
pub(super) mod option {
    use super::{Serializer, SystemTime, since_epoch};

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(crate) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_f64(since_epoch(*time)),
            None => serializer.serialize_none(),
        }
    }
}

/// Spans.
pub(super) mod span {
    use super::{Duration, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(seconds(*span))
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds of any probe fit")]
    pub(crate) fn seconds(span: Duration) -> f64 {
        span.as_micros() as f64 / 1e6
    }

    /// The same for a span that may be missing: `null`.
    pub(crate) mod option {
        use super::{Duration, Serializer, seconds};

        #[expect(clippy::ref_option, reason = "the signature is serde's")]
        pub(crate) fn serialize<S: Serializer>(
            span: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match span {
                Some(span) => serializer.serialize_f64(seconds(*span)),
                None => serializer.serialize_none(),
            }
        }
    }
}

/// Phases: an object with a span for each.
pub(super) mod phases {
    use super::{Serializer, span};
    use crate::report::Phases;

    pub(crate) fn serialize<S: Serializer>(phases: &Phases, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(phases.iter().map(|(phase, took)| (phase.into_str(), span::seconds(took))))
    }

    /// The same where there may be none: `null`.
    pub(crate) mod option {
        use super::{Phases, Serializer};

        #[expect(clippy::ref_option, reason = "the signature is serde's")]
        pub(crate) fn serialize<S: Serializer>(
            phases: &Option<Phases>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match phases {
                Some(phases) => super::serialize(phases, serializer),
                None => serializer.serialize_none(),
            }
        }
    }
}
