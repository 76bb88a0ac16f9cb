//! Computes when a probe is due; [`crate::probe_loop`] does the waiting.
//!
//! Each probe has one due time per interval. Its place in the interval depends only on the wall clock at the start, on
//! the names of partner and key, and on the probe's position. So the probes of the fleet are spread over the interval,
//! and neither a restart nor a reload shifts any probe (except by some milliseconds, if the fleet grows or shrinks so much
//! that another [`Grid`] suits it better): who restarts the exporter every few seconds still gets every key
//! asked. After the start only the monotonic clock counts, so setting the clock moves nobody. A late probe does not
//! delay later ones.

mod grid;

use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio::time::{Duration, Instant};

pub(crate) use grid::{Grid, Grids};

/// Probes that were missed in a [`Gap`] are made up for in a time that is so many times longer. With the regular
/// probes, this makes 1.2 times the usual rate.
const MAKE_UP_FACTOR: u32 = 5;
/// The files of probes are read ahead at multiples of this.
const READ_AHEAD_STEP: Duration = Duration::from_millis(100);
/// Probes that a gap interrupted are made up for as if the gap was at least this long. If the API hung when a short gap
/// began, many probes were under way.
const MIN_WINDOW: Duration = Duration::from_secs(10);

/// The same moment on both clocks: the start of all schedules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    monotonic: Instant,
    wall: Duration,
    turn: Turn,
}

/// Which of the due times of the fleet are those of this replica.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Turn {
    /// The place of a probe in the interval, in `0..1`, is multiplied by this.
    scale: f64,
    /// By how much of the interval the probes of this replica are shifted then, in `0..1`.
    shift: f64,
}

/// A time in which the process did not run: it was stopped, or its machine was paused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gap {
    length: Duration,
    end: Instant,
    /// Where in the gap the make-up begins, in `0..1`. If each gap began with the same probes, the others would starve
    /// when gaps return in step with an interval.
    rotation: f64,
}

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

impl Anchor {
    pub(crate) fn now(turn: Turn) -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { monotonic: Instant::now(), wall, turn }
    }

    /// Now, as if the wall clock showed a multiple of every interval.
    pub(crate) fn aligned() -> Self {
        Self { monotonic: Instant::now(), wall: Duration::ZERO, turn: Turn::EACH }
    }
}

impl Anchor {
    /// When to read ahead the files of a probe that is due at `due`: at a moment that it shares with all probes that are
    /// due within the same short time, and long enough before. `None` if this moment has passed.
    pub(crate) fn read_ahead(&self, due: Instant) -> Option<Instant> {
        let until_due = due.checked_duration_since(self.monotonic)?;
        let steps = until_due.as_nanos() / READ_AHEAD_STEP.as_nanos();
        let at = self.monotonic + multiply(READ_AHEAD_STEP, steps.checked_sub(1)?);
        (at > Instant::now()).then_some(at)
    }

    /// The grids of a fleet that opens so many connections each second, on so many threads. They are those of a single
    /// exporter for replicas that take turns, so that together they have its due times.
    pub(crate) fn grids(&self, connections_per_second: f64, threads: usize) -> Grids {
        Grids::new(connections_per_second / self.turn.scale, threads)
    }
}

impl Gap {
    /// A gap that has just ended. `seed` chooses where the make-up begins; it should be another one for each gap.
    pub(crate) fn ending_now(length: Duration, seed: SystemTime) -> Self {
        let nanos = seed.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let rotation = hashed_fraction(Sha256::new_with_prefix(nanos.to_be_bytes()));
        Self { length, end: Instant::now(), rotation }
    }

    /// When the process ran again.
    pub(crate) const fn end(&self) -> Instant {
        self.end
    }

    /// Whether this due time was in the gap.
    pub(crate) fn contains(&self, due: Instant) -> bool {
        due <= self.end && self.end.duration_since(due) < self.length
    }

    /// When a probe that was missed in the gap is made up for; `None` if it was not missed, or if its next regular due
    /// time comes first. `was_running`: the gap interrupted it.
    pub(crate) fn make_up(&self, schedule: Schedule, was_running: bool) -> Option<Instant> {
        let interval = schedule.interval;
        let next = schedule.next_due(self.end);
        let missed_ago = interval.saturating_sub(next.saturating_duration_since(self.end));
        let window = if was_running { self.length.max(MIN_WINDOW) } else { self.length }.min(interval);
        if missed_ago >= window && !was_running {
            return None;
        }
        // First what was due last: its next regular due time is the farthest away.
        let position = (missed_ago.as_secs_f64() / window.as_secs_f64() + self.rotation).fract();
        let at = self.end + (window * MAKE_UP_FACTOR).mul_f64(position);
        (at < next).then_some(at)
    }
}

impl Schedule {
    /// Due whenever the wall clock at `anchor`, continued by the monotonic clock, is `offset` of an interval after a
    /// multiple of `interval`, moved by less than a step to a place of `grid`. `interval` must not be zero; `offset` is in
    /// `0..1`.
    pub(crate) fn new(anchor: Anchor, offset: f64, interval: Duration, grid: Grid) -> Self {
        let phase = anchor.turn.phase(offset, interval, grid).as_nanos();
        let (wall, interval_nanos) = (anchor.wall.as_nanos(), interval.as_nanos());
        let wait = (phase + interval_nanos - wall % interval_nanos) % interval_nanos;
        Self::starting_at(anchor.monotonic + nanoseconds(wait), interval)
    }

    /// The first due time is `first`.
    pub(crate) const fn starting_at(first: Instant, interval: Duration) -> Self {
        Self { first, interval }
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
    nanoseconds(interval.as_nanos().saturating_mul(count))
}

fn nanoseconds(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The fraction of the interval, in `0..1`, by which a key's probe number `index` of `count` is shifted.
/// The probes of one key have equal distances, so that a revocation is detected as early as their number
/// allows.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
pub(crate) fn offset_fraction(partner: &str, key: &str, index: usize, count: usize) -> f64 {
    (hashed_fraction(name_hash(partner, key)) + index as f64 / count.max(1) as f64).fract()
}

/// A hash of the names of a key. The length keeps ("a", "bc") and ("ab", "c") apart.
fn name_hash(partner: &str, key: &str) -> Sha256 {
    Sha256::new_with_prefix((partner.len() as u64).to_be_bytes()).chain_update(partner).chain_update(key)
}

/// A number in `0..1`.
#[expect(clippy::cast_precision_loss, reason = "53 bits of a hash")]
fn hashed_fraction(hash: Sha256) -> f64 {
    let digest: [u8; 32] = hash.finalize().into();
    let head = digest.first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
    (head >> 11) as f64 / (1_u64 << 53) as f64
}

impl Turn {
    /// A single exporter has each due time.
    const EACH: Self = Self { scale: 1.0, shift: 0.0 };

    /// The turn of replica number `replica`.
    ///
    /// If `replicas` take turns, their intervals are so many times longer, and each has every due time of a single exporter
    /// that the others do not have. Otherwise each replica has an exporter's due times, shifted by 0, 1/2, 1/4, 3/4, 1/8, … of
    /// an interval: so the replicas stand apart as far as possible, whatever their number is.
    pub(crate) fn of_replica(replica: u32, replicas: u32) -> Self {
        if replicas > 1 {
            let scale = 1.0 / f64::from(replicas);
            return Self { scale, shift: f64::from(replica) * scale };
        }
        Self { scale: 1.0, shift: f64::from(replica.reverse_bits()) / 2.0_f64.powi(32) }
    }

    /// How long after a multiple of `interval` a probe is due. Its place is that of a single exporter.
    fn phase(self, offset: f64, interval: Duration, grid: Grid) -> Duration {
        let of_one = interval.mul_f64(self.scale);
        grid.place(of_one.mul_f64(offset), of_one) + interval.mul_f64(self.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Connection;

    const INTERVAL: Duration = Duration::from_mins(1);

    fn grid() -> Grid {
        Grids::new(10_000.0, 1).of(Connection::Fresh, 0)
    }

    /// Due at 15 s of each minute of the wall clock, which shows a full minute now.
    fn schedule(now: Instant) -> Schedule {
        Schedule::new(
            Anchor { monotonic: now, wall: INTERVAL * 1_000, turn: Turn::EACH },
            0.25,
            INTERVAL,
            grid(),
        )
    }

    #[test]
    fn a_restart_does_not_move_a_probe() {
        let now = Instant::now();
        for lived in [0, 7, 14, 15, 16, 59, 60, 61, 3_601] {
            let lived = Duration::from_secs(lived);
            let anchor = Anchor { monotonic: now + lived, wall: INTERVAL * 1_000 + lived, turn: Turn::EACH };
            let restarted = Schedule::new(anchor, 0.25, INTERVAL, grid());
            assert_eq!(restarted.next_due(now + lived), schedule(now).next_due(now + lived), "{lived:?}");
        }
    }

    #[test]
    fn due_times_are_rounded_to_the_grid() {
        let anchor = Anchor { monotonic: Instant::now(), wall: INTERVAL * 1_000, turn: Turn::EACH };
        for (thread, expected) in [(0, 30_000), (1, 30_005)] {
            let grid = Grids::new(1_000.0, 2).of(Connection::Fresh, thread);
            // 30.006 s without a grid.
            let schedule = Schedule::new(anchor, 0.5001, INTERVAL, grid);
            let wait = schedule.next_due(anchor.monotonic).duration_since(anchor.monotonic);
            assert_eq!(wait, Duration::from_millis(expected));
        }
    }

    #[test]
    fn replicas_that_take_turns_have_the_due_times_of_one_exporter() {
        let now = Instant::now();
        let due = |replica, replicas: u32, offset, interval: Duration, grid| {
            let turn = Turn::of_replica(replica, replicas);
            let anchor = Anchor { monotonic: now, wall: interval * 600_000, turn };
            Schedule::new(anchor, offset, interval * replicas, grid).next_due(now).duration_since(now)
        };
        let intervals = [60_000, 2_000, 1_025, 100].map(Duration::from_millis);
        let grids = Grids::new(10_000.0, 2);
        let (short, long) = (grids.of(Connection::Fresh, 1), grids.of(Connection::Reuse, 1));
        for interval in intervals {
            for (offset, grid) in [(0.0, short), (0.25, short), (0.515, long), (0.777, short), (0.999, long)]
            {
                for (replica, replicas) in [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)] {
                    let single = due(0, 1, offset, interval, grid) + interval * replica;
                    let turn = due(replica, replicas, offset, interval, grid);
                    // A third has no exact number.
                    assert!(turn.abs_diff(single).as_nanos() <= 1, "{turn:?} instead of {single:?}");
                }
            }
        }
    }

    #[test]
    fn replicas_that_take_turns_have_the_grid_of_one_exporter() {
        let grids = |replica, replicas: u32| {
            let turn = Turn::of_replica(replica, replicas);
            let anchor = Anchor { monotonic: Instant::now(), wall: Duration::ZERO, turn };
            anchor.grids(600.0 / f64::from(replicas), 2)
        };
        assert_eq!(grids(0, 2), grids(0, 1));
        assert_eq!(grids(2, 3), grids(0, 1));
        assert_ne!(grids(0, 1), Grids::new(300.0, 2), "the number of connections matters");
    }

    #[test]
    fn two_replicas_stand_half_an_interval_apart() {
        let now = Instant::now();
        let due = |replica| {
            let anchor =
                Anchor { monotonic: now, wall: INTERVAL * 1_000, turn: Turn::of_replica(replica, 1) };
            Schedule::new(anchor, 0.25, INTERVAL, grid()).next_due(now).duration_since(now).as_secs()
        };
        assert_eq!([0, 1, 2, 3].map(due), [15, 45, 30, 0]);
    }

    /// The seconds after a gap of `length` seconds at which the probes of so many keys are made up for, and run
    /// regularly.
    fn after_a_gap(length: u64, rotation: f64) -> (Vec<f64>, Vec<f64>) {
        let start = Instant::now();
        let end = start + Duration::from_mins(10);
        let gap = Gap { length: Duration::from_secs(length), end, rotation };
        let anchor = Anchor { monotonic: start, wall: INTERVAL * 1_000, turn: Turn::EACH };
        let schedules =
            (0..6_000).map(|key| Schedule::new(anchor, f64::from(key) / 6_000.0, INTERVAL, grid()));
        let seconds = |at: Instant| at.duration_since(end).as_secs_f64();
        let made_up = schedules.clone().filter_map(|schedule| gap.make_up(schedule, false)).map(seconds);
        (made_up.collect(), schedules.map(|schedule| seconds(schedule.next_due(end))).collect())
    }

    #[test]
    fn after_a_gap_the_fleet_never_runs_above_1_2_times_its_mean_rate() {
        for (length, rotation) in [(2, 0.0), (5, 0.3), (25, 0.0), (25, 0.7), (60, 0.5), (86_400, 0.1)] {
            let (made_up, regular) = after_a_gap(length, rotation);
            assert!(!made_up.is_empty());
            for second in 0..60_u32 {
                let in_second = |at: &&f64| (f64::from(second)..f64::from(second + 1)).contains(*at);
                let regular = regular.iter().filter(in_second).count();
                let all = regular + made_up.iter().filter(in_second).count();
                assert!((99..=101).contains(&regular), "{regular} regular probes in second {second}");
                assert!(all <= 122, "{all} in second {second} after a gap of {length} s");
            }
        }
    }

    #[test]
    fn a_gap_contains_its_end_and_not_its_beginning() {
        let start = Instant::now();
        let second = |second| start + Duration::from_secs(second);
        let gap = Gap { length: Duration::from_secs(10), end: second(20), rotation: 0.0 };
        for (due, is_contained) in [(0, false), (10, false), (11, true), (20, true), (21, false), (40, false)]
        {
            assert_eq!(gap.contains(second(due)), is_contained, "{due}");
        }
    }

    #[test]
    fn a_short_gap_is_made_up_for_completely_and_a_long_one_by_the_regular_due_times() {
        let (made_up, _) = after_a_gap(2, 0.0);
        assert!((199..=200).contains(&made_up.len()), "{} of the 200 probes of two seconds", made_up.len());
        let (made_up, _) = after_a_gap(86_400, 0.0);
        assert!((990..=1_010).contains(&made_up.len()), "{}", made_up.len());
    }

    #[test]
    fn gaps_in_step_with_the_interval_starve_no_key() {
        // It runs for 8 s of each minute, always the same 8 s, so most keys have no regular due time.
        let starved_after = |lives: u64| {
            let now = Instant::now();
            let mut asked = [false; 200];
            for life in 0..lives {
                let seed = SystemTime::UNIX_EPOCH + INTERVAL * u32::try_from(life).unwrap();
                let Gap { rotation, .. } = Gap::ending_now(Duration::from_secs(52), seed);
                let gap = Gap { length: Duration::from_secs(52), end: now, rotation };
                for (key, asked) in asked.iter_mut().enumerate() {
                    let offset = offset_fraction("acme", &format!("key-{key}"), 0, 1);
                    let anchor = Anchor { monotonic: now, wall: INTERVAL * 1_000, turn: Turn::EACH };
                    let schedule = Schedule::new(anchor, offset, INTERVAL, grid());
                    let first = gap.make_up(schedule, false).unwrap_or_else(|| schedule.next_due(now));
                    *asked |= first < now + Duration::from_secs(8);
                }
            }
            asked.iter().filter(|asked| !**asked).count()
        };
        assert!(starved_after(1) > 100);
        assert_eq!(starved_after(400), 0);
    }

    #[test]
    fn a_probe_that_a_gap_interrupted_is_made_up_for() {
        let start = Instant::now();
        let gap = Gap { length: Duration::from_secs(5), end: start + Duration::from_secs(22), rotation: 0.0 };
        // It was due at second 15, and the gap began at second 17.
        assert_eq!(gap.make_up(schedule(start), false), None);
        assert!(gap.make_up(schedule(start), true).is_some_and(|at| at >= gap.end));
    }

    #[test]
    fn a_probe_is_made_up_for_only_before_its_next_regular_due_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        // It was due 24 s before the end of the gap, so it is due again 40 s after it.
        let schedule = Schedule::starting_at(start, Duration::from_secs(64));
        let make_up = |rotation| {
            Gap { length: Duration::from_secs(32), end: at(24), rotation }.make_up(schedule, false)
        };
        assert_eq!(make_up(0.46875), Some(at(24 + 35)));
        assert_eq!(make_up(0.5), None, "40 s after the gap");
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

    #[tokio::test(start_paused = true)]
    async fn files_of_probes_that_are_due_in_the_same_tenth_of_a_second_are_read_together_and_before() {
        let anchor = Anchor::aligned();
        let read_ahead = |millis: u64| {
            let at = anchor.read_ahead(anchor.monotonic + Duration::from_millis(millis))?;
            Some(at.duration_since(anchor.monotonic).as_millis())
        };
        assert_eq!([9_999, 10_000, 10_099, 10_100].map(read_ahead), [9_800, 9_900, 9_900, 10_000].map(Some));
        assert_eq!(read_ahead(200), Some(100));
        assert_eq!([0, 99, 100, 199].map(read_ahead), [None; 4], "too soon");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(read_ahead(10_150), None, "this moment is now");
        assert_eq!(read_ahead(10_200), Some(10_100));
        assert_eq!(anchor.read_ahead(anchor.monotonic.checked_sub(Duration::from_nanos(1)).unwrap()), None);
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
    fn a_new_version_moves_no_probe() {
        assert!((offset_fraction("acme", "dupont", 0, 1) - 0.386_818_884_267_224_3).abs() < 1e-15);
    }

    #[test]
    fn different_names_with_the_same_concatenation_have_different_offsets() {
        assert!((offset_fraction("a", "bc", 0, 1) - offset_fraction("ab", "c", 0, 1)).abs() > f64::EPSILON);
    }
}
