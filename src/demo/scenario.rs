//! The events that change the demo's fleet. The scenario repeats without end.

use std::convert::Infallible;
use std::ops::Range;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{MissedTickBehavior, interval};

use super::{ACTIVATED, BUSY, REVOKED};
use partner_simulator::{Fault, Key, Scope, Simulator};

/// The duration of the scenario. At its end the fleet is as it was at the start.
pub(crate) const DURATION: Duration = Duration::from_secs(90);

/// The seconds of the scenario during which a customer's production traffic uses the whole budget of its key.
const BUSY_PERIOD: Range<u64> = 20..42;

/// The seconds since the start of the scenario, the text for the log, and the action.
type Event = (u64, &'static str, fn(&Simulator));

const EVENTS: &[Event] = &[
    (8, "lefebvre's key is activated", |sim| with_key(sim, ACTIVATED, Key::activate)),
    (15, "moreau revokes the key", |sim| with_key(sim, REVOKED, Key::revoke)),
    (BUSY_PERIOD.start, "girard's production traffic uses up the key's budget", |_| {}),
    (36, "moreau's token is restored", |sim| with_key(sim, REVOKED, Key::restore)),
    (BUSY_PERIOD.end, "girard's production traffic is low again", |_| {}),
    (45, "the API becomes slow", |sim| sim.inject(Scope::Everything, Fault::Delay(SLOW_RESPONSE))),
    (54, "the API is fast again", end_faults),
    (58, "announced maintenance begins", Simulator::begin_maintenance),
    (67, "maintenance ends", end_faults),
    (72, "a proxy in front of the API responds with 502", |sim| {
        sim.inject(Scope::Everything, Fault::edge(StatusCode::BAD_GATEWAY));
    }),
    (78, "the proxy forwards requests again", end_faults),
    (82, "lefebvre's key is generated again, and waits for activation", |sim| {
        with_key(sim, ACTIVATED, Key::set_pending);
    }),
];

/// Long enough to be visible, too short for a timeout.
const SLOW_RESPONSE: Duration = Duration::from_millis(1_200);

fn end_faults(sim: &Simulator) {
    sim.heal(&Scope::Everything);
}

fn with_key(sim: &Simulator, key: &str, action: fn(&Key)) {
    if let Some(key) = sim.key(key) {
        action(&key);
    }
}

/// Runs the scenario again and again, until it is dropped.
pub(crate) async fn run_scenario(sim: Simulator) -> Infallible {
    let mut seconds = interval(Duration::from_secs(1));
    // After a suspend of the machine, the scenario continues where it was. It does not catch up.
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for second in 0..DURATION.as_secs() {
            seconds.tick().await;
            for (_, text, action) in EVENTS.iter().filter(|(at, ..)| *at == second) {
                tracing::info!("demo: {text}");
                action(&sim);
            }
            if BUSY_PERIOD.contains(&second) {
                with_key(&sim, BUSY, |key| key.spend(u32::MAX));
            }
        }
    }
}
