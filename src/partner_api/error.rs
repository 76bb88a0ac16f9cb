//! What the API says when it refuses.

use serde_with::SerializeDisplay;
use std::fmt;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::request_id::RequestId;

/// The documented codes; there are hundreds of others, a route's own.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str)]
pub enum Code {
    /// The token does not exist or was revoked.
    #[strum(serialize = "ERR-API-TOKEN-NOT-FOUND")]
    ApiTokenNotFound,
    /// The same for a firm's token.
    #[strum(serialize = "ERR-FIRM-TOKEN-NOT-FOUND")]
    FirmTokenNotFound,
    /// Not a valid token (also: of another environment).
    #[strum(serialize = "ERR-INVALID-JWT")]
    InvalidJwt,
    /// Not a valid society token.
    #[strum(serialize = "ERR-INVALID-API-JWT")]
    InvalidApiJwt,
    /// Not a valid firm token.
    #[strum(serialize = "ERR-INVALID-FIRM-JWT")]
    InvalidFirmJwt,
    /// Not a valid user token.
    #[strum(serialize = "ERR-INVALID-USER-JWT")]
    InvalidUserJwt,
    /// Authorization is not `Bearer …`.
    #[strum(serialize = "ERR-INVALID-AUTH-HEADER")]
    InvalidAuthHeader,
    /// No active folder behind the token; it must be generated anew.
    #[strum(serialize = "ERR-FOLDER-NOT-FOUND")]
    FolderNotFound,
    /// The schema does not exist.
    #[strum(serialize = "ERR-SCHEMA-NOT-FOUND")]
    SchemaNotFound,
    /// MyUnisoft's technical team disconnected the integration.
    #[strum(serialize = "ERR-THIRD-PARTY-DISCONNECTED")]
    ThirdPartyDisconnected,
    /// The partner's secret is missing.
    #[strum(serialize = "ERR-SECRET-HEADER-NOT-SET")]
    SecretHeaderNotSet,
    /// The partner's secret is wrong, or not yet activated by MyUnisoft.
    #[strum(serialize = "ERR-INVALID-SECRET")]
    InvalidSecret,
    /// The partner has no secret configured at MyUnisoft.
    #[strum(serialize = "ERR-SECRET-NOT-CONFIGURED")]
    SecretNotConfigured,
    /// The token may not call this route.
    #[strum(serialize = "ERR-FORBIDDEN-ROUTE")]
    ForbiddenRoute,
    /// The token lacks the rule that this route wants.
    #[strum(serialize = "ERR-MISSING-RULE")]
    MissingRule,
    /// No permission to use the API.
    #[strum(serialize = "ERR-FORBIDDEN-ACCESS")]
    ForbiddenAccess,
    /// Activating the token failed (older documentation).
    #[strum(serialize = "ERR-TOKEN-ACTIVATION-FAILURE")]
    TokenActivationFailure,
    /// The token's budget is spent; the one code whose status is documented: 429.
    #[strum(serialize = "ERR-TOO-MANY-REQUEST")]
    TooManyRequest,
    /// More than ten concurrent calls to one route.
    #[strum(serialize = "ERR-TOO-MANY-CONCURRENT-REQUEST")]
    TooManyConcurrentRequest,
    /// The same, as it is spelt elsewhere.
    #[strum(serialize = "ERR-TOO-MANY-CONCURRENT-REQUESTS")]
    TooManyConcurrentRequests,
    /// Announced maintenance.
    #[strum(serialize = "ERR-API-UNDER-MAINTENANCE")]
    UnderMaintenance,
    /// The API's own failure.
    #[strum(serialize = "ERR-HTTP")]
    Http,
    /// The API's own failure.
    #[strum(serialize = "ERR-INTERNAL")]
    Internal,
}

/// The longest code kept; the documented ones stay under 40 characters.
const LONGEST_CODE: usize = 48;
/// Stands for a code that does not look like one: it might echo a token.
const WITHHELD: &str = "(not shown)";

/// A code as the API wrote it, documented or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCode(Box<str>);

impl ErrorCode {
    /// Keeps a code only if it looks like one (`ERR-…`, `DROIT1`), so that neither free text nor a
    /// secret gets into a log by this door.
    fn parse(text: &str) -> Option<Self> {
        let looks_right = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        let begins_right = text.starts_with(|c: char| c.is_ascii_uppercase());
        let fits = begins_right && text.len() <= LONGEST_CODE && text.bytes().all(looks_right);
        (!text.is_empty()).then(|| Self(if fits { text } else { WITHHELD }.into()))
    }

    /// The code, where it is a documented one.
    #[must_use]
    pub fn documented(&self) -> Option<Code> {
        self.0.parse().ok()
    }

    /// What stands for a code that must not be shown.
    #[must_use]
    pub fn withheld() -> Self {
        Self(WITHHELD.into())
    }

    /// The code as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Code> for ErrorCode {
    fn from(code: Code) -> Self {
        Self(code.into_str().into())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error body of the API. `message` is left aside: the vendor asks not to program against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorBody {
    /// What went wrong.
    pub code: ErrorCode,
    /// The error's own request-id, for answers whose header lacks one.
    pub request_id: Option<RequestId>,
}

impl ErrorBody {
    /// Reads both forms seen: with the `error` root, as documented, and without. `None` means that
    /// the API did not write this.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let wire: Wire = super::json_object(body)?;
        let error = match wire {
            Wire { error: Some(Root::Error(error)), .. } => error,
            Wire { error: None, code: Some(code), details } => WireError { code, details },
            _ => return None,
        };
        Some(Self { code: ErrorCode::parse(&error.code)?, request_id: error.details.and_then(Details::id) })
    }
}

#[derive(Deserialize)]
struct Wire {
    error: Option<Root>,
    code: Option<String>,
    details: Option<Details>,
}

/// Web frameworks write `"error": "Not Found"`; only an object is the API's.
#[derive(Deserialize)]
#[serde(untagged)]
enum Root {
    Error(WireError),
    Foreign(IgnoredAny),
}

#[derive(Deserialize)]
struct WireError {
    code: String,
    details: Option<Details>,
}

/// `details` is an object, or `""`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Details {
    #[serde(rename_all = "camelCase")]
    Object {
        request_id: Option<String>,
        correlation_id: Option<String>,
    },
    Other(IgnoredAny),
}

impl Details {
    fn id(self) -> Option<RequestId> {
        match self {
            Self::Object { request_id, correlation_id } => RequestId::parse(&request_id.or(correlation_id)?),
            Self::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Option<(String, Option<String>)> {
        let error = ErrorBody::parse(body.as_bytes())?;
        Some((error.code.to_string(), error.request_id.map(|id| id.to_string())))
    }

    #[test]
    fn every_form_seen_is_understood() {
        let documented = r#"{"error":{"code":"ERR-INTERNAL","message":"m","details":{"url":"/x","method":"GET","requestedAt":"d","requestId":"req-1"}}}"#;
        assert_eq!(parse(documented), Some(("ERR-INTERNAL".into(), Some("req-1".into()))));
        let correlation =
            r#"{"error":{"code":"ERR-HTTP","message":"m","details":{"correlationId":"req-2"}}}"#;
        assert_eq!(parse(correlation), Some(("ERR-HTTP".into(), Some("req-2".into()))));
        let empty_details = r#"{"error":{"code":"DROIT1","message":"m","details":""}}"#;
        assert_eq!(parse(empty_details), Some(("DROIT1".into(), None)));
        let rootless = r#"{"code":"OCR1","message":"…","details":""}"#;
        assert_eq!(parse(rootless), Some(("OCR1".into(), None)));
        let bare = r#"{"error":{"code":"GBL1"}}"#;
        assert_eq!(parse(bare), Some(("GBL1".into(), None)));
    }

    #[test]
    fn what_others_write_is_not_the_api_s() {
        let nested = "[".repeat(10_000);
        for body in [
            "",
            "<html>502</html>",
            "null",
            "[]",
            r#""ERR-INTERNAL""#,
            r#"{"statusCode":404,"error":"Not Found","message":"m"}"#,
            r#"{"error":{"message":"no code"}}"#,
            r#"{"error":{"code":502}}"#,
            r#"{"code":""}"#,
            &nested,
        ] {
            assert_eq!(parse(body), None, "{body:.40}");
        }
    }

    #[test]
    fn invalid_utf8_is_not_the_api_s() {
        assert_eq!(ErrorBody::parse(b"{\"code\":\"ERR\xff\"}"), None);
    }

    #[test]
    fn a_code_that_looks_like_none_is_not_shown() {
        for code in ["a sentence, not a code", "eyJhbGciOiJI.e30.c2ln", "T-b", "1234", &"A".repeat(49)] {
            let body = format!(r#"{{"error":{{"code":"{code}"}}}}"#);
            assert_eq!(parse(&body), Some((WITHHELD.to_owned(), None)), "{code}");
        }
    }

    #[test]
    fn a_code_that_is_not_documented_is_kept_as_written() {
        assert_eq!(ErrorCode::parse("EXERCICE5").unwrap().documented(), None);
        assert_eq!(ErrorCode::from(Code::Http).documented(), Some(Code::Http));
    }
}
