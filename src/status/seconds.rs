//! Times and durations in the JSON of the status, in seconds as in the metrics.

use std::time::{Duration, SystemTime};

use serde::Serializer;
use serde_with::SerializeAs;

use crate::report::Phases;

/// Writes a time as seconds since the Unix epoch, to the millisecond; a duration as seconds, to the
/// microsecond; and phases as an object with the duration of each. A time before the epoch, which only a wrong
/// clock gives, becomes 0.
pub(super) struct Seconds;

impl SerializeAs<SystemTime> for Seconds {
    #[expect(clippy::cast_precision_loss, reason = "the milliseconds since the epoch fit for 285,000 years")]
    fn serialize_as<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        serializer.serialize_f64(since_epoch.as_millis() as f64 / 1e3)
    }
}

impl SerializeAs<Duration> for Seconds {
    fn serialize_as<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(seconds(*duration))
    }
}

impl SerializeAs<Phases> for Seconds {
    fn serialize_as<S: Serializer>(phases: &Phases, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(phases.iter().map(|(phase, duration)| (phase.into_str(), seconds(duration))))
    }
}

#[expect(clippy::cast_precision_loss, reason = "the microseconds of a probe or an interval fit")]
fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_with::As;

    use super::*;

    #[derive(Serialize)]
    struct View(
        #[serde(with = "As::<Option<Seconds>>")] Option<SystemTime>,
        #[serde(with = "As::<Option<Seconds>>")] Option<Duration>,
        #[serde(with = "As::<Option<Seconds>>")] Option<Phases>,
    );

    #[test]
    fn times_and_durations_are_written_in_seconds_and_unknown_ones_as_null() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_500_999);
        let phases = Phases::new([1, 2, 3, 4, 5].map(Duration::from_micros));
        let view = View(Some(time), Some(Duration::from_micros(1_500)), Some(phases));
        assert_eq!(
            serde_json::to_string(&view).unwrap(),
            r#"[1.5,0.0015,{"resolve":1e-6,"connect":2e-6,"tls":3e-6,"processing":4e-6,"transfer":5e-6}]"#
        );
        let before_the_epoch = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        let view = View(Some(before_the_epoch), None, None);
        assert_eq!(serde_json::to_string(&view).unwrap(), "[0.0,null,null]");
    }
}
