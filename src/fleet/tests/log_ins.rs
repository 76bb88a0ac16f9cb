//! Log-ins of accounts with several firms, and tokens that end early, at an API that each test scripts.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header::AUTHORIZATION};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Duration, advance, sleep};
use web_toolkit::{AuthHandle, LoadedWebConfig, Protection};

use super::{RunningFleet, extended, minutes};
use crate::config::{Api, Config, Credential, Key, Labels, Login, Settings};
use crate::key_state::KeyState;
use crate::partner_api::failure::Reason;
use crate::partner_api::{Access, Firm};
use crate::reload::{ConfigFiles, LoadedConfig, Reloader};
use crate::secret::SecretSource;
use crate::test_support::{context, partner, token_key};

const MAIL: &str = "api@durand.example";

/// The API: a log-in route, and key/info.
#[derive(Clone)]
struct ScriptedApi {
    state: Arc<Mutex<ApiState>>,
    url: String,
}

struct ApiState {
    /// The response to a log-in with this body; `None` accepts it.
    answer: fn(&Value) -> Option<(u16, Value)>,
    /// Whether a log-in ends the earlier tokens of the account.
    has_one_token: bool,
    log_in_delay: Duration,
    key_info_delay: Duration,
    /// The number of requests to key/info.
    key_info_requests: u32,
    /// The response to a token that is not valid.
    invalid: (u16, &'static str),
    /// The firms whose tokens are never valid.
    revoked: BTreeSet<u64>,
    valid: BTreeSet<String>,
    /// The claim `exp` of each token, which is not a JWT if there is none. The API does not obey it.
    exp: Option<u64>,
    /// The firm of each log-in.
    log_ins: Vec<u64>,
}

impl ScriptedApi {
    async fn start(answer: fn(&Value) -> Option<(u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(ApiState {
            answer,
            has_one_token: false,
            log_in_delay: Duration::ZERO,
            key_info_delay: Duration::ZERO,
            key_info_requests: 0,
            invalid: (401, "ERR-FIRM-TOKEN-NOT-FOUND"),
            revoked: BTreeSet::new(),
            valid: BTreeSet::new(),
            exp: None,
            log_ins: Vec::new(),
        }));
        let router = Router::new().fallback(respond).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { state, url }
    }

    fn lock(&self) -> MutexGuard<'_, ApiState> {
        self.state.lock().unwrap()
    }

    /// The log-ins since the last call.
    fn log_ins(&self) -> Vec<u64> {
        std::mem::take(&mut self.lock().log_ins)
    }

    /// Ends the tokens of these firms, and makes later ones invalid.
    fn revoke(&self, firms: &[u64]) {
        let mut state = self.lock();
        state.revoked.extend(firms);
        for firm in firms {
            state.valid.retain(|token| !token.starts_with(&format!("token-{firm}-")));
        }
    }

    fn config(&self, keys: Vec<Key>) -> Config {
        let url = |path: &str| format!("{}{path}", self.url).parse().unwrap();
        let api = Api { base_url: url("/"), auth_url: url("/api/authenticate/firm"), ..Api::default() };
        Config { settings: Settings { api, ..Settings::default() }, partners: vec![partner("acme", keys)] }
    }
}

async fn respond(State(state): State<Arc<Mutex<ApiState>>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let bearer = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(request.into_body(), 1 << 16).await.unwrap();
    let (status, body) = match &*path {
        "/api/authenticate/firm" => {
            let (answer, delay) = {
                let mut state = state.lock().unwrap();
                (state.log_in(&serde_json::from_slice(&body).unwrap()), state.log_in_delay)
            };
            sleep(delay).await;
            answer
        }
        "/api/v1/key/info" => {
            let delay = {
                let mut state = state.lock().unwrap();
                state.key_info_requests += 1;
                state.key_info_delay
            };
            sleep(delay).await;
            state.lock().unwrap().key_info(bearer.unwrap().strip_prefix("Bearer ").unwrap())
        }
        _ => (200, json!({})),
    };
    (StatusCode::from_u16(status).unwrap(), [("request-id", "req-9k4i")], Json(body)).into_response()
}

impl ApiState {
    fn log_in(&mut self, body: &Value) -> (u16, Value) {
        assert_eq!(body["mail"], MAIL);
        let firm = body["firm"].as_u64().unwrap_or_default();
        self.log_ins.push(firm);
        if let Some(refusal) = (self.answer)(body) {
            return refusal;
        }
        if self.has_one_token {
            self.valid.clear();
        }
        let mut token = format!("token-{firm}-{}-{}", self.log_ins.len(), self.valid.len());
        if let Some(exp) = self.exp {
            let payload = URL_SAFE_NO_PAD.encode(json!({"type": "firm", "exp": exp}).to_string());
            token = format!("{token}.{payload}.c2ln");
        }
        if !self.revoked.contains(&firm) {
            self.valid.insert(token.clone());
        }
        (
            200,
            json!({"status": "authenticated", "api_token": token, "firm": {"id": firm.to_string(), "label": "T"}}),
        )
    }

    fn key_info(&self, token: &str) -> (u16, Value) {
        if !self.valid.contains(token) {
            let (status, code) = self.invalid;
            return (status, json!({"error": {"code": code, "message": "m", "details": ""}}));
        }
        let target = json!({"type": "firm", "schemaId": 80, "thirdPartyId": 101});
        let version = json!({"current": 1, "latest": 1, "beta": false});
        (
            200,
            json!({"target": target, "version": version, "canBeActivated": true, "isActivated": true, "routes": []}),
        )
    }
}

const fn accept(_: &Value) -> Option<(u16, Value)> {
    None
}

/// Firms above 900, and every password but `right`, are refused.
fn accept_low_firms(body: &Value) -> Option<(u16, Value)> {
    let is_refused = body["password"] != "right" || body["firm"].as_u64().is_some_and(|firm| firm > 900);
    is_refused.then(|| (400, json!({"code": "GBL20", "message": "m", "details": ""})))
}

fn key(name: &str, firm: u64, password: SecretSource) -> Key {
    let login = Login { mail: MAIL.to_owned(), password, firm: Some(Firm::Id(firm)) };
    let credential = Credential::Login(login);
    Key {
        name: name.into(),
        access: Access::Firm,
        credential,
        probes: [extended()].into(),
        labels: Labels::default(),
    }
}

fn inline(password: &str) -> SecretSource {
    SecretSource::Inline(password.into())
}

/// One key for each firm, with the firm's number as its name.
fn keys(firms: impl IntoIterator<Item = u64>, password: &str) -> Vec<Key> {
    firms.into_iter().map(|firm| key(&firm.to_string(), firm, inline(password))).collect()
}

fn detail(fleet: &RunningFleet, key: &str) -> String {
    fleet.key(key).probes[0]
        .episode
        .as_ref()
        .map(|episode| episode.failure.detail.clone())
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_token_that_claims_to_have_expired_is_used_as_long_as_the_api_accepts_it() {
    let api = ScriptedApi::start(accept).await;
    api.lock().exp = Some(1_618_228_486);
    let fleet = RunningFleet::start(&api.config(keys([80], "right")));
    sleep(minutes(3 * 60)).await;
    assert_eq!(api.log_ins().len(), 1, "one log-in for the documented four hours");
    assert_eq!((fleet.state("80"), fleet.reason("80", 0)), (KeyState::Active, None));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_claims_to_end_within_a_minute_is_renewed_every_fifteen_minutes() {
    let api = ScriptedApi::start(accept).await;
    let ahead = SystemTime::now() + Duration::from_secs(30);
    api.lock().exp = Some(ahead.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
    let fleet = RunningFleet::start(&api.config(keys([80], "right")));
    sleep(minutes(14)).await;
    assert_eq!(api.log_ins().len(), 1);
    // The log-in route fails when the token should be renewed: the API still accepts the old one.
    api.lock().answer = |_| Some((503, json!({})));
    sleep(minutes(3)).await;
    assert!(!api.log_ins().is_empty());
    assert_eq!((fleet.state("80"), fleet.reason("80", 0)), (KeyState::Active, None));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_behind_many_firms_makes_two_log_ins() {
    let api = ScriptedApi::start(accept_low_firms).await;
    let fleet = RunningFleet::start(&api.config(keys(1..=100, "wrong")));
    sleep(minutes(120)).await;
    assert_eq!(api.log_ins().len(), 2);
    for firm in ["1", "50", "100"] {
        assert_eq!(fleet.reason(firm, 0), Some(Reason::Login));
        assert!(
            detail(&fleet, firm).contains("two firms of the account were refused"),
            "{}",
            detail(&fleet, firm)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_firm_that_is_refused_does_not_end_the_log_ins_of_the_others() {
    let api = ScriptedApi::start(accept_low_firms).await;
    let fleet = RunningFleet::start(&api.config(keys([80, 81, 999, 82], "right")));
    sleep(minutes(5 * 60)).await;
    let log_ins = api.log_ins();
    let count = |firm| log_ins.iter().filter(|other| **other == firm).count();
    assert_eq!([80, 81, 82, 999].map(count), [2, 2, 2, 2]);
    for firm in ["80", "81", "82"] {
        assert_eq!(fleet.state(firm), KeyState::Active);
        assert!(fleet.key(firm).probes[0].failures.is_empty(), "{firm}");
    }
    assert_eq!(fleet.state("999"), KeyState::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_one_time_password_is_requested_once() {
    let api = ScriptedApi::start(|_| Some((200, json!({"status": "require-otp"})))).await;
    let fleet = RunningFleet::start(&api.config(keys([80], "right")));
    sleep(minutes(4 * 60)).await;
    assert_eq!(api.log_ins(), [80]);
    let detail = detail(&fleet, "80");
    assert!(detail.contains("OTP") && detail.contains("reloaded by hand"), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn a_firm_selection_lists_the_ids_of_the_firms() {
    let select = |_: &Value| {
        let details =
            json!([{"member_group_id": "80", "label": "DURAND"}, {"member_group_id": "83", "label": "NORD"}]);
        Some((200, json!({"status": "firm-selection", "details": details})))
    };
    let api = ScriptedApi::start(select).await;
    let fleet = RunningFleet::start(&api.config(keys([80], "right")));
    sleep(minutes(2)).await;
    let detail = detail(&fleet, "80");
    assert!(detail.contains("login.firm (80, 83)") && !detail.contains("DURAND"), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn a_reload_by_hand_counts_once_in_fifteen_minutes_and_allows_one_try() {
    let api = ScriptedApi::start(accept_low_firms).await;
    let fleet = RunningFleet::start(&api.config(keys([80, 81, 82], "wrong")));
    sleep(minutes(60)).await;
    assert_eq!(api.log_ins().len(), 2);
    for _ in 0..30 {
        fleet.inner.context().accounts.allow_another_try();
        sleep(minutes(1)).await;
    }
    assert_eq!(api.log_ins().len(), 2, "one for each fifteen minutes");
    sleep(minutes(120)).await;
    assert_eq!(api.log_ins(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn keys_with_the_same_log_in_share_its_token() {
    let api = ScriptedApi::start(accept).await;
    api.lock().has_one_token = true;
    let two = vec![key("a", 80, inline("right")), key("b", 80, inline("right"))];
    let fleet = RunningFleet::start(&api.config(two));
    sleep(minutes(5 * 60)).await;
    assert_eq!(api.log_ins(), [80; 2]);
    for name in ["a", "b"] {
        assert!(fleet.key(name).probes[0].failures.is_empty(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn log_ins_that_end_one_another_revoke_no_key_and_are_made_every_fifteen_minutes() {
    let api = ScriptedApi::start(accept).await;
    api.lock().has_one_token = true;
    let fleet = RunningFleet::start(&api.config(keys([80, 81], "right")));
    sleep(minutes(5)).await;
    assert!(api.log_ins().len() <= 4, "a log-in and a replacement of each");
    let mut details = BTreeSet::new();
    for _ in 0..120 {
        sleep(minutes(1)).await;
        for firm in ["80", "81"] {
            assert_eq!(fleet.state(firm), KeyState::Active);
            details.insert(detail(&fleet, firm));
        }
    }
    let log_ins = api.log_ins();
    let count = |firm| log_ins.iter().filter(|other| **other == firm).count();
    assert!([80, 81].map(count).iter().all(|count| (7..=9).contains(count)), "{log_ins:?}");
    assert!(
        details.iter().any(|detail| detail.contains("log-ins of this account end one another")),
        "{details:?}"
    );
    assert_eq!(fleet.reason("80", 0).or(fleet.reason("81", 0)), Some(Reason::Login));
}

#[tokio::test(start_paused = true)]
async fn many_firms_whose_log_ins_end_one_another_are_never_revoked() {
    let api = ScriptedApi::start(accept).await;
    api.lock().has_one_token = true;
    // Long enough for another firm's log-in.
    api.lock().key_info_delay = Duration::from_secs(3);
    let fleet = RunningFleet::start(&api.config(keys(1..=40, "right")));
    for _ in 0..40 {
        sleep(minutes(1)).await;
        for firm in 1..=40 {
            let state = fleet.state(&firm.to_string());
            assert!(matches!(state, KeyState::Active | KeyState::Unknown), "{firm}: {state}");
        }
    }
    assert!(api.log_ins().len() <= 40 * 4);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_in_whatever_words_is_replaced() {
    for (status, code) in [
        (401, "ERR-FIRM-TOKEN-NOT-FOUND"),
        (401, "ERR-INVALID-FIRM-JWT"),
        (400, "TOKEN1"),
        (400, "TOKEN2"),
        (401, "USER7"),
        (500, "GBL15"),
        (401, "AUTH1"),
    ] {
        let api = ScriptedApi::start(accept).await;
        api.lock().invalid = (status, code);
        let fleet = RunningFleet::start(&api.config(keys([80], "right")));
        sleep(minutes(3)).await;
        api.lock().valid.clear();
        sleep(minutes(3)).await;
        assert_eq!(api.log_ins(), [80; 2], "{code}");
        assert_eq!(fleet.state("80"), KeyState::Active, "{code}");
        assert!(fleet.key("80").probes[0].failures.is_empty(), "{code}");
        // The replacement ends early too: the next one is made fifteen minutes later.
        api.lock().valid.clear();
        sleep(minutes(10)).await;
        assert_eq!(api.log_ins(), [0; 0], "{code}");
        assert_eq!(fleet.state("80"), KeyState::Active, "{code}");
        sleep(minutes(10)).await;
        assert_eq!(api.log_ins(), [80], "{code}");
        assert_eq!(fleet.reason("80", 0), None, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_firm_is_told_at_once_and_beside_other_log_ins() {
    let api = ScriptedApi::start(accept).await;
    let fleet = RunningFleet::start(&api.config(keys([80, 81, 82, 83], "right")));
    sleep(minutes(3)).await;
    api.revoke(&[80, 81]);
    sleep(minutes(2)).await;
    let states = ["80", "81", "82", "83"].map(|firm| fleet.state(firm));
    assert_eq!(states, [KeyState::Revoked, KeyState::Revoked, KeyState::Active, KeyState::Active]);
    assert_eq!(fleet.reason("80", 0), Some(Reason::Token), "it does not say that log-ins end one another");
    api.log_ins();
    sleep(minutes(60)).await;
    assert_eq!(fleet.reason("80", 0), Some(Reason::Token));
    assert!(api.log_ins().len() <= 10);
    api.lock().revoked.clear();
    sleep(minutes(16)).await;
    assert_eq!(fleet.state("80"), KeyState::Active);
}

#[tokio::test(start_paused = true)]
async fn two_keys_of_a_revoked_firm_are_both_revoked() {
    let api = ScriptedApi::start(accept).await;
    let two = vec![key("a", 80, inline("right")), key("b", 80, inline("right"))];
    let fleet = RunningFleet::start(&api.config(two));
    sleep(minutes(3)).await;
    api.revoke(&[80]);
    sleep(minutes(2)).await;
    assert_eq!(["a", "b"].map(|name| fleet.state(name)), [KeyState::Revoked; 2]);
    assert_eq!(api.log_ins(), [80; 2], "one log-in tells both");
}

#[tokio::test(start_paused = true)]
async fn the_last_password_renews_a_token_while_its_file_cannot_be_read() {
    let api = ScriptedApi::start(accept).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "right").unwrap();
    let fleet =
        RunningFleet::start(&api.config(vec![key("80", 80, SecretSource::File(file.as_path().into()))]));
    sleep(minutes(200)).await;
    std::fs::remove_file(&file).unwrap();
    sleep(minutes(60)).await;
    assert_eq!(api.log_ins(), [80; 2]);
    assert!(fleet.key("80").probes[0].failures.is_empty());
    assert!(fleet.key("80").credential_problem.is_some(), "the alert tells");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_remembered_after_a_restart() {
    let api = ScriptedApi::start(accept_low_firms).await;
    let parent = tempfile::tempdir().unwrap();
    let storage = parent.path().join("data");
    let config = api.config(keys([80, 81], "wrong"));
    let start =
        |storage: &Path| RunningFleet::start_with_storage(storage, tempfile::tempdir().unwrap(), &config);
    let fleet = start(&storage);
    sleep(minutes(60)).await;
    assert_eq!(api.log_ins().len(), 2);
    drop(fleet);
    sleep(Duration::from_secs(2)).await;
    let fleet = start(&storage);
    sleep(minutes(60)).await;
    assert_eq!(api.log_ins(), [0; 0]);
    assert_eq!(fleet.reason("80", 0), Some(Reason::Login));
}

/// Runs the probes of `config` once, as the command `probe` does.
async fn probe_once(storage: &Path, config: &Config) {
    let context = context(crate::store::Store::snapshot(storage).unwrap());
    let context = Arc::new(context);
    let mut fleet = crate::fleet::Fleet::new(context);
    fleet.apply(config).unwrap();
    for partner in &config.partners {
        for key in &partner.keys {
            fleet.key_index().find(&partner.name, &key.name).unwrap().run(0, None).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_bounds_hold_for_the_exporter_and_the_command_probe_together() {
    let api = ScriptedApi::start(accept_low_firms).await;
    let parent = tempfile::tempdir().unwrap();
    let storage = parent.path().join("data");
    let config = api.config(keys([999], "right"));
    // The command is first; there is no state file yet.
    probe_once(&storage, &config).await;
    probe_once(&storage, &config).await;
    assert_eq!(api.log_ins(), [999]);
    let fleet = RunningFleet::start_with_storage(&storage, parent, &config);
    sleep(minutes(10)).await;
    assert_eq!(api.log_ins(), [0; 0], "the exporter knows it, and waits");
    sleep(minutes(60)).await;
    assert_eq!(api.log_ins(), [999], "the second try");
    probe_once(&storage, &config).await;
    assert_eq!(api.log_ins(), [0; 0], "the command obeys what the exporter remembers");
    drop(fleet);
}

#[tokio::test(start_paused = true)]
async fn a_success_of_the_command_probe_ends_the_refusals() {
    let api = ScriptedApi::start(accept_low_firms).await;
    let parent = tempfile::tempdir().unwrap();
    let storage = parent.path().join("data");
    let config = api.config(keys([999], "right"));
    probe_once(&storage, &config).await;
    api.lock().answer = accept;
    let text = std::fs::read_to_string(storage.join("probe-logins.json")).unwrap();
    let earlier = SystemTime::now() - minutes(16);
    let mut journal: Value = serde_json::from_str(&text).unwrap();
    journal["events"][0]["at"] = json!(humantime::format_rfc3339_seconds(earlier).to_string());
    std::fs::write(storage.join("probe-logins.json"), journal.to_string()).unwrap();
    probe_once(&storage, &config).await;
    assert_eq!(api.log_ins(), [999; 2]);
    let _fleet = RunningFleet::start_with_storage(&storage, parent, &config);
    sleep(minutes(2)).await;
    assert_eq!(api.log_ins(), [999]);
}

/// A reloader of `fleet`, whose configuration is `config` and always differs from the last one.
async fn reloader(fleet: RunningFleet, config: Config, file: &Path) -> Reloader {
    let protection = || Protection::new(LoadedWebConfig::default().config).unwrap();
    let metrics = Arc::clone(&fleet.inner.context().metrics);
    let sources = ConfigFiles { files: vec![file.to_owned()], ..ConfigFiles::default() };
    let (files, loads) = (sources.clone(), AtomicU64::new(1));
    let loader = move || {
        let content_hash = loads.fetch_add(1, Ordering::Relaxed);
        let sources = ConfigFiles { content_hash, ..files.clone() };
        Ok(LoadedConfig { config: config.clone(), protection: protection(), sources })
    };
    let auth = AuthHandle::new(protection());
    Reloader::new(Arc::new(loader), sources, fleet.inner, auth, metrics).await
}

#[tokio::test(start_paused = true)]
async fn only_a_reload_by_hand_allows_another_try() {
    let api = ScriptedApi::start(accept_low_firms).await;
    let config = api.config(keys([80], "wrong"));
    let fleet = RunningFleet::start(&config);
    sleep(minutes(60)).await;
    assert_eq!(api.log_ins(), [80; 2]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut reloader = reloader(fleet, config, file.path()).await;
    for length in 1..=12 {
        std::fs::write(file.path(), "x".repeat(length)).unwrap();
        reloader.reload_if_changed().await;
        sleep(minutes(30)).await;
    }
    assert_eq!(api.log_ins(), [0; 0], "a key file changed every half hour");
    for _ in 0..3 {
        reloader.reload().await.unwrap();
        sleep(minutes(4)).await;
    }
    assert_eq!(api.log_ins(), [80]);
}

#[tokio::test(start_paused = true)]
async fn a_log_in_counts_even_if_a_reload_removes_its_key_before_the_response() {
    let api = ScriptedApi::start(accept_low_firms).await;
    api.lock().log_in_delay = Duration::from_secs(5);
    let mut fleet = RunningFleet::start(&api.config(keys([80], "wrong")));
    let mut log_ins = 0;
    for second in 0..600 {
        sleep(Duration::from_secs(1)).await;
        let sent = api.log_ins().len();
        if sent > 0 {
            log_ins += sent;
            // Its response comes in four seconds.
            let mut config = api.config(keys([80], "wrong"));
            let probes = Arc::make_mut(&mut config.partners[0].keys[0].probes);
            probes[0].timing.timeout = Duration::from_millis(9_000 + second);
            fleet.apply(&config);
        }
    }
    assert_eq!(log_ins, 1);
}

#[tokio::test(start_paused = true)]
async fn an_account_with_slow_log_ins_delays_no_key_of_another_account() {
    let api = ScriptedApi::start(accept).await;
    api.lock().log_in_delay = Duration::from_secs(2);
    api.lock().valid.insert("permanent".to_owned());
    let mut config = api.config(keys(1..=1_200, "right"));
    let others = (0..20).map(|number| token_key(&format!("other-{number}"), "permanent", vec![extended()]));
    config.partners.push(partner("other", others.collect()));
    let fleet = RunningFleet::start(&config);
    sleep(minutes(5)).await;
    let inventory = fleet.shared_state.inventory();
    for number in 0..20 {
        let key = inventory.key("other", &format!("other-{number}")).unwrap().status().clone();
        assert_eq!((key.probes[0].total, key.probes[0].skipped), (5, [0; 3]), "other-{number}");
    }
    assert!(api.log_ins().len() < 160, "the account still logs in, one firm after the other");
}

#[tokio::test(start_paused = true)]
async fn the_result_of_a_probe_that_a_pause_interrupted_is_discarded() {
    let api = ScriptedApi::start(accept).await;
    api.lock().key_info_delay = Duration::from_secs(3);
    api.lock().valid.insert("permanent".to_owned());
    let fleet = RunningFleet::start(&api.config(vec![token_key("dupont", "permanent", vec![extended()])]));
    let context = Arc::clone(fleet.inner.context());
    tokio::spawn(async move { context.pauses.watch().await });
    while api.lock().key_info_requests == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    advance(minutes(10)).await;
    // Two regular runs, and perhaps one that makes up for it.
    sleep(minutes(2) + Duration::from_secs(30)).await;
    let probe = fleet.key("dupont").probes[0].clone();
    assert_eq!(probe.skipped, [0, 0, 1], "one was interrupted; no due time in the pause counts");
    assert!(probe.failures.is_empty() && (2..=3).contains(&probe.total), "{probe:?}");
    assert_eq!(fleet.shared_state.health().probe.failures, []);
}
