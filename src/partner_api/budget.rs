//! The budget of a token, as an answer tells it: what the probes share with the customer's production traffic.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use super::token::time_of;

/// The documented window: 20 requests per 10 seconds.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Nothing an answer says keeps a key unprobed for longer: a monitor that an absurd header can
/// silence is worse than none.
pub const MAX_WAIT: Duration = Duration::from_mins(10);

/// Seconds below this, milliseconds above: in seconds, it is the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// What one answer said of its token's budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Requests in the whole window.
    pub total: Option<u32>,
    /// Requests left in it.
    pub remaining: Option<u32>,
    /// When it starts anew.
    pub reset: Option<SystemTime>,
    /// For how long after the answer this holds; between zero and [`MAX_WAIT`].
    pub holds_for: Duration,
}

impl Budget {
    /// Reads the headers; `now` is the wall clock, used where the answer carries no `date` of its own.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap, now: SystemTime) -> Self {
        let reset = number(headers, "x-rate-limit-reset").and_then(reset_time);
        // The reset is written by the server's clock: its own `date` is the one to subtract.
        let served = headers.get(DATE).and_then(|v| httpdate::parse_http_date(v.to_str().ok()?).ok());
        let until_reset = reset.and_then(|reset| reset.duration_since(served.unwrap_or(now)).ok());
        let retry_after =
            headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        Self {
            total: number(headers, "x-rate-limit-total").and_then(count),
            remaining: number(headers, "x-rate-limit-remaining").and_then(count),
            reset,
            holds_for: until_reset.or(retry_after).unwrap_or(WINDOW).min(MAX_WAIT),
        }
    }

    /// Whether the answer said anything that a metric can show.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        self.total.is_some() || self.remaining.is_some() || self.reset.is_some()
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn count(value: f64) -> Option<u32> {
    (0.0..=f64::from(u32::MAX)).contains(&value).then_some(value as u32)
}

/// Seen: seconds with a fraction. The unit is not documented, so milliseconds are understood too.
fn reset_time(value: f64) -> Option<SystemTime> {
    time_of(if value < MILLISECONDS_FROM { value } else { value / 1000.0 })
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
    fn the_headers_seen_are_read() {
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
    fn milliseconds_are_understood_too() {
        let budget = read(&[("x-rate-limit-reset", "1596442585866")]);
        assert!(budget.holds_for.abs_diff(Duration::from_millis(5866)) < Duration::from_millis(2));
    }

    #[test]
    fn the_server_s_own_clock_decides_how_long_the_budget_holds() {
        let budget = read(&[("x-rate-limit-reset", "1596446190"), ("date", "Mon, 03 Aug 2020 09:16:20 GMT")]);
        assert_eq!(budget.holds_for, Duration::from_secs(10), "an hour ahead of our clock");
    }

    #[test]
    fn without_a_usable_reset_the_documented_window_holds() {
        for reset in ["1596442500", "soon", "", "-1", "NaN", "inf", "1e300"] {
            let budget = read(&[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", reset)]);
            assert_eq!(budget.holds_for, WINDOW, "{reset}");
        }
        assert_eq!(read(&[("retry-after", "30")]).holds_for, Duration::from_secs(30));
    }

    #[test]
    fn no_header_silences_a_key_for_long() {
        assert_eq!(read(&[("x-rate-limit-reset", "1999999999")]).holds_for, MAX_WAIT);
        assert_eq!(read(&[("retry-after", "86400")]).holds_for, MAX_WAIT);
    }

    #[test]
    fn absurd_counts_are_not_told() {
        for value in ["-3", "1e12", "many", "NaN"] {
            let budget = read(&[("x-rate-limit-remaining", value), ("x-rate-limit-total", value)]);
            assert!(!budget.is_reported(), "{value}");
        }
    }
}
