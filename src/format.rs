//! Figures as people read them, on the page and in the terminal.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::rfc3339;

/// A span in its two largest units: `3 d 4 h`, `2 min 5 s`, `40 s`.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let Some(first) = units.iter().position(|(count, _)| *count > 0) else { return "0 s".to_owned() };
    let mut text = String::new();
    for (count, unit) in units.iter().skip(first).take(2).filter(|(count, _)| *count > 0) {
        // Writing to a string can't fail.
        let _ = write!(text, "{}{count} {unit}", if text.is_empty() { "" } else { " " });
    }
    text
}

/// How long `time` is ago, or until then.
#[must_use]
pub fn distance(time: SystemTime, now: SystemTime) -> String {
    match (now.duration_since(time), time.duration_since(now)) {
        (Ok(past), _) if past < Duration::from_secs(1) => "just now".to_owned(),
        (Ok(past), _) => format!("{} ago", span(past)),
        (_, Ok(future)) => format!("in {}", span(future)),
        (Err(_), Err(_)) => "just now".to_owned(),
    }
}

/// How long a probe or a phase took, with three digits at the most where they mean something.
#[must_use]
pub fn latency(took: Duration) -> String {
    let millis = took.as_secs_f64() * 1e3;
    match took {
        _ if took.is_zero() => "0 ms".to_owned(),
        _ if millis < 10.0 => format!("{millis:.1} ms"),
        _ if millis < 999.5 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", took.as_secs_f64()),
    }
}

/// A share in percent, rounded down: what failed once is no hundred percent.
#[must_use]
pub fn percent(ratio: f64) -> String {
    let hundredths = (ratio * 10_000.0 + 1e-6).floor() / 100.0;
    format!("{hundredths} %")
}

/// A share in percent as somebody wrote it, to the millionth.
#[must_use]
pub fn whole_percent(ratio: f64) -> String {
    let millionths = (ratio * 1e8).round() / 1e6;
    format!("{millionths} %")
}

/// How many times over: `1.2 times`, `61 times`.
#[must_use]
pub fn times(factor: f64) -> String {
    if factor < 10.0 { format!("{factor:.1} times") } else { format!("{factor:.0} times") }
}

/// A moment, to the second, in UTC.
#[must_use]
pub fn moment(time: SystemTime) -> String {
    let text = rfc3339::seconds(time).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

/// The day of a moment, in UTC.
#[must_use]
pub fn day(time: SystemTime) -> String {
    moment(time).chars().take("2026-11-25".len()).collect()
}

/// The time of day of a moment, to the second, in UTC.
#[must_use]
pub fn clock(time: SystemTime) -> String {
    moment(time).chars().skip("2026-11-25 ".len()).take("10:00:00".len()).collect()
}

/// A number of things.
#[must_use]
pub fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (40, "40 s"),
            (60, "1 min"),
            (125, "2 min 5 s"),
            (3_600, "1 h"),
            (3_605, "1 h"),
            (90_061, "1 d 1 h"),
            (8_640_000, "100 d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_distance_says_which_way() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(distance(now, now), "just now");
        assert_eq!(distance(now - Duration::from_secs(61), now), "1 min 1 s ago");
        assert_eq!(distance(now + Duration::from_hours(25), now), "in 1 d 1 h");
    }

    #[test]
    fn latencies_have_no_more_digits_than_mean_something() {
        for (micros, text) in [
            (0, "0 ms"),
            (40, "0.0 ms"),
            (1_234, "1.2 ms"),
            (123_456, "123 ms"),
            (999_600, "1.00 s"),
            (1_234_567, "1.23 s"),
        ] {
            assert_eq!(latency(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_share_is_rounded_down() {
        assert_eq!(percent(0.999_99), "99.99 %");
        assert_eq!(percent(0.999), "99.9 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(-0.5), "-50 %");
        assert_eq!((whole_percent(0.999_95), whole_percent(0.999)), ("99.995 %".into(), "99.9 %".into()));
    }

    #[test]
    fn multiples_have_a_digit_after_the_point_while_it_means_something() {
        assert_eq!((times(1.25), times(61.2)), ("1.2 times".to_owned(), "61 times".to_owned()));
    }

    #[test]
    fn moments_are_in_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_037_732_500);
        assert_eq!(moment(time), "2025-11-25 02:28:52 UTC");
        assert_eq!((day(time), clock(time)), ("2025-11-25".to_owned(), "02:28:52".to_owned()));
    }
}
