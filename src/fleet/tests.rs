//! A fleet's life against the simulated API, in paused time: hours pass in milliseconds.

use std::path::Path;
use std::sync::Arc;

use crate::config::{Config, Key, Probe};
use crate::fleet::Fleet;
use crate::key_state::{KeyState, SecretState};
use crate::metrics::Metrics;
use crate::monitor::Context;
use crate::partner_api::KeyInfoMode;
use crate::partner_api::failure::Reason;
use crate::state::{KeyStatus, SharedState};
use crate::store::Store;
use http::StatusCode;
use partner_simulator::{
    Activation, EXERCICES, Fault, KEY_INFO, KeySpec, Limits, LoginSpec, Refusal, Scope, Simulator,
    SimulatorBuilder,
};
use tokio::time::{Duration, sleep};

use crate::test_support::{SECRET, config, exercices, key_info, known_key, login_key, token_key};

/// Watchers at work, and what they show.
struct Watched {
    shared_state: Arc<SharedState>,
    fleet: Fleet,
    _memory: tempfile::TempDir,
}

impl Watched {
    fn start(config: &Config) -> Self {
        let memory = tempfile::tempdir().unwrap();
        let folder = memory.path().to_owned();
        Self::start_in(&folder, memory, config)
    }

    /// The same with its memory in `folder`, which need not exist.
    fn start_in(folder: &Path, memory: tempfile::TempDir, config: &Config) -> Self {
        let shared_state = Arc::new(SharedState::default());
        let store = Store::open(folder, || {}).unwrap();
        let context = Context::new(Arc::clone(&shared_state), Arc::new(Metrics::new().unwrap()), store);
        let mut fleet = Fleet::new(Arc::new(context));
        fleet.apply(config).unwrap();
        Self { shared_state, fleet, _memory: memory }
    }

    fn key(&self, name: &str) -> KeyStatus {
        self.shared_state.inventory().key("acme", name).unwrap().status().clone()
    }

    fn state(&self, name: &str) -> KeyState {
        self.key(name).persisted.state
    }

    fn secret(&self) -> SecretState {
        self.shared_state.inventory().partners[0].secret().state
    }

    fn reason(&self, key: &str, probe: usize) -> Option<Reason> {
        self.key(key).probes[probe].episode.as_ref().map(|episode| episode.failure.reason)
    }
}

const fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

fn acme() -> SimulatorBuilder {
    Simulator::builder().partner("acme", SECRET)
}

fn extended() -> Probe {
    key_info(KeyInfoMode::Extended)
}

async fn one_key(simulator: &Simulator, probes: Vec<Probe>) -> Watched {
    let watched = Watched::start(&config(simulator, vec![known_key(simulator, "dupont", probes)]));
    sleep(minutes(2)).await;
    watched
}

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
async fn a_token_that_is_over_on_arrival_makes_no_storm_of_log_ins() {
    let (simulator, _watched) = logging_in(durand().lifetime(Duration::from_secs(1)), "right").await;
    sleep(minutes(60)).await;
    let attempts = simulator.account("api@durand.example").unwrap().attempts();
    assert!(attempts.total <= 61, "{attempts:?}");
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

#[tokio::test(start_paused = true)]
async fn no_probe_takes_from_what_is_kept_free() {
    let limits = Limits { window: minutes(5), ..Limits::default() };
    let simulator = acme().limits(limits).society_key("dupont", 80, 127).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let watched = one_key(&simulator, vec![extended(), exercices(None)]).await;
    let skipped = || watched.key("dupont").probes.iter().map(|p| p.skipped[0]).sum::<u64>();
    assert_eq!((key.remaining(), skipped()), (16, 0));
    key.spend(10);
    sleep(minutes(2)).await;
    assert_eq!(key.remaining(), 4, "it asks while five are known to be left, and with four no more");
    assert_eq!(skipped(), 2);
    let calls = key.counts().calls;
    sleep(minutes(2)).await;
    assert!(key.counts().calls > calls, "and after the reset it asks again");
}

#[tokio::test(start_paused = true)]
async fn after_a_429_nothing_is_asked_before_the_reset() {
    let limits = Limits { window: minutes(4), ..Limits::default() };
    let simulator = acme().limits(limits).society_key("dupont", 80, 127).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let mut config =
        config(&simulator, vec![known_key(&simulator, "dupont", vec![extended(), exercices(None)])]);
    config.settings.rate_limit.keep_free = 0;
    let watched = Watched::start(&config);
    sleep(minutes(2)).await;
    key.spend(20);
    sleep(minutes(1)).await;
    let statuses: Vec<_> = key.calls().iter().filter_map(partner_simulator::Call::status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 1, "{statuses:?}");
    assert_eq!(watched.state("dupont"), KeyState::Active);
    sleep(minutes(5)).await;
    assert_eq!(key.calls().last().unwrap().status(), Some(200));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_never_asked_twice_at_once_and_its_probes_stand_apart() {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let _watched = one_key(&simulator, vec![extended(), exercices(None)]).await;
    sleep(minutes(60)).await;
    assert_eq!(key.counts().max_in_flight, 1);
    let starts = key.starts();
    let apart = starts.windows(2).map(|two| two[1] - two[0]);
    assert!(apart.clone().all(|apart| apart.as_secs().abs_diff(30) <= 1), "{:?}", apart.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_fleet_starts_spread_over_the_interval_and_a_reload_moves_nobody() {
    let names: Vec<_> = (0..120).map(|number| format!("key-{number}")).collect();
    let builder = names.iter().fold(acme(), |builder, name| builder.society_key(name, 80, 127));
    let simulator = builder.request_log_capacity(10_000).start().await.unwrap();
    let keys = |probe: fn() -> Probe| -> Vec<Key> {
        names.iter().map(|name| known_key(&simulator, name, vec![probe()])).collect()
    };
    let mut watched = Watched::start(&config(&simulator, keys(extended)));
    sleep(minutes(2)).await;
    let busiest = |calls: &[tokio::time::Instant]| {
        calls
            .iter()
            .map(|at| {
                calls.iter().filter(|other| **other >= *at && **other - *at < Duration::from_secs(1)).count()
            })
            .max()
    };
    let of_keys = |from: tokio::time::Instant| -> Vec<_> {
        simulator
            .request_log()
            .iter()
            .filter(|c| c.key.is_some() && c.started >= from)
            .map(|c| c.started)
            .collect()
    };
    let all = of_keys(tokio::time::Instant::now() - minutes(2));
    assert_eq!(all.len(), 240, "each key twice in two minutes");
    assert!(busiest(&all).unwrap() < 12, "two a second on average, never a burst: {:?}", busiest(&all));
    // Every key's definition changes.
    let mut changed = keys(extended);
    for key in &mut changed {
        key.probes[0].timing.timeout = Duration::from_secs(9);
    }
    let reload = tokio::time::Instant::now();
    watched.fleet.apply(&config(&simulator, changed)).unwrap();
    sleep(minutes(1)).await;
    let after = of_keys(reload);
    assert_eq!(after.len(), 120, "each key once in the minute after, as if nothing had happened");
    assert!(busiest(&after).unwrap() < 12, "{:?}", busiest(&after));
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_stays_drops_what_leaves_and_starts_what_comes() {
    let simulator =
        acme().society_key("dupont", 80, 127).society_key("martin", 80, 128).society_key("petit", 80, 129);
    let simulator = simulator.start().await.unwrap();
    let key = |name: &str| known_key(&simulator, name, vec![extended()]);
    let mut watched = Watched::start(&config(&simulator, vec![key("dupont"), key("martin")]));
    sleep(minutes(3)).await;
    let before = watched.key("dupont");
    assert_eq!(before.probes[0].total, 3);
    watched.fleet.apply(&config(&simulator, vec![key("dupont"), key("petit")])).unwrap();
    assert_eq!(watched.key("dupont").probes[0].total, 3);
    assert_eq!(watched.key("dupont").persisted, before.persisted);
    assert!(watched.shared_state.inventory().key("acme", "martin").is_none());
    assert!(watched.fleet.key_index().find("acme", "martin").is_none());
    let calls = simulator.key("martin").unwrap().counts().calls;
    sleep(minutes(3)).await;
    assert_eq!(watched.key("dupont").probes[0].total, 6);
    assert_eq!(watched.state("petit"), KeyState::Active);
    assert_eq!(simulator.key("martin").unwrap().counts().calls, calls);
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_definition_changes_keeps_its_history() {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    let mut watched = one_key(&simulator, vec![extended()]).await;
    let before = watched.key("dupont");
    let mut key = known_key(&simulator, "dupont", vec![extended(), exercices(None)]);
    key.probes[0].timing.interval = minutes(2);
    watched.fleet.apply(&config(&simulator, vec![key])).unwrap();
    let after = watched.key("dupont");
    assert_eq!(after.persisted, before.persisted);
    assert_eq!((before.probes[0].interval, after.probes[0].interval), (minutes(1), minutes(2)));
    assert_eq!((after.probes[0].total, after.probes[1].total), (before.probes[0].total, 0));
}

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

#[tokio::test(start_paused = true)]
async fn a_firm_key_s_canary_names_its_society() {
    let simulator = acme().firm_key("martin", 81, &[1201]).start().await.unwrap();
    let key = known_key(&simulator, "martin", vec![exercices(Some(1201))]);
    let watched = Watched::start(&config(&simulator, vec![key]));
    sleep(minutes(2)).await;
    assert_eq!(watched.state("martin"), KeyState::Active);
    let society = simulator.key("martin").unwrap().calls()[0].society_id.clone();
    assert_eq!(society.as_deref(), Some("1201"));
    let without = known_key(&simulator, "martin", vec![exercices(None)]);
    let watched = Watched::start(&config(&simulator, vec![without]));
    sleep(minutes(2)).await;
    assert_eq!(watched.reason("martin", 0), Some(Reason::ApiError));
}
