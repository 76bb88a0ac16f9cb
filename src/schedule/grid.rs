//! The places in an interval where probes are due. There are few, so that a thread that wakes up starts several probes: to
//! wake up costs as much as a probe on an open connection.

use sha2::{Digest as _, Sha256};
use tokio::time::Duration;

/// Probes that open a connection wait for each other's handshakes. So on average, at most this many are due together.
const MAX_TOGETHER: f64 = 14.0;
/// The steps of these probes, for fleets of different sizes. There are few, so that a key more or less seldom moves the
/// probes of the others.
const STEPS: [Duration; 2] = [Duration::from_millis(40), Duration::from_millis(20)];
/// The step of larger fleets.
const SHORTEST_STEP: Duration = Duration::from_millis(10);
/// The step of probes on open connections, which have little to do.
const LONGEST_STEP: Duration = Duration::from_millis(50);
/// An interval has at least so many steps.
const MIN_STEPS: u32 = 100;

/// The grids of a fleet, and how its keys are divided among the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grids {
    step: Duration,
    threads: usize,
}

/// The places in an interval where some probes of a thread are due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    step: Duration,
    /// By how much of a step the places are later than the multiples of a step, in `0..1`.
    shift: f64,
}

impl Grids {
    /// For a fleet that opens so many connections each second. Its probes run on so many threads.
    pub(crate) fn new(connections_per_second: f64, threads: usize) -> Self {
        let is_short_enough = |step: &Duration| step.as_secs_f64() * connections_per_second <= MAX_TOGETHER;
        let step = STEPS.into_iter().find(is_short_enough).unwrap_or(SHORTEST_STEP);
        Self { step, threads: threads.max(1) }
    }

    /// The thread of all probes of a key, in `0..threads`. A restart does not change it.
    pub(crate) fn thread(self, partner: &str, key: &str) -> usize {
        let digest: [u8; 32] = name_hash(partner, key).finalize().into();
        // The first bytes are the place in the interval.
        usize::from(digest[31]) % self.threads
    }

    /// The grid of the probes of this thread that open a connection.
    pub(crate) fn of_new_connections(self, thread: usize) -> Grid {
        Grid { step: self.step, shift: self.shift(thread) }
    }

    /// The grid of the probes of this thread that use an open connection.
    pub(crate) fn of_open_connections(self, thread: usize) -> Grid {
        Grid { step: LONGEST_STEP, shift: self.shift(thread) }
    }

    /// The places of a thread lie between those of the others, so that the threads do not compete for processors.
    #[expect(clippy::cast_precision_loss, reason = "few threads")]
    fn shift(self, thread: usize) -> f64 {
        thread as f64 / self.threads as f64
    }
}

impl Grid {
    /// The place for a probe that would be due so long after the beginning of an interval.
    pub(super) fn place(self, exact: Duration, interval: Duration) -> Duration {
        let step = self.step.min(interval / MIN_STEPS).max(Duration::from_nanos(1));
        let rest = exact.as_nanos() % step.as_nanos();
        exact.saturating_sub(super::nanoseconds(rest)) + step.mul_f64(self.shift)
    }
}

/// A hash of the names of a key. The length keeps ("a", "bc") and ("ab", "c") apart.
pub(super) fn name_hash(partner: &str, key: &str) -> Sha256 {
    Sha256::new_with_prefix((partner.len() as u64).to_be_bytes()).chain_update(partner).chain_update(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(1);

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_places_of_a_thread_are_on_a_grid() {
        let short = milliseconds(500);
        let grids = Grids::new(1_000.0, 2);
        for (interval, grid, step) in [
            (INTERVAL, grids.of_new_connections(0), SHORTEST_STEP),
            (INTERVAL, grids.of_open_connections(0), LONGEST_STEP),
            (Duration::from_secs(5), grids.of_open_connections(0), LONGEST_STEP),
            (short, grids.of_new_connections(0), short / MIN_STEPS),
            (short, grids.of_open_connections(0), short / MIN_STEPS),
        ] {
            for key in 0..997 {
                let exact = interval.mul_f64(f64::from(key) / 997.0);
                let place = grid.place(exact, interval);
                assert!(place <= exact && exact < place + step, "{place:?} instead of {exact:?}");
                assert_eq!(place.as_nanos() % step.as_nanos(), 0, "{interval:?} in steps of {step:?}");
            }
        }
        // Even an interval that no configuration allows divides by no zero.
        let tiny = Duration::from_nanos(10);
        assert_eq!(grids.of_new_connections(0).place(tiny / 2, tiny), tiny / 2);
    }

    #[test]
    fn the_places_of_a_thread_lie_between_those_of_the_others() {
        let grids = Grids::new(1_000.0, 2);
        let [first, second] = [0, 1].map(|thread| grids.of_new_connections(thread));
        assert_eq!(first.place(milliseconds(37), INTERVAL), milliseconds(30));
        assert_eq!(second.place(milliseconds(37), INTERVAL), milliseconds(35));
        let short = milliseconds(500);
        assert_eq!(second.place(milliseconds(37), short), Duration::from_micros(37_500));
    }

    #[test]
    fn the_more_probes_a_fleet_has_the_shorter_is_their_step() {
        for (keys, step) in [(0, 40), (1_000, 40), (10_000, 40), (20_000, 20), (50_000, 10), (500_000, 10)] {
            let grids = Grids::new(2.0 * f64::from(keys) / INTERVAL.as_secs_f64(), 2);
            assert_eq!(grids.of_new_connections(0).step, milliseconds(step), "{keys} keys");
            assert_eq!(grids.of_open_connections(0).step, LONGEST_STEP);
        }
    }

    #[test]
    fn keys_are_divided_evenly_among_the_threads() {
        for threads in [0, 1, 2, 3] {
            let grids = Grids::new(100.0, threads);
            let mut keys = vec![0_u32; threads.max(1)];
            for key in 0..3_000 {
                keys[grids.thread("acme", &format!("key-{key}"))] += 1;
            }
            let mean = 3_000 / u32::try_from(keys.len()).unwrap();
            assert!(keys.iter().all(|keys| keys.abs_diff(mean) < mean / 10), "{keys:?}");
        }
    }
}
