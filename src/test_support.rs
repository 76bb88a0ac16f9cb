//! What the tests have in common: a simulated API, and a configuration that points to it.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::{Api, Canary, Config, Credential, Key, Login, Partner, Probe, Settings, Target, Timing};
use crate::partner_api::EXERCICES_PATH;
use crate::partner_api::judge::{Judgement, RequestKind, Response, judge};
use crate::partner_api::{Access, KeyInfoMode, Method};
use crate::secret::SecretSource;
use http::HeaderMap;
use partner_simulator::Simulator;

/// The partner's secret in every test.
pub(crate) const SECRET: &str = "the-partners-secret";

pub(crate) fn api(simulator: &Simulator) -> Api {
    Api {
        base_url: simulator.base_url(),
        auth_url: simulator.auth_url(),
        ca_pem: simulator.ca_pem(),
        ..Api::default()
    }
}

pub(crate) const fn timing(interval: u64, timeout: u64) -> Timing {
    Timing { interval: Duration::from_secs(interval), timeout: Duration::from_secs(timeout) }
}

/// A configuration with one partner, acme, who holds `keys`.
pub(crate) fn config(simulator: &Simulator, keys: Vec<Key>) -> Config {
    Config {
        settings: Settings { api: api(simulator), ..Settings::default() },
        partners: vec![Partner { name: "acme".into(), secret: SecretSource::Inline(SECRET.into()), keys }],
    }
}

pub(crate) fn token_key(name: &str, token: &str, probes: Vec<Probe>) -> Key {
    let credential = Credential::Token(SecretSource::Inline(token.into()));
    Key { name: name.into(), access: Access::Society, credential, probes }
}

/// A key that the simulator knows, with the token it has there.
pub(crate) fn known_key(simulator: &Simulator, name: &str, probes: Vec<Probe>) -> Key {
    token_key(name, &simulator.key(name).unwrap().token().unwrap(), probes)
}

pub(crate) fn login_key(name: &str, mail: &str, password: &str, probes: Vec<Probe>) -> Key {
    let login = Login { mail: mail.into(), password: SecretSource::Inline(password.into()), firm: None };
    Key { name: name.into(), access: Access::Firm, credential: Credential::Login(login), probes }
}

pub(crate) fn key_info(mode: KeyInfoMode) -> Probe {
    Probe { name: "key_info".into(), target: Target::KeyInfo(mode), timing: timing(60, 10) }
}

pub(crate) fn exercices(society_id: Option<u64>) -> Probe {
    let canary = Canary {
        route: "exercices".into(),
        method: Method::Get,
        path: EXERCICES_PATH.into(),
        society_id: society_id.and_then(NonZeroU64::new),
    };
    Probe { name: Arc::clone(&canary.route), target: Target::Canary(canary), timing: timing(60, 10) }
}

/// The judgement of a complete JSON response of the API.
pub(crate) fn judge_response(kind: RequestKind, status: u16, body: &str) -> Judgement {
    let headers: HeaderMap = [("content-type", "application/json"), ("request-id", "req-9k4i")]
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .into_iter()
        .collect();
    let response = Response {
        status,
        headers: &headers,
        body: body.as_bytes(),
        complete: true,
        received: SystemTime::UNIX_EPOCH,
    };
    judge(kind, response)
}

/// The judgement of an error response with this code.
pub(crate) fn judge_error(kind: RequestKind, status: u16, code: &str) -> Judgement {
    judge_response(kind, status, &format!(r#"{{"error":{{"code":"{code}","message":"m","details":""}}}}"#))
}
