//! The error bodies and error codes of the API.

use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::request_id::RequestId;

/// The documented error codes. There are hundreds of others, which are specific to a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray)]
#[strum(const_into_str)]
pub(crate) enum DocumentedCode {
    /// The token does not exist or was revoked.
    #[strum(serialize = "ERR-API-TOKEN-NOT-FOUND")]
    ApiTokenNotFound,
    /// The same for a token with firm access.
    #[strum(serialize = "ERR-FIRM-TOKEN-NOT-FOUND")]
    FirmTokenNotFound,
    /// Not a valid token, or a token of another environment.
    #[strum(serialize = "ERR-INVALID-JWT")]
    InvalidJwt,
    /// Not a valid token with society access.
    #[strum(serialize = "ERR-INVALID-API-JWT")]
    InvalidApiJwt,
    /// Not a valid token with firm access.
    #[strum(serialize = "ERR-INVALID-FIRM-JWT")]
    InvalidFirmJwt,
    /// Not a valid user token.
    #[strum(serialize = "ERR-INVALID-USER-JWT")]
    InvalidUserJwt,
    /// The `Authorization` header is not `Bearer …`.
    #[strum(serialize = "ERR-INVALID-AUTH-HEADER")]
    InvalidAuthHeader,
    /// The token belongs to no active folder. A new token must be generated.
    #[strum(serialize = "ERR-FOLDER-NOT-FOUND")]
    FolderNotFound,
    /// The schema of the token does not exist.
    #[strum(serialize = "ERR-SCHEMA-NOT-FOUND")]
    SchemaNotFound,
    /// MyUnisoft's technical team disconnected the integration.
    #[strum(serialize = "ERR-THIRD-PARTY-DISCONNECTED")]
    ThirdPartyDisconnected,
    /// The partner's secret is missing.
    #[strum(serialize = "ERR-SECRET-HEADER-NOT-SET")]
    SecretHeaderNotSet,
    /// The partner's secret is wrong, or MyUnisoft has not activated it yet.
    #[strum(serialize = "ERR-INVALID-SECRET")]
    InvalidSecret,
    /// The partner has no secret configured at MyUnisoft.
    #[strum(serialize = "ERR-SECRET-NOT-CONFIGURED")]
    SecretNotConfigured,
    /// The token may not call this route.
    #[strum(serialize = "ERR-FORBIDDEN-ROUTE")]
    ForbiddenRoute,
    /// The token does not have the rule that this route requires.
    #[strum(serialize = "ERR-MISSING-RULE")]
    MissingRule,
    /// No permission to use the API.
    #[strum(serialize = "ERR-FORBIDDEN-ACCESS")]
    ForbiddenAccess,
    /// The activation of the token failed. Only older documentation has this code.
    #[strum(serialize = "ERR-TOKEN-ACTIVATION-FAILURE")]
    TokenActivationFailure,
    /// The request budget of the token is used up. This is the only code with a documented status: 429.
    #[strum(serialize = "ERR-TOO-MANY-REQUEST")]
    TooManyRequest,
    /// More than ten concurrent requests to one route.
    #[strum(serialize = "ERR-TOO-MANY-CONCURRENT-REQUEST")]
    TooManyConcurrentRequest,
    /// The same code, as other pages of the documentation spell it.
    #[strum(serialize = "ERR-TOO-MANY-CONCURRENT-REQUESTS")]
    TooManyConcurrentRequests,
    /// Announced maintenance.
    #[strum(serialize = "ERR-API-UNDER-MAINTENANCE")]
    UnderMaintenance,
    /// A failure of the API itself.
    #[strum(serialize = "ERR-HTTP")]
    Http,
    /// A failure of the API itself.
    #[strum(serialize = "ERR-INTERNAL")]
    Internal,
}

/// Longer codes are redacted. The documented codes have fewer than 40 characters.
const MAX_CODE_LEN: usize = 48;
/// Shown instead of a redacted code.
const REDACTED: &str = "(not shown)";

/// An error code as the API sent it, documented or not, or `(not shown)` if it was redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorCode(Box<str>);

impl ErrorCode {
    /// Redacts a text that does not look like a code (`ERR-…`, `DROIT1`): it could be free text or a copy
    /// of a token, which must not reach a log. Returns `None` if `text` is empty.
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let is_allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        let is_code = text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.len() <= MAX_CODE_LEN
            && text.bytes().all(is_allowed);
        Some(if is_code { Self(text.into()) } else { Self::redacted() })
    }

    /// The code, if it is documented.
    pub(crate) fn documented(&self) -> Option<DocumentedCode> {
        self.0.parse().ok()
    }

    /// Replaces a code that must not be shown.
    pub(crate) fn redacted() -> Self {
        Self(REDACTED.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error body of the API. Its `message` is ignored: MyUnisoft asks clients not to rely on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorBody {
    pub code: ErrorCode,
    /// The request ID in the body, for responses without the request ID header.
    pub request_id: Option<RequestId>,
}

impl ErrorBody {
    /// Parses the documented form `{"error": {"code": …}}`, and the same object without the outer `error`.
    /// Returns `None` if the body has neither form.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let Wire { error, code, details } = super::json_object(body)?;
        let (code, details) = match error {
            Some(ErrorField::Error { code, details }) => (code, details),
            Some(ErrorField::Other(_)) => return None,
            None => (code?, details),
        };
        Some(Self { code: ErrorCode::parse(&code)?, request_id: details.and_then(Details::request_id) })
    }
}

#[derive(Deserialize)]
struct Wire {
    error: Option<ErrorField>,
    code: Option<String>,
    details: Option<Details>,
}

/// Web frameworks send `"error": "Not Found"`. The API sends an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorField {
    Error { code: String, details: Option<Details> },
    Other(IgnoredAny),
}

/// `details` is an object or `""`.
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
    fn request_id(self) -> Option<RequestId> {
        match self {
            Self::Object { request_id, correlation_id } => RequestId::parse(&request_id.or(correlation_id)?),
            Self::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl From<DocumentedCode> for ErrorCode {
        fn from(code: DocumentedCode) -> Self {
            Self(code.into_str().into())
        }
    }

    fn parse(body: &str) -> Option<(String, Option<String>)> {
        let error = ErrorBody::parse(body.as_bytes())?;
        Some((error.code.to_string(), error.request_id.map(|id| id.to_string())))
    }

    #[test]
    fn every_form_that_the_api_sends_is_read() {
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
    fn a_body_that_is_not_the_api_s_is_refused() {
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
    fn invalid_utf8_is_refused() {
        assert_eq!(ErrorBody::parse(b"{\"code\":\"ERR\xff\"}"), None);
    }

    #[test]
    fn a_text_that_does_not_look_like_a_code_is_redacted() {
        for code in ["a sentence, not a code", "eyJhbGciOiJI.e30.c2ln", "T-b", "1234", &"A".repeat(49)] {
            let body = format!(r#"{{"error":{{"code":"{code}"}}}}"#);
            assert_eq!(parse(&body), Some((REDACTED.to_owned(), None)), "{code}");
        }
    }

    #[test]
    fn an_undocumented_code_is_kept_unchanged() {
        assert_eq!(ErrorCode::parse("EXERCICE5").unwrap().documented(), None);
        assert_eq!(ErrorCode::from(DocumentedCode::Http).documented(), Some(DocumentedCode::Http));
    }
}
