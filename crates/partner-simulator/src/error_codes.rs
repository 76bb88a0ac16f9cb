//! Every error code that MyUnisoft documents, and the few that this simulator had to choose.

use http::StatusCode;

/// A code of the API, and how the simulator answers it unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentedCode {
    /// The code as it stands in the answer.
    pub code: &'static str,
    /// MyUnisoft documents the status of `ERR-TOO-MANY-REQUEST` alone (429): the others are plausible choices.
    pub status: StatusCode,
    /// A text of the simulator's own: the vendor asks nobody to program against it.
    pub message: &'static str,
}

const fn documented(code: &'static str, status: StatusCode, message: &'static str) -> DocumentedCode {
    DocumentedCode { code, status, message }
}

/// Every documented code, in the order of MyUnisoft's documentation; the last four stand for the hundreds of
/// business codes that routes have of their own.
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

/// What a route about one society answers to a firm token without `society-id`, or with one that is no number.
/// MyUnisoft's documentation doesn't say which error that is; a business code, with 400, is the simulator's choice.
pub(crate) const SOCIETY_ID_MISSING: &str = "GBL1";
/// What a firm token gets for a society it doesn't hold. Not documented either.
pub(crate) const SOCIETY_NOT_HELD: &str = "DROIT1";
/// What an unknown route answers, with 404. The documented form holds for every error, the code is a choice.
pub(crate) const UNKNOWN_ROUTE: &str = "GBL2";
/// What a log-in answers to a wrong mail or password. Only the form is documented: code and status are choices.
pub(crate) const WRONG_PASSWORD: &str = "AUTH1";
/// What a log-in answers for a locked account; a choice.
pub(crate) const ACCOUNT_LOCKED: &str = "AUTH2";
/// What a log-in answers for a firm that the account doesn't reach; a choice.
pub(crate) const UNKNOWN_FIRM: &str = "AUTH3";

/// The choices, in the shape of the documented ones.
const UNDOCUMENTED: &[DocumentedCode] = &[
    documented(UNKNOWN_ROUTE, StatusCode::NOT_FOUND, "Route introuvable"),
    documented(WRONG_PASSWORD, StatusCode::UNAUTHORIZED, "Identifiants incorrects"),
    documented(ACCOUNT_LOCKED, StatusCode::FORBIDDEN, "Compte verrouillé"),
    documented(UNKNOWN_FIRM, StatusCode::BAD_REQUEST, "Cabinet introuvable"),
];

/// How a code is answered by default: any code that isn't in a table is a business one, with 400.
pub(crate) fn default_response(code: &str) -> (StatusCode, &'static str) {
    DOCUMENTED
        .iter()
        .chain(UNDOCUMENTED)
        .find(|known| known.code == code)
        .map_or((StatusCode::BAD_REQUEST, "Refusé"), |known| (known.status, known.message))
}
