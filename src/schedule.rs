//! Computes when a probe is due; [`crate::probe_loop`] does the waiting.
//!
//! Each probe has one due time per interval, shifted by a fraction of the interval that depends only on
//! the names of partner and key and on the probe's position. So the probes of the fleet are spread over
//! the interval, in the same way in each process; a reload does not shift any probe; and a late probe
//! does not delay later ones.

use sha2::{Digest as _, Sha256};
use tokio::time::{Duration, Instant};

/// The due times of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    first: Instant,
    pub interval: Duration,
}

/// A due time that has come, and how many due times before it were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DueTime {
    /// The latest due time that is not in the future.
    pub at: Instant,
    /// Earlier due times that were not used, because the key was busy.
    pub missed: u64,
}

impl Schedule {
    /// The first due time is `anchor + offset × interval`. `interval` must not be zero; `offset` is in
    /// `0..1`.
    pub(crate) fn new(anchor: Instant, offset: f64, interval: Duration) -> Self {
        Self { first: anchor + interval.mul_f64(offset), interval }
    }

    /// The first due time that is not before `now`.
    pub(crate) fn next_due(&self, now: Instant) -> Instant {
        let Some(elapsed) = now.checked_duration_since(self.first) else { return self.first };
        let intervals = elapsed.as_nanos().div_ceil(self.interval.as_nanos());
        self.first + multiply(self.interval, intervals)
    }

    /// The latest due time at `now`, for a caller that was waiting for the due time `expected`.
    pub(crate) fn latest_due(&self, expected: Instant, now: Instant) -> DueTime {
        let missed = now.saturating_duration_since(expected).as_nanos() / self.interval.as_nanos();
        DueTime {
            at: expected + multiply(self.interval, missed),
            missed: u64::try_from(missed).unwrap_or(u64::MAX),
        }
    }
}

/// An interval is at most a day and a process runs at most a few centuries, so the product fits in 64 bits of
/// nanoseconds (584 years).
fn multiply(interval: Duration, count: u128) -> Duration {
    let nanos = interval.as_nanos().saturating_mul(count);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The fraction of the interval, in `0..1`, by which a key's probe number `index` of `count` is shifted.
/// The probes of one key have equal distances, so that a revocation is detected as early as their number
/// allows.
#[expect(clippy::cast_precision_loss, reason = "53 bits of a hash, and small counts")]
pub(crate) fn offset_fraction(partner: &str, key: &str, index: usize, count: usize) -> f64 {
    let mut hash = Sha256::new();
    // The length keeps ("a", "bc") and ("ab", "c") apart.
    hash.update((partner.len() as u64).to_be_bytes());
    hash.update(partner);
    hash.update(key);
    let digest = hash.finalize();
    let head = digest.iter().take(8).fold(0_u64, |head, &byte| head << 8 | u64::from(byte));
    let key_offset = (head >> 11) as f64 / (1_u64 << 53) as f64;
    (key_offset + index as f64 / count.max(1) as f64).fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(1);

    fn schedule(anchor: Instant) -> Schedule {
        Schedule::new(anchor, 0.25, INTERVAL)
    }

    #[test]
    fn the_first_due_time_is_within_the_first_interval() {
        let anchor = Instant::now();
        assert_eq!(schedule(anchor).next_due(anchor), anchor + Duration::from_secs(15));
    }

    #[test]
    fn a_schedule_that_is_used_late_keeps_its_due_times() {
        let anchor = Instant::now();
        let at = |s| anchor + Duration::from_secs(s);
        assert_eq!(schedule(anchor).next_due(at(16)), at(75));
        assert_eq!(schedule(anchor).next_due(at(75)), at(75));
        assert_eq!(schedule(anchor).next_due(at(100_000)), at(100_035));
    }

    #[test]
    fn a_late_start_uses_its_own_due_time() {
        let anchor = Instant::now();
        let at = |s| anchor + Duration::from_secs(s);
        assert_eq!(schedule(anchor).latest_due(at(15), at(15)), DueTime { at: at(15), missed: 0 });
        assert_eq!(schedule(anchor).latest_due(at(15), at(74)), DueTime { at: at(15), missed: 0 });
    }

    #[test]
    fn missed_due_times_are_skipped_and_counted() {
        let anchor = Instant::now();
        let at = |s| anchor + Duration::from_secs(s);
        assert_eq!(schedule(anchor).latest_due(at(15), at(75)), DueTime { at: at(75), missed: 1 });
        assert_eq!(schedule(anchor).latest_due(at(15), at(200)), DueTime { at: at(195), missed: 3 });
    }

    #[test]
    fn ten_thousand_keys_are_spread_evenly() {
        let mut buckets = [0_u32; 60];
        for key in 0..10_000 {
            let offset = offset_fraction("acme", &format!("key-{key}"), 0, 2);
            assert!((0.0..1.0).contains(&offset));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..60")]
            let bucket = (offset * 60.0) as usize;
            buckets[bucket] += 1;
        }
        // 167 per second on average; five standard deviations are 65.
        assert!(buckets.iter().all(|&starts| (100..240).contains(&starts)), "{buckets:?}");
    }

    #[test]
    fn the_probes_of_one_key_have_equal_distances() {
        let offsets: Vec<_> = (0..3).map(|i| offset_fraction("acme", "dupont", i, 3)).collect();
        let distance = |a: f64, b: f64| (b - a).rem_euclid(1.0);
        assert!((distance(offsets[0], offsets[1]) - 1.0 / 3.0).abs() < 1e-9);
        assert!((distance(offsets[1], offsets[2]) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn different_names_with_the_same_concatenation_have_different_offsets() {
        assert!((offset_fraction("a", "bc", 0, 1) - offset_fraction("ab", "c", 0, 1)).abs() > f64::EPSILON);
    }
}
