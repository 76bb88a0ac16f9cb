//! The log-in of an API Cabinet account: the request body, and the meaning of the response.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

impl Request<'_> {
    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Text and numbers can always be written as JSON. An empty body would be refused by the API.
        serde_json::to_vec(self).unwrap_or_default()
    }
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
    /// The API refused the log-in. A person must act; another attempt can lock the account.
    Refused(Refused),
    /// A temporary failure: maintenance, a used-up request budget, or the error page of a proxy.
    Unavailable(Option<ErrorCode>, Option<RequestId>),
}

/// A log-in that the API refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub refusal: LoginRefusal,
    /// The ids of the firms to choose from. Only [`LoginRefusal::FirmSelection`] has some.
    pub firms: Vec<String>,
    pub code: Option<ErrorCode>,
    pub request_id: Option<RequestId>,
}

/// Why the API refused a log-in, and so what a person must do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, VariantArray, IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", ascii_case_insensitive)]
pub(crate) enum LoginRefusal {
    /// The mail address, the password or the firm is wrong, or the account may not log in.
    #[strum(disabled)]
    Credentials,
    /// The account has access to several firms, and the request named none.
    FirmSelection,
    /// The account must get a new password first.
    UpdatePassword,
    /// The account needs a one-time password, which may be mailed at each attempt.
    RequireOtp,
    /// The account must accept the terms of use (conditions générales d'utilisation).
    RequireCguApproval,
}

impl LoginAnswer {
    /// The error code and the request ID of a log-in that failed.
    pub(crate) fn details_mut(&mut self) -> Option<(&mut Option<ErrorCode>, &mut Option<RequestId>)> {
        match self {
            Self::Refused(Refused { code, request_id, .. }) | Self::Unavailable(code, request_id) => {
                Some((code, request_id))
            }
            Self::Token { .. } => None,
        }
    }
}

/// Interprets the response of the log-in route. `now` is the wall clock; it is used if the response has no
/// `date` header.
pub(crate) fn read(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> LoginAnswer {
    let in_repaired = || super::json_object::<Wire>(super::repaired(body)?.as_bytes());
    let wire = super::json_object::<Wire>(body).or_else(in_repaired).unwrap_or_default();
    let error = ErrorBody::parse(body);
    let (code, request_id) = error.map_or((None, None), |error| (Some(error.code), error.request_id));
    let request_id = RequestId::from_headers(headers).or(request_id);
    // What the API asks of a person counts in every response, whatever its status is.
    if let Some(refusal) = wire.refusal() {
        let firms = wire.firms();
        return LoginAnswer::Refused(Refused { refusal, firms, code: None, request_id });
    }
    let is_success = (200..=299).contains(&status);
    if is_success && let Some(token) = wire.api_token.filter(|token| is_usable(token)) {
        let sent = server_date(headers).unwrap_or(now);
        let lives_for = lifetime(&token, wire.expires_in.as_str(), sent);
        return LoginAnswer::Token { token: token.into(), lives_for };
    }
    // The form of this host's errors is not documented, so a 401 or 403 needs no code. All other statuses
    // without the API's code can come from a proxy or a captive portal.
    let is_refused = match &code {
        Some(code) if code.documented().is_some_and(is_temporary) => false,
        Some(code) if CREDENTIALS_REFUSED.contains(&code.as_str()) => true,
        Some(_) => (400..=499).contains(&status) && !matches!(status, 408 | 425 | 429),
        None => matches!(status, 401 | 403),
    };
    if is_refused {
        let refusal = LoginRefusal::Credentials;
        return LoginAnswer::Refused(Refused { refusal, firms: Vec::new(), code, request_id });
    }
    // A success status may come with a code such as `Success`, which explains nothing.
    LoginAnswer::Unavailable(code.filter(|_| !is_success), request_id)
}

/// The refusals of this route that are known: a wrong mail address or password, and no right to log in.
const CREDENTIALS_REFUSED: [&str; 2] = ["GBL20", "DROIT5"];

/// Whether a code says nothing about the account: every code that is not a refusal of the request.
fn is_temporary(code: DocumentedCode) -> bool {
    let (reason, ..) = documented_code(code);
    !reason.is_refusal()
}

/// A token that cannot be sent in a header is refused here, where the cause is clear.
fn is_usable(token: &str) -> bool {
    (1..=MAX_TOKEN_LEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Uses the `exp` claim if the token has one. A claim in the past is not believed: the API has just issued the token.
/// `expiresIn` has no time zone and is read as UTC, so a lifetime above the documented four hours is not trusted.
fn lifetime(token: &str, expires_in: Option<&str>, sent: SystemTime) -> Duration {
    let until = |expiry: SystemTime| expiry.duration_since(sent).ok().filter(|left| !left.is_zero());
    if let Some(left) = Claims::parse(token).and_then(|claims| claims.expires).and_then(until) {
        return left;
    }
    let stated = expires_in.and_then(|text| humantime::parse_rfc3339_weak(text).ok()).and_then(until);
    stated.map_or(LIFETIME, |lifetime| lifetime.min(LIFETIME))
}

/// What the body of a response may hold, in a success or in an error. A field of another type is ignored.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    #[serde(deserialize_with = "lenient")]
    api_token: Option<String>,
    #[serde(rename = "expiresIn")]
    expires_in: serde_json::Value,
    #[serde(deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(deserialize_with = "lenient")]
    code: Option<String>,
    #[serde(deserialize_with = "lenient")]
    details: Option<Vec<Choice>>,
    #[serde(deserialize_with = "lenient")]
    firms: Option<Vec<Choice>>,
    #[serde(deserialize_with = "lenient")]
    error: Option<Box<Self>>,
}

/// One of the firms that the account has access to. Its label is the name of a customer, so it is not read.
#[derive(Deserialize)]
struct Choice {
    #[serde(alias = "id")]
    member_group_id: serde_json::Value,
}

/// Reads a value of another type as a missing one.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(|value| serde_json::from_value(value).ok())
}

impl Wire {
    /// What the API asks of a person: in the documented `status`, or where errors have their code.
    fn refusal(&self) -> Option<LoginRefusal> {
        let words = [self.status.as_deref(), self.code.as_deref()];
        let refusal = words.into_iter().flatten().find_map(|word| word.trim().replace('_', "-").parse().ok());
        refusal.or_else(|| self.error.as_ref()?.refusal())
    }

    /// The ids of the firms to choose from, without those that are no id.
    fn firms(&self) -> Vec<String> {
        let listed = [&self.details, &self.firms].into_iter().flatten().flatten();
        let firms: Vec<_> = listed.filter_map(|choice| firm_id(&choice.member_group_id)).collect();
        match &self.error {
            Some(error) if firms.is_empty() => error.firms(),
            _ => firms,
        }
    }
}

/// An id is shown and logged, so it must be a number or a short word.
fn firm_id(value: &serde_json::Value) -> Option<String> {
    const MAX_ID_LEN: usize = 24;
    let id = match value {
        serde_json::Value::Number(number) => number.to_string(),
        serde_json::Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let is_id =
        |id: &String| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    Some(id).filter(|id| (1..=MAX_ID_LEN).contains(&id.len())).filter(is_id)
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
        assert_eq!(lives_for("2021-04-12 12:00:00", &body), LIFETIME, "a claim in the past is not believed");
        assert_eq!(
            lives_for("2021-04-12 22:30:00", &body),
            Duration::from_mins(30),
            "expiresIn is believed then"
        );
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

    fn refused(status: u16, body: &str) -> Option<Refused> {
        match read_at("2021-04-12 12:00:00", status, body) {
            LoginAnswer::Refused(refused) => Some(refused),
            LoginAnswer::Token { .. } | LoginAnswer::Unavailable(..) => None,
        }
    }

    fn error(code: &str) -> String {
        format!(r#"{{"error":{{"code":"{code}","message":"m","details":""}}}}"#)
    }

    #[test]
    fn what_the_api_asks_of_a_person_is_a_refusal_in_every_form() {
        for &refusal in LoginRefusal::VARIANTS {
            if refusal == LoginRefusal::Credentials {
                continue;
            }
            let word: &str = refusal.into();
            for (status, body) in [
                (200, format!(r#"{{"status":"{word}"}}"#)),
                (200, format!(r#"{{"status":"{word}","api_token":"not-a-full-token","details":[]}}"#)),
                (201, format!(r#"{{"status":"{}","code":7,"error":null}}"#, word.to_uppercase())),
                (400, format!(r#"{{"status":"{word}","details":""}}"#)),
                (403, format!(r#"{{"code":"{}","message":"m"}}"#, word.replace('-', "_"))),
                (500, error(word)),
                (429, format!(r#"{{"error":{{"status":"{word}"}}}}"#)),
            ] {
                let refused = refused(status, &body).map(|refused| refused.refusal);
                assert_eq!(refused, Some(refusal), "{status} {body}");
            }
        }
        assert!(refused(200, r#"{"status":"authenticated","api_token":"t"}"#).is_none());
        assert!(refused(200, r#"{"status":"credentials"}"#).is_none(), "not a word of the API");
    }

    #[test]
    fn a_firm_selection_gives_the_ids_of_the_firms_and_not_their_names() {
        let firms = |body: &str| refused(200, body).unwrap().firms;
        let documented = r#"{"status":"firm-selection","details":[
            {"member_group_id":"80","label":"DURAND"},{"member_group_id":83,"label":"NORD"},
            {"member_group_id":"two words","label":"x"},{"member_group_id":null}]}"#;
        assert_eq!(firms(documented), ["80", "83"]);
        assert_eq!(firms(r#"{"status":"firm-selection","firms":[{"id":80,"label":"DURAND"}]}"#), ["80"]);
        assert_eq!(firms(r#"{"status":"firm-selection","details":"x","firms":7}"#), [""; 0]);
        let in_error =
            r#"{"error":{"status":"firm-selection","details":[{"member_group_id":"80","label":"D"}]}}"#;
        assert_eq!(firms(in_error), ["80"]);
        let in_both = r#"{"status":"firm-selection","details":[{"member_group_id":80}],
            "error":{"details":[{"member_group_id":83}]}}"#;
        assert_eq!(firms(in_both), ["80"], "those beside the status count");
    }

    #[test]
    fn a_firm_may_be_a_number_or_text() {
        for firm in [r#"{"id":80,"label":"T"}"#, r#"{"id":"80","label":"T"}"#, "null", r#""T""#] {
            let body = format!(r#"{{"status":"authenticated","api_token":"opaque","firm":{firm}}}"#);
            assert_eq!(lives_for("2021-04-12 12:00:00", &body), LIFETIME, "{firm}");
        }
    }

    #[test]
    fn a_refusal_in_any_form_is_recognized() {
        for (status, body, code) in [
            (400, error("GBL20"), Some("GBL20")),
            (400, r#"{"code":"GBL20","message":"m","details":""}"#.to_owned(), Some("GBL20")),
            (200, r#"{"code":"GBL20","message":"m"}"#.to_owned(), Some("GBL20")),
            (401, error("DROIT5"), Some("DROIT5")),
            (400, error("ERR-FORBIDDEN-ACCESS"), Some("ERR-FORBIDDEN-ACCESS")),
            (401, "<html>401</html>".to_owned(), None),
            (403, String::new(), None),
            (403, r#"{"message":"no code"}"#.to_owned(), None),
            (401, "[".repeat(10_000), None),
        ] {
            let refused = refused(status, &body).unwrap_or_else(|| panic!("{status} {body:.40}"));
            assert_eq!(refused.refusal, LoginRefusal::Credentials);
            assert_eq!(refused.code.as_ref().map(ErrorCode::as_str), code, "{status} {body:.40}");
        }
    }

    #[test]
    fn a_temporary_failure_is_not_a_refusal() {
        let now = "2021-04-12 12:00:00";
        for (status, body) in [
            (429, error("ERR-TOO-MANY-REQUEST")),
            (403, error("ERR-TOO-MANY-REQUEST")),
            (400, error("ERR-API-UNDER-MAINTENANCE")),
            (401, error("ERR-INTERNAL")),
            (503, error("AUTH1")),
            (500, error("GBL1")),
            (502, "<html>".to_owned()),
            (404, "<html>".to_owned()),
            (400, r#"{"message":"no code"}"#.to_owned()),
            (407, "<html>a proxy that asks for a log-in</html>".to_owned()),
            (200, "<html>a captive portal</html>".to_owned()),
            (200, r#"{"api_token":"two words"}"#.to_owned()),
            (200, r#"{"code":"Success","message":""}"#.to_owned()),
            (200, r#"{"status":"authenticated"}"#.to_owned()),
            (200, "{}".to_owned()),
        ] {
            assert!(matches!(read_at(now, status, &body), LoginAnswer::Unavailable(..)), "{status} {body}");
        }
    }

    #[test]
    fn the_request_has_the_documented_fields_and_a_firm_only_if_one_is_given() {
        let body = |firm: Option<&Firm>| {
            let request = Request { mail: "api@durand.example", password: "pass\"word", firm };
            serde_json::from_slice::<serde_json::Value>(&request.to_json()).unwrap()
        };
        let without = serde_json::json!({"mail": "api@durand.example", "password": "pass\"word"});
        assert_eq!(body(None), without);
        for (firm, written) in
            [(Firm::Id(80), serde_json::json!(80)), (Firm::Name("Durand".into()), "Durand".into())]
        {
            let mut with_firm = without.clone();
            with_firm["firm"] = written;
            assert_eq!(body(Some(&firm)), with_firm);
        }
    }

    #[test]
    fn a_token_of_16_kib_is_accepted_and_a_longer_one_is_not() {
        let body = |len| format!(r#"{{"api_token":"{}"}}"#, "a".repeat(len));
        assert_eq!(lives_for("2021-04-12 12:00:00", &body(16_384)), LIFETIME);
        let longer = read_at("2021-04-12 12:00:00", 200, &body(16_385));
        assert!(matches!(longer, LoginAnswer::Unavailable(..)), "{longer:?}");
    }

    #[test]
    fn only_the_code_of_an_error_explains_why_no_token_came() {
        let code = |status, body: &str| match read_at("2021-04-12 12:00:00", status, body) {
            LoginAnswer::Unavailable(code, _) => code.map(|code| code.as_str().to_owned()),
            other => panic!("{other:?}"),
        };
        assert_eq!(code(503, &error("AUTH1")).as_deref(), Some("AUTH1"));
        assert_eq!(code(200, r#"{"code":"Success","message":""}"#), None);
    }

    #[test]
    fn the_code_of_a_failed_log_in_can_be_replaced_before_it_is_shown() {
        let now = "2021-04-12 12:00:00";
        for (status, body) in [(400, error("GBL20")), (503, error("AUTH1"))] {
            let mut answer = read_at(now, status, &body);
            let (code, _) = answer.details_mut().unwrap();
            assert!(code.take().is_some(), "{status}");
            let (code, _) = answer.details_mut().unwrap();
            assert_eq!(*code, None, "{status}");
        }
        assert!(read_at(now, 200, r#"{"api_token":"opaque"}"#).details_mut().is_none());
    }

    #[test]
    fn a_token_is_never_printed() {
        let answer = read_at("2021-04-12 12:00:00", 200, r#"{"api_token":"opaque-canary"}"#);
        assert!(!format!("{answer:?}").contains("opaque-canary"));
    }
}
