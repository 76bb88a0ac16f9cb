//! Detects that the system clock was set: a machine without a battery starts with a wrong time, and is corrected later.
//!
//! The times of the last probes are compared with the clock to find probes that no longer run. If the clock moves, they must
//! move too: otherwise, a probe with a long interval looks as if it had not run for hours, or runs in the future.

use std::time::SystemTime;

use tokio::time::{Duration, Instant, sleep};
use tracing::warn;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Smaller steps and slow corrections do not matter.
const MIN_STEP: Duration = Duration::from_secs(2);
/// If reading both clocks takes longer, the process was stopped in between.
const MAX_READ_TIME: Duration = Duration::from_millis(100);

/// By how much the clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Forward(Duration),
    Back(Duration),
}

impl Step {
    /// What the clock would have shown at `time` if it had been right.
    pub(crate) fn correct(self, time: SystemTime) -> SystemTime {
        let corrected = match self {
            Self::Forward(length) => time.checked_add(length),
            Self::Back(length) => time.checked_sub(length),
        };
        corrected.unwrap_or(time)
    }
}

/// Both clocks at the same moment.
#[derive(Clone, Copy)]
struct Reading {
    wall: SystemTime,
    monotonic: Instant,
}

impl Reading {
    /// `None` if the clocks were not read at the same moment.
    fn now() -> Option<Self> {
        let (before, wall, monotonic) = (Instant::now(), SystemTime::now(), Instant::now());
        (monotonic.duration_since(before) <= MAX_READ_TIME).then_some(Self { wall, monotonic })
    }

    /// The step of the wall clock since this reading.
    fn step_until(self, now: Self) -> Option<Step> {
        let expected = self.wall.checked_add(now.monotonic.saturating_duration_since(self.monotonic))?;
        let step = match now.wall.duration_since(expected) {
            Ok(length) => Step::Forward(length),
            Err(error) => Step::Back(error.duration()),
        };
        let (Step::Forward(length) | Step::Back(length)) = step;
        (length >= MIN_STEP).then_some(step)
    }
}

/// Calls `on_step` whenever the clock was set.
pub(crate) async fn watch(on_step: impl Fn(Step)) {
    let mut last = Reading::now();
    loop {
        sleep(CHECK_INTERVAL).await;
        let Some(now) = Reading::now() else { continue };
        if let Some(step) = last.and_then(|last| last.step_until(now)) {
            let (direction, length) = match step {
                Step::Forward(length) => ("forward", length),
                Step::Back(length) => ("back", length),
            };
            let seconds = length.as_secs();
            warn!(direction, seconds, "the system clock was set; the times of the last probes follow it");
            on_step(step);
        }
        last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::at;

    #[test]
    fn only_a_clock_that_moves_otherwise_than_time_is_a_step() {
        let start = Reading { wall: at(1_000), monotonic: Instant::now() };
        let after = |seconds, wall| Reading {
            wall: at(wall),
            monotonic: start.monotonic + Duration::from_secs(seconds),
        };
        for (seconds, wall, step) in [
            (1, 1_001, None),
            (3_600, 4_600, None),
            (10, 1_011, None),
            (10, 1_009, None),
            (1, 1_003, Some(Step::Forward(Duration::from_secs(2)))),
            (1, 87_401, Some(Step::Forward(Duration::from_hours(24)))),
            (1, 900, Some(Step::Back(Duration::from_secs(101)))),
        ] {
            assert_eq!(start.step_until(after(seconds, wall)), step, "{seconds} {wall}");
        }
    }

    #[test]
    fn times_move_with_the_clock() {
        assert_eq!(Step::Forward(Duration::from_secs(5)).correct(at(10)), at(15));
        assert_eq!(Step::Back(Duration::from_secs(5)).correct(at(10)), at(5));
        assert_eq!(Step::Forward(Duration::MAX).correct(at(10)), at(10), "beyond what a time can be");
    }
}
