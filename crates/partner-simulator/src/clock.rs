//! The simulator's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use tokio::time::Instant;

/// How far the times that the API sends are from the true time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockShift {
    #[default]
    None,
    Ahead(Duration),
    Behind(Duration),
}

/// A wall clock that advances with tokio's time: a test that pauses or advances tokio's time also moves this clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: SystemTime,
    started: Instant,
    pub(crate) shift: ClockShift,
}

impl Clock {
    /// Reads the system clock. This is the only time that it is read.
    pub(crate) fn start() -> Self {
        Self { wall: SystemTime::now(), started: Instant::now(), shift: ClockShift::None }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.at(Instant::now())
    }

    /// The true wall-clock time at an instant, in the past or in the future.
    fn at(&self, instant: Instant) -> SystemTime {
        self.wall + instant.saturating_duration_since(self.started)
    }

    /// What the API says the time is at an instant.
    pub(crate) fn shown_at(&self, instant: Instant) -> SystemTime {
        let time = self.at(instant);
        match self.shift {
            ClockShift::None => time,
            ClockShift::Ahead(shift) => time + shift,
            ClockShift::Behind(shift) => time.checked_sub(shift).unwrap_or(UNIX_EPOCH),
        }
    }

    /// What the API says the time is now.
    pub(crate) fn shown(&self) -> SystemTime {
        self.shown_at(Instant::now())
    }

    /// The value of the `date` header. hyper's own value would come from a clock that tests cannot move.
    pub(crate) fn date_header(&self) -> HeaderValue {
        HeaderValue::from_str(&httpdate::fmt_http_date(self.shown().max(UNIX_EPOCH)))
            .unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
    }
}

/// Time since the Unix epoch. It is zero for an earlier time.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `2021-04-12T11:54:46.123Z`, the format of `requestedAt` in error bodies.
pub(crate) fn format_utc(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + since_epoch(time)).to_string()
}

/// `2021-04-12 11:54:46`, the format of `expiresIn` in a log-in response, which does not name its time zone.
pub(crate) fn format_without_zone(time: SystemTime, offset_minutes: i32) -> String {
    let seconds = since_epoch(time).as_secs().saturating_add_signed(i64::from(offset_minutes) * 60);
    let local = UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(local).to_string().replace('T', " ").replace('Z', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn utc_dates_match_the_calendar() {
        assert_eq!(format_utc(at(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(format_utc(at(951_782_400)), "2000-02-29T00:00:00.000Z");
        assert_eq!(format_utc(at(1_609_459_199)), "2020-12-31T23:59:59.000Z");
        assert_eq!(format_utc(at(4_107_542_400)), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_time_without_zone_includes_the_offset() {
        assert_eq!(format_without_zone(at(1_618_221_286), 120), "2021-04-12 11:54:46");
        assert_eq!(format_without_zone(at(1_618_221_286), -600), "2021-04-11 23:54:46");
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_follows_paused_time() {
        let clock = Clock::start();
        let before = clock.now();
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(clock.now().duration_since(before).unwrap(), Duration::from_hours(1));
    }
}
