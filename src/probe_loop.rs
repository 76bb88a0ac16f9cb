//! When each probe runs: one task a key, which sleeps until a probe is due and then runs it.
//!
//! One task a key makes a key's calls follow one another; its grid ([`crate::schedule`]) spreads the
//! fleet over the interval. A task that is dropped drops its probe in flight: nothing needs undoing.

use std::future::pending;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use crate::config::Timing;
use crate::monitor::{HealthWatch, KeyWatch};
use crate::schedule::{Due, Grid, share};
use crate::watchdog::Loop;

/// Runs a key's probes, each on its own grid through `anchor`, for ever.
pub async fn keep_probing(watch: Arc<KeyWatch>, anchor: Instant) {
    let (partner, key) = (&watch.entry().partner.name, &watch.entry().name);
    let count = watch.probes().len();
    let grids =
        watch.probes().iter().enumerate().map(|(index, probe)| {
            Grid::new(anchor, share(partner, key, index, count), probe.timing.interval)
        });
    let mut lanes = Lanes::new(grids);
    loop {
        let (index, due) = lanes.next().await;
        watch.pulse().beat(Loop::Keys);
        if due.missed > 0 {
            watch.missed(index, due.missed);
        }
        // Boxed, so that a sleeping key holds a pointer and not the room that a probe needs.
        Box::pin(watch.run(index, Some(due.at))).await;
    }
}

/// Runs the health probe, the first one at once, for ever.
pub async fn keep_probing_health(watch: Arc<HealthWatch>) {
    let Timing { interval, .. } = watch.timing();
    let mut lanes = Lanes::new([Grid::new(Instant::now(), 0.0, interval)]);
    loop {
        let (_, due) = lanes.next().await;
        watch.pulse().beat(Loop::Health);
        watch.run(Some(due.at)).await;
    }
}

/// Several grids, and on each the next point to wait for.
struct Lanes(Vec<(Grid, Instant)>);

impl Lanes {
    fn new(grids: impl IntoIterator<Item = Grid>) -> Self {
        let now = Instant::now();
        Self(grids.into_iter().map(|grid| (grid, grid.next(now))).collect())
    }

    /// Sleeps until a point's time has come: on which grid, which point, and how many before it went
    /// by unused while the caller was busy.
    async fn next(&mut self) -> (usize, Due) {
        let earliest = self.0.iter_mut().enumerate().min_by_key(|(_, (_, next))| *next);
        let Some((index, (grid, next))) = earliest else { return pending().await };
        sleep_until(*next).await;
        let due = grid.catch_up(*next, Instant::now());
        *next = due.at + grid.interval();
        (index, due)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, sleep, timeout_at};

    use super::*;

    /// Follows grids for `span`, each run lasting `busy(index)`; tells (grid, second of start, missed).
    async fn runs(grids: &[(u64, u64)], span: u64, busy: impl Fn(usize) -> u64) -> Vec<(usize, u64, u64)> {
        let anchor = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let grids = grids.iter().map(|&(first, interval)| {
            Grid::new(anchor, first as f64 / interval as f64, Duration::from_secs(interval))
        });
        let mut seen = Vec::new();
        let end = anchor + Duration::from_millis(span * 1000 + 500);
        let mut lanes = Lanes::new(grids);
        while let Ok((index, due)) = timeout_at(end, lanes.next()).await {
            if Instant::now() > end {
                break;
            }
            seen.push((index, anchor.elapsed().as_secs(), due.missed));
            sleep(Duration::from_secs(busy(index))).await;
        }
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn each_point_is_used_once_and_on_time() {
        assert_eq!(runs(&[(3, 10)], 30, |_| 0).await, [(0, 3, 0), (0, 13, 0), (0, 23, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_run_does_not_push_the_later_ones() {
        assert_eq!(runs(&[(0, 10)], 30, |_| 9).await, [(0, 0, 0), (0, 10, 0), (0, 20, 0), (0, 30, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn points_passed_while_busy_are_left_out_and_counted() {
        assert_eq!(runs(&[(0, 10)], 70, |_| 25).await, [(0, 0, 0), (0, 25, 1), (0, 50, 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_probes_of_one_key_never_overlap() {
        let runs = runs(&[(0, 10), (1, 10)], 21, |_| 4).await;
        assert_eq!(runs, [(0, 0, 0), (1, 4, 0), (0, 10, 0), (1, 14, 0), (0, 20, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_without_probes_sleeps() {
        assert_eq!(runs(&[], 100, |_| 0).await, []);
    }

    fn assert_send<F: Send>(_: &F) {}

    #[test]
    fn a_key_s_task_can_move_between_threads() {
        let _ = |watch: Arc<KeyWatch>| assert_send(&keep_probing(watch, Instant::now()));
    }
}
