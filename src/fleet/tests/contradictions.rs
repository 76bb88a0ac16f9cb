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

/// A simulator with keys of the partner `acme`.
async fn simulator_with(names: &[&str]) -> Simulator {
    let keys = names.iter().zip(127..);
    let builder =
        keys.fold(simulator_builder(), |builder, (name, society)| builder.society_key(name, 80, society));
    builder.start().await.unwrap()
}

/// Keys of the simulator under other names, each with one canary.
fn named(simulator: &Simulator, keys: &[(&str, &str)]) -> Config {
    let keys = keys.iter().map(|(name, key)| {
        let mut key = known_key(simulator, key, vec![exercices(None)]);
        key.name = (*name).into();
        key
    });
    config(simulator, keys.collect())
}

fn refuse_secret(simulator: &Simulator, keys: &[&str]) {
    for key in keys {
        simulator.key(key).unwrap().inject(Fault::refuse("ERR-INVALID-SECRET"));
    }
}

async fn secret_stays_active(fleet: &RunningFleet, span: Duration) {
    for _ in 0..span.as_secs() {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(fleet.secret(), SecretState::Active);
    }
}

#[tokio::test(start_paused = true)]
async fn two_keys_that_move_to_another_partner_at_once_do_not_reject_the_secret_and_three_do() {
    let names = ["a", "b", "c", "d", "e"];
    // The order of the answers depends on the schedule, so each pair is tried.
    for (first, second) in [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 2), (1, 3), (2, 4), (3, 0), (4, 1)] {
        let simulator = simulator_with(&names).await;
        let fleet = RunningFleet::start(&named(&simulator, &names.map(|name| (name, name))));
        sleep(minutes(3)).await;
        let calls = || names.map(|name| simulator.key(name).unwrap().counts().calls).iter().sum::<u64>();
        let before = calls();
        refuse_secret(&simulator, &[names[first], names[second]]);
        secret_stays_active(&fleet, minutes(10)).await;
        assert!(calls() - before <= 10 * 5 + 5 + 2, "one question for each change");
        simulator.partner("acme").unwrap().deactivate_secret();
        sleep(minutes(1) + Duration::from_secs(5)).await;
        assert_eq!(fleet.secret(), SecretState::Rejected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_rejected_after_three_intervals_if_the_key_that_was_accepted_is_revoked() {
    let simulator = simulator_with(&["good", "wrong"]).await;
    let fleet = RunningFleet::start(&named(&simulator, &[("good", "good"), ("wrong", "wrong")]));
    sleep(minutes(3)).await;
    refuse_secret(&simulator, &["wrong"]);
    secret_stays_active(&fleet, minutes(10)).await;
    simulator.key("good").unwrap().revoke();
    secret_stays_active(&fleet, minutes(2)).await;
    sleep(minutes(4)).await;
    assert_eq!((fleet.state("good"), fleet.secret()), (KeyState::Revoked, SecretState::Rejected));
    simulator.key("good").unwrap().restore();
    sleep(minutes(2)).await;
    assert_eq!(fleet.secret(), SecretState::Active);
}

/// A fleet whose key `wrong` is refused with the secret, and its storage directory.
async fn with_a_settled_secret(
    simulator: &Simulator,
    keys: &[(&str, &str)],
) -> (tempfile::TempDir, RunningFleet) {
    let parent = tempfile::tempdir().unwrap();
    let (storage, other) = (parent.path().join("data"), tempfile::tempdir().unwrap());
    let fleet = RunningFleet::start_with_storage(&storage, other, &named(simulator, keys));
    sleep(minutes(3)).await;
    refuse_secret(simulator, &["wrong"]);
    secret_stays_active(&fleet, minutes(3)).await;
    (parent, fleet)
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_partner_is_known_after_a_rename_or_an_exchange_of_names() {
    let renamed = [("renamed", "wrong"), ("good", "good")];
    let both_renamed = [("renamed", "wrong"), ("other", "good")];
    let exchanged = [("good", "wrong"), ("wrong", "good")];
    for keys in [renamed, both_renamed, exchanged] {
        for is_restart in [false, true] {
            let simulator = simulator_with(&["good", "wrong"]).await;
            let configured = [("wrong", "wrong"), ("good", "good")];
            let (parent, mut fleet) = with_a_settled_secret(&simulator, &configured).await;
            // The key that was accepted does not answer.
            simulator.key("good").unwrap().inject(Fault::edge(StatusCode::BAD_GATEWAY));
            if is_restart {
                drop(fleet);
                sleep(minutes(1)).await;
                let storage = parent.path().join("data");
                fleet = RunningFleet::start_with_storage(&storage, parent, &named(&simulator, &keys));
            } else {
                fleet.apply(&named(&simulator, &keys));
            }
            secret_stays_active(&fleet, minutes(10)).await;
            // Another reload, which builds each monitor anew.
            let mut config = named(&simulator, &keys);
            config.settings.keep_free += 1;
            fleet.apply(&config);
            secret_stays_active(&fleet, minutes(10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_with_the_name_of_one_that_was_refused_with_the_secret_is_not_taken_for_it() {
    let simulator = simulator_with(&["good", "wrong", "new"]).await;
    let (_parent, mut fleet) =
        with_a_settled_secret(&simulator, &[("wrong", "wrong"), ("good", "good")]).await;
    fleet.apply(&named(&simulator, &[("wrong", "new"), ("good", "good")]));
    let good = simulator.key("good").unwrap();
    let before = good.counts().calls;
    refuse_secret(&simulator, &["new"]);
    secret_stays_active(&fleet, minutes(3)).await;
    assert_eq!(good.counts().calls - before, 3 + 1, "its refusal is confirmed");
}

#[tokio::test(start_paused = true)]
async fn a_route_is_known_under_another_name_and_another_route_is_not_taken_for_it() {
    let probes = |first: &str, path: &str| vec![canary(first, SOCIETY), canary("accepting", path)];
    for (probes, expected) in [
        (probes("renamed", USERS), KeyState::Active),
        // The route that contradicted the refusal is no longer probed.
        (probes("refused", EXERCICES), KeyState::Revoked),
    ] {
        let simulator = simulator().await;
        let before = vec![canary("refused", SOCIETY), canary("accepting", USERS)];
        let mut fleet =
            RunningFleet::start(&config(&simulator, vec![known_key(&simulator, "dupont", before)]));
        sleep(minutes(3)).await;
        refuse(&simulator, &[SOCIETY]);
        stays_active(&fleet, minutes(5)).await;
        for route in [USERS, EXERCICES] {
            simulator.key("dupont").unwrap().inject_on(route, Fault::refuse("ERR-FORBIDDEN-ROUTE"));
        }
        fleet.apply(&config(&simulator, vec![known_key(&simulator, "dupont", probes)]));
        sleep(minutes(10)).await;
        assert_eq!(fleet.state("dupont"), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_with_the_token_of_another_key_does_not_erase_what_is_settled_about_it() {
    let simulator = simulator().await;
    let key = |name: &str, probes| {
        let mut key = known_key(&simulator, "dupont", probes);
        key.name = name.into();
        key
    };
    let first = key("first", vec![extended(), exercices(None)]);
    let config = config(&simulator, vec![first, key("second", vec![extended(), canary("users", USERS)])]);
    let parent = tempfile::tempdir().unwrap();
    let storage = parent.path().join("data");
    let start = || RunningFleet::start_with_storage(&storage, tempfile::tempdir().unwrap(), &config);
    let fleet = start();
    sleep(minutes(3)).await;
    refuse(&simulator, &[EXERCICES]);
    sleep(minutes(3)).await;
    drop(fleet);
    sleep(minutes(1)).await;
    let fleet = start();
    sleep(minutes(3)).await;
    drop(fleet);
    simulator.key("dupont").unwrap().inject_on(KEY_INFO, Fault::edge(StatusCode::BAD_GATEWAY));
    sleep(minutes(1)).await;
    let fleet = start();
    sleep(minutes(10)).await;
    assert_eq!((fleet.state("first"), fleet.state("second")), (KeyState::Active, KeyState::Active));
}
