//! Whether the loops still turn: what `/-/healthy` tells.
//!
//! A single key that is not probed shows in its own metrics, whose times stand still. This is about what
//! only a restart could mend: that no loop turns at all any more.

use serde_with::SerializeDisplay;
use std::sync::{Mutex, MutexGuard, PoisonError};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use tokio::time::{Duration, Instant};

use crate::config::Config;

/// What a loop may take beyond what its configuration explains: a machine that is busy, a suspended one.
const GRACE: Duration = Duration::from_mins(1);
/// So many intervals without a beat are no chance.
const MAX_MISSED_INTERVALS: u32 = 3;

/// A kind of loop.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str)]
pub enum Loop {
    /// The health probe's.
    #[strum(serialize = "the health probe")]
    Health,
    /// All the keys', of which any may beat.
    #[strum(serialize = "the keys' probes")]
    Keys,
}

/// When each kind of loop last turned.
#[derive(Debug, Default)]
pub struct Watchdog(Mutex<[Option<Heartbeat>; 2]>);

/// The last beat, and how long until the next one may take.
#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    last: Instant,
    allowed: Duration,
}

/// A loop that does not turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StuckLoop {
    /// Which.
    pub which: Loop,
    /// For how long nothing of it was seen.
    pub silent: Duration,
}

impl Watchdog {
    /// From now on beats are expected as `config` explains them.
    pub fn arm(&self, config: &Config) {
        let probes = || config.partners.iter().flat_map(|partner| &partner.keys).flat_map(|key| &key.probes);
        let shortest = probes().map(|probe| probe.timing.interval).min();
        let longest = probes().map(|probe| probe.timing.timeout).max().unwrap_or_default();
        let allowed =
            |interval: Duration, timeout| interval.saturating_mul(MAX_MISSED_INTERVALS) + timeout + GRACE;
        let health = allowed(config.settings.health.timing.interval, config.settings.health.timing.timeout);
        let keys = shortest.map(|interval| allowed(interval, longest));
        let now = Instant::now();
        let heartbeat = |allowed| Heartbeat { last: now, allowed };
        *self.lock() = [Some(heartbeat(health)), keys.map(heartbeat)];
    }

    /// A loop turned.
    pub fn heartbeat(&self, which: Loop) {
        let [health, keys] = &mut *self.lock();
        let heartbeat = match which {
            Loop::Health => health,
            Loop::Keys => keys,
        };
        if let Some(heartbeat) = heartbeat {
            heartbeat.last = Instant::now();
        }
    }

    /// Nothing is expected any more: the loops were told to end.
    pub fn disarm(&self) {
        *self.lock() = [None; 2];
    }

    /// The loop that has been silent for longer than can be explained, if there is one.
    #[must_use]
    pub fn stuck(&self) -> Option<StuckLoop> {
        let heartbeats = *self.lock();
        Loop::VARIANTS.iter().zip(heartbeats).find_map(|(&which, heartbeat)| {
            let silent = heartbeat?.last.elapsed();
            (silent > heartbeat?.allowed).then_some(StuckLoop { which, silent })
        })
    }

    fn lock(&self) -> MutexGuard<'_, [Option<Heartbeat>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_turns_is_not_stuck_and_one_that_stands_is() {
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
        let silent = allowed + Duration::from_secs(1);
        assert_eq!(watchdog.stuck(), Some(StuckLoop { which: Loop::Health, silent }));
        watchdog.heartbeat(Loop::Keys);
        assert!(watchdog.stuck().is_some(), "another loop's beat is none of its own");
        watchdog.heartbeat(Loop::Health);
        assert_eq!(watchdog.stuck(), None);
        watchdog.disarm();
        advance(Duration::from_hours(1)).await;
        assert_eq!(watchdog.stuck(), None);
    }
}
