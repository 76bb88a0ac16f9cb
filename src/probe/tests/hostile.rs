//! Hostile responses over a real socket. Each probe must end with the right reason, in time, and with the
//! connection closed.

mod bodies;
mod framing;
mod headers;
mod lies;
mod resets;
mod tls;

#[path = "../../../tests/support/scripted_server.rs"]
mod scripted_server;

use std::time::Duration;

use crate::config::{Api, Connection};
use crate::partner_api::failure::Failure;
use crate::partner_api::judge::RequestKind;
use crate::partner_api::login::LoginAnswer;
use crate::partner_api::{EXERCICES_PATH, HEALTH_PATH, KeyInfoMode, Method};
use crate::probe::{Credentials, LoginReport, ProbeRequest, Prober};
use crate::report::ProbeReport;
use secrecy::SecretString;
use tokio::time::timeout;

use self::scripted_server::{ScriptedServer, drip, flood, head, json, json_head, json_with, send};
use crate::test_support::SECRET;

const TOKEN: &str = "the-key-s-token";
const PASSWORD: &str = "the-account-s-password";
const CANARY: RequestKind = RequestKind::Canary(Method::Get);
const EXTENDED: RequestKind = RequestKind::KeyInfo(KeyInfoMode::Extended);

/// The timeout of probes that end before it: much longer than they need.
const AMPLE: Duration = Duration::from_secs(20);
/// The timeout of probes that end only because of it.
const SHORT: Duration = Duration::from_millis(500);
/// How much later than its timeout a probe may end on a busy machine.
const SLACK: Duration = Duration::from_secs(20);

fn api(server: &ScriptedServer) -> Api {
    Api {
        base_url: server.url("/").parse().unwrap(),
        auth_url: server.url("/api/authenticate/firm").parse().unwrap(),
        ca_pem: Some(server.ca_pem().to_owned()),
        ..Api::default()
    }
}

/// The outcomes of a health probe, of key/info, of a canary and of a log-in.
async fn outcomes(server: &ScriptedServer) -> [&'static str; 4] {
    outcomes_within(AMPLE, server).await
}

/// The same with this timeout for each request.
async fn outcomes_within(limit: Duration, server: &ScriptedServer) -> [&'static str; 4] {
    let words = outcomes_of(&api(server), limit).await;
    server.all_connections_closed().await;
    words
}

/// The outcomes of a health probe, of key/info, of a canary and of a log-in at this API.
async fn outcomes_of(api: &Api, limit: Duration) -> [&'static str; 4] {
    let (health, key_info, canary, log_in) = tokio::join!(
        probe(api, RequestKind::Health, limit),
        probe(api, EXTENDED, limit),
        probe(api, CANARY, limit),
        log_in(api, limit)
    );
    [word(&health.outcome), word(&key_info.outcome), word(&canary.outcome), log_in_word(&log_in)]
}

async fn probe(api: &Api, kind: RequestKind, limit: Duration) -> ProbeReport {
    let (token, secret) = (SecretString::from(TOKEN), SecretString::from(SECRET));
    let credentials = Credentials { token: &token, secret: &secret, society_id: None };
    let (path, credentials) = match kind {
        RequestKind::Health => (HEALTH_PATH, None),
        RequestKind::KeyInfo(_) => (KeyInfoMode::Extended.path(), Some(credentials)),
        RequestKind::Canary(_) => (EXERCICES_PATH, Some(credentials)),
    };
    let prober = Prober::new(api).unwrap();
    let probe =
        prober.probe(ProbeRequest { kind, path, credentials, timeout: limit, connection: Connection::Fresh });
    timeout(limit + SLACK, probe).await.expect("a probe ends by its timeout")
}

async fn log_in(api: &Api, limit: Duration) -> LoginReport {
    let (prober, password) = (Prober::new(api).unwrap(), SecretString::from(PASSWORD));
    let log_in = prober.log_in("api@durand.example", &password, None, limit);
    timeout(limit + SLACK, log_in).await.expect("a log-in ends by its timeout")
}

fn word(outcome: &Result<(), Failure>) -> &'static str {
    outcome.as_ref().map_or_else(|failure| failure.reason.into_str(), |()| "ok")
}

fn log_in_word(report: &LoginReport) -> &'static str {
    match &report.outcome {
        Ok(LoginAnswer::Token { .. }) => "token",
        Ok(LoginAnswer::Refused(..)) => "refused",
        Ok(LoginAnswer::Unavailable(..)) => "unavailable",
        Err(failure) => failure.reason.into_str(),
    }
}
