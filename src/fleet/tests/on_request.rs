//! Probes at the request of clients of `/probe`, and what they cost the customer.

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use partner_simulator::{Fault, Key, Simulator};
use std::sync::Arc;
use tokio::time::{Duration, Instant, sleep};

use super::{RunningFleet, extended, fleet_of_one_key, minutes, simulator_builder};
use crate::monitor::KeyMonitor;
use crate::test_support::exercices;

async fn start() -> (Simulator, Key, RunningFleet, Arc<KeyMonitor>) {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let fleet = fleet_of_one_key(&simulator, vec![extended(), exercices(None)]).await;
    let monitor = fleet.inner.key_index().find("acme", "dupont").unwrap();
    (simulator, key, fleet, monitor)
}

#[tokio::test(start_paused = true)]
async fn clients_that_ask_all_the_time_at_most_double_the_calls_of_the_schedule() {
    let (_simulator, key, _fleet, monitor) = start().await;
    let before = key.counts().calls;
    for _ in 0..3000 {
        if let Some(run) = monitor.run_on_request() {
            run.await;
        }
        sleep(Duration::from_millis(200)).await;
    }
    let calls = key.counts().calls - before;
    // Ten minutes, two probes, one call of each per minute by the schedule.
    assert!((30..=41).contains(&calls), "{calls}");
    assert_eq!(key.counts().max_in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn clients_that_ask_at_once_share_one_run() {
    let (_simulator, key, _fleet, monitor) = start().await;
    sleep(minutes(2)).await;
    let before = key.counts().calls;
    let runs: Vec<_> = std::iter::from_fn(|| monitor.run_on_request()).take(1000).collect();
    join_all(runs).await;
    assert!(key.counts().calls - before <= 2, "{}", key.counts().calls - before);
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_result_serves_a_client() {
    let (_simulator, key, _fleet, monitor) = start().await;
    let scheduled = key.counts().calls;
    while key.counts().calls < scheduled + 2 {
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_millis(100)).await;
    let before = key.counts().calls;
    // One of the two probes ran a moment ago, the other half a minute ago.
    if let Some(run) = monitor.run_on_request() {
        run.await;
    }
    assert!(key.counts().calls - before <= 1, "{}", key.counts().calls - before);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_queued_for_clients_that_are_gone() {
    let (_simulator, key, fleet, monitor) = start().await;
    key.inject(Fault::Silence);
    // Until a scheduled probe hangs.
    let before = key.counts().calls;
    while key.counts().calls == before {
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_millis(100)).await;
    for _ in 0..1000 {
        // The client hangs up while its run waits for the key's turn.
        let run = monitor.run_on_request().expect("the other probe is out of date");
        assert!(run.now_or_never().is_none());
    }
    key.heal();
    let before = key.counts().calls;
    sleep(Duration::from_secs(15)).await;
    assert!(key.counts().calls - before <= 1, "only the schedule calls: {}", key.counts().calls - before);
    let still_running: u64 = fleet.key("dupont").probes.iter().map(|probe| probe.skipped[1]).sum();
    assert_eq!(still_running, 0, "the schedule goes on");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_sent_is_recorded_although_the_client_is_gone() {
    let (_simulator, key, fleet, monitor) = start().await;
    sleep(minutes(2)).await;
    key.inject(Fault::Silence);
    let total = || fleet.key("dupont").probes.iter().map(|probe| probe.total).sum::<u64>();
    let end = Instant::now() + minutes(2);
    let mut run = loop {
        if let Some(run) = monitor.run_on_request() {
            break run;
        }
        assert!(Instant::now() < end, "a run may start in each interval");
        sleep(Duration::from_millis(100)).await;
    };
    let (before, calls) = (total(), key.counts().calls);
    while key.counts().calls == calls {
        assert!((&mut run).now_or_never().is_none());
        sleep(Duration::from_millis(10)).await;
    }
    drop(run);
    sleep(Duration::from_secs(11)).await;
    assert!(total() > before, "the timeout is a result");
}

#[tokio::test(start_paused = true)]
async fn the_source_of_a_token_is_described_unless_a_probe_runs() {
    let (_simulator, key, _fleet, monitor) = start().await;
    assert_eq!(monitor.credential_description().as_deref(), Some("token: configuration file"));
    key.inject(Fault::Silence);
    let before = key.counts().calls;
    while key.counts().calls == before {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(monitor.credential_description(), None);
}
