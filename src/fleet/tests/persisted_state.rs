//! Persisted state that becomes readable late.

use crate::key_state::{KeyState, SecretState};
use partner_simulator::{Fault, Scope, Simulator};
use tokio::time::sleep;

use super::{Watched, acme, minutes};
use crate::test_support::{config, exercices, known_key, token_key};

/// What the exporter shows of a key whose storage folder comes into being only after `meanwhile`, with
/// the memory that the key and the secret were active once.
async fn with_a_late_memory(meanwhile: fn(&Simulator)) -> (KeyState, Watched) {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    let config = config(&simulator, vec![known_key(&simulator, "dupont", vec![exercices(None)])]);
    let memory = tempfile::tempdir().unwrap();
    let (before, folder) = (memory.path().join("before"), memory.path().join("data"));
    let watched = Watched::start_in(&before, tempfile::tempdir().unwrap(), &config);
    sleep(minutes(2)).await;
    drop(watched);
    std::fs::write(&folder, "not a folder yet").unwrap();
    meanwhile(&simulator);
    let watched = Watched::start_in(&folder, memory, &config);
    sleep(minutes(2)).await;
    let early = watched.state("dupont");
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(before.join("state.json"), folder.join("state.json")).unwrap();
    sleep(minutes(2)).await;
    (early, watched)
}

#[tokio::test(start_paused = true)]
async fn a_memory_that_arrives_late_tells_a_revoked_key_from_an_unknown_one() {
    let (early, watched) = with_a_late_memory(|sim| sim.key("dupont").unwrap().revoke()).await;
    assert_eq!((early, watched.state("dupont")), (KeyState::NotFound, KeyState::Revoked));
}

#[tokio::test(start_paused = true)]
async fn a_memory_that_arrives_late_is_shown_while_the_api_is_out_of_reach() {
    let (early, watched) = with_a_late_memory(|sim| sim.inject(Scope::Everything, Fault::Close)).await;
    assert_eq!((early, watched.state("dupont")), (KeyState::Unknown, KeyState::Active));
    assert_eq!(watched.secret(), SecretState::Active);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_readable_only_after_the_start_finds_its_memory() {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    let memory = tempfile::tempdir().unwrap();
    let (before, folder) = (memory.path().join("before"), memory.path().join("data"));
    let file = memory.path().join("token");
    std::fs::write(&file, simulator.key("dupont").unwrap().token().unwrap()).unwrap();
    let mut key = token_key("dupont", "", vec![exercices(None)]);
    let source = crate::secret::SecretSource::File(file.clone());
    key.credential = crate::config::Credential::Token(source);
    let config = config(&simulator, vec![key]);
    let watched = Watched::start_in(&before, tempfile::tempdir().unwrap(), &config);
    sleep(minutes(2)).await;
    drop(watched);
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(before.join("state.json"), folder.join("state.json")).unwrap();
    std::fs::rename(&file, memory.path().join("token-later")).unwrap();
    simulator.key("dupont").unwrap().revoke();
    let late = memory.path().join("token-later");
    let watched = Watched::start_in(&folder, memory, &config);
    sleep(minutes(2)).await;
    assert_eq!(watched.state("dupont"), KeyState::Unknown);
    std::fs::rename(late, &file).unwrap();
    sleep(minutes(2)).await;
    assert_eq!(watched.state("dupont"), KeyState::Revoked);
}
