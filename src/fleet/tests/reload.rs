//! A new configuration of a running fleet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Key;
use crate::key_state::KeyState;
use crate::state::KeyStatus;
use tokio::time::sleep;

use super::{RunningFleet, extended, fleet_of_one_key, minutes, simulator_builder};
use crate::test_support::{config, exercices, known_key};

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_unchanged_keys_removes_old_ones_and_starts_new_ones() {
    let simulator = simulator_builder()
        .society_key("dupont", 80, 127)
        .society_key("martin", 80, 128)
        .society_key("petit", 80, 129);
    let simulator = simulator.start().await.unwrap();
    let key = |name: &str| known_key(&simulator, name, vec![extended()]);
    let mut fleet = RunningFleet::start(&config(&simulator, vec![key("dupont"), key("martin")]));
    sleep(minutes(3)).await;
    let before = fleet.key("dupont");
    assert_eq!(before.probes[0].total, 3);
    fleet.apply(&config(&simulator, vec![key("dupont"), key("petit")]));
    assert_eq!(fleet.key("dupont").probes[0].total, 3);
    assert_eq!(fleet.key("dupont").persisted, before.persisted);
    assert!(fleet.shared_state.inventory().key("acme", "martin").is_none());
    assert!(fleet.inner.key_index().find("acme", "martin").is_none());
    let calls = simulator.key("martin").unwrap().counts().calls;
    sleep(minutes(3)).await;
    assert_eq!(fleet.key("dupont").probes[0].total, 6);
    assert_eq!(fleet.state("petit"), KeyState::Active);
    assert_eq!(simulator.key("martin").unwrap().counts().calls, calls);
}

#[tokio::test(start_paused = true)]
async fn a_key_with_a_changed_definition_keeps_its_history() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let mut fleet = fleet_of_one_key(&simulator, vec![extended()]).await;
    let before = fleet.key("dupont");
    let mut key = known_key(&simulator, "dupont", vec![extended(), exercices(None)]);
    Arc::make_mut(&mut key.probes)[0].timing.interval = minutes(2);
    fleet.apply(&config(&simulator, vec![key]));
    let after = fleet.key("dupont");
    assert_eq!(after.persisted, before.persisted);
    assert_eq!((before.probes[0].interval, after.probes[0].interval), (minutes(1), minutes(2)));
    assert_eq!((after.probes[0].total, after.probes[1].total), (before.probes[0].total, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_changes_labels_only_shows_them_and_does_not_restart_the_key() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let mut fleet = fleet_of_one_key(&simulator, vec![extended()]).await;
    let monitor = fleet.inner.key_index().find("acme", "dupont").unwrap();
    let mut key = known_key(&simulator, "dupont", vec![extended()]);
    for customer in ["4711", "4712"] {
        key.labels = Arc::new(BTreeMap::from([("customer".into(), customer.into())]));
        fleet.apply(&config(&simulator, vec![key.clone()]));
        let inventory = fleet.shared_state.inventory();
        let labels = inventory.key("acme", "dupont").unwrap().operator_labels();
        assert_eq!(labels.get("customer").map(AsRef::as_ref), Some(customer));
        assert!(Arc::ptr_eq(&fleet.inner.key_index().find("acme", "dupont").unwrap(), &monitor));
    }
}

#[tokio::test(start_paused = true)]
async fn a_renamed_key_keeps_its_changes_and_past_probes_and_another_key_does_not_get_them() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).society_key("martin", 80, 128);
    let simulator = simulator.start().await.unwrap();
    let key = |name: &str| known_key(&simulator, name, vec![extended()]);
    let mut fleet = RunningFleet::start(&config(&simulator, vec![key("dupont")]));
    sleep(minutes(2)).await;
    simulator.key("dupont").unwrap().revoke();
    sleep(minutes(3)).await;
    let before = fleet.key("dupont");
    let changes = |status: &KeyStatus| -> Vec<_> { status.transitions.iter().cloned().collect() };
    assert_eq!(changes(&before).len(), 2, "{:?}", changes(&before));
    let renamed = Key { name: "dupont-sarl".into(), ..key("dupont") };
    fleet.apply(&config(&simulator, vec![renamed, key("martin")]));
    let after = fleet.key("dupont-sarl");
    assert_eq!(after.persisted, before.persisted);
    assert_eq!(changes(&after), changes(&before));
    assert_eq!(after.recent.iter().collect::<Vec<_>>(), before.recent.iter().collect::<Vec<_>>());
    assert_eq!(after.probes[0].total, 0, "its series are new");
    assert_eq!(fleet.key("martin").recent.iter().len(), 0);
}
