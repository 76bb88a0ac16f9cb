//! Runs a key's probes at the request of clients of `/probe`, and limits what this costs the customer.
//!
//! Every request uses the customer's budget, and clients may ask as often as they like. So the clients of a key
//! share one run, results of scheduled runs serve them too, and each probe runs at most once per interval at
//! their request: at most twice as often as the schedule alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Duration, Instant};

use super::{KeyMonitor, KeySession};

/// A probe that was skipped has cost nothing, so it may be tried again soon.
const SKIP_RETRY: Duration = Duration::from_secs(1);

/// A run that several clients wait for. If all of them drop it, it leaves the key's queue; a request that was
/// sent already is completed and recorded.
type SharedRun = Shared<BoxFuture<'static, ()>>;

/// What is known of the runs of one key.
#[derive(Debug, Default)]
pub(super) struct OnRequest(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// In the order of the configuration.
    calls: Box<[Calls]>,
    run: Option<WeakShared<BoxFuture<'static, ()>>>,
}

/// When a probe ran.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    /// The end of the last run, whoever wanted it.
    ended: Option<Instant>,
    /// The start of the last run at the request of a client.
    requested: Option<Instant>,
    /// When it was last skipped at the request of a client.
    skipped: Option<Instant>,
}

impl Calls {
    /// A result is out of date after half an interval. So a run on request lies in the middle between two
    /// scheduled runs if they are on time.
    fn may_run(&self, interval: Duration, now: Instant) -> bool {
        let is_past = |time: Option<Instant>, span: Duration| {
            time.is_none_or(|time| now.saturating_duration_since(time) >= span)
        };
        is_past(self.ended, interval / 2)
            && is_past(self.requested, interval)
            && is_past(self.skipped, SKIP_RETRY.min(interval))
    }
}

impl OnRequest {
    pub(super) fn new(probes: usize) -> Self {
        Self(Mutex::new(Inner { calls: vec![Calls::default(); probes].into(), run: None }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a run of the probe at `index` ended, whoever wanted it.
    pub(super) fn record_end(&self, index: usize) {
        self.update(index, |calls| calls.ended = Some(Instant::now()));
    }

    fn update(&self, index: usize, update: impl FnOnce(&mut Calls)) {
        if let Some(calls) = self.lock().calls.get_mut(index) {
            update(calls);
        }
    }

    fn calls(&self, index: usize) -> Calls {
        self.lock().calls.get(index).copied().unwrap_or_default()
    }
}

impl KeyMonitor {
    /// Returns the run that brings the key's results up to date, which may be one that another client waits for;
    /// `None` if all results are recent enough, or the probes may not run again yet.
    pub(crate) fn run_on_request(self: &Arc<Self>) -> Option<SharedRun> {
        let mut inner = self.on_request.lock();
        let under_way = inner.run.as_ref().and_then(WeakShared::upgrade);
        if let Some(run) = under_way.filter(|run| run.peek().is_none()) {
            return Some(run);
        }
        let now = Instant::now();
        let mut probes = self.probes().iter().zip(&inner.calls);
        if !probes.any(|(probe, calls)| calls.may_run(probe.timing.interval, now)) {
            return None;
        }
        let run = run_outdated(Arc::clone(self)).boxed().shared();
        inner.run = run.downgrade();
        Some(run)
    }

    fn may_run_on_request(&self, index: usize) -> bool {
        let interval = self.probes().get(index).map(|probe| probe.timing.interval);
        interval.is_some_and(|interval| self.on_request.calls(index).may_run(interval, Instant::now()))
    }

    /// Runs one probe in a turn that was waited for.
    async fn run_requested(&self, turn: OwnedMutexGuard<KeySession>, index: usize) {
        let (earlier, now) = (self.on_request.calls(index).requested, Instant::now());
        self.on_request.update(index, |calls| calls.requested = Some(now));
        if self.run_in_turn(turn, index, None).await.report().is_none() {
            self.on_request.update(index, |calls| {
                (calls.requested, calls.skipped) = (earlier, Some(Instant::now()));
            });
        }
    }

    /// Describes where the token or the password is read from. `None` while a probe runs.
    pub(crate) fn credential_description(&self) -> Option<String> {
        Some(self.session.try_lock().ok()?.tokens.description())
    }
}

/// Runs the probes whose results are out of date. The key's turn is waited for anew for each of them, so that the
/// schedule waits for one probe at most.
async fn run_outdated(monitor: Arc<KeyMonitor>) {
    for index in 0..monitor.probes().len() {
        if !monitor.may_run_on_request(index) {
            continue;
        }
        let turn = Arc::clone(&monitor.session).lock_owned().await;
        // Meanwhile the schedule may have run it.
        if monitor.may_run_on_request(index) {
            let monitor = Arc::clone(&monitor);
            // In its own task: if the clients go away, the result of a request that was sent must still be
            // recorded. If the task panics, the panic is logged and counted elsewhere.
            let _ = tokio::spawn(async move { monitor.run_requested(turn, index).await }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(1);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_probe_that_never_ran_may_run() {
        assert!(Calls::default().may_run(INTERVAL, Instant::now()));
    }

    #[test]
    fn a_result_is_recent_for_half_an_interval() {
        let now = Instant::now();
        let calls = Calls { ended: Some(now), ..Calls::default() };
        assert!(!calls.may_run(INTERVAL, now + seconds(29)));
        assert!(calls.may_run(INTERVAL, now + seconds(30)));
    }

    #[test]
    fn a_probe_runs_at_most_once_per_interval_on_request() {
        let now = Instant::now();
        let calls = Calls { ended: Some(now + seconds(1)), requested: Some(now), skipped: None };
        assert!(!calls.may_run(INTERVAL, now + seconds(59)), "although the result is out of date");
        assert!(calls.may_run(INTERVAL, now + seconds(60)));
    }

    #[test]
    fn a_skipped_probe_is_tried_again_after_a_second() {
        let now = Instant::now();
        let calls = Calls { skipped: Some(now), ..Calls::default() };
        assert!(!calls.may_run(INTERVAL, now));
        assert!(calls.may_run(INTERVAL, now + seconds(1)));
    }
}
