//! The log-in of an API Cabinet account: what is sent, and what comes back.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::error::{Code, ErrorBody, ErrorCode};
use super::request_id::RequestId;
use super::token::Claims;

/// The same as for a token that is configured.
const LARGEST_TOKEN: usize = 16 * 1024;

/// How long a token lives, by the documentation.
pub const LIFETIME: Duration = Duration::from_hours(4);

/// How a firm is named in a log-in: the documentation allows a numeric id or a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(untagged)]
pub enum Firm {
    /// The firm's numeric id.
    Id(u64),
    /// The firm's name.
    Name(String),
}

/// The request's JSON body.
#[derive(Serialize)]
pub struct Request<'a> {
    /// The account.
    pub mail: &'a str,
    /// Its password: the caller keeps the serialised form secret.
    pub password: &'a str,
    /// The firm, where the account reaches several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firm: Option<&'a Firm>,
}

/// What the log-in route answered.
#[derive(Debug)]
pub enum LoginAnswer {
    /// A token, and for how long after the answer it is good.
    Token {
        /// The token itself.
        token: SecretString,
        /// Its life, by the server's own clock.
        lives_for: Duration,
    },
    /// The account reaches several firms, and none was named.
    FirmSelection,
    /// An explicit refusal: mail, password or firm. Trying again can lock the account.
    Refused(Option<ErrorCode>, Option<RequestId>),
    /// A passing failure: maintenance, a spent budget, a proxy's page.
    Unavailable(Option<ErrorCode>, Option<RequestId>),
}

impl LoginAnswer {
    /// The same answer with what `change` makes of its code and its request-id.
    #[must_use]
    pub fn map_told(
        self,
        change: impl FnOnce(Option<ErrorCode>, Option<RequestId>) -> (Option<ErrorCode>, Option<RequestId>),
    ) -> Self {
        match self {
            Self::Refused(code, id) => {
                let (code, id) = change(code, id);
                Self::Refused(code, id)
            }
            Self::Unavailable(code, id) => {
                let (code, id) = change(code, id);
                Self::Unavailable(code, id)
            }
            other => other,
        }
    }
}

/// Reads a log-in's response.
#[must_use]
pub fn read(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> LoginAnswer {
    if (200..=299).contains(&status) {
        return read_accepted(headers, body, now);
    }
    let Some(error) = ErrorBody::parse(body) else {
        return LoginAnswer::Unavailable(None, RequestId::from_headers(headers));
    };
    let request_id = RequestId::from_headers(headers).or(error.request_id);
    let passing = matches!(
        error.code.documented(),
        Some(
            Code::TooManyRequest
                | Code::TooManyConcurrentRequest
                | Code::TooManyConcurrentRequests
                | Code::UnderMaintenance
                | Code::Http
                | Code::Internal
        )
    );
    // A server's failure (5xx) or a spent budget (429) says nothing about the password.
    if passing || status >= 500 || status == 429 {
        LoginAnswer::Unavailable(Some(error.code), request_id)
    } else {
        LoginAnswer::Refused(Some(error.code), request_id)
    }
}

fn read_accepted(headers: &HeaderMap, body: &[u8], now: SystemTime) -> LoginAnswer {
    let Some(wire) = super::json_object::<Wire>(body) else {
        return LoginAnswer::Unavailable(None, RequestId::from_headers(headers));
    };
    match wire {
        Wire { api_token: Some(token), expires_in, .. } if is_usable(&token) => {
            let served = headers.get(DATE).and_then(|v| httpdate::parse_http_date(v.to_str().ok()?).ok());
            let lives_for = life(&token, expires_in.as_str(), served.unwrap_or(now));
            LoginAnswer::Token { token: token.into(), lives_for }
        }
        Wire { status: Some(status), .. } if status == "firm-selection" => LoginAnswer::FirmSelection,
        _ => LoginAnswer::Unavailable(None, RequestId::from_headers(headers)),
    }
}

/// A token that is not fit for a header would only fail later, and less clearly.
fn is_usable(token: &str) -> bool {
    (1..=LARGEST_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `exp` is the truth where there is one. `expiresIn` names no time zone: read as UTC it can only be
/// believed where it promises no more than the documented four hours.
fn life(token: &str, expires_in: Option<&str>, served: SystemTime) -> Duration {
    let until = |end: SystemTime| end.duration_since(served).ok();
    if let Some(end) = Claims::parse(token).and_then(|claims| claims.expires) {
        return until(end).unwrap_or_default();
    }
    let written = expires_in.and_then(|text| humantime::parse_rfc3339_weak(text).ok()).and_then(until);
    written.map_or(LIFETIME, |life| life.min(LIFETIME))
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
    fn the_claim_of_a_jwt_is_the_truth() {
        let exp = at("2021-04-12 12:00:00").duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let token = format!("a.{}.c", URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#)));
        let body = format!(r#"{{"api_token":"{token}","expiresIn":"2021-04-12 23:00:00"}}"#);
        assert_eq!(lives_for("2021-04-12 11:30:00", &body), Duration::from_mins(30));
    }

    #[test]
    fn without_the_claim_the_written_end_counts_but_never_beyond_four_hours() {
        let body = r#"{"api_token":"opaque","expiresIn":"2021-04-12 11:54:46","firm":{"id":80,"label":"T"}}"#;
        assert_eq!(lives_for("2021-04-12 07:54:46", body), LIFETIME, "written in UTC");
        assert_eq!(lives_for("2021-04-12 05:54:46", body), LIFETIME, "written in Paris time");
        assert_eq!(lives_for("2021-04-12 11:24:46", body), Duration::from_mins(30), "shorter than promised");
        assert_eq!(lives_for("2021-04-12 15:00:00", body), LIFETIME, "no end that is past can be meant");
        assert_eq!(lives_for("2021-04-12 15:00:00", r#"{"api_token":"opaque"}"#), LIFETIME);
    }

    #[test]
    fn several_firms_without_a_choice_are_told_apart_from_a_refusal() {
        let body = r#"{"status":"firm-selection","firms":[{"id":80}]}"#;
        assert!(matches!(read_at("2021-04-12 12:00:00", 200, body), LoginAnswer::FirmSelection));
    }

    #[test]
    fn a_refused_password_is_told_apart_from_a_passing_failure() {
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
