//! The witnesses: when did each of their requests arrive at the simulated API?

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::api::WITNESSES;
use crate::world::{BlindTime, World};

/// How much later than due a request may arrive, on a machine that is busy with other work. Less than the shortest
/// interval, so that a probe that is missing is always noticed.
const TOLERANCE: Duration = Duration::from_millis(900);
/// A restarted exporter knows within this time when it ran last.
const LAST_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// What was due while the exporter did not run is made up for in so many times the time.
const MAKE_UP_FACTOR: u32 = 5;

/// The requests of one witness.
pub(crate) struct Witness {
    pub(crate) name: &'static str,
    pub(crate) interval: Duration,
    pub(crate) calls: usize,
    /// The longest time between two requests without a fault of the whole process in between.
    pub(crate) worst_gap: Duration,
    /// The longest time between two requests with such a fault in between, and the second of the run at which it began.
    pub(crate) worst_gap_with_fault: (Duration, u64),
    /// The times between two requests that were too long.
    pub(crate) missed: Vec<String>,
}

/// Records the requests of the witnesses until the run is over.
pub(crate) async fn watch(world: Arc<World>) -> Vec<Witness> {
    let mut arrivals = WITNESSES.map(|_| Vec::<Instant>::new());
    let start = Instant::now();
    let mut end = start;
    while !world.is_over.load(Ordering::SeqCst) {
        sleep(Duration::from_secs(2)).await;
        end = Instant::now();
        for ((name, _), arrivals) in WITNESSES.iter().zip(&mut arrivals) {
            // The log of the simulated API keeps the requests of the last minutes.
            let last = arrivals.last().copied().unwrap_or(start);
            let calls = world.simulator.key(name).unwrap().starts();
            arrivals.extend(calls.into_iter().filter(|call| *call > last));
        }
    }
    let blind = world.blind_times.lock().unwrap().clone();
    let witnesses = WITNESSES.iter().zip(arrivals);
    witnesses
        .map(|((name, interval), arrivals)| {
            judge(name, *interval, &arrivals, &blind, (start, end), world.started)
        })
        .collect()
}

fn judge(
    name: &'static str,
    interval: Duration,
    arrivals: &[Instant],
    blind: &[BlindTime],
    (start, end): (Instant, Instant),
    world_start: Instant,
) -> Witness {
    let mut witness = Witness {
        name,
        interval,
        calls: arrivals.len(),
        worst_gap: Duration::ZERO,
        worst_gap_with_fault: (Duration::ZERO, 0),
        missed: Vec::new(),
    };
    // The exporter ran before the first request that was recorded, and runs after the last one.
    let times: Vec<_> = [start].into_iter().chain(arrivals.iter().copied()).chain([end]).collect();
    for pair in times.windows(2) {
        let gap = pair[1].saturating_duration_since(pair[0]);
        let within = blind.iter().filter(|blind| blind.from <= pair[1] && pair[0] <= blind.to);
        let extra: Duration = within.clone().map(|blind| extra_time(*blind, interval)).sum();
        let second = pair[0].duration_since(world_start).as_secs();
        if within.count() == 0 {
            witness.worst_gap = witness.worst_gap.max(gap);
        } else {
            witness.worst_gap_with_fault = witness.worst_gap_with_fault.max((gap, second));
        }
        if gap > interval + TOLERANCE + extra {
            witness.missed.push(format!("{gap:?} without a request from second {second}"));
        }
    }
    witness
}

/// How much longer than its interval a probe may take because of this fault: its next regular due time comes one
/// interval later at most, and a made-up run may come before.
fn extra_time(blind: BlindTime, interval: Duration) -> Duration {
    let length = blind.to.duration_since(blind.from);
    let made_up = (length + LAST_ALIVE_INTERVAL) * MAKE_UP_FACTOR;
    length + if blind.is_made_up { interval.min(made_up) } else { interval }
}
