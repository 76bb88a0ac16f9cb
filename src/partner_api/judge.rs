//! Judges a response: whether the probe succeeded, and what the response proves about the key and the
//! secret.
//!
//! The judgement depends on one response only. `key_state` combines it with what is already known.
//!
//! # The status 429
//!
//! It is the only error status that the API documents. It is decided in four places, with one meaning: somebody asks
//! for fewer requests, and this says nothing about the key, the secret or the account.
//!
//! - Here: with an error body, the API says it, and the reason is `rate_limited` even if the code is not documented;
//!   a documented code keeps its own reason. Without an error body, the API did not write the response, and the reason
//!   is `edge`.
//! - `login`: the log-in is tried again later, and the password is not refused.
//! - `monitor::key`: the key is not probed until its budget is renewed, whoever wrote the response: further requests
//!   would meet the same limit.
//! - `diagnosis`: the health probe sends no key, so a limit there is about the address of this machine.

#[cfg(test)]
mod tests;

use std::time::SystemTime;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use strum::{EnumString, IntoStaticStr};

use super::budget::Budget;
use super::error::{DocumentedCode, ErrorBody};
use super::failure::{Failure, Reason};
use super::key_info::KeyInfo;
use super::request_id::RequestId;
use super::{KeyInfoMode, Method, json_text};

/// What was requested. It determines what a correct response looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// The health route. Judged by its status only, because its body is not documented.
    Health,
    /// The response must be the documented JSON.
    KeyInfo(KeyInfoMode),
    /// The response must be JSON.
    Canary(Method),
}

/// A response before it is judged. Its body may be truncated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response<'a> {
    /// The HTTP status.
    pub status: u16,
    pub headers: &'a HeaderMap,
    /// The decompressed body, or its beginning.
    pub body: &'a [u8],
    /// Whether the body ended within the read limit. Even then, `body` may be only its beginning.
    pub complete: bool,
    /// The wall clock when the response ended.
    pub received: SystemTime,
    /// Whether the API's responses on this route carry a request ID here. A response without one was not written
    /// by the API then.
    pub expects_request_id: bool,
}

/// What a response proves about the key of the request. Only explicit statements of the API are evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(crate) enum KeyEvidence {
    /// key/info says that the key is activated.
    Activated,
    /// key/info says that the key is not activated.
    NotActivated,
    /// An authenticated request was accepted.
    Accepted,
    /// The API does not find the token.
    NotFound,
    /// MyUnisoft disconnected the integration.
    Disconnected,
    /// The API does not find the folder or the schema of the token.
    FolderNotFound,
    /// The token is not valid.
    Invalid,
    /// The token has no permission to use the API.
    Forbidden,
}

/// What a response proves about the partner's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(crate) enum SecretEvidence {
    /// An authenticated request was accepted, so the secret was accepted too.
    Accepted,
    /// The API refused the secret.
    Refused,
}

/// What one response means for the probe, the key and the secret.
#[derive(Clone, Debug)]
pub(crate) struct Judgement {
    /// Success, or why the probe failed.
    pub outcome: Result<(), Failure>,
    /// From the header, or else from the error body.
    pub request_id: Option<RequestId>,
    /// Whether the header has a request ID: an error body can have one where a proxy removes the header.
    pub has_request_id_header: bool,
    /// The request budget that the headers report.
    pub budget: Budget,
    /// `None` if the response proves nothing about the key.
    pub key: Option<KeyEvidence>,
    /// `None` if the response proves nothing about the secret.
    pub secret: Option<SecretEvidence>,
    /// The parsed body of a correct key/info response.
    pub key_info: Option<KeyInfo>,
}

pub(crate) fn judge(kind: RequestKind, response: Response<'_>) -> Judgement {
    let request_id = RequestId::from_headers(response.headers);
    let mut judgement = Judgement {
        outcome: Ok(()),
        has_request_id_header: request_id.is_some(),
        request_id,
        budget: Budget::from_headers(response.headers, response.received),
        key: None,
        secret: None,
        key_info: None,
    };
    match response.status {
        200..=299 => judge_success(kind, response, &mut judgement),
        status @ (301 | 302 | 303 | 307 | 308) => {
            let detail = format!("the response is a redirect ({status}); redirects are never followed");
            judgement.outcome = Err(Failure::new(Reason::Redirect, detail));
        }
        400..=599 => judge_error(kind, response, &mut judgement),
        status => {
            let detail = format!("the API does not document the status {status}");
            judgement.outcome = Err(Failure::new(Reason::UnexpectedStatus, detail));
        }
    }
    judgement
}

/// The body must belong to the route, because captive portals also respond with status 200.
///
/// An error body with a documented code counts as what it says. The API does not document the statuses of its codes,
/// and nothing else writes them: the client gets the refusal whatever the status is.
fn judge_success(kind: RequestKind, response: Response<'_>, judgement: &mut Judgement) {
    let can_be_refused = kind != RequestKind::Health && response.complete;
    if let Some(error) = can_be_refused.then(|| ErrorBody::documented_in_success(response.body)).flatten() {
        judge_error_body(kind, response, error, judgement);
        return;
    }
    let has_request_id = judgement.request_id.is_some();
    if is_from_elsewhere(kind, response, has_request_id) {
        judgement.outcome = Err(no_request_id(response.status));
        return;
    }
    let evidence = match kind {
        RequestKind::Health => return,
        RequestKind::KeyInfo(mode) => read_key_info(mode, response).map(|info| {
            let evidence = match &info.extended {
                Some(extended) if extended.is_activated => KeyEvidence::Activated,
                Some(_) => KeyEvidence::NotActivated,
                None => KeyEvidence::Accepted,
            };
            judgement.key_info = Some(info);
            evidence
        }),
        RequestKind::Canary(method) => check_json(method, response).map(|()| KeyEvidence::Accepted),
    };
    match evidence {
        // Any JSON is a success of a canary, so without a request ID it proves nothing.
        Ok(KeyEvidence::Accepted) if !has_request_id && matches!(kind, RequestKind::Canary(_)) => {}
        Ok(evidence) => {
            judgement.key = Some(evidence);
            judgement.secret = Some(SecretEvidence::Accepted);
        }
        Err(detail) => judgement.outcome = Err(Failure::new(Reason::UnexpectedBody, detail)),
    }
}

fn read_key_info(mode: KeyInfoMode, response: Response<'_>) -> Result<KeyInfo, &'static str> {
    if !response.complete {
        return Err("the key/info response is larger than expected, and was not read to its end");
    }
    KeyInfo::parse(mode, response.body).ok_or("the response is not the JSON that is documented for key/info")
}

/// Checks the content type and the first byte only. The rest is the customer's data, which the exporter
/// does not read.
fn check_json(method: Method, response: Response<'_>) -> Result<(), &'static str> {
    // A value that is not text is not JSON either.
    let content_type =
        response.headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("not text"));
    if response.status == 204 {
        return Err("the response has no content (status 204)");
    }
    if content_type.is_empty() {
        return Err("the response has no content type");
    }
    if !is_json(content_type) {
        return Err("the content type of the response is not JSON");
    }
    if method == Method::Head {
        return Ok(());
    }
    if ErrorBody::is_in_success(response.body) || (!response.complete && ErrorBody::begins(response.body)) {
        return Err("the response has a success status and an error body");
    }
    match json_text(response.body).first() {
        Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => Ok(()),
        Some(_) => Err("the body of the response is not JSON"),
        None => Err("the body of the response is empty"),
    }
}

/// Accepts `application/json`, `text/json` and `+json` types, with or without parameters. A proxy may join two headers
/// with a comma: then each type must be accepted.
fn is_json(content_type: &str) -> bool {
    content_type.split(',').all(|one| {
        let essence = one.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
    })
}

fn judge_error(kind: RequestKind, response: Response<'_>, judgement: &mut Judgement) {
    let status = response.status;
    let error = response.complete.then(|| ErrorBody::parse(response.body)).flatten();
    let Some(error) = error else {
        judgement.outcome = Err(failure_without_error_body(kind, status, judgement.request_id.is_some()));
        return;
    };
    judge_error_body(kind, response, error, judgement);
}

fn judge_error_body(kind: RequestKind, response: Response<'_>, error: ErrorBody, judgement: &mut Judgement) {
    let status = response.status;
    judgement.request_id = judgement.request_id.take().or(error.request_id);
    if is_from_elsewhere(kind, response, judgement.request_id.is_some()) {
        judgement.outcome = Err(no_request_id(status));
        return;
    }
    let (reason, key, secret) =
        error.code.documented().map_or_else(|| undocumented_code(status), documented_code);
    if kind != RequestKind::Health {
        (judgement.key, judgement.secret) = (key, secret);
    }
    let detail = format!("the API refused with {} (status {status})", error.code);
    judgement.outcome = Err(Failure { code: Some(error.code), ..Failure::new(reason, detail) });
}

/// Whether the missing request ID shows that the API did not write this response. The health route is judged by
/// its status only.
fn is_from_elsewhere(kind: RequestKind, response: Response<'_>, has_request_id: bool) -> bool {
    kind != RequestKind::Health && response.expects_request_id && !has_request_id
}

fn no_request_id(status: u16) -> Failure {
    let detail = format!(
        "status {status} without the request ID that the API sends on this route: it came from a proxy, load balancer \
         or firewall"
    );
    Failure::new(Reason::Edge, detail)
}

/// Every error of the API has a documented JSON body. An error without it came from something between the
/// exporter and the API. There are two exceptions, where a request ID shows that the response came from the API, which
/// sends one in every response: the bodies of the health route are not documented, and a response to HEAD has no body.
fn failure_without_error_body(kind: RequestKind, status: u16, has_request_id: bool) -> Failure {
    match kind {
        RequestKind::Health if has_request_id => {
            Failure::new(Reason::UnexpectedStatus, format!("the health route responded with status {status}"))
        }
        RequestKind::Canary(Method::Head) if has_request_id => {
            let detail = format!("status {status}, and a response to HEAD has no body that gives the cause");
            Failure::new(Reason::UnexpectedStatus, detail)
        }
        RequestKind::Health | RequestKind::KeyInfo(_) | RequestKind::Canary(_) => {
            let origin = "it came from a proxy, load balancer or firewall";
            Failure::new(Reason::Edge, format!("status {status} without an error body of the API: {origin}"))
        }
    }
}

/// What a code means for the probe, the key and the secret.
type Meaning = (Reason, Option<KeyEvidence>, Option<SecretEvidence>);

/// A code that is specific to a route (`DROIT1`, `EXERCICE5`, …) proves nothing about the key or the secret.
/// 429 is the only error status that the API documents, so it has a meaning even with an undocumented code.
const fn undocumented_code(status: u16) -> Meaning {
    (if status == 429 { Reason::RateLimited } else { Reason::ApiError }, None, None)
}

pub(super) const fn documented_code(code: DocumentedCode) -> Meaning {
    match code {
        DocumentedCode::ApiTokenNotFound | DocumentedCode::FirmTokenNotFound => {
            (Reason::Token, Some(KeyEvidence::NotFound), None)
        }
        DocumentedCode::InvalidJwt
        | DocumentedCode::InvalidApiJwt
        | DocumentedCode::InvalidFirmJwt
        | DocumentedCode::InvalidUserJwt
        | DocumentedCode::InvalidAuthHeader => (Reason::Token, Some(KeyEvidence::Invalid), None),
        DocumentedCode::FolderNotFound | DocumentedCode::SchemaNotFound => {
            (Reason::Token, Some(KeyEvidence::FolderNotFound), None)
        }
        DocumentedCode::ThirdPartyDisconnected => (Reason::Token, Some(KeyEvidence::Disconnected), None),
        DocumentedCode::SecretHeaderNotSet
        | DocumentedCode::InvalidSecret
        | DocumentedCode::SecretNotConfigured => (Reason::Secret, None, Some(SecretEvidence::Refused)),
        DocumentedCode::ForbiddenRoute | DocumentedCode::MissingRule => (Reason::Forbidden, None, None),
        DocumentedCode::ForbiddenAccess => (Reason::Forbidden, Some(KeyEvidence::Forbidden), None),
        // Only older documentation has this code, and does not say in which state the key is then. So the
        // key keeps its state.
        DocumentedCode::TokenActivationFailure => (Reason::Token, None, None),
        DocumentedCode::TooManyRequest
        | DocumentedCode::TooManyConcurrentRequest
        | DocumentedCode::TooManyConcurrentRequests => (Reason::RateLimited, None, None),
        DocumentedCode::UnderMaintenance => (Reason::Maintenance, None, None),
        DocumentedCode::Http | DocumentedCode::Internal => (Reason::ApiError, None, None),
    }
}
