//! States of keys and secrets, and their failure episodes.

use crate::key_state::{KeyState, SecretState};
use crate::language::Language;
use crate::partner_api::KeyInfoMode;
use crate::partner_api::failure::Reason;
use crate::state::ProbeStatus;
use crate::status::{KeyDetail, StatusSource};
use http::StatusCode;
use partner_simulator::{Activation, EXERCICES, Fault, KEY_INFO, KeySpec, Refusal, Scope, Simulator};
use tokio::time::{Duration, Instant, sleep};

use super::{RunningFleet, extended, fleet_of_one_key, minutes, simulator_builder};
use crate::test_support::{config, exercices, key_info, known_key, token_file_key};

#[tokio::test(start_paused = true)]
async fn a_key_goes_from_pending_to_active_to_revoked_and_back() {
    let simulator =
        simulator_builder().key(KeySpec::society("dupont", 80, 127).never_activated()).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let fleet = fleet_of_one_key(&simulator, vec![extended(), exercices(None)]).await;
    assert_eq!(fleet.state("dupont"), KeyState::Pending);
    key.activate();
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Active);
    key.revoke();
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Revoked);
    let episode = fleet.key("dupont").probes[0].episode.clone().unwrap();
    assert_eq!(
        (episode.failure.reason, episode.failure.code_label()),
        (Reason::Token, "ERR-API-TOKEN-NOT-FOUND")
    );
    let given: Vec<_> = key.calls().iter().filter_map(|call| call.request_id().map(str::to_owned)).collect();
    assert!(given.contains(&episode.request_id.unwrap().to_string()), "the request ID comes from the API");
    key.restore();
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Active);
    assert_eq!(fleet.key("dupont").probes[0].episode, None);
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_after_a_revocation_detects_it() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let fleet = fleet_of_one_key(&simulator, vec![extended(), exercices(None)]).await;
    simulator.key("dupont").unwrap().revoke();
    sleep(Duration::from_secs(31)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Revoked, "two probes per minute, so within half a minute");
}

#[tokio::test(start_paused = true)]
async fn key_info_activates_a_new_key_in_extended_mode_but_not_in_routes_mode() {
    for (mode, activated) in [(KeyInfoMode::Extended, true), (KeyInfoMode::Routes, false)] {
        let activation = Activation { by_any_call: false, ..Activation::default() };
        let key = KeySpec::society("dupont", 80, 127).pending().activation(activation);
        let simulator = simulator_builder().key(key).start().await.unwrap();
        let fleet = fleet_of_one_key(&simulator, vec![key_info(mode)]).await;
        assert_eq!(simulator.key("dupont").unwrap().is_activated(), activated);
        assert_eq!(fleet.state("dupont"), KeyState::Active);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_never_accepted_is_not_found_and_not_revoked() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    simulator.key("dupont").unwrap().revoke();
    let fleet = fleet_of_one_key(&simulator, vec![extended(), exercices(None)]).await;
    assert_eq!(fleet.state("dupont"), KeyState::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_canary_can_end_the_pending_state_if_key_info_fails() {
    for (revoked, expected) in [(true, KeyState::Revoked), (false, KeyState::Active)] {
        let activation = Activation { possible: false, refused_before: None, ..Activation::default() };
        let key = KeySpec::society("dupont", 80, 127).pending().activation(activation);
        let simulator = simulator_builder().key(key).start().await.unwrap();
        let key = simulator.key("dupont").unwrap();
        let fleet = fleet_of_one_key(&simulator, vec![extended(), exercices(None)]).await;
        assert_eq!(
            fleet.state("dupont"),
            KeyState::Pending,
            "an accepted canary does not end the pending state"
        );
        key.inject_on(KEY_INFO, Fault::edge(StatusCode::FORBIDDEN));
        if revoked {
            key.inject_on(EXERCICES, Fault::refuse("ERR-API-TOKEN-NOT-FOUND"));
        }
        // key/info said last that the key is pending. It does not answer, so a refusal waits for three intervals.
        sleep(minutes(5)).await;
        assert_eq!(
            fleet.state("dupont"),
            expected,
            "the canary was accepted before, so NotFound is a revocation"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_replaced_token_starts_without_history() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |token: String| std::fs::write(file.path(), token).unwrap();
    write(simulator.key("dupont").unwrap().token().unwrap());
    let key = token_file_key("dupont", file.path(), vec![extended()]);
    let fleet = RunningFleet::start(&config(&simulator, vec![key]));
    sleep(minutes(2)).await;
    simulator.key("dupont").unwrap().revoke();
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Revoked);
    write("another-token-that-the-api-does-not-know".to_owned());
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Invalid);
    assert!(!fleet.key("dupont").persisted.has_been_active, "another token was active");
    simulator.key("dupont").unwrap().restore();
    write(simulator.key("dupont").unwrap().replace_token().unwrap());
    sleep(minutes(3)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Active);
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_changes_the_state_of_the_secret_but_not_of_its_keys() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let fleet = fleet_of_one_key(&simulator, vec![extended()]).await;
    assert_eq!(fleet.secret(), SecretState::Active);
    simulator.partner("acme").unwrap().deactivate_secret();
    sleep(minutes(2)).await;
    assert_eq!(fleet.secret(), SecretState::Rejected);
    assert_eq!(fleet.state("dupont"), KeyState::Active);
    assert_eq!(fleet.reason("dupont", 0), Some(Reason::Secret));
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_partner_is_refused_in_all_its_probes_while_the_secret_stays_active() {
    let misplaced = KeySpec::society("misplaced", 80, 128).refused(Refusal::new("ERR-INVALID-SECRET"));
    let simulator = simulator_builder().key(misplaced).society_key("dupont", 80, 127).start().await.unwrap();
    let key = |name| known_key(&simulator, name, vec![extended(), exercices(None)]);
    let fleet = RunningFleet::start(&config(&simulator, vec![key("misplaced"), key("dupont")]));
    for _ in 0..60 {
        sleep(minutes(1)).await;
        assert_eq!(fleet.secret(), SecretState::Active);
    }
    let status = fleet.key("misplaced");
    assert_eq!(status.persisted.state, KeyState::Unknown, "a refused secret says nothing about the key");
    assert!(status.probes.iter().all(ProbeStatus::is_refused));
    for probe in 0..2 {
        assert_eq!(fleet.reason("misplaced", probe), Some(Reason::Secret));
        assert_eq!(fleet.reason("dupont", probe), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_activated_yet_is_pending() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    simulator.partner("acme").unwrap().deactivate_secret();
    let fleet = fleet_of_one_key(&simulator, vec![extended()]).await;
    assert_eq!(fleet.secret(), SecretState::Pending);
    assert_eq!(fleet.state("dupont"), KeyState::Unknown);
}

#[tokio::test(start_paused = true)]
async fn maintenance_and_a_lost_connection_change_no_state() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let fleet = fleet_of_one_key(&simulator, vec![extended(), exercices(None)]).await;
    simulator.begin_maintenance();
    sleep(minutes(2)).await;
    assert_eq!(fleet.reason("dupont", 0), Some(Reason::Maintenance));
    assert_eq!(fleet.state("dupont"), KeyState::Active);
    assert!(fleet.shared_state.health().probe.episode.is_some());
    simulator.shutdown().await;
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Active);
    assert_eq!(fleet.reason("dupont", 0), Some(Reason::Connect), "a lost connection is not maintenance");
}

#[tokio::test(start_paused = true)]
async fn an_episode_keeps_its_reason_until_the_api_refuses_the_key() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let fleet = fleet_of_one_key(&simulator, vec![extended()]).await;
    let inject = |fault| simulator.inject(Scope::Everything, fault);
    inject(Fault::edge(StatusCode::BAD_GATEWAY));
    sleep(minutes(2)).await;
    assert_eq!(fleet.reason("dupont", 0), Some(Reason::Edge));
    inject(Fault::Close);
    sleep(minutes(2)).await;
    assert_eq!(
        fleet.reason("dupont", 0),
        Some(Reason::Edge),
        "a failure of the network does not replace a failure of the edge"
    );
    simulator.heal(&Scope::Everything);
    simulator.key("dupont").unwrap().revoke();
    sleep(minutes(2)).await;
    let refused = fleet.key("dupont").probes[0].episode.clone().unwrap();
    assert_eq!(refused.failure.reason, Reason::Token, "a refusal replaces an earlier failure of the edge");
    assert!(refused.request_id.is_some());
    inject(Fault::edge(StatusCode::BAD_GATEWAY));
    sleep(minutes(2)).await;
    assert_eq!(
        fleet.key("dupont").probes[0].episode,
        Some(refused),
        "a later failure of the edge does not replace a refusal"
    );
}

#[tokio::test(start_paused = true)]
async fn maintenance_neither_ends_nor_restarts_the_episode_of_a_refusal() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let fleet = fleet_of_one_key(&simulator, vec![extended(), exercices(None)]).await;
    simulator.key("dupont").unwrap().revoke();
    sleep(minutes(10)).await;
    let episodes = || fleet.key("dupont").probes.into_iter().map(|probe| probe.episode).collect::<Vec<_>>();
    let quoted = || {
        let source = StatusSource::new(&fleet.shared_state, Language::English);
        let detail = KeyDetail::new(&source, source.inventory.key("acme", "dupont").unwrap());
        detail.key.request_id().map(str::to_owned)
    };
    let (refused, id) = (episodes(), quoted());
    assert!(refused.iter().all(Option::is_some) && id.is_some());
    for fault in [Fault::maintenance(), Fault::edge(StatusCode::BAD_GATEWAY), Fault::Close] {
        simulator.inject(Scope::Everything, fault);
        sleep(minutes(2)).await;
        assert_eq!((episodes(), quoted()), (refused.clone(), id.clone()), "while it lasts");
        simulator.heal(&Scope::Everything);
        sleep(minutes(2)).await;
        assert_eq!((episodes(), quoted()), (refused.clone(), id.clone()), "afterwards");
    }
    simulator.key("dupont").unwrap().restore();
    sleep(minutes(2)).await;
    assert_eq!(episodes(), [None, None]);
}

/// How many requests arrived in the busiest second between `since` and now.
fn busiest_second(simulator: &Simulator, keys: u64, since: Instant) -> usize {
    let mut by_second = std::collections::HashMap::new();
    for number in 0..keys {
        let starts = simulator.key(&format!("key{number}")).unwrap().starts();
        for start in starts.into_iter().filter(|start| *start >= since) {
            *by_second.entry((start - since).as_secs()).or_insert(0) += 1;
        }
    }
    by_second.into_values().max().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_revocation_of_all_keys_at_once_is_told_within_an_interval_and_asks_each_key_once_more() {
    const KEYS: u64 = 120;
    let mut builder = simulator_builder();
    for number in 0..KEYS {
        builder = builder.society_key(&format!("key{number}"), 80, 1_000 + number);
    }
    let simulator = builder.start().await.unwrap();
    let keys = (0..KEYS)
        .map(|number| known_key(&simulator, &format!("key{number}"), vec![extended(), exercices(None)]));
    let fleet = RunningFleet::start(&config(&simulator, keys.collect()));
    sleep(minutes(3)).await;
    let settled = Instant::now();
    sleep(minutes(2)).await;
    let usual = busiest_second(&simulator, KEYS, settled);
    let calls = |number| simulator.key(&format!("key{number}")).unwrap().counts().calls;
    let before: Vec<_> = (0..KEYS).map(calls).collect();
    for number in 0..KEYS {
        simulator.key(&format!("key{number}")).unwrap().revoke();
    }
    let revoked = Instant::now();
    // One interval, one confirmation, and the write to the disk.
    sleep(minutes(1) + Duration::from_secs(5)).await;
    for number in 0..KEYS {
        let name = format!("key{number}");
        assert_eq!(fleet.state(&name), KeyState::Revoked, "{name}");
        let asked = calls(number) - before[usize::try_from(number).unwrap()];
        assert!(asked <= 4, "{name} was asked {asked} times in 65 seconds: two probes, one of them twice");
    }
    let burst = busiest_second(&simulator, KEYS, revoked);
    assert!(burst <= 2 * usual + 4, "{burst} requests in one second, usually {usual}");
}
