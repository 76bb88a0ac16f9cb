//! The error bodies and error codes of the API.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
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

/// The codes of routes whose meaning is documented. They are a route's own refusals: none of them proves anything about
/// the key or the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray)]
#[strum(const_into_str, serialize_all = "UPPERCASE")]
pub(crate) enum RouteCode {
    /// The folder is inactive: its billing formula is “Inactif”. Only MyUnisoft's support can undo that.
    Societe12,
    /// No billing formula was chosen for the folder.
    Societe13,
    /// The route cannot use the token.
    Token1,
    /// The route cannot use the token.
    Token2,
    /// The route cannot read the token.
    Gbl15,
    /// The token has no right for what the route does.
    Droit1,
    /// The token has no right for what the route does.
    Droit5,
    /// A general failure.
    Gbl1,
    /// A date in the request is not valid.
    Gbl2,
    /// The fiscal year refuses the request.
    Exercice5,
}

/// Longer codes are redacted. The documented codes have fewer than 40 characters.
const MAX_CODE_LEN: usize = 48;
/// A code with a longer number is redacted: it could hold a customer's number, such as a SIREN.
const MAX_DIGITS: usize = 6;
/// Shown instead of a redacted code.
const REDACTED: &str = "(not shown)";

/// An error code as the API sent it, documented or not, or `(not shown)` if it was redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorCode(Box<str>);

impl ErrorCode {
    /// Redacts a text that does not look like a code (`ERR-…`, `DROIT1`, `COMPTE 13`): it could be free text or a
    /// copy of a token, which must not reach a log. Returns `None` if `text` is empty.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return None;
        }
        Some(if is_code(text) { Self(text.into()) } else { Self::redacted() })
    }

    /// The code, if it is documented.
    pub(crate) fn documented(&self) -> Option<DocumentedCode> {
        self.0.parse().ok()
    }

    /// The code, if it is a route's own and its meaning is documented.
    pub(crate) fn of_route(&self) -> Option<RouteCode> {
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

/// Capitals, digits, `-` and `_`, and a capital first. Some codes of routes have one blank before their number.
fn is_code(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (word, is_well_formed) = match text.split_once(' ') {
        Some((word, number)) => (word, is_number(number)),
        None => (text, true),
    };
    let is_allowed =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let has_long_number = text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > MAX_DIGITS);
    is_well_formed
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().all(is_allowed)
        && text.len() <= MAX_CODE_LEN
        && !has_long_number
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
    ///
    /// A field that is missing or of another type than documented does not hide the code: some bodies have a numeric
    /// `code` beside `error`, or a text as `details`.
    ///
    /// A message in another encoding, or with a raw line break, does not hide the code either.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let in_repaired = || {
            let error = Self::parse_json(super::repaired(body)?.as_bytes())?;
            (error.code.as_str() != REDACTED).then_some(error)
        };
        Self::parse_json(body).or_else(in_repaired)
    }

    fn parse_json(body: &[u8]) -> Option<Self> {
        let outer: Wire<'_> = super::json_object(body)?;
        let inner = outer.error.and_then(|error| super::json_object::<Wire<'_>>(error.get().as_bytes()));
        let inner_code = inner.as_ref().and_then(Wire::code);
        let code = match (inner_code, outer.error.and_then(text)) {
            (Some(code), _) => code,
            // Web frameworks and gateways send `"error": "Not Found"`. Such a body is the API's only with a code that
            // the API documents.
            (None, Some(_)) => outer.code().filter(|code| code.documented().is_some())?,
            (None, None) => outer.code()?,
        };
        let request_id = inner.and_then(|inner| inner.request_id()).or_else(|| outer.request_id());
        Some(Self { code, request_id })
    }

    /// The error body with a code that the API documents, in a response with a success status. A success has a `code`,
    /// too (`{"code":"Success","message":""}`), and the object may be the customer's data.
    pub(super) fn documented_in_success(body: &[u8]) -> Option<Self> {
        Self::parse(body).filter(|error| error.code.documented().is_some())
    }

    /// Whether the beginning of a body looks like that of an error body, which was not read to its end.
    pub(super) fn begins(body: &[u8]) -> bool {
        let object = super::json_text(body).strip_prefix(b"{").unwrap_or_default();
        object.trim_ascii_start().starts_with(b"\"error\"")
    }

    /// Whether a body with a success status is an error body although its code is not documented: the outer `error`
    /// makes it one.
    pub(super) fn is_in_success(body: &[u8]) -> bool {
        super::json_object::<Wire<'_>>(body)
            .and_then(|outer| super::json_object::<Wire<'_>>(outer.error?.get().as_bytes()))
            .and_then(|inner| inner.code())
            .is_some_and(|code| code.as_str() != REDACTED)
    }
}

/// The parts of an error body that the exporter uses, inside and outside `error`. They are kept as raw JSON and parsed
/// one by one.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    /// An object or `""`.
    #[serde(borrow)]
    details: Option<&'a RawValue>,
}

impl Wire<'_> {
    fn code(&self) -> Option<ErrorCode> {
        ErrorCode::parse(&text(self.code?)?)
    }

    fn request_id(&self) -> Option<RequestId> {
        let Details { request_id, correlation_id } = super::json_object(self.details?.get().as_bytes())?;
        let id = |raw: &RawValue| RequestId::parse(&text(raw)?);
        request_id.and_then(id).or_else(|| correlation_id.and_then(id))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow)]
    correlation_id: Option<&'a RawValue>,
}

/// The value, if it is a text that is not empty.
fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok().filter(|text: &String| !text.is_empty())
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
        let latin_1 =
            b"{\"error\":{\"code\":\"ERR-API-TOKEN-NOT-FOUND\",\"message\":\"cl\xe9 r\xe9voqu\xe9e\"}}";
        assert_eq!(ErrorBody::parse(latin_1).unwrap().code.as_str(), "ERR-API-TOKEN-NOT-FOUND");
        let line_break = "{\"error\":{\"code\":\"ERR-HTTP\",\"message\":\"two\nlines\"}}\0";
        assert_eq!(parse(line_break), Some(("ERR-HTTP".into(), None)));
        let rootless = r#"{"code":"OCR1","message":"…","details":""}"#;
        assert_eq!(parse(rootless), Some(("OCR1".into(), None)));
        let bare = r#"{"error":{"code":"GBL1"}}"#;
        assert_eq!(parse(bare), Some(("GBL1".into(), None)));
    }

    #[test]
    fn a_field_of_another_type_does_not_hide_the_code() {
        for body in [
            r#"{"error":{"code":"ERR-X"},"code":401}"#,
            r#"{"code":401,"error":{"code":"ERR-X"}}"#,
            r#"{"code":null,"error":{"code":"ERR-X"},"details":[1]}"#,
            r#"{"error":{"code":"ERR-X","status":401,"message":{"a":1}}}"#,
            r#"{"error":{"code":"ERR-X","details":"text"},"details":7}"#,
            r#"{"error":{"code":"ERR-X","details":{"requestId":12}},"statusCode":"401"}"#,
            r#"{"error":{"code":500},"code":"ERR-X"}"#,
            r#"{"error":null,"code":"ERR-X","message":null}"#,
            r#"{"error":"","code":"ERR-X"}"#,
            r#"{"error":true,"code":"ERR-X"}"#,
        ] {
            assert_eq!(parse(body), Some(("ERR-X".into(), None)), "{body}");
        }
        let mixed = r#"{"error":{"code":"ERR-X","details":{"requestId":1,"correlationId":"req-2"}}}"#;
        assert_eq!(parse(mixed), Some(("ERR-X".into(), Some("req-2".into()))));
        let outside = r#"{"error":{"code":"ERR-X"},"details":{"requestId":"req-3"}}"#;
        assert_eq!(parse(outside), Some(("ERR-X".into(), Some("req-3".into()))));
    }

    #[test]
    fn beside_an_error_text_only_a_documented_code_counts() {
        let body = |code: &str| format!(r#"{{"statusCode":401,"code":"{code}","error":"Unauthorized"}}"#);
        assert_eq!(parse(&body("FST_ERR_CTP")), None);
        assert_eq!(parse(&body("ERR-INTERNAL")), Some(("ERR-INTERNAL".into(), None)));
    }

    #[test]
    fn a_success_has_an_error_body_only_if_it_says_so() {
        for (body, is_error) in [
            (r#"{"code":"Success","message":""}"#, false),
            (r#"{"code":"COMPTE 13","label":"x"}"#, false),
            (r#"{"error":null,"code":"Success"}"#, false),
            (r#"{"error":{"code":"Success","message":""}}"#, false),
            (r#"[{"error":{"code":"ERR-INTERNAL"}}]"#, false),
            (r#"{"code":"ERR-INTERNAL"}"#, true),
            (r#"{"error":{"code":"ERR-API-TOKEN-NOT-FOUND"},"code":200}"#, true),
            (r#"{"error":{"code":"SOCIETE12","message":"m"}}"#, true),
        ] {
            let body = body.as_bytes();
            let documented = ErrorBody::documented_in_success(body).is_some();
            assert_eq!(documented || ErrorBody::is_in_success(body), is_error, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn no_code_of_a_route_is_documented_for_the_whole_api() {
        for code in RouteCode::VARIANTS {
            let parsed = ErrorCode::parse(code.into_str()).unwrap();
            assert_eq!((parsed.of_route(), parsed.documented()), (Some(*code), None));
        }
    }

    #[test]
    fn the_codes_of_routes_are_shown() {
        for code in ["COMPTE 13", "GBL1", "SOCIETE12", "DROIT1", "TOKEN1", "ERR-NEW_ONE-2", "A", "OCR 1"] {
            assert_eq!(ErrorCode::parse(code).unwrap().as_str(), code);
            assert_eq!(ErrorCode::parse(&format!(" {code}\n")).unwrap().as_str(), code);
        }
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
        for code in [
            "a sentence, not a code",
            "A SENTENCE",
            "COMPTE  13",
            "COMPTE 13 14",
            "COMPTE 1A",
            "COMPTE\u{a0}13",
            "COMPTE\\t13",
            "13 COMPTE",
            "DUPONT 552081317",
            "SIREN552081317",
            "eyJhbGciOiJI.e30.c2ln",
            "T-b",
            "1234",
            &"A".repeat(49),
        ] {
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
