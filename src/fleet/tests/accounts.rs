//! API Cabinet accounts: log-ins, their limits, and their tokens.

use crate::key_state::KeyState;
use crate::partner_api::failure::Reason;
use partner_simulator::{Fault, KeySpec, LoginSpec, Refusal, Scope, Simulator};
use tokio::time::{Duration, sleep};

use super::{RunningFleet, extended, minutes, simulator_builder};
use crate::test_support::{config, login_key};

fn durand() -> LoginSpec {
    LoginSpec::new("api@durand.example", "right").firm(83, "CABINET DURAND")
}

async fn fleet_with_log_in(spec: LoginSpec, password: &str) -> (Simulator, RunningFleet) {
    let simulator = simulator_builder().key(KeySpec::login("durand", spec)).start().await.unwrap();
    let key = login_key("durand", "api@durand.example", password, vec![extended()]);
    let fleet = RunningFleet::start(&config(&simulator, vec![key]));
    (simulator, fleet)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_every_four_hours_without_a_failed_probe() {
    for offset in [0, 60, 120] {
        let (simulator, fleet) = fleet_with_log_in(durand().offset_minutes(offset), "right").await;
        sleep(minutes(9 * 60)).await;
        let probe = &fleet.key("durand").probes[0];
        assert_eq!(fleet.state("durand"), KeyState::Active);
        assert!(probe.failures.is_empty(), "{:?}", probe.failures);
        assert!((539..=541).contains(&probe.total), "{}", probe.total);
        let attempts = simulator.account("api@durand.example").unwrap().attempts();
        assert!((3..=4).contains(&attempts.total), "{attempts:?}");
        assert!(fleet.key("durand").token_expiry.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_expired_on_arrival_causes_at_most_one_log_in_in_fifteen_minutes() {
    let (simulator, _fleet) = fleet_with_log_in(durand().lifetime(Duration::from_secs(1)), "right").await;
    sleep(minutes(60)).await;
    let attempts = simulator.account("api@durand.example").unwrap().attempts();
    assert!(attempts.total <= 6, "the first, its replacement, and one in 15 minutes: {attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_never_locks_the_account() {
    let (simulator, fleet) = fleet_with_log_in(durand().lock_after(3), "wrong").await;
    sleep(minutes(30 * 60)).await;
    let attempts = simulator.account("api@durand.example").unwrap().attempts();
    assert_eq!((attempts.total, attempts.locked), (2, false));
    assert_eq!(fleet.reason("durand", 0), Some(Reason::Login));
    assert_eq!(fleet.state("durand"), KeyState::Unknown, "a refused log-in proves nothing about the key");
    assert_eq!(fleet.key("durand").probes[0].total, 30 * 60, "each due probe counts as failed");
}

#[tokio::test(start_paused = true)]
async fn a_password_that_late_storage_marks_as_refused_is_not_tried_again() {
    let simulator = simulator_builder().key(KeySpec::login("durand", durand())).start().await.unwrap();
    let key = login_key("durand", "api@durand.example", "wrong", vec![extended()]);
    let config = config(&simulator, vec![key]);
    let parent = tempfile::tempdir().unwrap();
    let (before, storage) = (parent.path().join("before"), parent.path().join("data"));
    let fleet = RunningFleet::start_with_storage(&before, tempfile::tempdir().unwrap(), &config);
    sleep(minutes(30)).await;
    drop(fleet);
    std::fs::write(&storage, "not a directory yet").unwrap();
    // The log-in route is unreachable, so the password is neither accepted nor refused.
    simulator.inject(Scope::Everything, Fault::Close);
    let fleet = RunningFleet::start_with_storage(&storage, parent, &config);
    sleep(minutes(2)).await;
    std::fs::remove_file(&storage).unwrap();
    std::fs::rename(&before, &storage).unwrap();
    sleep(minutes(2)).await;
    simulator.heal_all();
    let attempts = || simulator.account("api@durand.example").unwrap().attempts().total;
    let so_far = attempts();
    sleep(minutes(60)).await;
    assert_eq!(attempts(), so_far);
    assert_eq!(fleet.reason("durand", 0), Some(Reason::Login));
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_refused_again_keeps_its_fingerprint() {
    let simulator = simulator_builder().key(KeySpec::login("durand", durand())).start().await.unwrap();
    let key = login_key("durand", "api@durand.example", "wrong", vec![extended()]);
    let parent = tempfile::tempdir().unwrap();
    let storage = parent.path().to_owned();
    let _fleet = RunningFleet::start_with_storage(&storage, parent, &config(&simulator, vec![key]));
    let mut seen = Vec::new();
    for _ in 0..2 {
        sleep(minutes(10)).await;
        let text = std::fs::read(storage.join("state.json")).unwrap();
        let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let password = &file["logins"][0]["passwords"][0];
        seen.push((password["firms"][0]["times"].as_u64(), password["password"].clone()));
    }
    assert_eq!((seen[0].0, seen[1].0), (Some(1), Some(2)));
    assert_eq!(seen[0].1, seen[1].1);
    assert_eq!(seen[0].1["hash"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn several_keys_of_one_account_share_the_limit_of_its_log_ins() {
    let simulator =
        simulator_builder().key(KeySpec::login("durand", durand().lock_after(3))).start().await.unwrap();
    let key = |name: &str| login_key(name, "api@durand.example", "wrong", vec![extended()]);
    let names = ["a", "b", "c", "d", "e"];
    let _fleet = RunningFleet::start(&config(&simulator, names.map(key).into()));
    sleep(minutes(24 * 60)).await;
    let attempts = simulator.account("api@durand.example").unwrap().attempts();
    assert_eq!((attempts.total, attempts.locked), (2, false));
}

#[tokio::test(start_paused = true)]
async fn an_account_of_several_firms_without_a_configured_firm_names_the_missing_field() {
    let (_simulator, fleet) = fleet_with_log_in(durand().firm(84, "CABINET NORD"), "right").await;
    sleep(minutes(2)).await;
    let failure = fleet.key("durand").probes[0].episode.clone().unwrap().failure;
    assert_eq!(failure.reason, Reason::Login);
    assert!(failure.detail.contains("login.firm"), "{}", failure.detail);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_early_is_replaced_and_the_key_stays_active() {
    let (simulator, fleet) = fleet_with_log_in(durand(), "right").await;
    sleep(minutes(30)).await;
    simulator.key("durand").unwrap().expire_tokens();
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("durand"), KeyState::Active);
    assert!(fleet.key("durand").probes[0].failures.is_empty());
    assert_eq!(simulator.account("api@durand.example").unwrap().attempts().total, 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_a_revoked_firm_is_revoked_and_logs_in_at_most_every_five_minutes() {
    let (simulator, fleet) = fleet_with_log_in(durand(), "right").await;
    sleep(minutes(30)).await;
    simulator.key("durand").unwrap().refuse(Refusal::new("ERR-FIRM-TOKEN-NOT-FOUND"));
    sleep(minutes(60)).await;
    assert_eq!(fleet.state("durand"), KeyState::Revoked);
    let attempts = simulator.account("api@durand.example").unwrap().attempts();
    assert!(attempts.total <= 14, "at most one log-in every five minutes: {attempts:?}");
}
