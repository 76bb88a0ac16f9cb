//! Builders that several tests share: configurations for the simulated API, reports and judgements, and the
//! routes of an exporter.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::{
    Api, Canary, Config, Connection, Credential, Key, Labels, Login, Partner, Probe, Settings, Target, Timing,
};
use crate::fleet::KeyIndex;
use crate::http::AppState;
use crate::metrics::Metrics;
use crate::monitor::Context;
use crate::partner_api::failure::Failure;
use crate::partner_api::judge::{Judgement, RequestKind, Response, judge};
use crate::partner_api::{Access, EXERCICES_PATH, KeyInfoMode, Method};
use crate::report::{Phases, ProbeReport};
use crate::secret::SecretSource;
use crate::state::SharedState;
use crate::store::Store;
use http::HeaderMap;
use partner_simulator::Simulator;

/// The secret of every partner.
pub(crate) const SECRET: &str = "the-partners-secret";

/// The settings to reach the simulated API.
pub(crate) fn api(simulator: &Simulator) -> Api {
    Api {
        base_url: simulator.base_url(),
        auth_url: simulator.auth_url(),
        ca_pem: simulator.ca_pem(),
        ..Api::default()
    }
}

/// An interval and a timeout in seconds.
pub(crate) const fn timing(interval: u64, timeout: u64) -> Timing {
    Timing { interval: Duration::from_secs(interval), timeout: Duration::from_secs(timeout) }
}

/// A configuration for the simulated API with these keys of the partner `acme`.
pub(crate) fn config(simulator: &Simulator, keys: Vec<Key>) -> Config {
    Config {
        settings: Settings { api: api(simulator), ..Settings::default() },
        partners: vec![partner("acme", keys)],
    }
}

/// A partner with the secret [`SECRET`].
pub(crate) fn partner(name: &str, keys: Vec<Key>) -> Partner {
    Partner { name: name.into(), secret: SecretSource::Inline(SECRET.into()), keys }
}

/// A key with society access and a permanent token.
pub(crate) fn token_key(name: &str, token: &str, probes: Vec<Probe>) -> Key {
    society_key(name, SecretSource::Inline(token.into()), probes)
}

/// The same with the token in a file.
pub(crate) fn token_file_key(name: &str, file: &Path, probes: Vec<Probe>) -> Key {
    society_key(name, SecretSource::File(file.into()), probes)
}

fn society_key(name: &str, token: SecretSource, probes: Vec<Probe>) -> Key {
    Key {
        name: name.into(),
        access: Access::Society,
        credential: Credential::Token(token),
        probes: probes.into(),
        labels: Labels::default(),
    }
}

/// A key of the simulator, with its current token.
pub(crate) fn known_key(simulator: &Simulator, name: &str, probes: Vec<Probe>) -> Key {
    token_key(name, &simulator.key(name).unwrap().token().unwrap(), probes)
}

/// A key with firm access and an API Cabinet log-in.
pub(crate) fn login_key(name: &str, mail: &str, password: &str, probes: Vec<Probe>) -> Key {
    let login = Login { mail: mail.into(), password: SecretSource::Inline(password.into()), firm: None };
    Key {
        name: name.into(),
        access: Access::Firm,
        credential: Credential::Login(login),
        probes: probes.into(),
        labels: Labels::default(),
    }
}

/// The key/info probe, once per minute.
pub(crate) fn key_info(mode: KeyInfoMode) -> Probe {
    Probe { name: "key_info".into(), target: Target::KeyInfo(mode), timing: timing(60, 10) }
}

/// The built-in canary, once per minute.
pub(crate) fn exercices(society_id: Option<u64>) -> Probe {
    let canary = Canary {
        name: "exercices".into(),
        method: Method::Get,
        path: EXERCICES_PATH.into(),
        society_id: society_id.and_then(NonZeroU64::new),
        connection: Connection::Fresh,
    };
    Probe { name: Arc::clone(&canary.name), target: Target::Canary(canary), timing: timing(60, 10) }
}

/// So many seconds after the Unix epoch.
pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The report of a probe with the HTTP status 200 and phases of 1, 2, 3, 4 and 5 ms.
pub(crate) fn report(finished: SystemTime, outcome: Result<(), Failure>) -> ProbeReport {
    ProbeReport {
        finished,
        phases: Phases::new([1, 2, 3, 4, 5].map(Duration::from_millis)),
        status: Some(200),
        request_id: None,
        judgement: None,
        outcome,
        certificate_expiry: None,
    }
}

/// The judgement of a complete JSON response of the API.
pub(crate) fn judge_response(kind: RequestKind, status: u16, body: &str) -> Judgement {
    let headers: HeaderMap = [("content-type", "application/json"), ("request-id", "req-9k4i")]
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .into_iter()
        .collect();
    let (body, received) = (body.as_bytes(), at(1_000));
    let expects_request_id = true;
    judge(kind, Response { status, headers: &headers, body, complete: true, received, expects_request_id })
}

/// The judgement of an error response with this code.
pub(crate) fn judge_error(kind: RequestKind, status: u16, code: &str) -> Judgement {
    judge_response(kind, status, &format!(r#"{{"error":{{"code":"{code}","message":"m","details":""}}}}"#))
}

/// What all monitors share, with this store.
pub(crate) fn context(store: Store) -> Context {
    Context::new(Arc::new(SharedState::default()), Arc::new(Metrics::new().unwrap()), store)
}

/// The routes of an exporter without keys, with this storage directory.
pub(crate) fn app(storage: &Path) -> AppState {
    AppState {
        context: Arc::new(context(Store::open(storage, |_| ()).unwrap())),
        key_index: Arc::new(KeyIndex::default()),
        reload: None,
        prefix: "".into(),
        external: None,
        scenario: None,
    }
}
