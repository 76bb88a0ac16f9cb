//! The log-in of an API Cabinet account: the request body, and the meaning of the response.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::error::{DocumentedCode, ErrorBody, ErrorCode};
use super::judge::documented_code;
use super::request_id::RequestId;
use super::server_date;
use super::token::Claims;

/// In bytes. The same limit as for a configured token.
const MAX_TOKEN_LEN: usize = 16 * 1024;

/// The documented lifetime of a token.
pub(crate) const LIFETIME: Duration = Duration::from_hours(4);

/// The firm of a log-in. The documentation allows a numeric ID or a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Firm {
    Id(u64),
    Name(String),
}

/// The JSON body of the request.
#[derive(Serialize)]
pub(crate) struct Request<'a> {
    pub mail: &'a str,
    /// The caller must keep the serialized body secret.
    pub password: &'a str,
    /// Needed if the account has access to several firms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firm: Option<&'a Firm>,
}

/// The meaning of a response of the log-in route.
#[derive(Debug)]
pub(crate) enum LoginAnswer {
    /// The log-in succeeded.
    Token {
        token: SecretString,
        /// How long after the response the token is valid, by the server's clock.
        lives_for: Duration,
    },
    /// The account has access to several firms, and the request named none.
    FirmSelection,
    /// The API refused the mail address, the password or the firm. Another attempt can lock the account.
    Refused(Option<ErrorCode>, Option<RequestId>),
    /// A temporary failure: maintenance, a used-up request budget, or the error page of a proxy.
    Unavailable(Option<ErrorCode>, Option<RequestId>),
}

impl LoginAnswer {
    /// The error code and the request ID of a log-in that failed.
    pub(crate) fn details_mut(&mut self) -> Option<(&mut Option<ErrorCode>, &mut Option<RequestId>)> {
        match self {
            Self::Refused(code, request_id) | Self::Unavailable(code, request_id) => Some((code, request_id)),
            Self::Token { .. } | Self::FirmSelection => None,
        }
    }
}

/// Interprets the response of the log-in route. `now` is the wall clock; it is used if the response has no
/// `date` header.
pub(crate) fn read(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> LoginAnswer {
    if (200..=299).contains(&status) {
        return read_success(headers, body, now);
    }
    let Some(error) = ErrorBody::parse(body) else {
        return LoginAnswer::Unavailable(None, RequestId::from_headers(headers));
    };
    let request_id = RequestId::from_headers(headers).or(error.request_id);
    // A server failure (5xx) or a used-up request budget (429) says nothing about the password.
    if status >= 500 || status == 429 || error.code.documented().is_some_and(is_temporary) {
        LoginAnswer::Unavailable(Some(error.code), request_id)
    } else {
        LoginAnswer::Refused(Some(error.code), request_id)
    }
}

/// Whether a code says nothing about the account: every code that is not a refusal of the request.
fn is_temporary(code: DocumentedCode) -> bool {
    let (reason, ..) = documented_code(code);
    !reason.is_refusal()
}

fn read_success(headers: &HeaderMap, body: &[u8], now: SystemTime) -> LoginAnswer {
    match super::json_object::<Wire>(body) {
        Some(Wire { api_token: Some(token), expires_in, .. }) if is_usable(&token) => {
            let sent = server_date(headers).unwrap_or(now);
            let lives_for = lifetime(&token, expires_in.as_str(), sent);
            LoginAnswer::Token { token: token.into(), lives_for }
        }
        Some(Wire { status: Some(status), .. }) if status == "firm-selection" => LoginAnswer::FirmSelection,
        Some(_) | None => LoginAnswer::Unavailable(None, RequestId::from_headers(headers)),
    }
}

/// A token that cannot be sent in a header is refused here, where the cause is clear.
fn is_usable(token: &str) -> bool {
    (1..=MAX_TOKEN_LEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Uses the `exp` claim if the token has one. `expiresIn` has no time zone and is read as UTC, so a
/// lifetime above the documented four hours is not trusted.
fn lifetime(token: &str, expires_in: Option<&str>, sent: SystemTime) -> Duration {
    let until = |expiry: SystemTime| expiry.duration_since(sent).ok();
    if let Some(expiry) = Claims::parse(token).and_then(|claims| claims.expires) {
        return until(expiry).unwrap_or_default();
    }
    let stated = expires_in.and_then(|text| humantime::parse_rfc3339_weak(text).ok()).and_then(until);
    stated.map_or(LIFETIME, |lifetime| lifetime.min(LIFETIME))
}

#[derive(Deserialize)]
struct Wire {
    api_token: Option<String>,
    #[serde(default, rename = "expiresIn")]
    expires_in: serde_json::Value,
    status: Option<String>,
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339_weak(text).unwrap()
    }

    fn read_at(now: &str, status: u16, body: &str) -> LoginAnswer {
        read(status, &HeaderMap::new(), body.as_bytes(), at(now))
    }

    fn lives_for(now: &str, body: &str) -> Duration {
        match read_at(now, 200, body) {
            LoginAnswer::Token { lives_for, .. } => lives_for,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_exp_claim_of_a_jwt_determines_the_lifetime() {
        let exp = at("2021-04-12 12:00:00").duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let token = format!("a.{}.c", URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#)));
        let body = format!(r#"{{"api_token":"{token}","expiresIn":"2021-04-12 23:00:00"}}"#);
        assert_eq!(lives_for("2021-04-12 11:30:00", &body), Duration::from_mins(30));
    }

    #[test]
    fn without_an_exp_claim_expires_in_counts_up_to_four_hours() {
        let body = r#"{"api_token":"opaque","expiresIn":"2021-04-12 11:54:46","firm":{"id":80,"label":"T"}}"#;
        assert_eq!(lives_for("2021-04-12 07:54:46", body), LIFETIME, "expiresIn in UTC");
        assert_eq!(lives_for("2021-04-12 05:54:46", body), LIFETIME, "expiresIn in Paris time");
        assert_eq!(
            lives_for("2021-04-12 11:24:46", body),
            Duration::from_mins(30),
            "shorter than documented"
        );
        assert_eq!(lives_for("2021-04-12 15:00:00", body), LIFETIME, "an expiry in the past is ignored");
        assert_eq!(lives_for("2021-04-12 15:00:00", r#"{"api_token":"opaque"}"#), LIFETIME);
    }

    #[test]
    fn a_missing_firm_selection_is_not_a_refusal() {
        let body = r#"{"status":"firm-selection","firms":[{"id":80}]}"#;
        assert!(matches!(read_at("2021-04-12 12:00:00", 200, body), LoginAnswer::FirmSelection));
    }

    #[test]
    fn a_temporary_failure_is_not_a_refusal() {
        let now = "2021-04-12 12:00:00";
        let error = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"m","details":""}}}}"#);
        assert!(matches!(read_at(now, 401, &error("AUTH1")), LoginAnswer::Refused(Some(_), _)));
        assert!(matches!(read_at(now, 400, &error("ERR-FORBIDDEN-ACCESS")), LoginAnswer::Refused(..)));
        for (status, body) in [
            (429, error("ERR-TOO-MANY-REQUEST")),
            (400, error("ERR-API-UNDER-MAINTENANCE")),
            (503, error("AUTH1")),
            (502, "<html>".to_owned()),
            (401, "<html>a captive portal</html>".to_owned()),
            (200, "<html>a captive portal</html>".to_owned()),
            (200, r#"{"api_token":"two words"}"#.to_owned()),
            (200, "{}".to_owned()),
        ] {
            assert!(matches!(read_at(now, status, &body), LoginAnswer::Unavailable(..)), "{status} {body}");
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        let answer = read_at("2021-04-12 12:00:00", 200, r#"{"api_token":"opaque-canary"}"#);
        assert!(!format!("{answer:?}").contains("opaque-canary"));
    }
}
