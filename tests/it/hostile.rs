//! Answers that attack. Each comes over a real socket, and ends in the right reason, in time, and with the
//! connection closed.

mod bodies;
mod fleet;
mod framing;
mod headers;
mod lies;
mod resets;
mod server;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use myunisoft_exporter::config::Api;
use myunisoft_exporter::partner_api::failure::Failure;
use myunisoft_exporter::partner_api::judge::RequestKind;
use myunisoft_exporter::partner_api::login::LoginAnswer;
use myunisoft_exporter::partner_api::{EXERCICES_PATH, HEALTH_PATH, KEY_INFO_EXTENDED_PATH};
use myunisoft_exporter::partner_api::{KeyInfoMode, Method};
use myunisoft_exporter::probe::{Call, Credentials, LoginReport, Prober};
use myunisoft_exporter::report::ProbeReport;
use secrecy::SecretString;
use tokio::time::timeout;

use self::server::{Act, Hostile};
use crate::support::SECRET;

const TOKEN: &str = "the-key-s-token";
const PASSWORD: &str = "the-account-s-password";
const CANARY: RequestKind = RequestKind::Canary(Method::Get);
const EXTENDED: RequestKind = RequestKind::KeyInfo(KeyInfoMode::Extended);

/// For what ends by itself: far more than it takes.
const AMPLE: Duration = Duration::from_secs(20);
/// For what ends by the probe's timeout alone.
const SHORT: Duration = Duration::from_millis(500);
/// What a busy machine may add to a timeout.
const SLACK: Duration = Duration::from_secs(20);

/// Asks the server all that the exporter asks: what came of health, of key/info, of a canary, of a log-in.
async fn asked(server: &Hostile) -> [&'static str; 4] {
    asked_within(AMPLE, server).await
}

/// The same, where every request has so long.
async fn asked_within(limit: Duration, server: &Hostile) -> [&'static str; 4] {
    let words = words(&server.api(), limit).await;
    server.is_left_alone().await;
    words
}

/// What comes of health, of key/info, of a canary and of a log-in.
async fn words(api: &Api, limit: Duration) -> [&'static str; 4] {
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
        RequestKind::KeyInfo(_) => (KEY_INFO_EXTENDED_PATH, Some(credentials)),
        RequestKind::Canary(_) => (EXERCICES_PATH, Some(credentials)),
    };
    let prober = Prober::new(api).unwrap();
    let probe = prober.probe(Call { kind, path, credentials, timeout: limit });
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
        Ok(LoginAnswer::FirmSelection) => "firm_selection",
        Ok(LoginAnswer::Refused(..)) => "refused",
        Ok(LoginAnswer::Unavailable(..)) => "unavailable",
        Err(failure) => failure.reason.into_str(),
    }
}

fn send(bytes: impl AsRef<[u8]>) -> Act {
    Act::Send(Bytes::copy_from_slice(bytes.as_ref()))
}

fn flood(piece: impl AsRef<[u8]>) -> Act {
    Act::Flood(piece.as_ref().repeat((64 << 10) / piece.as_ref().len()).into())
}

fn drip(piece: impl AsRef<[u8]>) -> Act {
    Act::Drip(Bytes::copy_from_slice(piece.as_ref()))
}

/// An answer's head, given as its lines without the protocol.
fn head(lines: &str) -> Act {
    send(format!("HTTP/1.1 {}\r\n\r\n", lines.replace('\n', "\r\n")))
}

/// The head of a JSON answer that ends where the connection does.
fn json_head() -> Act {
    head("200 OK\ncontent-type: application/json")
}

/// A whole answer of JSON.
fn json(status: u16, body: impl AsRef<[u8]>) -> Act {
    json_with("", status, body)
}

/// The same with these header lines.
fn json_with(headers: &str, status: u16, body: impl AsRef<[u8]>) -> Act {
    let headers = headers.lines().fold(String::new(), |text, line| text + line + "\r\n");
    let length = body.as_ref().len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    send([head.as_bytes(), body.as_ref()].concat())
}
