//! Runs file accesses on threads of their own.
//!
//! A file on a network share that no longer answers blocks its thread until the share answers again; no call can
//! end this wait. So such an access must run neither on the threads of the runtime, where it would stop every probe,
//! nor on tokio's threads for blocking work, which are limited and shared. Whoever waits here waits for a limited
//! time, and a blocked thread is replaced, up to a limit.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// A thread without work ends after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many more threads may work at the same time while as many are blocked.
const MAX_MORE_ACTIVE: usize = 28;

type Work = Box<dyn FnOnce() + Send>;

/// Why a file access has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoResult {
    #[error("does not respond")]
    NoAnswer,
    #[error("caused a panic")]
    Panic,
}

/// A pool of threads. Threads start when there is work, and end when there is none.
#[derive(Clone, Debug)]
pub(crate) struct FileThreads(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    state: Mutex<PoolState>,
    work: Condvar,
    /// How many threads may work at the same time, not counting the blocked ones.
    active: usize,
    /// How many threads there may be in all.
    max: usize,
}

#[derive(Default)]
struct PoolState {
    queue: VecDeque<(Arc<Task>, Work)>,
    threads: usize,
    /// Threads that wait for work.
    idle: usize,
    /// How many of them were started or notified for work, and have not run since.
    called: usize,
    /// Whether somebody waits for the queued work, so that one task must not wait for the end of another one.
    is_awaited: bool,
    /// Threads whose task was reported as late and has not ended.
    blocked: usize,
}

impl std::fmt::Debug for PoolState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { queue, threads, idle, called, is_awaited, blocked } = self;
        f.debug_struct("PoolState")
            .field("queue", &queue.len())
            .field("threads", threads)
            .field("idle", idle)
            .field("called", called)
            .field("is_awaited", is_awaited)
            .field("blocked", blocked)
            .finish()
    }
}

/// One access. Its phase changes only while the state of the pool is locked.
#[derive(Debug, Default)]
pub(crate) struct Task(Mutex<Phase>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Queued,
    Running,
    /// Running, and reported as late.
    Late,
    Ended,
}

impl FileThreads {
    /// At most `active` threads work at the same time, and some more while threads are blocked, so that many dead files
    /// are found out quickly. Each thread that is blocked is replaced; there are at most `max` threads in all.
    pub(crate) fn new(active: usize, max: usize) -> Self {
        Self(Arc::new(Pool { state: Mutex::default(), work: Condvar::new(), active, max }))
    }

    /// Runs `work` as soon as there is a thread for it.
    pub(crate) fn start(&self, work: impl FnOnce() + Send + 'static) -> Arc<Task> {
        let task = self.queue(work);
        self.call_thread();
        task
    }

    /// As [`Self::start`], but calls no thread: a call costs more than a short access, and one is enough for many.
    pub(crate) fn queue(&self, work: impl FnOnce() + Send + 'static) -> Arc<Task> {
        let task = Arc::new(Task::default());
        self.0.lock().queue.push_back((Arc::clone(&task), Box::new(work)));
        task
    }

    /// Has the queued work done by as many threads as may work at the same time.
    pub(crate) fn call_thread(&self) {
        let mut state = self.0.lock();
        state.is_awaited |= !state.queue.is_empty();
        self.0.provide_thread(state);
    }

    /// Has the queued work done by one thread, because nobody waits for it yet. A caller that needs a result sooner calls
    /// [`Self::call_thread`].
    pub(crate) fn call_one_thread(&self) {
        let state = self.0.lock();
        let is_one_working = state.threads - state.idle > state.blocked;
        if !is_one_working {
            self.0.provide_thread(state);
        }
    }

    /// Reports that a task takes longer than a file access should: other work then gets another thread.
    pub(crate) fn report_late(&self, task: &Task) {
        let mut state = self.0.lock();
        if task.phase() == Phase::Running {
            task.set(Phase::Late);
            state.blocked += 1;
        }
        self.0.provide_thread(state);
    }

    /// Runs `work`, and waits for its result for at most `bound`. After that, work that has not started never starts.
    ///
    /// # Errors
    /// If there is no result in time, or `work` panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        bound: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoResult> {
        let (sender, result) = oneshot::channel();
        // The caller may have stopped waiting.
        let task = self.start(move || drop(sender.send(work())));
        let _clock = PausedClock::stop();
        let Ok(result) = timeout(bound, result).await else {
            self.give_up(&task);
            return Err(NoResult::NoAnswer);
        };
        result.map_err(|_| NoResult::Panic)
    }

    /// As [`Self::run`], but blocks the calling thread. For commands that have no runtime.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        bound: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoResult> {
        let (sender, result) = mpsc::channel();
        let task = self.start(move || drop(sender.send(work())));
        result.recv_timeout(bound).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => {
                self.give_up(&task);
                NoResult::NoAnswer
            }
            mpsc::RecvTimeoutError::Disconnected => NoResult::Panic,
        })
    }

    /// Whether a task was late and has not ended.
    pub(crate) fn is_blocked(&self) -> bool {
        self.0.lock().blocked > 0
    }

    fn give_up(&self, task: &Arc<Task>) {
        self.0.lock().queue.retain(|(queued, _)| !Arc::ptr_eq(queued, task));
        self.report_late(task);
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn max_threads(&self, state: &PoolState) -> usize {
        let more_active = state.blocked.min(MAX_MORE_ACTIVE);
        self.max.min(self.active + state.blocked + more_active)
    }

    /// Calls a thread if there is work for one. Only one is called at a time, and calls the next one when it runs: a
    /// thread that has come by then may have done the work of a hundred keys.
    fn provide_thread(self: &Arc<Self>, mut state: MutexGuard<'_, PoolState>) {
        if state.queue.is_empty() || state.called > 0 {
            return;
        }
        if state.idle > 0 {
            state.called += 1;
            // The thread needs the lock as soon as it is notified.
            drop(state);
            self.work.notify_one();
        } else if state.threads < self.max_threads(&state) {
            let pool = Arc::clone(self);
            let builder = thread::Builder::new().name("files".to_owned());
            // If the system has no thread left, the work stays in the queue until the next call.
            if builder.spawn(move || pool.run_thread()).is_ok() {
                state.threads += 1;
                state.idle += 1;
                state.called += 1;
            }
        }
    }

    fn run_thread(self: &Arc<Self>) {
        let (mut state, mut was_idle_for_long) = (self.lock(), false);
        loop {
            state.idle -= 1;
            // A thread that is called in the moment of its timeout does not know it, so each thread that runs counts as
            // called. The worst that can happen is that another thread is called twice.
            state.called = state.called.saturating_sub(1);
            if was_idle_for_long && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
            let mut is_first = true;
            while let Some((task, work)) = state.queue.pop_front() {
                task.set(Phase::Running);
                if is_first && state.is_awaited {
                    // The work may block this thread.
                    self.provide_thread(state);
                } else {
                    drop(state);
                }
                is_first = false;
                // The panic hook reports the panic; the thread continues.
                let _ = catch_unwind(AssertUnwindSafe(work));
                state = self.lock();
                state.blocked -= usize::from(task.phase() == Phase::Late);
                task.set(Phase::Ended);
                if state.threads > self.max_threads(&state) {
                    state.threads -= 1;
                    self.provide_thread(state);
                    return;
                }
            }
            (state.is_awaited, state.idle) = (false, state.idle + 1);
            let (woken, waited) =
                self.work.wait_timeout(state, IDLE_TIMEOUT).unwrap_or_else(PoisonError::into_inner);
            (state, was_idle_for_long) = (woken, waited.timed_out());
        }
    }
}

impl Task {
    fn phase(&self) -> Phase {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}

/// While this exists, a paused clock of a test stands still: it would otherwise jump to the end of a wait for another
/// thread, because it sees no other work of the runtime.
#[must_use]
pub(crate) struct PausedClock {
    #[cfg(test)]
    _held: mpsc::Sender<()>,
}

impl PausedClock {
    pub(crate) fn stop() -> Self {
        #[cfg(test)]
        {
            let (held, released) = mpsc::channel::<()>();
            if tokio::runtime::Handle::try_current().is_ok() {
                // A paused clock does not advance while such a thread works.
                tokio::task::spawn_blocking(move || {
                    let _ = released.recv();
                });
            }
            Self { _held: held }
        }
        #[cfg(not(test))]
        Self {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::Instant;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn queued_work_waits_for_a_call_and_one_call_is_enough_for_all_of_it() {
        let (threads, runs) = (FileThreads::new(2, 8), Arc::new(AtomicUsize::new(0)));
        let (done, mut all_done) = tokio::sync::mpsc::channel(100);
        for _ in 0..100 {
            let (runs, done) = (Arc::clone(&runs), done.clone());
            threads.queue(move || {
                runs.fetch_add(1, Ordering::Relaxed);
                done.try_send(()).unwrap();
            });
        }
        assert_eq!(threads.0.lock().threads, 0, "no thread was called");
        threads.call_thread();
        for _ in 0..100 {
            timeout(LONG, all_done.recv()).await.unwrap().unwrap();
        }
        assert_eq!(runs.load(Ordering::Relaxed), 100);
    }

    #[tokio::test]
    async fn queued_work_that_blocks_its_thread_holds_up_none_of_the_rest() {
        let threads = FileThreads::new(2, 8);
        let (_release, mut all_done) = queue_behind_blocked_work(&threads);
        threads.call_thread();
        for _ in 0..100 {
            timeout(LONG, all_done.recv()).await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn one_thread_does_the_work_that_nobody_waits_for() {
        let threads = FileThreads::new(4, 8);
        // Somebody waited for earlier work.
        assert_eq!(threads.run(LONG, || ()).await, Ok(()));
        while threads.0.lock().idle == 0 {
            tokio::task::yield_now().await;
        }
        let (done, mut all_done) = tokio::sync::mpsc::channel(100);
        for _ in 0..100 {
            let done = done.clone();
            threads.queue(move || done.try_send(thread::current().id()).unwrap());
            threads.call_one_thread();
        }
        let first = timeout(LONG, all_done.recv()).await.unwrap().unwrap();
        for _ in 1..100 {
            assert_eq!(timeout(LONG, all_done.recv()).await.unwrap(), Some(first));
        }
        assert_eq!(threads.0.lock().threads, 1);
    }

    #[tokio::test]
    async fn who_waits_for_queued_work_gets_another_thread_if_the_one_that_was_called_is_blocked() {
        let threads = FileThreads::new(2, 8);
        let (_release, mut all_done) = queue_behind_blocked_work(&threads);
        threads.call_one_thread();
        while threads.0.lock().called > 0 {
            tokio::task::yield_now().await;
        }
        threads.call_thread();
        for _ in 0..100 {
            timeout(LONG, all_done.recv()).await.unwrap().unwrap();
        }
    }

    /// Queues blocked work, and behind it 100 tasks that report their end.
    fn queue_behind_blocked_work(
        threads: &FileThreads,
    ) -> (mpsc::Sender<()>, tokio::sync::mpsc::Receiver<()>) {
        let (release, blocked) = blocked_work();
        threads.queue(blocked);
        let (done, all_done) = tokio::sync::mpsc::channel(100);
        for _ in 0..100 {
            let done = done.clone();
            threads.queue(move || done.try_send(()).unwrap());
        }
        (release, all_done)
    }

    /// Work that is blocked until the sender is dropped.
    fn blocked_work() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (release, released) = mpsc::channel::<()>();
        (release, move || {
            let _ = released.recv();
        })
    }

    #[tokio::test]
    async fn blocked_work_delays_no_other_work() {
        let threads = FileThreads::new(1, 8);
        let mut held = Vec::new();
        for _ in 0..3 {
            let (release, work) = blocked_work();
            held.push(release);
            assert_eq!(threads.run(SHORT, work).await, Err(NoResult::NoAnswer));
        }
        assert!(threads.is_blocked());
        assert_eq!(threads.run(LONG, || 7).await, Ok(7));
        drop(held);
        while threads.is_blocked() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(threads.run(LONG, || 8).await, Ok(8));
    }

    #[tokio::test]
    async fn work_beyond_the_limit_is_given_up_and_never_runs() {
        let threads = FileThreads::new(1, 1);
        let (release, work) = blocked_work();
        assert_eq!(threads.run(SHORT, work).await, Err(NoResult::NoAnswer));
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let outcome = threads.run(SHORT, move || counted.fetch_add(1, Ordering::Relaxed)).await;
        assert_eq!(outcome, Err(NoResult::NoAnswer));
        drop(release);
        assert_eq!(threads.run(LONG, || ()).await, Ok(()));
        assert_eq!(runs.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_continues() {
        let threads = FileThreads::new(1, 1);
        assert_eq!(threads.run(LONG, || -> u32 { panic!("planned panic") }).await, Err(NoResult::Panic));
        assert_eq!(threads.run(LONG, || 7).await, Ok(7));
    }

    #[test]
    fn a_thread_can_wait_without_a_runtime() {
        let threads = FileThreads::new(1, 2);
        let (_release, work) = blocked_work();
        assert_eq!(threads.wait(SHORT, work), Err(NoResult::NoAnswer));
        assert_eq!(threads.wait(LONG, || 7), Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_does_not_advance_during_an_access() {
        let started = Instant::now();
        let threads = FileThreads::new(1, 1);
        let (_release, released) = mpsc::channel::<()>();
        let slow = move || released.recv_timeout(2 * SHORT);
        assert_eq!(threads.run(SHORT, slow).await, Ok(Err(mpsc::RecvTimeoutError::Timeout)));
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
