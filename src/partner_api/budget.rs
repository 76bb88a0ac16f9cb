//! The request budget of a token, as the headers of a response report it.
//!
//! Probes share this budget with the customer's production traffic.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName};

use super::server_date;
use super::token::unix_time;

static TOTAL: HeaderName = HeaderName::from_static("x-rate-limit-total");
static REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");
static RESET: HeaderName = HeaderName::from_static("x-rate-limit-reset");

/// The documented window. A token may send 20 requests in 10 seconds.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// The longest time for which a response can stop the probes of a key. Without this limit, one absurd
/// header could stop the monitoring of a key.
pub(crate) const MAX_WAIT: Duration = Duration::from_mins(10);

/// A reset time below this value (the year 2001) is not a date, but the number of seconds that are left.
const MIN_DATE: f64 = 1e9;
/// A reset time below this value is in seconds, otherwise in milliseconds. Read as seconds, this value is in
/// the year 5138.
const MIN_MILLISECONDS: f64 = 1e11;

/// The budget of a token, as one response reported it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    /// Requests allowed in one window.
    pub total: Option<u32>,
    /// Requests left in the current window.
    pub remaining: Option<u32>,
    /// When the next window starts.
    pub reset: Option<SystemTime>,
    /// How long after the response these values are valid: until the reset or until the end of `Retry-After`,
    /// whichever is later, and [`MAX_WAIT`] at most.
    pub holds_for: Duration,
}

impl Budget {
    /// Reads the headers. `now` is the wall clock; it is used if the response has no `date` header.
    pub(crate) fn from_headers(headers: &HeaderMap, now: SystemTime) -> Self {
        // The reset time comes from the server's clock, so it is compared with the server's `date`.
        let sent = server_date(headers).unwrap_or(now);
        let reset = number(headers, &RESET).and_then(|value| reset_time(value, sent));
        // A reset that is over, or is now, does not tell when the next window begins.
        let until_reset =
            reset.and_then(|reset| reset.duration_since(sent).ok()).filter(|left| !left.is_zero());
        let wait = until_reset.max(retry_after(headers, sent));
        Self {
            total: number(headers, &TOTAL).and_then(count),
            remaining: number(headers, &REMAINING).and_then(count),
            reset,
            holds_for: wait.unwrap_or(WINDOW).min(MAX_WAIT),
        }
    }

    /// Whether the response reported a value that a metric can show.
    pub(crate) fn is_reported(&self) -> bool {
        self.total.is_some() || self.remaining.is_some() || self.reset.is_some()
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3). A date, too, comes from the server's clock.
fn retry_after(headers: &HeaderMap, sent: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if value.starts_with(|c: char| c.is_ascii_digit())
        && value.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    {
        let seconds = value.parse().ok()?;
        // A wait of centuries does not fit into a `Duration`.
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(MAX_WAIT));
    }
    httpdate::parse_http_date(value).ok()?.duration_since(sent).ok()
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<f64> {
    headers.get(name)?.to_str().ok()?.trim_ascii().parse().ok()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn count(value: f64) -> Option<u32> {
    (0.0..=f64::from(u32::MAX)).contains(&value).then_some(value as u32)
}

/// The API was seen to send seconds since the epoch, with a fraction. The unit is not documented, so milliseconds are
/// accepted too, and seconds from now, as many other APIs send them.
fn reset_time(value: f64, sent: SystemTime) -> Option<SystemTime> {
    if (0.0..MIN_DATE).contains(&value) {
        return sent.checked_add(Duration::from_secs_f64(value).min(MAX_WAIT));
    }
    unix_time(if value < MIN_MILLISECONDS { value } else { value / 1000.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_596_442_580;

    fn read(pairs: &[(&'static str, &str)]) -> Budget {
        let headers =
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Budget::from_headers(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn seconds(time: Option<SystemTime>) -> f64 {
        time.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
    }

    #[test]
    fn the_headers_that_the_api_sends_are_read() {
        let budget = read(&[
            ("x-rate-limit-total", "20"),
            ("x-rate-limit-remaining", "7"),
            ("x-rate-limit-reset", "1596442585.866154"),
        ]);
        assert_eq!((budget.total, budget.remaining), (Some(20), Some(7)));
        assert!((seconds(budget.reset) - 1_596_442_585.866_154).abs() < 1e-3);
        assert_eq!(budget.holds_for.as_millis(), 5866);
    }

    #[test]
    fn a_reset_time_in_milliseconds_is_read() {
        let budget = read(&[("x-rate-limit-reset", "1596442585866")]);
        assert!(budget.holds_for.abs_diff(Duration::from_millis(5866)) < Duration::from_millis(2));
    }

    #[test]
    fn a_reset_time_in_seconds_from_now_is_read() {
        for (value, seconds) in [("7", 7.0), ("0.5", 0.5), ("86400", 600.0), ("999999999", 600.0)] {
            let budget = read(&[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", value)]);
            assert_eq!(budget.holds_for, Duration::from_secs_f64(seconds), "{value}");
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
            assert_eq!(budget.reset, Some(now + Duration::from_secs_f64(seconds)), "{value}");
        }
        let dated = read(&[("x-rate-limit-reset", "7"), ("date", "Mon, 03 Aug 2020 09:16:20 GMT")]);
        assert_eq!(dated.holds_for, Duration::from_secs(7), "the server's clock does not matter");
        let now = read(&[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "0")]);
        assert_eq!(now.holds_for, WINDOW, "it does not say when the next window begins");
    }

    #[test]
    fn the_smallest_reset_time_in_milliseconds_is_not_read_as_seconds() {
        let smallest = read(&[("x-rate-limit-reset", &MIN_MILLISECONDS.to_string())]);
        assert!((seconds(smallest.reset) - MIN_MILLISECONDS / 1000.0).abs() < 1e-3, "{smallest:?}");
    }

    #[test]
    fn each_of_the_three_headers_makes_a_reported_budget() {
        for header in [
            ("x-rate-limit-total", "20"),
            ("x-rate-limit-remaining", "7"),
            ("x-rate-limit-reset", "1596442585"),
        ] {
            assert!(read(&[header]).is_reported(), "{header:?}");
        }
        assert!(!read(&[("retry-after", "30")]).is_reported(), "no metric shows it");
    }

    #[test]
    fn the_reset_time_is_compared_with_the_server_s_date() {
        let budget = read(&[("x-rate-limit-reset", "1596446190"), ("date", "Mon, 03 Aug 2020 09:16:20 GMT")]);
        assert_eq!(budget.holds_for, Duration::from_secs(10), "the server's clock is an hour ahead");
    }

    #[test]
    fn without_a_usable_reset_time_the_budget_is_valid_for_the_documented_window() {
        for reset in ["1596442500", "soon", "", "-1", "NaN", "inf", "1e300"] {
            let budget = read(&[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", reset)]);
            assert_eq!(budget.holds_for, WINDOW, "{reset}");
        }
        assert_eq!(read(&[("retry-after", "30")]).holds_for, Duration::from_secs(30));
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date_of_the_server() {
        for (value, seconds) in
            [("30", 30.0), ("14.0", 14.0), (" 14.5 ", 14.5), ("0", 0.0), ("99999999999999999999999", 600.0)]
        {
            assert_eq!(
                read(&[("retry-after", value)]).holds_for,
                Duration::from_secs_f64(seconds),
                "{value}"
            );
        }
        let dates =
            ["Mon, 03 Aug 2020 09:16:50 GMT", "Monday, 03-Aug-20 09:16:50 GMT", "Mon Aug  3 09:16:50 2020"];
        for date in dates {
            let wait = read(&[("retry-after", date), ("date", "Mon, 03 Aug 2020 09:16:20 GMT")]).holds_for;
            assert_eq!(wait, Duration::from_secs(30), "{date}");
        }
        let own_clock = read(&[("retry-after", "Mon, 03 Aug 2020 08:16:40 GMT")]).holds_for;
        assert_eq!(own_clock, Duration::from_secs(20), "without a date, the exporter's clock counts");
    }

    #[test]
    fn an_absurd_retry_after_is_ignored() {
        for value in [
            "-5",
            "NaN",
            "inf",
            "1e3",
            "1.2.3",
            "14 s",
            "soon",
            "",
            "Mon, 03 Aug 1970 08:16:40 GMT",
            "Mon, 99 Aug 2020 08:16:40 GMT",
        ] {
            assert_eq!(read(&[("retry-after", value)]).holds_for, WINDOW, "{value}");
        }
    }

    #[test]
    fn the_later_of_reset_and_retry_after_counts() {
        let both = |reset, retry_after| {
            read(&[("x-rate-limit-reset", reset), ("retry-after", retry_after)]).holds_for
        };
        assert_eq!(both("1596442585", "30"), Duration::from_secs(30));
        assert_eq!(both("1596442640", "30"), Duration::from_mins(1));
        assert_eq!(both("1596442500", "30"), Duration::from_secs(30), "the reset is over");
        assert_eq!(both("1596442640", "soon"), Duration::from_mins(1));
    }

    #[test]
    fn no_header_stops_probes_for_longer_than_the_maximum() {
        assert_eq!(read(&[("x-rate-limit-reset", "1999999999")]).holds_for, MAX_WAIT);
        assert_eq!(read(&[("retry-after", "86400")]).holds_for, MAX_WAIT);
    }

    #[test]
    fn absurd_counts_are_ignored() {
        for value in ["-3", "1e12", "many", "NaN"] {
            let budget = read(&[("x-rate-limit-remaining", value), ("x-rate-limit-total", value)]);
            assert!(!budget.is_reported(), "{value}");
        }
    }
}
