//! A `SystemTime` as text in files, so that a person can read them: `2026-11-23T18:02:11.250Z`.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// The last second that can be written: of the year 9999.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// To the millisecond. A time that can't be written, as only a clock far out of order shows, becomes the
/// nearest that can be: to panic over it would end the log, too.
pub(crate) fn millis(time: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_millis(writable(time))
}

/// The same to the second.
pub(crate) fn seconds(time: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(writable(time))
}

fn writable(time: SystemTime) -> SystemTime {
    time.clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST)
}

pub(crate) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&millis(*time))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_rfc3339(&text).map_err(D::Error::custom)
}

/// The same for a time that may be missing.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Serializer, SystemTime};

    #[derive(Deserialize)]
    struct Time(#[serde(with = "super")] SystemTime);

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(crate) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<Time>::deserialize(deserializer)?.map(|Time(time)| time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_out_of_order_is_written_as_the_nearest_time_there_is() {
        let year = Duration::from_hours(24 * 365);
        assert_eq!(millis(SystemTime::UNIX_EPOCH - year).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(seconds(SystemTime::UNIX_EPOCH + year * 9_000).to_string(), "9999-12-31T23:59:59Z");
    }
}
