//! The watchdog behind `/-/healthy`: it detects that a kind of probe loop no longer runs.
//!
//! A single key that is not probed shows in its own metrics, because its times stop changing. The
//! watchdog is for the case that only a restart can fix: no loop of a kind runs any more.

use std::sync::{Mutex, MutexGuard, PoisonError};
use strum::{Display, VariantArray};

use tokio::time::{Duration, Instant};

use crate::config::Config;

/// Extra time beyond what the configuration explains, for a busy or suspended machine.
const GRACE: Duration = Duration::from_mins(1);
/// After this number of intervals without a heartbeat, a loop counts as stuck.
const MAX_MISSED_INTERVALS: u32 = 3;

/// A kind of probe loop. Its text is part of the response of `/-/healthy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, VariantArray)]
pub(crate) enum Loop {
    #[strum(serialize = "the health probe")]
    Health,
    /// The loops of all keys together: a heartbeat of any of them counts.
    #[strum(serialize = "the keys' probes")]
    Keys,
}

/// The last heartbeat of each [`Loop`]; `None` if none is expected.
#[derive(Debug, Default)]
pub(crate) struct Watchdog(Mutex<[Option<Heartbeat>; Loop::VARIANTS.len()]>);

/// The last heartbeat, and the maximum time until the next one.
#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    last: Instant,
    allowed: Duration,
}

/// A kind of loop that no longer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StuckLoop {
    pub kind: Loop,
    pub since_heartbeat: Duration,
}

impl Watchdog {
    /// Expects heartbeats from now on, as often as the intervals and timeouts of `config` require.
    pub(crate) fn arm(&self, config: &Config) {
        let probes =
            || config.partners.iter().flat_map(|partner| &partner.keys).flat_map(|key| key.probes.iter());
        let shortest = probes().map(|probe| probe.timing.interval).min();
        let longest = probes().map(|probe| probe.timing.timeout).max().unwrap_or_default();
        let allowed =
            |interval: Duration, timeout| interval.saturating_mul(MAX_MISSED_INTERVALS) + timeout + GRACE;
        let timing = config.settings.health.timing;
        let health = allowed(timing.interval, timing.timeout);
        let keys = shortest.map(|interval| allowed(interval, longest));
        let now = Instant::now();
        let heartbeat = |allowed| Heartbeat { last: now, allowed };
        *self.lock() = [Some(heartbeat(health)), keys.map(heartbeat)];
    }

    /// Records that a loop ran.
    pub(crate) fn heartbeat(&self, kind: Loop) {
        if let Some(Some(heartbeat)) = self.lock().get_mut(kind as usize) {
            heartbeat.last = Instant::now();
        }
    }

    /// Expects no more heartbeats: the loops were asked to stop.
    pub(crate) fn disarm(&self) {
        *self.lock() = Default::default();
    }

    /// The first kind of loop without a heartbeat for longer than allowed, if any.
    pub(crate) fn stuck(&self) -> Option<StuckLoop> {
        let heartbeats = *self.lock();
        Loop::VARIANTS.iter().zip(heartbeats).find_map(|(&kind, heartbeat)| {
            let since_heartbeat = heartbeat?.last.elapsed();
            (since_heartbeat > heartbeat?.allowed).then_some(StuckLoop { kind, since_heartbeat })
        })
    }

    fn lock(&self) -> MutexGuard<'_, [Option<Heartbeat>; Loop::VARIANTS.len()]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_without_heartbeats_is_stuck() {
        let (watchdog, config) = (Watchdog::default(), Config::default());
        assert_eq!(watchdog.stuck(), None, "nothing is expected yet");
        watchdog.arm(&config);
        let timing = config.settings.health.timing;
        let allowed = timing.interval * MAX_MISSED_INTERVALS + timing.timeout + GRACE;
        for _ in 0..3 {
            advance(allowed).await;
            assert_eq!(watchdog.stuck(), None);
            watchdog.heartbeat(Loop::Health);
        }
        advance(allowed + Duration::from_secs(1)).await;
        let since_heartbeat = allowed + Duration::from_secs(1);
        assert_eq!(watchdog.stuck(), Some(StuckLoop { kind: Loop::Health, since_heartbeat }));
        watchdog.heartbeat(Loop::Keys);
        assert!(watchdog.stuck().is_some(), "the heartbeat of another kind does not count");
        watchdog.heartbeat(Loop::Health);
        assert_eq!(watchdog.stuck(), None);
        watchdog.disarm();
        advance(Duration::from_hours(1)).await;
        assert_eq!(watchdog.stuck(), None);
    }
}
