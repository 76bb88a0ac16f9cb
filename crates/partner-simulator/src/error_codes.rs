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

const fn documented(code: &'static str, status: StatusCode, message: &'static str) -> DocumentedCode {
    DocumentedCode { code, status, message }
}

/// All documented codes, in the order of MyUnisoft's documentation. The last four stand for the hundreds of business
/// codes that routes have of their own.
pub const DOCUMENTED: &[DocumentedCode] = &[
    documented("ERR-API-TOKEN-NOT-FOUND", StatusCode::UNAUTHORIZED, "The API token was not found"),
    documented("ERR-FIRM-TOKEN-NOT-FOUND", StatusCode::UNAUTHORIZED, "The firm token was not found"),
    documented("ERR-INVALID-JWT", StatusCode::UNAUTHORIZED, "The token is not valid"),
    documented("ERR-INVALID-API-JWT", StatusCode::UNAUTHORIZED, "The API token is not valid"),
    documented("ERR-INVALID-FIRM-JWT", StatusCode::UNAUTHORIZED, "The firm token is not valid"),
    documented("ERR-INVALID-USER-JWT", StatusCode::UNAUTHORIZED, "The user token is not valid"),
    documented("ERR-INVALID-AUTH-HEADER", StatusCode::UNAUTHORIZED, "Authorization must be a bearer token"),
    documented("ERR-FOLDER-NOT-FOUND", StatusCode::NOT_FOUND, "No active folder behind this token"),
    documented("ERR-SCHEMA-NOT-FOUND", StatusCode::NOT_FOUND, "The schema does not exist"),
    documented("ERR-THIRD-PARTY-DISCONNECTED", StatusCode::FORBIDDEN, "The integration was disconnected"),
    documented("ERR-SECRET-HEADER-NOT-SET", StatusCode::UNAUTHORIZED, "X-Third-Party-Secret is missing"),
    documented("ERR-INVALID-SECRET", StatusCode::UNAUTHORIZED, "The partner's secret is not valid"),
    documented(
        "ERR-SECRET-NOT-CONFIGURED",
        StatusCode::UNAUTHORIZED,
        "The partner's secret is not configured",
    ),
    documented("ERR-FORBIDDEN-ROUTE", StatusCode::FORBIDDEN, "This token may not call this route"),
    documented("ERR-MISSING-RULE", StatusCode::FORBIDDEN, "No rule allows this route"),
    documented("ERR-FORBIDDEN-ACCESS", StatusCode::FORBIDDEN, "No permission to use the API"),
    documented(
        "ERR-TOKEN-ACTIVATION-FAILURE",
        StatusCode::INTERNAL_SERVER_ERROR,
        "The token was not activated",
    ),
    documented("ERR-TOO-MANY-REQUEST", StatusCode::TOO_MANY_REQUESTS, "The token's budget is spent"),
    documented("ERR-TOO-MANY-CONCURRENT-REQUEST", StatusCode::TOO_MANY_REQUESTS, "Too many concurrent calls"),
    documented(
        "ERR-TOO-MANY-CONCURRENT-REQUESTS",
        StatusCode::TOO_MANY_REQUESTS,
        "Too many concurrent calls",
    ),
    documented("ERR-API-UNDER-MAINTENANCE", StatusCode::SERVICE_UNAVAILABLE, "The API is under maintenance"),
    documented("ERR-HTTP", StatusCode::INTERNAL_SERVER_ERROR, "An HTTP error occurred"),
    documented("ERR-INTERNAL", StatusCode::INTERNAL_SERVER_ERROR, "An internal error occurred"),
    documented("DROIT1", StatusCode::FORBIDDEN, "Droits insuffisants"),
    documented("GBL1", StatusCode::BAD_REQUEST, "Paramètre manquant ou invalide"),
    documented("EXERCICE5", StatusCode::NOT_FOUND, "Exercice introuvable"),
    documented("OCR1", StatusCode::BAD_REQUEST, "Document illisible"),
];

/// For a firm token without `society-id`, or with one that is not a number, on a route about one society. MyUnisoft's
/// documentation does not name the error. A business code with status 400 is the simulator's choice.
pub(crate) const SOCIETY_ID_MISSING: &str = "GBL1";
/// For a firm token and a society that it does not give access to. This error is not documented either.
pub(crate) const SOCIETY_NOT_HELD: &str = "DROIT1";
/// For an unknown route, with status 404. All errors have the documented format; this code is the simulator's choice.
pub(crate) const UNKNOWN_ROUTE: &str = "GBL2";
/// For a log-in with a wrong e-mail address or password. Only the format is documented; code and status are choices.
pub(crate) const WRONG_PASSWORD: &str = "AUTH1";
/// For a log-in to a locked account. The code is the simulator's choice.
pub(crate) const ACCOUNT_LOCKED: &str = "AUTH2";
/// For a log-in that names a firm that the account does not have. The code is the simulator's choice.
pub(crate) const UNKNOWN_FIRM: &str = "AUTH3";

/// The status and message of the codes that are the simulator's choice.
const UNDOCUMENTED: &[DocumentedCode] = &[
    documented(UNKNOWN_ROUTE, StatusCode::NOT_FOUND, "Route introuvable"),
    documented(WRONG_PASSWORD, StatusCode::UNAUTHORIZED, "Identifiants incorrects"),
    documented(ACCOUNT_LOCKED, StatusCode::FORBIDDEN, "Compte verrouillé"),
    documented(UNKNOWN_FIRM, StatusCode::BAD_REQUEST, "Cabinet introuvable"),
];

/// The default status and message of a code. A code in neither table counts as a business code, with status 400.
pub(crate) fn default_response(code: &str) -> (StatusCode, &'static str) {
    DOCUMENTED
        .iter()
        .chain(UNDOCUMENTED)
        .find(|known| known.code == code)
        .map_or((StatusCode::BAD_REQUEST, "Refusé"), |known| (known.status, known.message))
}
