//! All error codes that MyUnisoft documents, and a few codes that are the simulator's choice.

use http::StatusCode;

/// An error code of the API, with the status and message that the simulator sends by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentedCode {
    /// The code in the error body.
    pub code: &'static str,
    /// MyUnisoft documents only the status of `ERR-TOO-MANY-REQUEST` (429). The others are plausible choices.
    pub status: StatusCode,
    /// The simulator's own text. Clients are not supposed to depend on MyUnisoft's messages.
    pub message: &'static str,
}

const fn code(code: &'static str, status: StatusCode, message: &'static str) -> DocumentedCode {
    DocumentedCode { code, status, message }
}

/// All documented codes, in the order of MyUnisoft's documentation. The last four are examples of the hundreds of
/// business codes, which are specific to a route.
pub const DOCUMENTED: &[DocumentedCode] = &[
    code("ERR-API-TOKEN-NOT-FOUND", StatusCode::UNAUTHORIZED, "The API token was not found"),
    code("ERR-FIRM-TOKEN-NOT-FOUND", StatusCode::UNAUTHORIZED, "The firm token was not found"),
    code("ERR-INVALID-JWT", StatusCode::UNAUTHORIZED, "The token is not valid"),
    code("ERR-INVALID-API-JWT", StatusCode::UNAUTHORIZED, "The API token is not valid"),
    code("ERR-INVALID-FIRM-JWT", StatusCode::UNAUTHORIZED, "The firm token is not valid"),
    code("ERR-INVALID-USER-JWT", StatusCode::UNAUTHORIZED, "The user token is not valid"),
    code("ERR-INVALID-AUTH-HEADER", StatusCode::UNAUTHORIZED, "Authorization must be a bearer token"),
    code("ERR-FOLDER-NOT-FOUND", StatusCode::NOT_FOUND, "No active folder behind this token"),
    code("ERR-SCHEMA-NOT-FOUND", StatusCode::NOT_FOUND, "The schema does not exist"),
    code("ERR-THIRD-PARTY-DISCONNECTED", StatusCode::FORBIDDEN, "The integration was disconnected"),
    code("ERR-SECRET-HEADER-NOT-SET", StatusCode::UNAUTHORIZED, "X-Third-Party-Secret is missing"),
    code("ERR-INVALID-SECRET", StatusCode::UNAUTHORIZED, "The partner's secret is not valid"),
    code("ERR-SECRET-NOT-CONFIGURED", StatusCode::UNAUTHORIZED, "The partner's secret is not configured"),
    code("ERR-FORBIDDEN-ROUTE", StatusCode::FORBIDDEN, "This token may not call this route"),
    code("ERR-MISSING-RULE", StatusCode::FORBIDDEN, "No rule allows this route"),
    code("ERR-FORBIDDEN-ACCESS", StatusCode::FORBIDDEN, "No permission to use the API"),
    code("ERR-TOKEN-ACTIVATION-FAILURE", StatusCode::INTERNAL_SERVER_ERROR, "The token was not activated"),
    code("ERR-TOO-MANY-REQUEST", StatusCode::TOO_MANY_REQUESTS, "The token's budget is spent"),
    code("ERR-TOO-MANY-CONCURRENT-REQUEST", StatusCode::TOO_MANY_REQUESTS, "Too many concurrent calls"),
    code("ERR-TOO-MANY-CONCURRENT-REQUESTS", StatusCode::TOO_MANY_REQUESTS, "Too many concurrent calls"),
    code("ERR-API-UNDER-MAINTENANCE", StatusCode::SERVICE_UNAVAILABLE, "The API is under maintenance"),
    code("ERR-HTTP", StatusCode::INTERNAL_SERVER_ERROR, "An HTTP error occurred"),
    code("ERR-INTERNAL", StatusCode::INTERNAL_SERVER_ERROR, "An internal error occurred"),
    code("DROIT1", StatusCode::FORBIDDEN, "Droits insuffisants"),
    code("GBL1", StatusCode::BAD_REQUEST, "Paramètre manquant ou invalide"),
    code("EXERCICE5", StatusCode::NOT_FOUND, "Exercice introuvable"),
    code("OCR1", StatusCode::BAD_REQUEST, "Document illisible"),
];

/// For a firm token without `society-id`, or with one that is not a number, on a route about one society. MyUnisoft's
/// documentation does not name the error. A business code with status 400 is the simulator's choice.
pub(crate) const SOCIETY_ID_MISSING: &str = "GBL1";
/// For a firm token and a society that it does not give access to. This error is not documented either.
pub(crate) const SOCIETY_NOT_ACCESSIBLE: &str = "DROIT1";
/// For an unknown route, with status 404. All errors have the documented format; this code is the simulator's choice.
pub(crate) const UNKNOWN_ROUTE: &str = "GBL2";
/// For a log-in with a wrong e-mail address or password. Only the format is documented. The code and the
/// status are the simulator's choice.
pub(crate) const WRONG_PASSWORD: &str = "AUTH1";
/// For a log-in to a locked account. The code is the simulator's choice.
pub(crate) const ACCOUNT_LOCKED: &str = "AUTH2";
/// For a log-in that names a firm that the account does not have. The code is the simulator's choice.
pub(crate) const UNKNOWN_FIRM: &str = "AUTH3";

/// The status and message of the codes that are the simulator's choice.
const UNDOCUMENTED: &[DocumentedCode] = &[
    code(UNKNOWN_ROUTE, StatusCode::NOT_FOUND, "Route introuvable"),
    code(WRONG_PASSWORD, StatusCode::UNAUTHORIZED, "Identifiants incorrects"),
    code(ACCOUNT_LOCKED, StatusCode::FORBIDDEN, "Compte verrouillé"),
    code(UNKNOWN_FIRM, StatusCode::BAD_REQUEST, "Cabinet introuvable"),
];

/// The default status and message of a code. A code that is in neither table is treated as a business code,
/// with status 400.
pub(crate) fn default_response(code: &str) -> (StatusCode, &'static str) {
    DOCUMENTED
        .iter()
        .chain(UNDOCUMENTED)
        .find(|known| known.code == code)
        .map_or((StatusCode::BAD_REQUEST, "Refusé"), |known| (known.status, known.message))
}
