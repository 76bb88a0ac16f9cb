//! Runs the probes when they are due: one task per key, which sleeps until a probe is due and then runs it.
//!
//! With one task per key, the requests of a key never overlap. Its schedule ([`crate::schedule`])
//! spreads the fleet over the interval. Dropping a task drops its probe in flight; nothing has to be
//! undone.

use std::future::pending;
use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep_until};

use crate::monitor::{HealthMonitor, KeyMonitor, ProbeRun};
use crate::pauses::Pauses;
use crate::schedule::{Anchor, DueTime, Gap, Grids, Schedule, offset_fraction};
use crate::state::Skip;
use crate::watchdog::Loop;

/// Probes that wait for the same budget start at most this long after it is available again: the longer a probe has
/// waited, the sooner. So keys that share a token take turns, too.
const MAX_POSTPONEMENT: Duration = Duration::from_millis(250);

/// Runs a key's probes for ever, each on its own schedule, with the due times since `from`. What was missed in the downtime
/// before this process started is made up for.
pub(crate) async fn run_key_probes(monitor: Arc<KeyMonitor>, start: Arc<Start>, from: Instant) {
    let (partner, key) = (&monitor.monitored_key().partner.name, &monitor.monitored_key().name);
    let (thread, count) = (start.grids.thread(partner, key), monitor.probes().len());
    let schedules = monitor.probes().iter().enumerate().map(|(index, probe)| {
        let offset = offset_fraction(partner, key, index, count);
        let grid = start.grids.of(probe.connection(), thread);
        Schedule::new(start.anchor, offset, probe.timing.interval, grid)
    });
    let mut timers = Timers::at(from, schedules, start.downtime);
    loop {
        if let Some(at) = timers.next_at().and_then(|due| start.anchor.read_ahead(due)) {
            sleep_until(at).await;
            monitor.read_files_ahead().await;
        }
        let turn = timers.next(&monitor.context.pauses).await;
        monitor.context.watchdog.heartbeat(Loop::Keys);
        if turn.due.missed > 0 {
            monitor.skip(turn.index, Skip::StillRunning, turn.due.missed);
        }
        // Boxed, so that a sleeping key needs memory for a pointer only and not for a whole probe.
        match Box::pin(monitor.run(turn.index, Some(turn.due.at))).await {
            ProbeRun::Ran(_) | ProbeRun::Skipped => {}
            ProbeRun::OverBudget { until } => {
                if !timers.wait(&turn, until) {
                    monitor.skip(turn.index, Skip::RateLimit, 1);
                }
            }
            ProbeRun::Interrupted => timers.make_up(&turn, monitor.context.pauses.last()),
        }
    }
}

/// Runs the health probe for ever, the first time immediately.
pub(crate) async fn run_health_probe(monitor: Arc<HealthMonitor>) {
    let mut timers = Timers::starting_now(monitor.timing.interval);
    // After a pause, too, it runs at once: it is one request, and it tells whether the API is up.
    let pauses = Pauses::default();
    loop {
        let turn = timers.next(&pauses).await;
        monitor.context.watchdog.heartbeat(Loop::Health);
        if matches!(monitor.run(Some(turn.due.at)).await, ProbeRun::Interrupted) {
            timers.run_again(&turn);
        }
    }
}

/// What the schedules of new tasks are computed from. The keys share it: each of them has a task, which should be small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub anchor: Anchor,
    pub grids: Grids,
    /// The time before in which no exporter ran.
    pub downtime: Option<Gap>,
}

/// The timers of the probes of one key.
struct Timers(Vec<Timer>);

#[derive(Debug)]
struct Timer {
    schedule: Schedule,
    /// The next regular due time.
    next: Instant,
    /// A run between two regular due times.
    extra: Option<Box<ExtraRun>>,
}

/// A run that was postponed, or is made up for.
#[derive(Clone, Copy, Debug)]
struct ExtraRun {
    at: Instant,
    /// From when it takes the turn of another probe of the key that has not waited so long.
    earliest: Instant,
    /// Since when the probe has been waiting to run.
    since: Instant,
    /// Whether it is made up for after a gap. A later gap has probes of its own to make up for: both together would be
    /// too many at once, so these wait for their regular due times.
    is_make_up: bool,
}

/// The turn of a probe to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    index: usize,
    due: DueTime,
    /// Since when the probe has been waiting to run.
    since: Instant,
}

impl Timer {
    fn at(&self) -> Instant {
        self.extra.as_ref().map_or(self.next, |extra| extra.at.min(self.next))
    }

    fn earliest(&self) -> Instant {
        self.extra.as_ref().map_or(self.next, |extra| extra.earliest.min(self.next))
    }

    fn since(&self) -> Instant {
        self.extra.as_ref().map_or(self.next, |extra| extra.since)
    }

    /// Makes up for the probe after a gap: at another time than the other probes of the fleet, or not at all if its
    /// next regular due time comes first.
    fn make_up(&mut self, gap: Gap, was_running: bool) {
        // The gap contains its end, so the next due time is later.
        self.next = self.schedule.next_due(self.next.max(gap.end() + Duration::from_nanos(1)));
        if let Some(at) = gap.make_up(self.schedule, was_running) {
            self.extra = Some(Box::new(ExtraRun { at, earliest: at, since: gap.end(), is_make_up: true }));
        }
    }

    /// Gives up a run that makes up for an earlier gap than this one. Returns whether there was one.
    fn give_up_make_up(&mut self, last: Gap) -> bool {
        self.extra.take_if(|extra| extra.is_make_up && extra.since < last.end()).is_some()
    }

    /// Starts the turn that has come.
    fn take_turn(&mut self, index: usize, now: Instant) -> Turn {
        let since = self.since();
        let extra = self.extra.take();
        if self.next > now {
            // A run between two regular due times moves neither of them.
            let due = DueTime { at: extra.map_or(self.next, |extra| extra.at), missed: 0 };
            return Turn { index, due, since };
        }
        let due = self.schedule.latest_due(self.next, now);
        self.next = due.at + self.schedule.interval;
        Turn { index, due, since }
    }
}

impl Timers {
    /// One probe, which is due now, and then once in each interval.
    fn starting_now(interval: Duration) -> Self {
        let now = Instant::now();
        Self::at(now, [Schedule::starting_at(now, interval)], None)
    }

    /// The due times from `now` on. A due time that is earlier by a nanosecond is one that was missed, so the caller
    /// passes the moment that its schedules start at.
    fn at(now: Instant, schedules: impl IntoIterator<Item = Schedule>, downtime: Option<Gap>) -> Self {
        let timers = schedules.into_iter().map(|schedule| {
            let mut timer = Timer { schedule, next: schedule.next_due(now), extra: None };
            if let Some(downtime) = downtime {
                timer.make_up(downtime, false);
                // A loop that was restarted after a panic has made up for the downtime already.
                timer.extra.take_if(|extra| extra.at < now);
            }
            timer
        });
        Self(timers.collect())
    }

    /// When the next probe is due.
    fn next_at(&self) -> Option<Instant> {
        self.0.iter().map(Timer::at).min()
    }

    /// Sleeps until a probe is due. If several are due, the one that has waited longest is first, so that no probe can
    /// take every turn. Its due time says how many due times were missed while the key was busy. A due time in a pause
    /// of the process is no turn: the probe is made up for later.
    async fn next(&mut self, pauses: &Pauses) -> Turn {
        loop {
            let Some(earliest) = self.next_at() else { return pending().await };
            sleep_until(earliest).await;
            let pause = pauses.last();
            let now = Instant::now();
            let due = self.0.iter_mut().enumerate().filter(|(_, timer)| timer.earliest() <= now);
            let Some((index, timer)) = due.min_by_key(|(_, timer)| timer.since()) else { continue };
            match pause {
                Some(pause) if timer.give_up_make_up(pause) => {}
                Some(pause) if pause.contains(timer.next) => timer.make_up(pause, false),
                Some(_) | None => return timer.take_turn(index, now),
            }
        }
    }

    /// Postpones a probe until `until`; it does not lose its place among the probes of its key. Returns whether this is
    /// before its next regular due time.
    fn wait(&mut self, turn: &Turn, until: Instant) -> bool {
        let Some(timer) = self.0.get_mut(turn.index) else { return false };
        let interval = timer.schedule.interval;
        let seniority = interval.as_secs_f64() / (interval + turn.since.elapsed()).as_secs_f64();
        let at = until + MAX_POSTPONEMENT.min(interval / 10).mul_f64(seniority);
        timer.extra = Some(Box::new(ExtraRun { at, earliest: until, since: turn.since, is_make_up: false }));
        at < timer.next
    }

    /// Runs a probe again at once.
    fn run_again(&mut self, turn: &Turn) {
        let now = Instant::now();
        if let Some(timer) = self.0.get_mut(turn.index) {
            timer.extra =
                Some(Box::new(ExtraRun { at: now, earliest: now, since: turn.since, is_make_up: false }));
        }
    }

    /// Makes up for a probe that a pause interrupted.
    fn make_up(&mut self, turn: &Turn, pause: Option<Gap>) {
        if let (Some(timer), Some(pause)) = (self.0.get_mut(turn.index), pause) {
            timer.make_up(pause, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep, timeout_at};

    use super::*;

    /// Follows `schedules`, given as (first due time, interval), for `span` seconds. Each run takes
    /// `busy(index)` seconds. Returns (index of the schedule, second of start, missed due times) for
    /// each run.
    async fn runs(
        schedules: &[(u64, u64)],
        span: u64,
        busy: impl Fn(usize) -> u64,
    ) -> Vec<(usize, u64, u64)> {
        let start = Instant::now();
        let mut starts = Vec::new();
        let end = start + Duration::from_millis(span * 1000 + 500);
        let (mut timers, pauses) = (timers(start, schedules), Pauses::default());
        while let Ok(turn) = timeout_at(end, timers.next(&pauses)).await {
            if Instant::now() > end {
                break;
            }
            starts.push((turn.index, start.elapsed().as_secs(), turn.due.missed));
            sleep(Duration::from_secs(busy(turn.index))).await;
        }
        starts
    }

    /// Timers of schedules that are given as (first due time, interval) in seconds.
    fn timers(start: Instant, schedules: &[(u64, u64)]) -> Timers {
        let schedules = schedules.iter().map(|&(first, interval)| {
            Schedule::starting_at(start + Duration::from_secs(first), Duration::from_secs(interval))
        });
        Timers::at(start, schedules, None)
    }

    /// Follows two probes with an interval of 10 s, which share a budget of one request in `window` seconds, for
    /// 200 seconds. Returns how often each of them ran.
    async fn runs_with_one_request_in(window: u64) -> [u32; 2] {
        let start = Instant::now();
        let (mut timers, pauses) = (timers(start, &[(0, 10), (5, 10)]), Pauses::default());
        let (mut runs, mut blocked_until) = ([0; 2], start);
        while start.elapsed() < Duration::from_secs(200) {
            let turn = timers.next(&pauses).await;
            if Instant::now() < blocked_until {
                timers.wait(&turn, blocked_until);
            } else {
                runs[turn.index] += 1;
                blocked_until = Instant::now() + Duration::from_secs(window);
            }
        }
        runs
    }

    /// With the real clock: a clock that stands still never shows how little is needed to miss the first due time.
    #[tokio::test]
    async fn the_first_health_probe_is_due_at_once() {
        let interval = Duration::from_hours(1);
        for _ in 0..100 {
            let first = Timers::starting_now(interval).0.first().map(Timer::at);
            assert!(first.is_some_and(|first| first <= Instant::now()), "it waits for a whole interval");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn probes_that_wait_for_the_same_budget_take_turns() {
        for window in [6, 9, 10, 11, 20, 25] {
            let runs = runs_with_one_request_in(window).await;
            assert!(runs[0].abs_diff(runs[1]) <= 1, "a window of {window} s: {runs:?}");
            assert!(u64::from(runs[0] + runs[1]) >= 200 / window.max(5), "a window of {window} s: {runs:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_postponed_probe_tells_whether_it_misses_its_next_due_time() {
        let start = Instant::now();
        let mut timers = timers(start, &[(0, 10)]);
        let turn = timers.next(&Pauses::default()).await;
        assert!(timers.wait(&turn, start + Duration::from_secs(9)));
        assert!(!timers.wait(&turn, start + Duration::from_secs(11)));
        let next = timers.next(&Pauses::default()).await;
        assert_eq!((next.due.at, next.since), (start + Duration::from_secs(10), start));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_a_probe_runs_once_later_and_no_due_time_counts_as_missed_by_the_key() {
        let (start, pauses) = (Instant::now(), Arc::new(Pauses::default()));
        let watched = Arc::clone(&pauses);
        tokio::spawn(async move { watched.watch().await });
        let mut timers = timers(start, &[(3, 10)]);
        assert_eq!(timers.next(&pauses).await.due.at, start + Duration::from_secs(3));
        sleep(Duration::from_secs(2)).await;
        advance(Duration::from_secs(25)).await;
        let resumed = Instant::now();
        let mut turn = timers.next(&pauses).await;
        assert!(turn.due.at > resumed && turn.due.missed == 0, "{turn:?}");
        if turn.due.at != start + Duration::from_secs(33) {
            turn = timers.next(&pauses).await;
        }
        let regular = DueTime { at: start + Duration::from_secs(33), missed: 0 };
        assert_eq!(turn.due, regular, "the schedule did not move");
    }

    /// The fleet has 600 probes with an interval of 20 s. Time stands still three times for 8 s, and runs 2 s in between.
    #[tokio::test(start_paused = true)]
    async fn pauses_that_follow_one_another_cause_no_burst() {
        let (start, pauses) = (Instant::now(), Arc::new(Pauses::default()));
        let watched = Arc::clone(&pauses);
        tokio::spawn(async move { watched.watch().await });
        let runs = Arc::new(std::sync::Mutex::new(Vec::new()));
        for number in 0..600 {
            let (runs, pauses) = (Arc::clone(&runs), Arc::clone(&pauses));
            let interval = Duration::from_secs(20);
            let schedule = Schedule::starting_at(start + interval * number / 600, interval);
            tokio::spawn(async move {
                let mut timers = Timers::at(start, [schedule], None);
                loop {
                    timers.next(&pauses).await;
                    runs.lock().unwrap().push(Instant::now());
                }
            });
        }
        sleep(Duration::from_secs(25)).await;
        let first_pause = Instant::now();
        for _ in 0..3 {
            advance(Duration::from_secs(8)).await;
            sleep(Duration::from_secs(2)).await;
        }
        sleep(Duration::from_mins(1)).await;
        let runs = runs.lock().unwrap().clone();
        for from in runs.iter().filter(|run| **run > first_pause) {
            let second =
                runs.iter().filter(|run| *run >= from && **run < *from + Duration::from_secs(1)).count();
            assert!(
                second <= 40,
                "{second} in the second after {:?}, and 30 are the mean",
                *from - first_pause
            );
        }
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

    fn size_of_future<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    /// A fleet has one such task for each key.
    #[test]
    fn the_task_of_a_key_is_small() {
        let asleep =
            size_of_future(|monitor: Arc<KeyMonitor>| run_key_probes(monitor, start(), Instant::now()));
        let probing = size_of_future(|monitor: &'static KeyMonitor| monitor.run(0, None));
        assert!(asleep <= 320 && probing <= 6_000, "{asleep} bytes asleep, {probing} while it probes");
    }

    fn start() -> Arc<Start> {
        Arc::new(Start { anchor: Anchor::aligned(), grids: Grids::new(0.0, 1), downtime: None })
    }

    fn assert_send<F: Send>(_: &F) {}

    #[test]
    fn a_key_s_task_can_move_between_threads() {
        let _ = |monitor: Arc<KeyMonitor>| assert_send(&run_key_probes(monitor, start(), Instant::now()));
    }
}
