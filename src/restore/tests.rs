//! A fleet whose storage is empty, and a server that answers as Prometheus does, or as it must not.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use partner_simulator::{Fault, Scope as FaultScope, Simulator};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::key_state::{KeyState, SecretState};
use crate::state::KeyStatus;
use crate::store::Store;
use crate::test_support::{SECRET, config, context, exercices, known_key};

/// What the server answers before it answers as Prometheus.
type Oddities = Arc<Mutex<VecDeque<Response>>>;

/// A name, and the status and the body of the answers to all queries about it alone.
type Refused = Arc<Mutex<Option<(&'static str, StatusCode, Value)>>>;

/// What the server shares with the test.
type Shared = (Oddities, Arc<Mutex<Vec<String>>>, Refused);

struct FakePrometheus {
    url: Url,
    oddities: Oddities,
    /// The forms that it got.
    forms: Arc<Mutex<Vec<String>>>,
    refused: Refused,
    _task: AbortOnDropHandle<()>,
}

impl FakePrometheus {
    /// It remembers dupont and the secret as active, and nothing else.
    async fn start(oddities: impl IntoIterator<Item = Response>) -> Self {
        let oddities: Oddities = Arc::new(Mutex::new(oddities.into_iter().collect()));
        let forms = Arc::<Mutex<Vec<String>>>::default();
        let refused = Refused::default();
        let state = (Arc::clone(&oddities), Arc::clone(&forms), Arc::clone(&refused));
        let answer = |State((oddities, forms, refused)): State<Shared>, form: String| async move {
            let query = form_urlencoded::parse(form.as_bytes()).find(|(name, _)| name == "query");
            let query = query.map(|(_, query)| query.into_owned()).unwrap_or_default();
            forms.lock().unwrap().push(query.clone());
            let odd = oddities.lock().unwrap().pop_front();
            if let Some((name, status, body)) = &*refused.lock().unwrap()
                && query.contains(&format!("key=~\"{name}\""))
            {
                return (*status, axum::Json(body.clone())).into_response();
            }
            odd.unwrap_or_else(|| axum::Json(vector(&query)).into_response())
        };
        let routes = Router::new().route("/prefix/api/v1/query", post(answer)).with_state(state);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/prefix/", listener.local_addr().unwrap()).parse().unwrap();
        let serve = async move { axum::serve(listener, routes).await.unwrap() };
        Self { url, oddities, forms, refused, _task: AbortOnDropHandle::new(tokio::spawn(serve)) }
    }
}

fn vector(query: &str) -> Value {
    let is_time = query.starts_with("max_over_time");
    let sample = |labels: Value, value: &str| json!({"metric": labels, "value": [2_000, value]});
    let result = if query.contains("broken_since") {
        vec![]
    } else if query.contains("myunisoft_secret_state") {
        vec![sample(json!({"partner": "acme", "state": "active"}), if is_time { "2000" } else { "1000" })]
    } else if query.contains("dupont") {
        vec![sample(json!({"key": "dupont", "state": "active"}), if is_time { "2000" } else { "1000" })]
    } else {
        vec![]
    };
    json!({"status": "success", "data": {"resultType": "vector", "result": result}})
}

struct World {
    simulator: Simulator,
    fleet: Fleet,
    /// Removed at the end.
    storage: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let builder = Simulator::builder().partner("acme", SECRET);
        let simulator =
            builder.society_key("dupont", 80, 127).society_key("martin", 80, 128).start().await.unwrap();
        let keys = ["dupont", "martin"].map(|name| known_key(&simulator, name, vec![exercices(None)]));
        let config = config(&simulator, keys.to_vec());
        let storage = tempfile::tempdir().unwrap();
        let mut fleet = Fleet::new(Arc::new(context(Store::open(storage.path(), |_| {}).unwrap())));
        fleet.apply(&config).unwrap();
        Self { simulator, fleet, storage }
    }

    fn restorer(&self, url: &Url) -> Restorer {
        let matchers = "job=\"m\"".to_owned();
        let options = RestoreOptions { url: url.clone(), matchers, authorization_file: None, ca_file: None };
        Restorer::new(options, &self.fleet).unwrap()
    }

    async fn restore(&self, prometheus: &FakePrometheus) {
        self.restorer(&prometheus.url).run(Forgotten::of(&self.fleet)).await;
        tokio::task::yield_now().await;
    }

    fn key(&self, name: &str) -> KeyStatus {
        let inventory = self.fleet.context().shared_state.inventory();
        inventory.key("acme", name).unwrap().status().clone()
    }

    async fn wait_for(&self, name: &str, state: KeyState) -> KeyStatus {
        for _ in 0..600 {
            let status = self.key(name);
            if status.persisted.state == state {
                return status;
            }
            sleep(Duration::from_secs(1)).await;
        }
        panic!("{name} does not become {state}: {:?}", self.key(name).persisted)
    }
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_key_is_shown_as_remembered_until_the_api_answers() {
    let world = World::start().await;
    world.simulator.inject(FaultScope::Everything, Fault::Close);
    let prometheus = FakePrometheus::start([]).await;
    world.restore(&prometheus).await;
    let status = world.wait_for("dupont", KeyState::Active).await;
    assert!(status.is_remembered && status.persisted.has_been_active && status.persisted.history.has_worked);
    assert_eq!(status.persisted.since, crate::test_support::at(1_000));
    assert_eq!(status.changes, [], "nothing happened: the state was so before");
    assert_eq!(world.key("martin").persisted.state, KeyState::Unknown);
    let inventory = world.fleet.context().shared_state.inventory();
    assert_eq!(inventory.partners[0].secret().state, SecretState::Active);
    world.simulator.heal_all();
    world.simulator.key("dupont").unwrap().revoke();
    let status = world.wait_for("dupont", KeyState::Revoked).await;
    assert!(!status.is_remembered && status.persisted.history.broken_since.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_came_first_becomes_a_revocation() {
    let world = World::start().await;
    world.simulator.key("dupont").unwrap().revoke();
    let refused = world.wait_for("dupont", KeyState::NotFound).await.persisted;
    let prometheus = FakePrometheus::start([]).await;
    let forgotten =
        Forgotten { keys: BTreeMap::from([("acme".into(), vec!["dupont".into()])]), secrets: Vec::new() };
    world.restorer(&prometheus.url).run(forgotten).await;
    let status = world.wait_for("dupont", KeyState::Revoked).await;
    assert_eq!(status.persisted.history.broken_since, Some(refused.since));
    // The next probe agrees, and a restart would know it.
    sleep(Duration::from_mins(3)).await;
    assert_eq!(world.key("dupont").persisted, status.persisted);
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_that_came_first_counts_more() {
    let world = World::start().await;
    let accepted = world.wait_for("dupont", KeyState::Active).await;
    let mut remembered = accepted.persisted;
    (remembered.state, remembered.since) = (KeyState::Revoked, crate::test_support::at(1));
    remembered.history.broken_since = Some(crate::test_support::at(1));
    world.fleet.key_index().find("acme", "dupont").unwrap().remember(remembered).await;
    assert_eq!(world.key("dupont").persisted, accepted.persisted);
}

#[tokio::test(start_paused = true)]
async fn odd_answers_are_survived_and_asked_again() {
    let world = World::start().await;
    world.simulator.inject(FaultScope::Everything, Fault::Close);
    let huge = "x".repeat(MAX_ANSWER + 1);
    let partial =
        json!({"status": "success", "data": {"resultType": "vector", "result": []}, "warnings": ["w"]});
    let prometheus = FakePrometheus::start([
        "<html>log in</html>".into_response(),
        StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        (StatusCode::UNAUTHORIZED, "no").into_response(),
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"res".into_response(),
        axum::Json(partial).into_response(),
        // The keys are asked about in smaller batches then.
        huge.into_response(),
    ])
    .await;
    world.restore(&prometheus).await;
    world.wait_for("dupont", KeyState::Active).await;
    assert!(prometheus.oddities.lock().unwrap().is_empty());
}

impl World {
    fn restore_failure(&self) -> Option<String> {
        let failure = self.fleet.context().shared_state.restore_failure();
        failure.map(|failure| failure.text.to_string())
    }

    /// The value of the metric, if it has one.
    fn restore_success(&self) -> Option<String> {
        let context = self.fleet.context();
        let text: Vec<_> = context.metrics.render(&context.shared_state).flatten().collect();
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix("myunisoft_exporter_restore_success ").map(str::to_owned))
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_with_too_many_series_does_not_end_the_restore_of_the_others_and_is_told() {
    let world = World::start().await;
    world.simulator.inject(FaultScope::Everything, Fault::Close);
    assert_eq!((world.restore_success(), world.restore_failure()), (None, None));
    let limit = json!({"status": "error", "errorType": "execution", "error": "too many samples"});
    let limited = (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(limit.clone())).into_response();
    // Both keys together, and then one of them alone.
    let prometheus = FakePrometheus::start([limited]).await;
    *prometheus.refused.lock().unwrap() = Some(("martin", StatusCode::UNPROCESSABLE_ENTITY, limit));
    world.restore(&prometheus).await;
    assert!(world.wait_for("dupont", KeyState::Active).await.is_remembered);
    let inventory = world.fleet.context().shared_state.inventory();
    assert_eq!(inventory.partners[0].secret().state, SecretState::Active);
    let expected = "Prometheus has too many series about some keys (keys not restored: 1)";
    assert_eq!(world.restore_failure().as_deref(), Some(expected));
    assert_eq!(world.restore_success().as_deref(), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_fails_says_so_until_it_succeeds() {
    let world = World::start().await;
    world.simulator.inject(FaultScope::Everything, Fault::Close);
    let refusal = (StatusCode::UNAUTHORIZED, "no").into_response();
    let prometheus = FakePrometheus::start([refusal]).await;
    let restoring = world.restorer(&prometheus.url).run(Forgotten::of(&world.fleet));
    let restoring = AbortOnDropHandle::new(tokio::spawn(restoring));
    while world.restore_success().is_none() {
        sleep(Duration::from_millis(10)).await;
    }
    let failure = world.restore_failure().unwrap();
    assert!(failure.ends_with(": status 401; check --restore.authorization-file"), "{failure}");
    assert_eq!(world.restore_success().as_deref(), Some("0"));
    restoring.await.unwrap();
    assert_eq!((world.restore_success().as_deref(), world.restore_failure()), (Some("1"), None));
}

#[tokio::test(start_paused = true)]
async fn a_prometheus_that_does_not_answer_is_asked_for_ever_and_delays_no_probe() {
    let world = World::start().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
    let task = AbortOnDropHandle::new(tokio::spawn(world.restorer(&url).run(Forgotten::of(&world.fleet))));
    world.wait_for("dupont", KeyState::Active).await;
    sleep(Duration::from_hours(1)).await;
    assert!(!task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_key_with_persisted_state_is_not_asked_about() {
    let world = World::start().await;
    world.wait_for("dupont", KeyState::Active).await;
    world.wait_for("martin", KeyState::Active).await;
    let prometheus = FakePrometheus::start([]).await;
    world.restore(&prometheus).await;
    assert_eq!(prometheus.forms.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_returns_to_its_shard_is_unknown_until_prometheus_or_the_api_says_more() {
    let world = World::start().await;
    world.wait_for("dupont", KeyState::Active).await;
    world.simulator.key("dupont").unwrap().revoke();
    world.wait_for("dupont", KeyState::Revoked).await;
    let World { simulator, mut fleet, storage } = world;
    let keys = ["martin", "dupont"].map(|name| known_key(&simulator, name, vec![exercices(None)]));
    let divided = |keys: &[crate::config::Key]| {
        let mut config = config(&simulator, keys.to_vec());
        // Of both shards: the keys of this test are chosen by hand.
        let mut divided = config.clone();
        divided.divide(crate::shard::Shard { ordinal: 0, total: 2 });
        config.settings.division = divided.settings.division;
        config
    };
    // It leaves for another shard, which sees that it works again. Then it returns.
    fleet.apply(&divided(&keys[..1])).unwrap();
    simulator.key("dupont").unwrap().restore();
    simulator.inject(FaultScope::Everything, Fault::Close);
    fleet.apply(&divided(&keys)).unwrap();
    let world = World { simulator, fleet, storage };
    let returned = world.key("dupont").persisted;
    assert_eq!(
        (returned.state, returned.history.broken_since),
        (KeyState::Unknown, None),
        "no alert about the past"
    );
    assert!(returned.has_been_active && returned.is_forgotten());
    let prometheus = FakePrometheus::start([]).await;
    world.restore(&prometheus).await;
    assert!(world.wait_for("dupont", KeyState::Active).await.is_remembered);
}
