//! The error codes that MyUnisoft documents, and which of them the simulator uses where no document says.

use http::StatusCode;

/// An error code of the API, with the status and message that the simulator sends by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentedCode {
    /// The code in the error body.
    pub code: &'static str,
    /// MyUnisoft documents the status of business codes and of `ERR-TOO-MANY-REQUEST` (429). The statuses of the other
    /// `ERR-…` codes are plausible choices.
    pub status: StatusCode,
    /// The simulator's own text. Clients are not supposed to depend on MyUnisoft's messages.
    pub message: &'static str,
}

const fn code(code: &'static str, status: StatusCode, message: &'static str) -> DocumentedCode {
    DocumentedCode { code, status, message }
}

/// All documented `ERR-…` codes, then examples of the hundreds of business codes, which are a route's own refusals.
/// The codes of business errors can contain a blank.
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
    code("SOCIETE12", StatusCode::BAD_REQUEST, "Le dossier est inactif"),
    code("SOCIETE13", StatusCode::BAD_REQUEST, "Aucune formule de facturation n'est choisie"),
    code("TOKEN1", StatusCode::BAD_REQUEST, "Jeton absent"),
    code("TOKEN2", StatusCode::BAD_REQUEST, "Jeton invalide"),
    code("GBL15", StatusCode::INTERNAL_SERVER_ERROR, "Jeton illisible"),
    code("DROIT1", StatusCode::UNAUTHORIZED, "Droits insuffisants"),
    code("DROIT5", StatusCode::UNAUTHORIZED, "Accès refusé"),
    code("GBL1", StatusCode::INTERNAL_SERVER_ERROR, "Erreur générale"),
    code("GBL2", StatusCode::BAD_REQUEST, "Date invalide"),
    code("GBL20", StatusCode::BAD_REQUEST, "Adresse e-mail ou mot de passe incorrect"),
    code("EXERCICE5", StatusCode::FORBIDDEN, "Exercice clos"),
    code("COMPTE 13", StatusCode::BAD_REQUEST, "Compte invalide"),
    code("OCR1", StatusCode::BAD_REQUEST, "Document illisible"),
];

/// For a firm token without `society-id`, or with one that is not a number, on a route about one society. MyUnisoft's
/// documentation does not name the error. The general failure is the simulator's choice.
pub(crate) const SOCIETY_ID_MISSING: &str = "GBL1";
/// For a firm token and a society that it does not give access to. This error is not documented either.
pub(crate) const SOCIETY_NOT_ACCESSIBLE: &str = "DROIT1";
/// For an unknown route, with status 404. The code is the simulator's choice.
pub(crate) const UNKNOWN_ROUTE: &str = "ERR-HTTP";
/// For a society's token and a route that needs the token of a firm.
pub(crate) const FIRM_ONLY: &str = "ERR-FORBIDDEN-ROUTE";
/// For a log-in whose body is not a log-in. The code is the simulator's choice.
pub(crate) const NOT_A_LOG_IN: &str = "GBL1";
/// For a log-in with a wrong e-mail address or password.
pub(crate) const WRONG_PASSWORD: &str = "GBL20";
/// For a log-in to a locked account, or to a firm that the account does not have. Real log-ins were refused with this
/// code, for reasons that are not known.
pub(crate) const LOG_IN_REFUSED: &str = "DROIT5";

/// The default status and message of a code. A code that is not in the table is treated as a business code,
/// with status 400.
pub(crate) fn default_response(code: &str) -> (StatusCode, &'static str) {
    DOCUMENTED
        .iter()
        .find(|known| known.code == code)
        .map_or((StatusCode::BAD_REQUEST, "Refusé"), |known| (known.status, known.message))
}
