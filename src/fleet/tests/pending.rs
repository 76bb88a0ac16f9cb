//! Keys that are not activated yet.

use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use partner_simulator::{Activation, Fault, KEY_INFO, KeySpec, SOCIETY, Simulator};
use tokio::time::sleep;

use super::{RunningFleet, extended, minutes, simulator_builder};
use crate::config::{Key, Probe, Target};
use crate::key_state::KeyState;
use crate::monitor::{KeyMonitor, MonitorSettings, PartnerMonitor};
use crate::probe::Prober;
use crate::store::Store;
use crate::test_support::{api, config, context, exercices, known_key, partner};

/// A key whose canaries are accepted although it cannot be activated.
async fn pending_key() -> Simulator {
    let activation = Activation { possible: false, refused_before: None, ..Activation::default() };
    let key = KeySpec::society("dupont", 80, 127).pending().activation(activation);
    simulator_builder().key(key).start().await.unwrap()
}

fn with_two_canaries(simulator: &Simulator) -> Key {
    let mut society = exercices(None);
    if let Target::Canary(canary) = &mut society.target {
        (canary.name, canary.path) = ("society".into(), SOCIETY.into());
    }
    let society = Probe { name: "society".into(), ..society };
    known_key(simulator, "dupont", vec![extended(), exercices(None), society])
}

fn changes(fleet: &RunningFleet) -> Vec<(KeyState, u64)> {
    fleet.key("dupont").changes.clone()
}

/// A monitor without a schedule, so that a test chooses the order of the probes.
fn monitor(simulator: &Simulator, storage: &Path) -> Arc<KeyMonitor> {
    let context = Arc::new(context(Store::open(storage, |_| {}).unwrap()));
    let prober = Prober::new(&api(simulator)).unwrap();
    let partner = PartnerMonitor::new(&context.store, &partner("acme", Vec::new()), prober.identity());
    let settings = MonitorSettings { prober, keep_free: 0 };
    KeyMonitor::new(context, settings, Arc::new(partner), &with_two_canaries(simulator), None)
}

#[tokio::test(start_paused = true)]
async fn a_new_key_whose_canaries_answer_before_key_info_changes_its_state_once() {
    for (activated, expected) in [(true, KeyState::Active), (false, KeyState::Pending)] {
        let simulator = pending_key().await;
        if activated {
            simulator.key("dupont").unwrap().activate();
        }
        let storage = tempfile::tempdir().unwrap();
        let monitor = monitor(&simulator, storage.path());
        let state = || {
            let status = monitor.monitored_key().status();
            (status.persisted.state, status.changes.clone())
        };
        for canary in [1, 2, 1] {
            assert!(monitor.run(canary, None).await.report().unwrap().outcome.is_ok());
            assert_eq!(state(), (KeyState::Unknown, vec![]));
        }
        assert!(monitor.monitored_key().status().persisted.has_been_active);
        for probe in [0, 1, 2, 0] {
            monitor.run(probe, None).await;
            assert_eq!(state(), (expected, vec![(expected, 1)]));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_canary_decides_about_a_new_key_if_key_info_is_not_asked_for_three_intervals() {
    let (simulator, storage) = (pending_key().await, tempfile::tempdir().unwrap());
    let monitor = monitor(&simulator, storage.path());
    for (waited, expected) in [(0, KeyState::Unknown), (2, KeyState::Unknown), (1, KeyState::Active)] {
        sleep(minutes(waited)).await;
        monitor.run(1, None).await;
        assert_eq!(monitor.monitored_key().status().persisted.state, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_canary_decides_about_a_new_key_if_key_info_fails() {
    let simulator = pending_key().await;
    simulator.key("dupont").unwrap().inject_on(KEY_INFO, Fault::edge(StatusCode::FORBIDDEN));
    let fleet = RunningFleet::start(&config(&simulator, vec![with_two_canaries(&simulator)]));
    sleep(minutes(2)).await;
    assert_eq!(changes(&fleet), [(KeyState::Active, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_pending_before_a_restart_stays_pending_if_key_info_fails_once() {
    let simulator = pending_key().await;
    let parent = tempfile::tempdir().unwrap();
    let storage = parent.path().join("data");
    let config = config(&simulator, vec![with_two_canaries(&simulator)]);
    let fleet = RunningFleet::start_with_storage(&storage, tempfile::tempdir().unwrap(), &config);
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("dupont"), KeyState::Pending);
    drop(fleet);
    sleep(minutes(1)).await;
    let key = simulator.key("dupont").unwrap();
    key.inject_on(KEY_INFO, Fault::edge(StatusCode::BAD_GATEWAY));
    let fleet = RunningFleet::start_with_storage(&storage, parent, &config);
    sleep(minutes(2)).await;
    assert_eq!((fleet.state("dupont"), changes(&fleet)), (KeyState::Pending, vec![]));
    key.heal();
    sleep(minutes(2)).await;
    assert_eq!((fleet.state("dupont"), changes(&fleet)), (KeyState::Pending, vec![]));
    // If key/info does not answer for three intervals, the canaries decide.
    key.inject_on(KEY_INFO, Fault::edge(StatusCode::BAD_GATEWAY));
    sleep(minutes(5)).await;
    assert_eq!(changes(&fleet), [(KeyState::Active, 1)]);
}
