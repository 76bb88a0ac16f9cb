//! The request budget of a key.

use crate::key_state::KeyState;
use partner_simulator::Limits;
use tokio::time::{Duration, sleep};

use super::{RunningFleet, extended, fleet_of_one_key, minutes, simulator_builder};
use crate::test_support::{config, exercices, known_key, token_key};

#[tokio::test(start_paused = true)]
async fn probes_are_skipped_while_the_budget_is_below_keep_free() {
    let limits = Limits { window: minutes(5), ..Limits::default() };
    let simulator = simulator_builder().limits(limits).society_key("dupont", 80, 127).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let fleet = fleet_of_one_key(&simulator, vec![extended(), exercices(None)]).await;
    let skipped = || fleet.key("dupont").probes.iter().map(|p| p.skipped[0]).sum::<u64>();
    assert_eq!((key.remaining(), skipped()), (16, 0));
    key.spend(10);
    sleep(minutes(2)).await;
    assert_eq!(key.remaining(), 4, "it sends requests while five remain, and none while four remain");
    assert_eq!(skipped(), 2);
    let calls = key.counts().calls;
    sleep(minutes(2)).await;
    assert!(key.counts().calls > calls, "it sends requests again after the reset");
}

#[tokio::test(start_paused = true)]
async fn no_request_is_sent_between_a_429_and_the_reset() {
    let limits = Limits { window: minutes(4), ..Limits::default() };
    let simulator = simulator_builder().limits(limits).society_key("dupont", 80, 127).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let mut config =
        config(&simulator, vec![known_key(&simulator, "dupont", vec![extended(), exercices(None)])]);
    config.settings.keep_free = 0;
    let fleet = RunningFleet::start(&config);
    sleep(minutes(2)).await;
    key.spend(20);
    sleep(minutes(1)).await;
    let statuses: Vec<_> = key.calls().iter().filter_map(partner_simulator::Call::status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 1, "{statuses:?}");
    assert_eq!(fleet.state("dupont"), KeyState::Active);
    sleep(minutes(5)).await;
    assert_eq!(key.calls().last().unwrap().status(), Some(200));
}

/// A request is allowed once in each window, because one request makes the budget low.
fn one_request_in(window: Duration) -> (Limits, u32) {
    let limits = Limits { window, ..Limits::default() };
    (limits, limits.total)
}

#[tokio::test(start_paused = true)]
async fn no_probe_takes_every_turn_of_a_small_budget() {
    // Shorter than the distance of the two probes, in step with it, and longer.
    for window in [20, 30, 36, 60, 75] {
        let (limits, keep_free) = one_request_in(Duration::from_secs(window));
        let simulator =
            simulator_builder().limits(limits).society_key("dupont", 80, 127).start().await.unwrap();
        let probes = vec![extended(), exercices(None)];
        let mut config = config(&simulator, vec![known_key(&simulator, "dupont", probes)]);
        config.settings.keep_free = keep_free;
        let fleet = RunningFleet::start(&config);
        sleep(minutes(60)).await;
        let runs = fleet.key("dupont").probes.iter().map(|probe| probe.total).collect::<Vec<_>>();
        assert!(runs[0].abs_diff(runs[1]) <= 1 && runs[0] > 20, "a window of {window} s: {runs:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_keys_with_one_token_take_turns() {
    let (limits, keep_free) = one_request_in(minutes(1));
    let simulator = simulator_builder().limits(limits).society_key("dupont", 80, 127).start().await.unwrap();
    let token = simulator.key("dupont").unwrap().token().unwrap();
    let keys = ["dupont", "durand"].map(|name| token_key(name, &token, vec![extended()]));
    let mut config = config(&simulator, keys.into());
    config.settings.keep_free = keep_free;
    let fleet = RunningFleet::start(&config);
    sleep(minutes(60)).await;
    let runs = ["dupont", "durand"].map(|name| fleet.key(name).probes[0].total);
    assert!(runs.iter().all(|runs| *runs >= 25), "{runs:?}");
}

#[tokio::test(start_paused = true)]
async fn the_share_of_the_budget_that_probes_use_counts_all_keys_with_the_token() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let token = simulator.key("dupont").unwrap().token().unwrap();
    let keys = ["one", "two"].map(|name| token_key(name, &token, vec![exercices(None)]));
    let other = token_key("other", "another-token", vec![exercices(None)]);
    let mut config = config(&simulator, [&keys[..], &[other]].concat());
    let mut fleet = RunningFleet::start(&config);
    // One request a minute, of 20 in 10 s.
    let single = 10.0 / 60.0 / 20.0;
    let is = |share: f64, expected: f64| assert!((share - expected).abs() < 1e-6, "{share}");
    is(fleet.key("one").budget_share(), 2.0 * single);
    is(fleet.key("two").budget_share(), 2.0 * single);
    is(fleet.key("other").budget_share(), single);
    config.partners[0].keys.remove(1);
    fleet.apply(&config);
    // The task of the removed key ends.
    sleep(Duration::from_secs(1)).await;
    is(fleet.key("one").budget_share(), single);
}
