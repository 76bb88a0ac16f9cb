//! The events that change the demo's fleet. The scenario repeats without end.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::time::{MissedTickBehavior, interval};

use super::{ACTIVATED, BUSY, REVOKED};
use crate::format;
use crate::language::{Language, text};
use crate::page::{Announcement, Moment};
use partner_simulator::{Fault, Key, Scope, Simulator};

/// The seconds of one round. At its end the fleet is as it was at the start.
pub(crate) const ROUND: u64 = 300;

/// The seconds of a round during which a customer's production traffic uses the whole budget of its key.
const BUSY_PERIOD: Range<u64> = 70..120;

/// What will happen, in a language.
type Announced = fn(Language) -> String;

struct Event {
    /// The seconds since the start of the round.
    at: u64,
    /// For the page, the log and the timetable, before it happens.
    announced: Announced,
    /// For the log, when it happens.
    told: &'static str,
    action: fn(&Simulator),
}

const fn event(at: u64, announced: Announced, told: &'static str, action: fn(&Simulator)) -> Event {
    Event { at, announced, told, action }
}

/// Far enough apart that a viewer can follow each change on the page.
const EVENTS: [Event; 12] = [
    event(
        20,
        |language| text!(language, "demo-activated"),
        "lefebvre's key is activated",
        |sim| {
            with_key(sim, ACTIVATED, Key::activate);
        },
    ),
    event(
        40,
        |language| text!(language, "demo-revoked"),
        "moreau's key is revoked",
        |sim| {
            with_key(sim, REVOKED, Key::revoke);
        },
    ),
    event(
        BUSY_PERIOD.start,
        |language| text!(language, "demo-busy"),
        "production traffic uses up the request budget of girard's key",
        |_| {},
    ),
    event(
        100,
        |language| text!(language, "demo-restored"),
        "moreau's key works again",
        |sim| {
            with_key(sim, REVOKED, Key::restore);
        },
    ),
    event(
        BUSY_PERIOD.end,
        |language| text!(language, "demo-quiet"),
        "girard's production traffic ends",
        |_| {},
    ),
    event(
        145,
        |language| text!(language, "demo-slow"),
        "the API becomes slow",
        |sim| {
            sim.inject(Scope::Everything, Fault::Delay(SLOW_RESPONSE));
        },
    ),
    event(175, |language| text!(language, "demo-fast"), "the API is fast again", end_faults),
    event(
        195,
        |language| text!(language, "demo-maintenance"),
        "announced maintenance begins",
        Simulator::begin_maintenance,
    ),
    event(225, |language| text!(language, "demo-maintenance-ends"), "the maintenance ends", end_faults),
    event(
        245,
        |language| text!(language, "demo-proxy"),
        "a proxy in front of the API responds with status 502",
        |sim| sim.inject(Scope::Everything, Fault::edge(StatusCode::BAD_GATEWAY)),
    ),
    event(
        265,
        |language| text!(language, "demo-proxy-ends"),
        "the proxy forwards requests again",
        end_faults,
    ),
    event(
        285,
        |language| text!(language, "demo-generated"),
        "lefebvre's key is generated again, and waits for its activation",
        |sim| with_key(sim, ACTIVATED, Key::set_pending),
    ),
];

/// Long enough to be visible, too short for a timeout.
pub(super) const SLOW_RESPONSE: Duration = Duration::from_millis(1_200);

pub(super) fn end_faults(sim: &Simulator) {
    sim.heal(&Scope::Everything);
}

fn with_key(sim: &Simulator, key: &str, action: fn(&Key)) {
    if let Some(key) = sim.key(key) {
        action(&key);
    }
}

/// The time of the scenario. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The present second of the round.
    second: Arc<AtomicU64>,
    /// How many seconds of the scenario pass in one second. Tests do not wait for long.
    speed: u32,
}

impl Scenario {
    pub(crate) fn new(speed: u32) -> Self {
        Self { second: Arc::default(), speed: speed.max(1) }
    }

    /// Runs the scenario again and again, until it is dropped. The log says what happens now and what happens next.
    pub(crate) async fn run(self, sim: Simulator) -> Infallible {
        let mut seconds = interval(Duration::from_secs(1) / self.speed);
        // After a suspend of the machine, the scenario continues where it was. It does not catch up.
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            for second in 0..ROUND {
                seconds.tick().await;
                self.second.store(second, Ordering::Relaxed);
                for event in EVENTS.iter().filter(|event| event.at == second) {
                    tracing::info!("demo: {} {}", format::clock(second), event.told);
                    (event.action)(&sim);
                }
                if second == 0 || EVENTS.iter().any(|event| event.at == second) {
                    let next = next(second);
                    tracing::info!(
                        "demo: next: at {}, {}",
                        format::clock(next.second),
                        (next.text)(Language::English)
                    );
                }
                if BUSY_PERIOD.contains(&second) {
                    with_key(&sim, BUSY, |key| key.spend(u32::MAX));
                }
            }
        }
    }

    /// What the page says about the scenario.
    pub(crate) fn announcement(&self) -> Announcement {
        let now = self.second.load(Ordering::Relaxed);
        Announcement { now, next: next(now), speed: self.speed }
    }
}

/// The first event after this second of a round.
fn next(second: u64) -> Moment {
    let next = EVENTS.iter().find(|event| event.at > second);
    next.map_or(Moment { second: ROUND, text: |language| text!(language, "demo-again") }, |event| Moment {
        second: event.at,
        text: event.announced,
    })
}

/// One line for each event of a round.
pub(crate) fn timetable() -> String {
    let line =
        |event: &Event| format!("  {}  {}\n", format::clock(event.at), (event.announced)(Language::English));
    EVENTS.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_far_enough_apart_to_follow_them() {
        let ends = EVENTS.iter().map(|event| event.at).chain([ROUND + EVENTS[0].at]);
        for (event, following) in EVENTS.iter().zip(ends.skip(1)) {
            assert!(following - event.at >= 20, "{}", (event.announced)(Language::English));
        }
    }

    #[test]
    fn the_page_announces_the_next_event_and_then_the_next_round() {
        let scenario = Scenario::new(1);
        let announced = |second| {
            scenario.second.store(second, Ordering::Relaxed);
            let Announcement { now, next, .. } = scenario.announcement();
            (now, next.second, (next.text)(Language::English))
        };
        assert_eq!(announced(0), (0, 20, "lefebvre's key will be activated".to_owned()));
        assert_eq!(announced(20), (20, 40, "moreau's key will be revoked".to_owned()));
        assert_eq!(announced(299), (299, 300, "all of this will begin again".to_owned()));
    }
}
