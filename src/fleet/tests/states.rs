//! States of keys and secrets, and their failure episodes.

use crate::key_state::{KeyState, SecretState};
use crate::partner_api::KeyInfoMode;
use crate::partner_api::failure::Reason;
use http::StatusCode;
use partner_simulator::{Activation, EXERCICES, Fault, KEY_INFO, KeySpec, Scope};
use tokio::time::{Duration, sleep};

use super::{Watched, acme, extended, minutes, one_key};
use crate::test_support::{config, exercices, key_info, token_key};

#[tokio::test(start_paused = true)]
async fn a_key_goes_from_pending_to_active_to_revoked_and_back() {
    let simulator = acme().key(KeySpec::society("dupont", 80, 127).never_activated()).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let watched = one_key(&simulator, vec![extended(), exercices(None)]).await;
    assert_eq!(watched.state("dupont"), KeyState::Pending);
    key.activate();
    sleep(minutes(2)).await;
    assert_eq!(watched.state("dupont"), KeyState::Active);
    key.revoke();
    sleep(minutes(2)).await;
    assert_eq!(watched.state("dupont"), KeyState::Revoked);
    let episode = watched.key("dupont").probes[0].episode.clone().unwrap();
    assert_eq!(
        (episode.failure.reason, episode.failure.code_label()),
        (Reason::Token, "ERR-API-TOKEN-NOT-FOUND")
    );
    let given: Vec<_> = key.calls().iter().filter_map(|call| call.request_id().map(str::to_owned)).collect();
    assert!(given.contains(&episode.request_id.unwrap().to_string()), "the id is one that the API gave");
    key.restore();
    sleep(minutes(2)).await;
    assert_eq!(watched.state("dupont"), KeyState::Active);
    assert_eq!(watched.key("dupont").probes[0].episode, None);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_is_seen_by_whichever_probe_is_first() {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    let watched = one_key(&simulator, vec![extended(), exercices(None)]).await;
    simulator.key("dupont").unwrap().revoke();
    sleep(Duration::from_secs(31)).await;
    assert_eq!(watched.state("dupont"), KeyState::Revoked, "two probes a minute: within half a minute");
}

#[tokio::test(start_paused = true)]
async fn asking_extended_activates_a_new_key_and_asking_routes_does_not() {
    for (mode, activated) in [(KeyInfoMode::Extended, true), (KeyInfoMode::Routes, false)] {
        let activation = Activation { by_any_call: false, ..Activation::default() };
        let key = KeySpec::society("dupont", 80, 127).pending().activation(activation);
        let simulator = acme().key(key).start().await.unwrap();
        let watched = one_key(&simulator, vec![key_info(mode)]).await;
        assert_eq!(simulator.key("dupont").unwrap().is_activated(), activated);
        assert_eq!(watched.state("dupont"), KeyState::Active);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_never_worked_is_not_found_and_not_revoked() {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    simulator.key("dupont").unwrap().revoke();
    let watched = one_key(&simulator, vec![extended(), exercices(None)]).await;
    assert_eq!(watched.state("dupont"), KeyState::NotFound);
}

#[tokio::test(start_paused = true)]
async fn where_key_info_no_longer_answers_a_canary_can_end_pending() {
    for (revoked, expected) in [(true, KeyState::Revoked), (false, KeyState::Active)] {
        let activation = Activation { possible: false, refused_before: None, ..Activation::default() };
        let key = KeySpec::society("dupont", 80, 127).pending().activation(activation);
        let simulator = acme().key(key).start().await.unwrap();
        let key = simulator.key("dupont").unwrap();
        let watched = one_key(&simulator, vec![extended(), exercices(None)]).await;
        assert_eq!(watched.state("dupont"), KeyState::Pending, "a canary that is accepted does not end it");
        key.inject_on(KEY_INFO, Fault::edge(StatusCode::FORBIDDEN));
        if revoked {
            key.inject_on(EXERCICES, Fault::refuse("ERR-API-TOKEN-NOT-FOUND"));
        }
        sleep(minutes(2)).await;
        assert_eq!(
            watched.state("dupont"),
            expected,
            "its canary was accepted before, so its loss is a revocation"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_replaced_token_starts_anew() {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |token: String| std::fs::write(file.path(), token).unwrap();
    write(simulator.key("dupont").unwrap().token().unwrap());
    let mut key = token_key("dupont", "", vec![extended()]);
    let source = crate::secret::SecretSource::File(file.path().to_owned());
    key.credential = crate::config::Credential::Token(source);
    let watched = Watched::start(&config(&simulator, vec![key]));
    sleep(minutes(2)).await;
    simulator.key("dupont").unwrap().revoke();
    sleep(minutes(2)).await;
    assert_eq!(watched.state("dupont"), KeyState::Revoked);
    write("another-token-that-nobody-knows".to_owned());
    sleep(minutes(2)).await;
    assert_eq!(watched.state("dupont"), KeyState::Invalid);
    assert!(!watched.key("dupont").persisted.has_been_active, "that was another token");
    simulator.key("dupont").unwrap().restore();
    write(simulator.key("dupont").unwrap().replace_token().unwrap());
    sleep(minutes(3)).await;
    assert_eq!(watched.state("dupont"), KeyState::Active);
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_moves_the_secret_and_leaves_the_keys() {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    let watched = one_key(&simulator, vec![extended()]).await;
    assert_eq!(watched.secret(), SecretState::Active);
    simulator.partner("acme").unwrap().deactivate_secret();
    sleep(minutes(2)).await;
    assert_eq!(watched.secret(), SecretState::Rejected);
    assert_eq!(watched.state("dupont"), KeyState::Active);
    assert_eq!(watched.reason("dupont", 0), Some(Reason::Secret));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_activated_yet_is_pending() {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    simulator.partner("acme").unwrap().deactivate_secret();
    let watched = one_key(&simulator, vec![extended()]).await;
    assert_eq!(watched.secret(), SecretState::Pending);
    assert_eq!(watched.state("dupont"), KeyState::Unknown);
}

#[tokio::test(start_paused = true)]
async fn what_the_api_did_not_say_moves_no_state() {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    let watched = one_key(&simulator, vec![extended(), exercices(None)]).await;
    simulator.begin_maintenance();
    sleep(minutes(2)).await;
    assert_eq!(watched.reason("dupont", 0), Some(Reason::Maintenance));
    assert_eq!(watched.state("dupont"), KeyState::Active);
    assert!(watched.shared_state.health().probe.episode.is_some());
    simulator.shutdown().await;
    sleep(minutes(2)).await;
    assert_eq!(watched.state("dupont"), KeyState::Active);
    assert_eq!(
        watched.reason("dupont", 0),
        Some(Reason::Connect),
        "what follows maintenance is no maintenance"
    );
}

#[tokio::test(start_paused = true)]
async fn an_episode_keeps_its_first_reason_until_the_api_says_something_else() {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    let watched = one_key(&simulator, vec![extended()]).await;
    let inject = |fault| simulator.inject(Scope::Everything, fault);
    inject(Fault::edge(StatusCode::BAD_GATEWAY));
    sleep(minutes(2)).await;
    assert_eq!(watched.reason("dupont", 0), Some(Reason::Edge));
    inject(Fault::Close);
    sleep(minutes(2)).await;
    assert_eq!(watched.reason("dupont", 0), Some(Reason::Edge), "one trouble on the way is like another");
    simulator.heal(&Scope::Everything);
    simulator.key("dupont").unwrap().revoke();
    sleep(minutes(2)).await;
    let refused = watched.key("dupont").probes[0].episode.clone().unwrap();
    assert_eq!(refused.failure.reason, Reason::Token, "a refusal is never hidden behind earlier trouble");
    assert!(refused.request_id.is_some());
    inject(Fault::edge(StatusCode::BAD_GATEWAY));
    sleep(minutes(2)).await;
    assert_eq!(watched.key("dupont").probes[0].episode, Some(refused), "nor later trouble in its place");
}
