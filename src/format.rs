//! Formats numbers, times and texts for the page and the terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::language::Language;
use crate::rfc3339;

/// A duration in its two largest units: `3 d 4 h`, `2 min 5 s`, `40 s`.
pub(crate) fn span(span: Duration) -> String {
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
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{count} {unit}", if text.is_empty() { "" } else { " " });
    }
    text
}

/// A number of seconds as minutes and seconds: `0:40`.
pub(crate) fn clock(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// The duration of a probe or a phase, with at most three significant digits.
pub(crate) fn latency(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let millis = seconds * 1e3;
    if duration.is_zero() {
        "0 ms".to_owned()
    } else if millis < 10.0 {
        format!("{millis:.1} ms")
    } else if millis < 999.5 {
        format!("{millis:.0} ms")
    } else if seconds < 9.995 {
        format!("{seconds:.2} s")
    } else if seconds < 99.95 {
        format!("{seconds:.1} s")
    } else {
        format!("{seconds:.0} s")
    }
}

/// A ratio in percent, rounded down to 0.01 %, so that 100 % means no failure. `1e-6` corrects floating-point
/// error.
pub(crate) fn percent(ratio: f64) -> String {
    let hundredths = (ratio * 10_000.0 + 1e-6).floor() / 100.0;
    format!("{hundredths} %")
}

/// A ratio in percent as it was configured, to the millionth of a percent.
pub(crate) fn configured_percent(ratio: f64) -> String {
    let millionths = (ratio * 1e8).round() / 1e6;
    format!("{millionths} %")
}

/// A date and time in UTC, to the second.
pub(crate) fn utc_time(time: SystemTime) -> String {
    let text = rfc3339::seconds(time).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

/// A date and time in UTC as people write it in this language: in English the year comes first, in French the day.
pub(crate) fn localized_time(time: SystemTime, language: Language) -> String {
    let day = date(time);
    match language {
        Language::English => utc_time(time),
        Language::French => {
            let parts: Vec<_> = day.rsplit('-').collect();
            format!("{} à {} UTC", parts.join("/"), time_of_day(time))
        }
    }
}

/// The date of a time, in UTC.
pub(crate) fn date(time: SystemTime) -> String {
    utc_time(time).chars().take("2026-11-25".len()).collect()
}

/// The time of day, to the second, in UTC.
pub(crate) fn time_of_day(time: SystemTime) -> String {
    utc_time(time).chars().skip("2026-11-25 ".len()).take("10:00:00".len()).collect()
}

/// A number with its thousands separated: `10,000`.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun in singular or plural.
pub(crate) fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// Whether a character could control a terminal, change the direction of the text, or break a line.
pub(crate) fn is_harmful(c: char) -> bool {
    let sets_direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks_line = matches!(c, '\u{2028}' | '\u{2029}');
    c.is_control() || sets_direction || breaks_line
}

/// The text with each harmful character replaced by U+FFFD. Names come from the configuration and details from
/// the network: neither is trusted.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if text.contains(is_harmful) { text.replace(is_harmful, "\u{fffd}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_could_control_a_terminal_are_replaced() {
        assert_eq!(
            harmless("a\x1b[2Jb\u{202e}\u{61c}\r\n\u{2028}"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(harmless("Société Générale/clé"), "Société Générale/clé");
    }

    #[test]
    fn a_span_has_its_two_largest_units() {
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
    fn a_latency_has_at_most_three_significant_digits() {
        for (micros, text) in [
            (0, "0 ms"),
            (40, "0.0 ms"),
            (1_234, "1.2 ms"),
            (123_456, "123 ms"),
            (999_600, "1.00 s"),
            (1_234_567, "1.23 s"),
            (9_994_000, "9.99 s"),
            (9_996_000, "10.0 s"),
            (12_345_678, "12.3 s"),
            (99_940_000, "99.9 s"),
            (99_960_000, "100 s"),
            (123_456_789, "123 s"),
        ] {
            assert_eq!(latency(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_percentage_is_rounded_down() {
        assert_eq!(percent(0.999_99), "99.99 %");
        assert_eq!(percent(0.999), "99.9 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(-0.5), "-50 %");
        assert_eq!(
            (configured_percent(0.999_95), configured_percent(0.999)),
            ("99.995 %".into(), "99.9 %".into())
        );
    }

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn times_are_in_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_037_732_500);
        assert_eq!(utc_time(time), "2025-11-25 02:28:52 UTC");
        assert_eq!(localized_time(time, Language::English), utc_time(time));
        assert_eq!(localized_time(time, Language::French), "25/11/2025 à 02:28:52 UTC");
        assert_eq!((date(time), time_of_day(time)), ("2025-11-25".to_owned(), "02:28:52".to_owned()));
    }
}
