//! What time it is for the simulated API.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use tokio::time::Instant;

/// A wall clock that moves with tokio's time, so that a test that pauses or advances the one moves the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: SystemTime,
    started: Instant,
}

impl Clock {
    /// Reads the system's clock, this once.
    pub(crate) fn start() -> Self {
        Self { wall: SystemTime::now(), started: Instant::now() }
    }

    /// The wall clock's time now.
    pub(crate) fn now(&self) -> SystemTime {
        self.at(Instant::now())
    }

    /// The wall clock's time at that instant, past or future.
    pub(crate) fn at(&self, instant: Instant) -> SystemTime {
        self.wall + instant.saturating_duration_since(self.started)
    }

    /// The `date` header's value. hyper would write its own, from a clock that tests can't move.
    pub(crate) fn date_header(&self) -> HeaderValue {
        HeaderValue::from_str(&httpdate::fmt_http_date(self.now()))
            .unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
    }
}

/// Time since the epoch; zero for a time before it.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `2021-04-12T11:54:46.123Z`, as error bodies say when they were asked.
pub(crate) fn format_utc(time: SystemTime) -> String {
    let since = since_epoch(time);
    let Civil { date, clock } = Civil::of(since.as_secs());
    format!("{date}T{clock}.{:03}Z", since.subsec_millis())
}

/// `2021-04-12 11:54:46`, as a log-in says when its token ends: in a zone that it doesn't name.
pub(crate) fn format_without_zone(time: SystemTime, offset_minutes: i32) -> String {
    let seconds = since_epoch(time).as_secs().saturating_add_signed(i64::from(offset_minutes) * 60);
    let Civil { date, clock } = Civil::of(seconds);
    format!("{date} {clock}")
}

struct Civil {
    date: String,
    clock: String,
}

impl Civil {
    /// Days to year, month and day in the Gregorian calendar, with years that begin in March: the leap day is then
    /// the last of its year, and the lengths of months follow one line.
    fn of(epoch_seconds: u64) -> Self {
        let (days, second) = (epoch_seconds / 86_400 + 719_468, epoch_seconds % 86_400);
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        Self {
            date: format!("{year:04}-{month:02}-{day:02}"),
            clock: format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(format_utc(at(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(format_utc(at(951_782_400)), "2000-02-29T00:00:00.000Z");
        assert_eq!(format_utc(at(1_609_459_199)), "2020-12-31T23:59:59.000Z");
        assert_eq!(format_utc(at(4_107_542_400)), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_zoneless_time_is_shifted_by_its_offset() {
        assert_eq!(format_without_zone(at(1_618_221_286), 120), "2021-04-12 11:54:46");
        assert_eq!(format_without_zone(at(1_618_221_286), -600), "2021-04-11 23:54:46");
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_moves_with_paused_time() {
        let clock = Clock::start();
        let before = clock.now();
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(clock.now().duration_since(before).unwrap(), Duration::from_hours(1));
    }
}
