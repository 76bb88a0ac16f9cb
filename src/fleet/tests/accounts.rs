//! API Cabinet accounts: log-ins, their limits, and their tokens.

use crate::key_state::KeyState;
use crate::partner_api::failure::Reason;
use partner_simulator::{Fault, KeySpec, LoginSpec, Refusal, Scope, Simulator};
use tokio::time::{Duration, sleep};

use super::{Watched, acme, extended, minutes};
use crate::test_support::{config, login_key};

fn durand() -> LoginSpec {
    LoginSpec::new("api@durand.example", "right").firm(83, "CABINET DURAND")
}

async fn logging_in(spec: LoginSpec, password: &str) -> (Simulator, Watched) {
    let simulator = acme().key(KeySpec::login("durand", spec)).start().await.unwrap();
    let key = login_key("durand", "api@durand.example", password, vec![extended()]);
    let watched = Watched::start(&config(&simulator, vec![key]));
    (simulator, watched)
}

#[tokio::test(start_paused = true)]
async fn a_four_hour_token_is_renewed_without_a_gap() {
    for offset in [0, 60, 120] {
        let (simulator, watched) = logging_in(durand().offset_minutes(offset), "right").await;
        sleep(minutes(9 * 60)).await;
        let probe = &watched.key("durand").probes[0];
        assert_eq!(watched.state("durand"), KeyState::Active);
        assert!(probe.failures.is_empty(), "{:?}", probe.failures);
        assert!((539..=541).contains(&probe.total), "{}", probe.total);
        let attempts = simulator.account("api@durand.example").unwrap().attempts();
        assert!((3..=4).contains(&attempts.total), "{attempts:?}");
        assert!(watched.key("durand").token_expiry.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_over_on_arrival_makes_no_storm_of_log_ins() {
    let (simulator, _watched) = logging_in(durand().lifetime(Duration::from_secs(1)), "right").await;
    sleep(minutes(60)).await;
    let attempts = simulator.account("api@durand.example").unwrap().attempts();
    assert!(attempts.total <= 61, "{attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_never_locks_the_account() {
    let (simulator, watched) = logging_in(durand().lock_after(3), "wrong").await;
    sleep(minutes(30 * 60)).await;
    let attempts = simulator.account("api@durand.example").unwrap().attempts();
    assert_eq!((attempts.total, attempts.locked), (2, false));
    assert_eq!(watched.reason("durand", 0), Some(Reason::Login));
    assert_eq!(watched.state("durand"), KeyState::Unknown, "a refused log-in says nothing about a token");
    assert_eq!(watched.key("durand").probes[0].total, 30 * 60, "each due probe is told as failed");
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_that_comes_to_light_late_is_not_tried_again() {
    let simulator = acme().key(KeySpec::login("durand", durand())).start().await.unwrap();
    let key = login_key("durand", "api@durand.example", "wrong", vec![extended()]);
    let config = config(&simulator, vec![key]);
    let memory = tempfile::tempdir().unwrap();
    let (before, folder) = (memory.path().join("before"), memory.path().join("data"));
    let watched = Watched::start_in(&before, tempfile::tempdir().unwrap(), &config);
    sleep(minutes(30)).await;
    drop(watched);
    std::fs::write(&folder, "not a folder yet").unwrap();
    // While the log-in route is out of reach the password is neither let in nor refused.
    simulator.inject(Scope::Everything, Fault::Close);
    let watched = Watched::start_in(&folder, memory, &config);
    sleep(minutes(2)).await;
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&before, &folder).unwrap();
    sleep(minutes(2)).await;
    simulator.heal_all();
    let attempts = || simulator.account("api@durand.example").unwrap().attempts().total;
    let so_far = attempts();
    sleep(minutes(60)).await;
    assert_eq!(attempts(), so_far);
    assert_eq!(watched.reason("durand", 0), Some(Reason::Login));
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_refused_again_keeps_its_one_mark() {
    let simulator = acme().key(KeySpec::login("durand", durand())).start().await.unwrap();
    let key = login_key("durand", "api@durand.example", "wrong", vec![extended()]);
    let memory = tempfile::tempdir().unwrap();
    let folder = memory.path().to_owned();
    let _watched = Watched::start_in(&folder, memory, &config(&simulator, vec![key]));
    let mut seen = Vec::new();
    for _ in 0..2 {
        sleep(minutes(10)).await;
        let text = std::fs::read(folder.join("state.json")).unwrap();
        let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
        seen.push((file["logins"][0]["times"].as_u64(), file["logins"][0]["password"].clone()));
    }
    assert_eq!((seen[0].0, seen[1].0), (Some(1), Some(2)));
    assert_eq!(seen[0].1, seen[1].1);
    assert_eq!(seen[0].1["hash"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn several_keys_of_one_account_share_its_limits() {
    let simulator = acme().key(KeySpec::login("durand", durand().lock_after(3))).start().await.unwrap();
    let key = |name: &str| login_key(name, "api@durand.example", "wrong", vec![extended()]);
    let names = ["a", "b", "c", "d", "e"];
    let _watched = Watched::start(&config(&simulator, names.map(key).into()));
    sleep(minutes(24 * 60)).await;
    let attempts = simulator.account("api@durand.example").unwrap().attempts();
    assert_eq!((attempts.total, attempts.locked), (2, false));
}

#[tokio::test(start_paused = true)]
async fn an_account_of_several_firms_says_what_to_configure() {
    let (_simulator, watched) = logging_in(durand().firm(84, "CABINET NORD"), "right").await;
    sleep(minutes(2)).await;
    let failure = watched.key("durand").probes[0].episode.clone().unwrap().failure;
    assert_eq!(failure.reason, Reason::Login);
    assert!(failure.detail.contains("login.firm"), "{}", failure.detail);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_early_is_replaced_and_the_key_stays_active() {
    let (simulator, watched) = logging_in(durand(), "right").await;
    sleep(minutes(30)).await;
    simulator.key("durand").unwrap().expire_tokens();
    sleep(minutes(2)).await;
    assert_eq!(watched.state("durand"), KeyState::Active);
    assert!(watched.key("durand").probes[0].failures.is_empty());
    assert_eq!(simulator.account("api@durand.example").unwrap().attempts().total, 2);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_firm_is_revoked_and_does_not_log_in_with_every_probe() {
    let (simulator, watched) = logging_in(durand(), "right").await;
    sleep(minutes(30)).await;
    simulator.key("durand").unwrap().refuse(Refusal::new("ERR-FIRM-TOKEN-NOT-FOUND"));
    sleep(minutes(60)).await;
    assert_eq!(watched.state("durand"), KeyState::Revoked);
    let attempts = simulator.account("api@durand.example").unwrap().attempts();
    assert!(attempts.total <= 14, "every five minutes at the most: {attempts:?}");
}
