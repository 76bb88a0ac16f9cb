//! Secrets, tokens and passwords that cannot be read.

use std::fs;
use std::path::PathBuf;

use partner_simulator::{Key, Simulator};
use tokio::time::{Duration, sleep, sleep_until};

use super::{RunningFleet, extended, minutes, simulator_builder};
use crate::config::{Config, Credential, Partner};
use crate::key_state::KeyState;
use crate::metrics::Metrics;
use crate::partner_api::failure::Reason;
use crate::secret::SecretSource;
use crate::test_support::{SECRET, config, exercices, known_key, login_key, token_file_key};

const UNREADABLE: &str = "myunisoft_exporter_credential_unreadable{";

/// The samples of unreadable credentials.
fn unreadable(fleet: &RunningFleet) -> Vec<String> {
    let text: Vec<u8> = Metrics::new().unwrap().render(&fleet.shared_state).flatten().collect();
    let text = String::from_utf8(text).unwrap();
    text.lines().filter_map(|line| line.strip_prefix(UNREADABLE)).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn one_unreadable_token_fails_one_key() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).society_key("martin", 80, 128);
    let simulator = simulator.start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let keys = vec![
        token_file_key("dupont", &file, vec![extended()]),
        known_key(&simulator, "martin", vec![extended()]),
    ];
    let fleet = RunningFleet::start(&config(&simulator, keys));
    for content in [None, Some(""), Some("\n"), Some("of two\nlines")] {
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        sleep(minutes(2)).await;
        assert_eq!(fleet.reason("dupont", 0), Some(Reason::Credential), "{content:?}");
        assert_eq!(fleet.state("dupont"), KeyState::Unknown);
        assert_eq!(fleet.state("martin"), KeyState::Active);
        assert_eq!(unreadable(&fleet), ["partner=\"acme\",key=\"dupont\"} 1"]);
    }
    assert_eq!(simulator.key("dupont").unwrap().counts().calls, 0);
    fs::write(&file, simulator.key("dupont").unwrap().token().unwrap()).unwrap();
    sleep(minutes(2)).await;
    assert_eq!((fleet.state("dupont"), fleet.reason("dupont", 0)), (KeyState::Active, None));
    assert_eq!(unreadable(&fleet), [""; 0]);
}

/// A fleet of the key dupont, whose token is in a file. It has run for two minutes.
struct TokenInFile {
    key: Key,
    fleet: RunningFleet,
    file: PathBuf,
    _simulator: Simulator,
    _folder: tempfile::TempDir,
}

impl TokenInFile {
    async fn start() -> Self {
        let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
        let key = simulator.key("dupont").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, key.token().unwrap()).unwrap();
        let keys = vec![token_file_key("dupont", &file, vec![extended()])];
        let fleet = RunningFleet::start(&config(&simulator, keys));
        sleep(minutes(2)).await;
        Self { key, fleet, file, _simulator: simulator, _folder: folder }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_token_serves_while_its_file_cannot_be_read_and_this_is_reported() {
    let TokenInFile { key, fleet, file, _simulator, _folder } = TokenInFile::start().await;
    fs::remove_file(&file).unwrap();
    sleep(minutes(2)).await;
    assert_eq!((fleet.state("dupont"), fleet.reason("dupont", 0)), (KeyState::Active, None));
    assert_eq!(unreadable(&fleet).len(), 1);
    // The key is still monitored.
    key.revoke();
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Revoked);
    fs::write(&file, "").unwrap();
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Revoked, "an unreadable file says nothing about the key");
    assert_eq!(unreadable(&fleet).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_token_serves_also_after_a_reload_that_changes_the_key() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, simulator.key("dupont").unwrap().token().unwrap()).unwrap();
    let with_probes = |file, probes| config(&simulator, vec![token_file_key("dupont", file, probes)]);
    let mut fleet = RunningFleet::start(&with_probes(&file, vec![extended()]));
    sleep(minutes(2)).await;
    fs::write(&file, "").unwrap();
    for probes in [vec![extended(), exercices(None)], vec![exercices(None)]] {
        fleet.apply(&with_probes(&file, probes));
        sleep(minutes(2)).await;
        assert_eq!((fleet.state("dupont"), fleet.reason("dupont", 0)), (KeyState::Active, None));
        assert_eq!(unreadable(&fleet).len(), 1);
    }
    // The value of one file does not serve for another one.
    fleet.apply(&with_probes(&folder.path().join("another"), vec![exercices(None)]));
    sleep(minutes(2)).await;
    assert_eq!(fleet.reason("dupont", 0), Some(Reason::Credential));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_replaced_between_the_read_of_its_file_and_the_request_is_not_revoked() {
    let TokenInFile { key, fleet, file, _simulator, _folder } = TokenInFile::start().await;
    for before in [70, 30, 5].map(Duration::from_millis) {
        let last = *key.starts().last().unwrap();
        sleep_until(last + minutes(1) - before).await;
        fs::write(&file, key.replace_token().unwrap()).unwrap();
        key.activate();
        sleep(minutes(1)).await;
        assert_eq!(
            (fleet.state("dupont"), fleet.reason("dupont", 0)),
            (KeyState::Active, None),
            "{before:?}"
        );
    }
    let inventory = fleet.shared_state.inventory();
    let changes = inventory.key("acme", "dupont").unwrap().status().changes.clone();
    assert!(changes.iter().all(|(state, _)| !state.is_refused()), "{changes:?}");
}

#[tokio::test(start_paused = true)]
async fn one_unreadable_secret_fails_the_keys_of_one_partner() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).society_key("martin", 80, 128);
    let simulator = simulator.start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let key = |name| known_key(&simulator, name, vec![extended()]);
    let Config { settings, partners } = config(&simulator, vec![key("dupont")]);
    let secret = SecretSource::File(file.as_path().into());
    let other = Partner { name: "zenith".into(), secret, keys: vec![key("martin")] };
    let fleet = RunningFleet::start(&Config { settings, partners: [partners, vec![other]].concat() });
    sleep(minutes(2)).await;
    let of_zenith = || {
        let inventory = fleet.shared_state.inventory();
        let status = inventory.key("zenith", "martin").unwrap().status().clone();
        let reason = status.probes[0].episode.as_ref().map(|episode| episode.failure.reason);
        (status.persisted.state, reason)
    };
    assert_eq!(fleet.state("dupont"), KeyState::Active);
    assert_eq!(of_zenith(), (KeyState::Unknown, Some(Reason::Credential)));
    assert_eq!(unreadable(&fleet), ["partner=\"zenith\",key=\"\"} 1"]);
    fs::write(&file, SECRET).unwrap();
    sleep(minutes(2)).await;
    assert_eq!(of_zenith(), (KeyState::Active, None));
    assert_eq!(unreadable(&fleet), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_password_sends_no_log_in() {
    let simulator = simulator_builder().start().await.unwrap();
    let mut key = login_key("durand", "api@durand.example", "unused", vec![extended()]);
    let Credential::Login(login) = &mut key.credential else { panic!("not a log-in") };
    login.password = SecretSource::Env("MYUNISOFT_NOT_SET_ANYWHERE".to_owned());
    let fleet = RunningFleet::start(&config(&simulator, vec![key]));
    sleep(minutes(2)).await;
    assert_eq!(fleet.reason("durand", 0), Some(Reason::Credential));
    assert_eq!(fleet.state("durand"), KeyState::Unknown);
    assert_eq!(unreadable(&fleet), ["partner=\"acme\",key=\"durand\"} 1"]);
}
