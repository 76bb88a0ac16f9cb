//! Routes of one key that contradict each other, and what is known of them after a restart or a reload.

use axum::http::StatusCode;
use partner_simulator::{EXERCICES, Fault, KEY_INFO, SOCIETY, Simulator, USERS};
use tokio::time::{Duration, sleep};

use super::{RunningFleet, extended, minutes, simulator_builder};
use crate::config::{Config, Probe, Target};
use crate::key_state::{KeyState, SecretState};
use crate::test_support::{config, exercices, known_key};

/// A canary on another route.
fn canary(name: &str, path: &str) -> Probe {
    let mut probe = exercices(None);
    if let Target::Canary(canary) = &mut probe.target {
        (canary.name, canary.path) = (name.into(), path.into());
    }
    Probe { name: name.into(), ..probe }
}

fn canaries() -> Vec<Probe> {
    vec![exercices(None), canary("society", SOCIETY), canary("users", USERS)]
}

fn with_key_info() -> Vec<Probe> {
    vec![extended(), exercices(None), canary("society", SOCIETY)]
}

fn changes(fleet: &RunningFleet) -> u64 {
    fleet.key("dupont").changes.iter().map(|(_, times)| times).sum()
}

async fn simulator() -> Simulator {
    simulator_builder().society_key("dupont", 80, 127).start().await.unwrap()
}

fn refuse(simulator: &Simulator, routes: &[&str]) {
    let key = simulator.key("dupont").unwrap();
    for route in routes {
        key.inject_on(route, Fault::refuse("ERR-API-TOKEN-NOT-FOUND"));
    }
}

/// Lets time pass, and checks that the key is active all the time.
async fn stays_active(fleet: &RunningFleet, span: Duration) {
    let before = changes(fleet);
    sleep(span).await;
    assert_eq!((fleet.state("dupont"), changes(fleet)), (KeyState::Active, before));
}

#[tokio::test(start_paused = true)]
async fn two_of_three_routes_that_begin_to_refuse_at_once_move_no_state_and_cost_one_question_each() {
    // The route that is asked depends on the schedule, so each pair is tried.
    let cases = [
        (canaries(), [EXERCICES, SOCIETY]),
        (canaries(), [EXERCICES, USERS]),
        (canaries(), [SOCIETY, USERS]),
        (with_key_info(), [EXERCICES, SOCIETY]),
    ];
    for (probes, routes) in cases {
        let simulator = simulator().await;
        let key = simulator.key("dupont").unwrap();
        let fleet = RunningFleet::start(&config(&simulator, vec![known_key(&simulator, "dupont", probes)]));
        sleep(minutes(3)).await;
        let before = key.counts().calls;
        refuse(&simulator, &routes);
        stays_active(&fleet, minutes(60)).await;
        assert!(key.counts().calls - before <= 60 * 3 + 3 + 2);
        key.revoke();
        sleep(minutes(1) + Duration::from_secs(5)).await;
        assert_eq!(fleet.state("dupont"), KeyState::Revoked);
    }
}

#[tokio::test(start_paused = true)]
async fn three_canaries_of_a_revoked_key_tell_it_within_an_interval_with_one_question() {
    let simulator = simulator().await;
    let key = simulator.key("dupont").unwrap();
    let fleet = RunningFleet::start(&config(&simulator, vec![known_key(&simulator, "dupont", canaries())]));
    sleep(minutes(3)).await;
    let before = key.counts().calls;
    key.revoke();
    sleep(minutes(1) + Duration::from_secs(5)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Revoked);
    assert!(key.counts().calls - before <= 5, "three probes, one of them twice, and the next one");
}

/// A second life of an exporter whose key has two routes that refuse.
async fn restarted_with_two_refusing_routes(name: &str, probes: Vec<Probe>) -> (Simulator, RunningFleet) {
    let simulator = simulator().await;
    let key = simulator.key("dupont").unwrap();
    let parent = tempfile::tempdir().unwrap();
    let storage = parent.path().join("data");
    let first = config(&simulator, vec![known_key(&simulator, "dupont", probes.clone())]);
    let fleet = RunningFleet::start_with_storage(&storage, tempfile::tempdir().unwrap(), &first);
    sleep(minutes(3)).await;
    refuse(&simulator, &[EXERCICES, SOCIETY]);
    stays_active(&fleet, minutes(5)).await;
    drop(fleet);
    sleep(minutes(1)).await;
    // The route that accepts does not answer after the restart.
    let accepting = if matches!(probes[0].target, Target::KeyInfo(_)) { KEY_INFO } else { USERS };
    key.inject_on(accepting, Fault::edge(StatusCode::BAD_GATEWAY));
    let mut renamed = known_key(&simulator, "dupont", probes);
    renamed.name = name.into();
    let second = config(&simulator, vec![renamed]);
    (simulator, RunningFleet::start_with_storage(&storage, parent, &second))
}

#[tokio::test(start_paused = true)]
async fn routes_that_refused_before_a_restart_do_not_confirm_one_another_after_it() {
    for probes in [canaries(), with_key_info()] {
        for name in ["dupont", "renamed"] {
            let (simulator, mut fleet) = restarted_with_two_refusing_routes(name, probes.clone()).await;
            sleep(minutes(10)).await;
            assert_eq!(fleet.state(name), KeyState::Active);
            assert!(fleet.key(name).changes.is_empty());
            // A reload that builds each monitor anew.
            let mut key = known_key(&simulator, "dupont", probes.clone());
            key.name = name.into();
            let mut config = config(&simulator, vec![key]);
            config.settings.keep_free += 1;
            fleet.apply(&config);
            sleep(minutes(10)).await;
            assert_eq!(fleet.state(name), KeyState::Active);
            let key = simulator.key("dupont").unwrap();
            key.heal();
            key.revoke();
            sleep(minutes(1) + Duration::from_secs(5)).await;
            assert_eq!(fleet.state(name), KeyState::Revoked);
        }
    }
}

/// Two keys of another partner are configured under `acme`, whose own key is probed last.
fn with_two_foreign_keys(simulator: &Simulator, keep_free: u32) -> Config {
    let key = |name: &str| known_key(simulator, name, vec![exercices(None)]);
    let mut config = config(simulator, vec![key("a"), key("b"), key("z")]);
    config.settings.keep_free = keep_free;
    config
}

#[tokio::test(start_paused = true)]
async fn keys_under_the_wrong_partner_do_not_confirm_one_another_after_a_restart_or_a_reload() {
    let builder = simulator_builder().society_key("z", 80, 129).partner("zenith", "another-secret");
    let simulator = builder.society_key("a", 80, 127).society_key("b", 80, 128).start().await.unwrap();
    let parent = tempfile::tempdir().unwrap();
    let storage = parent.path().join("data");
    let config = with_two_foreign_keys(&simulator, 5);
    let fleet = RunningFleet::start_with_storage(&storage, tempfile::tempdir().unwrap(), &config);
    sleep(minutes(5)).await;
    assert_eq!(fleet.secret(), SecretState::Active);
    drop(fleet);
    sleep(minutes(1)).await;
    let own = simulator.key("z").unwrap();
    own.inject_on(EXERCICES, Fault::edge(StatusCode::BAD_GATEWAY));
    let mut fleet = RunningFleet::start_with_storage(&storage, parent, &config);
    sleep(minutes(10)).await;
    assert_eq!(fleet.secret(), SecretState::Active);
    fleet.apply(&with_two_foreign_keys(&simulator, 6));
    sleep(minutes(10)).await;
    assert_eq!(fleet.secret(), SecretState::Active);
}
