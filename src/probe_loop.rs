//! Runs the probes when they are due: one task per key, which sleeps until a probe is due and then runs it.
//!
//! With one task per key, the requests of a key never overlap. Its schedule ([`crate::schedule`])
//! spreads the fleet over the interval. Dropping a task drops its probe in flight; nothing has to be
//! undone.

use std::future::pending;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use crate::monitor::{HealthMonitor, KeyMonitor};
use crate::schedule::{DueTime, Schedule, offset_fraction};
use crate::state::Skip;
use crate::watchdog::Loop;

/// Runs a key's probes for ever, each on its own schedule that starts at `anchor`.
pub(crate) async fn run_key_probes(monitor: Arc<KeyMonitor>, anchor: Instant) {
    let (partner, key) = (&monitor.monitored_key().partner.name, &monitor.monitored_key().name);
    let count = monitor.probes().len();
    let schedules = monitor.probes().iter().enumerate().map(|(index, probe)| {
        Schedule::new(anchor, offset_fraction(partner, key, index, count), probe.timing.interval)
    });
    let mut timers = Timers::new(schedules);
    loop {
        let (index, due) = timers.next().await;
        monitor.context.watchdog.heartbeat(Loop::Keys);
        if due.missed > 0 {
            monitor.skip(index, Skip::StillRunning, due.missed);
        }
        // Boxed, so that a sleeping key needs memory for a pointer only and not for a whole probe.
        Box::pin(monitor.run(index, Some(due.at))).await;
    }
}

/// Runs the health probe for ever, the first time immediately.
pub(crate) async fn run_health_probe(monitor: Arc<HealthMonitor>) {
    let mut timers = Timers::new([Schedule::new(Instant::now(), 0.0, monitor.timing.interval)]);
    loop {
        let (_, due) = timers.next().await;
        monitor.context.watchdog.heartbeat(Loop::Health);
        monitor.run(Some(due.at)).await;
    }
}

/// Several schedules, each with its next due time.
struct Timers(Vec<(Schedule, Instant)>);

impl Timers {
    fn new(schedules: impl IntoIterator<Item = Schedule>) -> Self {
        let now = Instant::now();
        Self(schedules.into_iter().map(|schedule| (schedule, schedule.next_due(now))).collect())
    }

    /// Sleeps until a probe is due. Returns the index of its schedule, its due time, and how many due
    /// times before it were missed while the caller was busy.
    async fn next(&mut self) -> (usize, DueTime) {
        let earliest = self.0.iter_mut().enumerate().min_by_key(|(_, (_, next))| *next);
        let Some((index, (schedule, next))) = earliest else { return pending().await };
        sleep_until(*next).await;
        let due = schedule.latest_due(*next, Instant::now());
        *next = due.at + schedule.interval;
        (index, due)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, sleep, timeout_at};

    use super::*;

    /// Follows `schedules`, given as (first due time, interval), for `span` seconds. Each run takes
    /// `busy(index)` seconds. Returns (index of the schedule, second of start, missed due times) for
    /// each run.
    async fn runs(
        schedules: &[(u64, u64)],
        span: u64,
        busy: impl Fn(usize) -> u64,
    ) -> Vec<(usize, u64, u64)> {
        let anchor = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let schedules = schedules.iter().map(|&(first, interval)| {
            Schedule::new(anchor, first as f64 / interval as f64, Duration::from_secs(interval))
        });
        let mut starts = Vec::new();
        let end = anchor + Duration::from_millis(span * 1000 + 500);
        let mut timers = Timers::new(schedules);
        while let Ok((index, due)) = timeout_at(end, timers.next()).await {
            if Instant::now() > end {
                break;
            }
            starts.push((index, anchor.elapsed().as_secs(), due.missed));
            sleep(Duration::from_secs(busy(index))).await;
        }
        starts
    }

    #[tokio::test(start_paused = true)]
    async fn each_due_time_is_used_once_and_on_time() {
        assert_eq!(runs(&[(3, 10)], 30, |_| 0).await, [(0, 3, 0), (0, 13, 0), (0, 23, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_run_does_not_delay_later_runs() {
        assert_eq!(runs(&[(0, 10)], 30, |_| 9).await, [(0, 0, 0), (0, 10, 0), (0, 20, 0), (0, 30, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn due_times_missed_while_busy_are_skipped_and_counted() {
        assert_eq!(runs(&[(0, 10)], 70, |_| 25).await, [(0, 0, 0), (0, 25, 1), (0, 50, 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_probes_of_one_key_never_overlap() {
        let runs = runs(&[(0, 10), (1, 10)], 21, |_| 4).await;
        assert_eq!(runs, [(0, 0, 0), (1, 4, 0), (0, 10, 0), (1, 14, 0), (0, 20, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_without_probes_runs_nothing() {
        assert_eq!(runs(&[], 100, |_| 0).await, []);
    }

    fn assert_send<F: Send>(_: &F) {}

    #[test]
    fn a_key_s_task_can_move_between_threads() {
        let _ = |monitor: Arc<KeyMonitor>| assert_send(&run_key_probes(monitor, Instant::now()));
    }
}
