//! The places in an interval where probes are due. There are few, so that a thread that wakes up starts several probes: to
//! wake up costs as much as a probe on an open connection.

use sha2::Digest as _;
use tokio::time::Duration;

use super::{name_hash, nanoseconds};
use crate::config::Connection;

/// The steps of probes that open a connection. Probes that start together compute their handshakes one after the other, so
/// the last one waits for all of them: the larger the fleet, the shorter is the step. There are only three. So adding or
/// removing a key rarely changes the step, which moves the probes of other keys.
const NEW_CONNECTION_STEPS: [Duration; 3] =
    [Duration::from_millis(40), Duration::from_millis(20), Duration::from_millis(10)];
/// The step is the longest one in which all threads together open so many connections on average. If there is none, it is
/// the shortest one.
const MAX_CONNECTIONS_PER_STEP: f64 = 14.0;
/// The step of probes on open connections, which have little to do.
const OPEN_CONNECTION_STEP: Duration = Duration::from_millis(50);
/// An interval has at least so many steps, whatever its length is.
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
    /// By which part of a step the places are later than the multiples of the step, in `0..1`.
    delay: f64,
}

impl Grids {
    /// For a fleet that opens so many connections each second. Its probes run on so many threads.
    pub(crate) fn new(connections_per_second: f64, threads: usize) -> Self {
        let [.., shortest] = NEW_CONNECTION_STEPS;
        // A sum of many intervals is not exact.
        let most = MAX_CONNECTIONS_PER_STEP + 1e-6;
        let is_short_enough = |step: &Duration| step.as_secs_f64() * connections_per_second <= most;
        let step = NEW_CONNECTION_STEPS.into_iter().find(is_short_enough).unwrap_or(shortest);
        Self { step, threads: threads.max(1) }
    }

    /// The thread of all probes of a key, in `0..threads`. A restart does not change it.
    pub(crate) fn thread(self, partner: &str, key: &str) -> usize {
        let digest: [u8; 32] = name_hash(partner, key).finalize().into();
        // The first bytes decide the place in the interval, so the last one is used here.
        usize::from(digest[31]) % self.threads
    }

    /// The grid of the probes of this thread that use such a connection. The probes of two threads with the same step are
    /// never due together, so that they do not compete for processors.
    #[expect(clippy::cast_precision_loss, reason = "few threads")]
    pub(crate) fn of(self, connection: Connection, thread: usize) -> Grid {
        let step = match connection {
            Connection::Fresh => self.step,
            Connection::Reuse => OPEN_CONNECTION_STEP,
        };
        Grid { step, delay: thread as f64 / self.threads as f64 }
    }
}

impl Grid {
    /// The place for a probe that would be due so long after the beginning of an interval: less than a step earlier or later.
    pub(super) fn place(self, exact: Duration, interval: Duration) -> Duration {
        let step = self.step.min(interval / MIN_STEPS).max(Duration::from_nanos(1));
        let rest = exact.as_nanos() % step.as_nanos();
        exact.saturating_sub(nanoseconds(rest)) + step.mul_f64(self.delay)
    }
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
        for (interval, connection, step) in [
            (INTERVAL, Connection::Fresh, milliseconds(10)),
            (INTERVAL, Connection::Reuse, milliseconds(50)),
            (Duration::from_secs(5), Connection::Reuse, milliseconds(50)),
            (short, Connection::Fresh, milliseconds(5)),
            (short, Connection::Reuse, milliseconds(5)),
        ] {
            let grid = grids.of(connection, 0);
            for key in 0..997 {
                let exact = interval.mul_f64(f64::from(key) / 997.0);
                let place = grid.place(exact, interval);
                assert!(place <= exact && exact < place + step, "{place:?} instead of {exact:?}");
                assert_eq!(place.as_nanos() % step.as_nanos(), 0, "{interval:?} in steps of {step:?}");
            }
        }
        // Even with an interval that no configuration allows, nothing is divided by zero.
        let tiny = Duration::from_nanos(10);
        assert_eq!(grids.of(Connection::Fresh, 0).place(tiny / 2, tiny), tiny / 2);
    }

    #[test]
    fn the_places_of_a_thread_lie_between_those_of_the_others() {
        let grids = Grids::new(1_000.0, 2);
        let [first, second] = [0, 1].map(|thread| grids.of(Connection::Fresh, thread));
        assert_eq!(first.place(milliseconds(37), INTERVAL), milliseconds(30));
        assert_eq!(second.place(milliseconds(37), INTERVAL), milliseconds(35));
        let short = milliseconds(500);
        assert_eq!(second.place(milliseconds(37), short), Duration::from_micros(37_500));
    }

    #[test]
    fn the_more_connections_a_fleet_opens_the_shorter_is_the_step() {
        for (connections, step) in [
            (0.0, 40),
            (349.0, 40),
            (350.0, 40),
            (351.0, 20),
            (700.0, 20),
            (701.0, 10),
            (1_667.0, 10),
            (100_000.0, 10),
        ] {
            let grid = Grids::new(connections, 2).of(Connection::Fresh, 0);
            assert_eq!(grid.step, milliseconds(step), "{connections} connections per second");
        }
        // 350 per second, but their sum is more by 1e-11.
        let sum: f64 = std::iter::repeat_n(INTERVAL.as_secs_f64().recip(), 21_000).sum();
        assert_eq!(Grids::new(sum, 2), Grids::new(350.0, 2));
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
