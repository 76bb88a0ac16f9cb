//! Writes the values of samples as text. A large fleet has hundreds of thousands of them in a scrape, and the formatter of
//! the standard library serves many more cases than these values have.

use std::time::{Duration, SystemTime};

/// The value of a sample.
pub(super) trait Value {
    fn write(self, out: &mut String);
}

macro_rules! unsigned {
    ($($type:ty),*) => { $(
        impl Value for $type {
            fn write(self, out: &mut String) {
                write_integer(u64::from(self), out);
            }
        }
    )* };
}

unsigned!(u8, u16, u32, u64);

impl Value for usize {
    fn write(self, out: &mut String) {
        write_integer(u64::try_from(self).unwrap_or(u64::MAX), out);
    }
}

/// A time as seconds since the epoch, with milliseconds.
pub(super) struct Timestamp(pub(super) SystemTime);

impl Value for Timestamp {
    fn write(self, out: &mut String) {
        // Only a wrong clock yields a time before 1970.
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        write_integer(since.as_secs(), out);
        out.push('.');
        write_digits::<3>(since.subsec_millis(), out);
    }
}

/// A duration in seconds, to the microsecond: more digits say nothing, and compress badly.
pub(super) struct Seconds(pub(super) Duration);

impl Value for Seconds {
    fn write(self, out: &mut String) {
        write_integer(self.0.as_secs(), out);
        let micros = self.0.subsec_micros();
        if micros > 0 {
            out.push('.');
            write_digits::<6>(micros, out);
            out.truncate(out.trim_end_matches('0').len());
        }
    }
}

fn write_integer(value: u64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// Writes so many digits, with leading zeros.
fn write_digits<const COUNT: usize>(value: u32, out: &mut String) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value);
    out.extend(std::iter::repeat_n('0', COUNT.saturating_sub(digits.len())));
    out.push_str(digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<V: Value>(value: V) -> String {
        let mut text = String::new();
        value.write(&mut text);
        text
    }

    #[test]
    fn integers_are_written_as_the_standard_library_writes_them() {
        for value in
            [0, 1, 9, 10, 99, 100, 101, 12_345, 1_000_000, u64::from(u32::MAX), u64::MAX - 1, u64::MAX]
        {
            assert_eq!(text(value), value.to_string());
        }
        assert_eq!(
            (text(7_u8), text(404_u16), text(20_u32), text(2_usize)),
            ("7".into(), "404".into(), "20".into(), "2".into())
        );
    }

    #[test]
    fn a_timestamp_has_milliseconds() {
        let at = |millis| text(Timestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)));
        assert_eq!(at(1_596_442_585_866), "1596442585.866");
        assert_eq!(at(1_596_442_585_007), "1596442585.007");
        assert_eq!(at(0), "0.000");
        assert_eq!(text(Timestamp(SystemTime::UNIX_EPOCH - Duration::from_secs(1))), "0.000");
    }

    #[test]
    fn a_duration_has_microseconds_and_no_trailing_zeros() {
        let nanos = |nanos| text(Seconds(Duration::from_nanos(nanos)));
        assert_eq!(nanos(4_386_215), "0.004386");
        assert_eq!(nanos(1_250_000_000), "1.25");
        assert_eq!(nanos(60_000_000_000), "60");
        assert_eq!(nanos(999), "0");
        assert_eq!(nanos(100_000_000_000), "100");
    }
}
