//! Persisted state that becomes readable late.

use std::time::SystemTime;

use crate::key_state::{KeyState, PersistedKeyState, SecretState};
use axum::http::{HeaderValue, StatusCode};
use partner_simulator::{EXERCICES, Fault, Page, Scope, Simulator};
use tokio::time::sleep;

use super::{RunningFleet, extended, minutes, simulator_builder};
use crate::config::Config;
use crate::partner_api::failure::Reason;
use crate::test_support::{config, exercices, known_key, token_file_key};

/// Restarts with a storage directory that becomes readable only after `meanwhile`. The persisted state in it
/// says that the key and the secret were active. Returns the key's state before the directory is readable,
/// and the fleet afterwards.
async fn with_late_storage(meanwhile: fn(&Simulator)) -> (KeyState, RunningFleet) {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let config = config(&simulator, vec![known_key(&simulator, "dupont", vec![exercices(None)])]);
    let parent = tempfile::tempdir().unwrap();
    let (before, storage) = (parent.path().join("before"), parent.path().join("data"));
    let fleet = RunningFleet::start_with_storage(&before, tempfile::tempdir().unwrap(), &config);
    sleep(minutes(2)).await;
    drop(fleet);
    std::fs::write(&storage, "not a directory yet").unwrap();
    meanwhile(&simulator);
    let fleet = RunningFleet::start_with_storage(&storage, parent, &config);
    sleep(minutes(2)).await;
    let early = fleet.state("dupont");
    std::fs::remove_file(&storage).unwrap();
    std::fs::create_dir(&storage).unwrap();
    std::fs::copy(before.join("state.json"), storage.join("state.json")).unwrap();
    sleep(minutes(2)).await;
    (early, fleet)
}

#[tokio::test(start_paused = true)]
async fn a_key_is_revoked_once_late_storage_shows_that_it_was_active() {
    let (early, fleet) = with_late_storage(|sim| sim.key("dupont").unwrap().revoke()).await;
    assert_eq!((early, fleet.state("dupont")), (KeyState::NotFound, KeyState::Revoked));
}

#[tokio::test(start_paused = true)]
async fn the_state_in_late_storage_is_shown_while_the_api_is_unreachable() {
    let (early, fleet) = with_late_storage(|sim| sim.inject(Scope::Everything, Fault::Close)).await;
    assert_eq!((early, fleet.state("dupont")), (KeyState::Unknown, KeyState::Active));
    assert_eq!(fleet.secret(), SecretState::Active);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_becomes_readable_late_gets_its_persisted_state() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let parent = tempfile::tempdir().unwrap();
    let (before, storage) = (parent.path().join("before"), parent.path().join("data"));
    let file = parent.path().join("token");
    std::fs::write(&file, simulator.key("dupont").unwrap().token().unwrap()).unwrap();
    let key = token_file_key("dupont", &file, vec![exercices(None)]);
    let config = config(&simulator, vec![key]);
    let fleet = RunningFleet::start_with_storage(&before, tempfile::tempdir().unwrap(), &config);
    sleep(minutes(2)).await;
    drop(fleet);
    // Its tasks end, and with them ends what is known of the file: the process starts anew.
    sleep(minutes(1)).await;
    std::fs::create_dir(&storage).unwrap();
    std::fs::copy(before.join("state.json"), storage.join("state.json")).unwrap();
    std::fs::rename(&file, parent.path().join("token-later")).unwrap();
    simulator.key("dupont").unwrap().revoke();
    let late = parent.path().join("token-later");
    let fleet = RunningFleet::start_with_storage(&storage, parent, &config);
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Active, "the remembered state of the key");
    std::fs::rename(late, &file).unwrap();
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Revoked);
}

/// Ends a fleet, and waits until its tasks have ended and with them what is known of the files.
async fn end(fleet: RunningFleet) {
    drop(fleet);
    sleep(minutes(1)).await;
}

/// What outlives a restart, with times as in the file: in milliseconds.
fn remembered(fleet: &RunningFleet, name: &str) -> (KeyState, u128, bool, Option<u128>) {
    let millis = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let PersistedKeyState { state, since, history, .. } = fleet.key(name).persisted;
    (state, millis(since), history.has_worked, history.broken_since.map(millis))
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_renamed_while_its_token_cannot_be_read_keeps_its_history() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let parent = tempfile::tempdir().unwrap();
    let (storage, file) = (parent.path().join("data"), parent.path().join("token"));
    let token = simulator.key("dupont").unwrap().token().unwrap();
    std::fs::write(&file, &token).unwrap();
    let named = |name, file| config(&simulator, vec![token_file_key(name, file, vec![exercices(None)])]);
    let start = |name, file| {
        RunningFleet::start_with_storage(&storage, tempfile::tempdir().unwrap(), &named(name, file))
    };
    let fleet = start("dupont", &file);
    sleep(minutes(2)).await;
    simulator.key("dupont").unwrap().revoke();
    sleep(minutes(2)).await;
    let before = remembered(&fleet, "dupont");
    assert!(before.0 == KeyState::Revoked && before.3.is_some());
    end(fleet).await;
    std::fs::remove_file(&file).unwrap();
    let mut fleet = start("dupont", &file);
    sleep(minutes(2)).await;
    assert_eq!(remembered(&fleet, "dupont"), before);
    fleet.apply(&named("renamed", &file));
    for _ in 0..2 {
        assert_eq!(fleet.reason("renamed", 0), None);
        assert_eq!(remembered(&fleet, "renamed"), before, "no alert ends because of the rename");
        sleep(minutes(2)).await;
        assert_eq!(fleet.reason("renamed", 0), Some(Reason::Credential));
        fleet.apply(&named("renamed-again", &file));
        fleet.apply(&named("renamed", &file));
    }
    // After a restart, and under another name of the file, only the token tells which key it is.
    end(fleet).await;
    let moved = parent.path().join("moved");
    let fleet = start("renamed", &moved);
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("renamed"), KeyState::Unknown);
    std::fs::write(&moved, &token).unwrap();
    sleep(minutes(2)).await;
    assert_eq!(remembered(&fleet, "renamed"), before);
}

#[tokio::test(start_paused = true)]
async fn another_key_with_the_same_file_has_a_history_of_its_own_when_its_token_can_be_read() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).society_key("martin", 80, 128);
    let simulator = simulator.start().await.unwrap();
    let parent = tempfile::tempdir().unwrap();
    let (storage, file) = (parent.path().join("data"), parent.path().join("token"));
    let named = |name| config(&simulator, vec![token_file_key(name, &file, vec![exercices(None)])]);
    let start = |name| RunningFleet::start_with_storage(&storage, tempfile::tempdir().unwrap(), &named(name));
    std::fs::write(&file, simulator.key("dupont").unwrap().token().unwrap()).unwrap();
    let fleet = start("dupont");
    sleep(minutes(2)).await;
    simulator.key("dupont").unwrap().revoke();
    sleep(minutes(2)).await;
    end(fleet).await;
    std::fs::remove_file(&file).unwrap();
    let mut fleet = start("dupont");
    fleet.apply(&named("martin"));
    assert_eq!(fleet.state("martin"), KeyState::Revoked, "until the token can be read");
    simulator.key("martin").unwrap().revoke();
    std::fs::write(&file, simulator.key("martin").unwrap().token().unwrap()).unwrap();
    sleep(minutes(2)).await;
    let martin = fleet.key("martin").persisted;
    assert_eq!((martin.state, martin.history.has_worked), (KeyState::NotFound, false));
}

/// The same configuration for another API.
fn at_api(mut config: Config, identity: &str) -> Config {
    config.settings.api.identity = Some(identity.into());
    config
}

#[tokio::test(start_paused = true)]
async fn a_broken_key_is_still_broken_after_a_stay_at_another_api_and_with_another_token() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let staging = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let parent = tempfile::tempdir().unwrap();
    let (storage, file) = (parent.path().join("data"), parent.path().join("token"));
    let write = |token: String| std::fs::write(&file, token).unwrap();
    let key = || vec![token_file_key("dupont", &file, vec![exercices(None)])];
    let production = at_api(config(&simulator, key()), "production");
    write(simulator.key("dupont").unwrap().token().unwrap());
    let mut fleet = RunningFleet::start_with_storage(&storage, tempfile::tempdir().unwrap(), &production);
    sleep(minutes(2)).await;
    simulator.key("dupont").unwrap().revoke();
    sleep(minutes(2)).await;
    let broken_since = remembered(&fleet, "dupont").3;
    assert!(broken_since.is_some());
    write(staging.key("dupont").unwrap().token().unwrap());
    fleet.apply(&at_api(config(&staging, key()), "staging"));
    sleep(minutes(2)).await;
    let at_staging = fleet.key("dupont").persisted;
    assert_eq!((at_staging.state, at_staging.history.broken_since), (KeyState::Active, None));
    end(fleet).await;
    write("a-mistyped-token".to_owned());
    let mut fleet = RunningFleet::start_with_storage(&storage, tempfile::tempdir().unwrap(), &production);
    sleep(minutes(2)).await;
    let returned = remembered(&fleet, "dupont");
    assert_eq!((returned.0, returned.3), (KeyState::Invalid, broken_since));
    fleet.apply(&at_api(config(&staging, key()), "staging"));
    assert!(fleet.key("dupont").persisted.history.has_worked);
    fleet.apply(&production);
    simulator.key("dupont").unwrap().restore();
    write(simulator.key("dupont").unwrap().replace_token().unwrap());
    sleep(minutes(2)).await;
    let works = fleet.key("dupont").persisted;
    assert_eq!((works.state, works.history.broken_since), (KeyState::Active, None));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_is_not_believed_after_a_restart_or_a_reload() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let parent = tempfile::tempdir().unwrap();
    let storage = parent.path().join("data");
    let configured =
        || config(&simulator, vec![known_key(&simulator, "dupont", vec![extended(), exercices(None)])]);
    let fleet = RunningFleet::start_with_storage(&storage, tempfile::tempdir().unwrap(), &configured());
    sleep(minutes(2)).await;
    end(fleet).await;
    key.revoke();
    let page = Page::new(
        StatusCode::OK,
        HeaderValue::from_static("application/json"),
        r#"{"status":"up","isActivated":true}"#,
    );
    key.inject(Fault::Edge(page));
    let mut fleet = RunningFleet::start_with_storage(&storage, parent, &configured());
    for is_reloaded in [false, true] {
        if is_reloaded {
            let mut config = configured();
            // Other settings of the same API: they build the client anew.
            config.settings.api.identity = Some(config.settings.api.identity());
            fleet.apply(&config);
        }
        sleep(minutes(2)).await;
        let reasons = [0, 1].map(|probe| fleet.reason("dupont", probe));
        assert_eq!(reasons, [Some(Reason::Edge); 2], "{EXERCICES}");
        assert_eq!(fleet.key("dupont").probes[1].successes, 0);
    }
    key.heal();
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Revoked);
}
