//! What happens to the demo's fleet, lap after lap.

use std::convert::Infallible;
use std::ops::Range;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{MissedTickBehavior, interval};

use super::{ACTIVATED, BUSY, REVOKED};
use partner_simulator::{Fault, Key, Scope, Simulator};

/// How long the story takes before it begins anew, as it began.
pub const LAP: Duration = Duration::from_secs(90);

/// While these seconds last, a customer's production traffic eats the whole budget of its key.
const BUSY_PERIOD: Range<u64> = 20..42;

/// One thing that happens.
struct Event {
    /// Seconds since the lap began.
    at: u64,
    text: &'static str,
    action: fn(&Simulator),
}

const fn event(at: u64, text: &'static str, action: fn(&Simulator)) -> Event {
    Event { at, text, action }
}

const STORY: &[Event] = &[
    event(8, "lefebvre's key is activated", |sim| with_key(sim, ACTIVATED, Key::activate)),
    event(15, "moreau revokes the key", |sim| with_key(sim, REVOKED, Key::revoke)),
    event(BUSY_PERIOD.start, "girard's production traffic eats the key's budget", |_| {}),
    event(36, "moreau's token is restored", |sim| with_key(sim, REVOKED, Key::restore)),
    event(BUSY_PERIOD.end, "girard's production traffic calms down", |_| {}),
    event(45, "the API gets slow", |sim| sim.inject(Scope::Everything, Fault::Delay(SLOW_RESPONSE))),
    event(54, "the API is fast again", end_faults),
    event(58, "announced maintenance begins", Simulator::begin_maintenance),
    event(67, "maintenance is over", end_faults),
    event(72, "a proxy before the API answers 502", |sim| {
        sim.inject(Scope::Everything, Fault::edge(StatusCode::BAD_GATEWAY));
    }),
    event(78, "the proxy lets calls through again", end_faults),
    event(82, "lefebvre's key was generated anew, and waits", |sim| {
        with_key(sim, ACTIVATED, Key::set_pending);
    }),
];

/// Slow enough to be seen, not to time out.
const SLOW_RESPONSE: Duration = Duration::from_millis(1_200);

fn end_faults(sim: &Simulator) {
    sim.heal(&Scope::Everything);
}

fn with_key(sim: &Simulator, key: &str, action: fn(&Key)) {
    if let Some(key) = sim.key(key) {
        action(&key);
    }
}

/// Lets the story happen to the fleet, again and again, as long as it is polled.
pub async fn run_story(sim: Simulator) -> Infallible {
    let mut seconds = interval(Duration::from_secs(1));
    // After the machine slept, the story goes on where it was: it doesn't catch up in a rush.
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for second in 0..LAP.as_secs() {
            seconds.tick().await;
            for event in STORY.iter().filter(|event| event.at == second) {
                tracing::info!("demo: {}", event.text);
                (event.action)(&sim);
            }
            if BUSY_PERIOD.contains(&second) {
                with_key(&sim, BUSY, |key| key.spend(u32::MAX));
            }
        }
    }
}
