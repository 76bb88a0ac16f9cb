//! Persisted state that becomes readable late.

use crate::key_state::{KeyState, SecretState};
use partner_simulator::{Fault, Scope, Simulator};
use tokio::time::sleep;

use super::{RunningFleet, minutes, simulator_builder};
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
