//! Detects that the process did not run for a while, because it was stopped (`SIGSTOP`, `docker pause`) or its machine
//! was paused (the snapshot of a virtual machine).
//!
//! After a pause, every timer is due at once, and every timeout of a probe under way has passed. Neither says anything
//! about the API. Whoever waits for a timer calls [`Pauses::observe`] before it believes the timer, so no task can
//! overtake the detection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::time::{Duration, Instant, sleep};
use tracing::warn;

use crate::schedule::Gap;

/// How often [`Pauses::watch`] shows that the process runs.
const TICK: Duration = Duration::from_millis(250);
/// If nothing ran for this long, the process was paused. A busy machine delays a timer, but not all of them for so
/// long.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The pauses of this process. Nothing is detected until [`Self::watch`] runs.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Mutex<Observations>);

#[derive(Debug, Default)]
struct Observations {
    /// When the process was last seen running.
    last_seen: Option<Instant>,
    /// The last pause.
    last: Option<Gap>,
    /// The number of pauses.
    count: u64,
}

impl Pauses {
    /// Shows for ever that the process runs.
    pub(crate) async fn watch(&self) {
        self.lock().last_seen = Some(Instant::now());
        loop {
            sleep(TICK).await;
            self.observe();
        }
    }

    /// Detects a pause that has just ended. Returns how many pauses there were.
    pub(crate) fn observe(&self) -> u64 {
        let now = Instant::now();
        let mut observations = self.lock();
        if let Some(last_seen) = &mut observations.last_seen {
            let length = now.saturating_duration_since(*last_seen);
            *last_seen = now;
            if length >= MIN_PAUSE {
                observations.last = Some(Gap::ending_now(length, SystemTime::now()));
                observations.count += 1;
                let seconds = length.as_secs();
                warn!(
                    seconds,
                    "this process did not run for a while; the missed probes are spread over time"
                );
            }
        }
        observations.count
    }

    /// The last pause, if there was one.
    pub(crate) fn last(&self) -> Option<Gap> {
        self.observe();
        self.lock().last
    }

    fn lock(&self) -> MutexGuard<'_, Observations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_process_that_is_not_watched_has_no_pauses() {
        let pauses = Pauses::default();
        advance(Duration::from_hours(1)).await;
        assert_eq!((pauses.observe(), pauses.last()), (0, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_detected_once_and_by_whoever_runs_first() {
        let pauses = Arc::new(Pauses::default());
        let watched = Arc::clone(&pauses);
        tokio::spawn(async move { watched.watch().await });
        // Time passes in small steps while the process runs.
        sleep(Duration::from_hours(1)).await;
        assert_eq!(pauses.observe(), 0);
        let before = Instant::now();
        advance(Duration::from_secs(25)).await;
        assert_eq!((pauses.observe(), pauses.observe()), (1, 1));
        let pause = pauses.last().unwrap();
        assert!(pause.contains(before + Duration::from_secs(1)) && pause.contains(Instant::now()));
        assert!(!pause.contains(before - Duration::from_secs(1)));
        sleep(Duration::from_secs(25)).await;
        assert_eq!(pauses.observe(), 1);
    }
}
