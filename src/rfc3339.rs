//! Times in files and on pages, as RFC 3339 text that a person can read: `2026-11-23T18:02:11.250Z`.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use serde_with::{DeserializeAs, SerializeAs};

/// The last second that RFC 3339 can express: the end of the year 9999.
const MAX: Duration = Duration::from_secs(253_402_300_799);

/// Formats a time to the millisecond. A time before 1970 or after 9999, which only a badly wrong clock
/// shows, becomes the nearest time that can be written, because a panic would also stop the log.
pub(crate) fn millis(time: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_millis(clamp(time))
}

/// As [`millis`], to the second.
pub(crate) fn seconds(time: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(clamp(time))
}

fn clamp(time: SystemTime) -> SystemTime {
    time.clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + MAX)
}

/// The form of a time in a file, for `#[serde_as]`: RFC 3339 text to the millisecond.
pub(crate) struct Rfc3339;

impl SerializeAs<SystemTime> for Rfc3339 {
    fn serialize_as<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&millis(*time))
    }
}

impl<'de> DeserializeAs<'de, SystemTime> for Rfc3339 {
    fn deserialize_as<D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_of_range_is_written_as_the_nearest_time_in_range() {
        let year = Duration::from_hours(24 * 365);
        assert_eq!(millis(SystemTime::UNIX_EPOCH - year).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(seconds(SystemTime::UNIX_EPOCH + year * 9_000).to_string(), "9999-12-31T23:59:59Z");
    }
}
