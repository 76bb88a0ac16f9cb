//! The judge: one response in, its meaning out.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::budget::Budget;
use super::error::{Code, ErrorBody};
use super::key_info::KeyInfo;
use super::request_id::RequestId;
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::{KeyInfoMode, Method};

/// What was asked: it decides what a good answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// Judged by its status alone: its body is not documented.
    Health,
    /// Must be the documented JSON.
    KeyInfo(KeyInfoMode),
    /// Must be some JSON.
    Canary(Method),
}

/// A response as it came, its body perhaps cut at the cap.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body, decompressed, up to the cap.
    pub body: &'a [u8],
    /// Whether the body is whole.
    pub complete: bool,
    /// The wall clock at its end.
    pub received: SystemTime,
}

/// What an answer says about the key it was asked with. Only the API's explicit word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEvidence {
    /// key/info says that it is activated.
    Activated,
    /// key/info says that it is not.
    NotActivated,
    /// An authenticated call was accepted.
    Accepted,
    /// The token is not found.
    NotFound,
    /// The integration was disconnected.
    Disconnected,
    /// Its folder or schema is not found.
    FolderNotFound,
    /// It is not a valid token.
    Invalid,
    /// It has no permission to use the API.
    Forbidden,
}

/// What an answer says about the partner's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretEvidence {
    /// An authenticated call was accepted, so the secret was too.
    Accepted,
    /// The API refuses it.
    Refused,
}

/// The meaning of one response.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Success, or the one reason it is none.
    pub outcome: Result<(), Failure>,
    /// From the header, else from the error's own details.
    pub request_id: Option<RequestId>,
    /// The budget as told.
    pub budget: Budget,
    /// What it says about the key, if anything.
    pub key: Option<KeyEvidence>,
    /// What it says about the secret, if anything.
    pub secret: Option<SecretEvidence>,
    /// The parsed body of a good key/info answer.
    pub key_info: Option<KeyInfo>,
}

/// Judges one response.
#[must_use]
pub fn judge(kind: RequestKind, response: Response<'_>) -> Judgement {
    let mut answer = Judgement {
        outcome: Ok(()),
        request_id: RequestId::from_headers(response.headers),
        budget: Budget::from_headers(response.headers, response.received),
        key: None,
        secret: None,
        key_info: None,
    };
    match response.status {
        200..=299 => accept(kind, response, &mut answer),
        status @ (301 | 302 | 303 | 307 | 308) => {
            answer.outcome = Err(Failure::new(
                Reason::Redirect,
                format!("the answer is a redirect ({status}); redirects are never followed"),
            ));
        }
        400..=599 => refuse(kind, response, &mut answer),
        status => {
            answer.outcome = Err(Failure::new(
                Reason::UnexpectedStatus,
                format!("status {status} is none that the API documents"),
            ));
        }
    }
    answer
}

/// A 2xx counts only if its body is what the route answers: captive portals say 200 too.
fn accept(kind: RequestKind, response: Response<'_>, answer: &mut Judgement) {
    let accepted = match kind {
        RequestKind::Health => return,
        RequestKind::KeyInfo(mode) => read_key_info(mode, response).map(|info| {
            let evidence = match &info.extended {
                Some(extended) if extended.is_activated => KeyEvidence::Activated,
                Some(_) => KeyEvidence::NotActivated,
                None => KeyEvidence::Accepted,
            };
            answer.key_info = Some(info);
            evidence
        }),
        RequestKind::Canary(method) => looks_like_json(method, response).map(|()| KeyEvidence::Accepted),
    };
    match accepted {
        Ok(evidence) => {
            answer.key = Some(evidence);
            answer.secret = Some(SecretEvidence::Accepted);
        }
        Err(detail) => answer.outcome = Err(Failure::new(Reason::UnexpectedBody, detail)),
    }
}

fn read_key_info(mode: KeyInfoMode, response: Response<'_>) -> Result<KeyInfo, &'static str> {
    if !response.complete {
        return Err("the key/info answer is larger than any seen, and was not read to its end");
    }
    KeyInfo::parse(mode, response.body).ok_or("the answer is not the JSON that key/info documents")
}

/// By content type and first byte: the rest is the customer's data and none of our business.
fn looks_like_json(method: Method, response: Response<'_>) -> Result<(), &'static str> {
    let content_type = response.headers.get(CONTENT_TYPE).map_or(Ok(""), |value| value.to_str());
    if !content_type.is_ok_and(is_json) {
        return Err("the answer's content type is not JSON");
    }
    if method == Method::Head {
        return Ok(());
    }
    if ErrorBody::parse(response.body).is_some_and(|error| error.code.documented().is_some()) {
        return Err("the answer is a success that carries an error");
    }
    let body = response.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(response.body);
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => Ok(()),
        Some(_) => Err("the answer's body is not JSON"),
        None => Err("the answer's body is empty"),
    }
}

/// `application/json`, or a `+json` type, with or without parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

fn refuse(kind: RequestKind, response: Response<'_>, answer: &mut Judgement) {
    let status = response.status;
    let error = response.complete.then(|| ErrorBody::parse(response.body)).flatten();
    let Some(error) = error else {
        answer.outcome = Err(not_the_documented_form(kind, status, answer.request_id.is_some()));
        return;
    };
    answer.request_id = answer.request_id.take().or(error.request_id);
    let known = error.code.documented();
    let meaning = known.map_or_else(|| undocumented(status), meaning);
    if kind != RequestKind::Health {
        answer.key = meaning.key;
        answer.secret = meaning.secret;
    }
    let detail = format!("the API refused with {} (status {status})", error.code);
    answer.outcome = Err(Failure { code: Some(error.code), ..Failure::new(meaning.reason, detail) });
}

/// Documentation gives every non-2xx a JSON form: without it, something in between answered. The
/// health route alone may be excused, its bodies being undocumented: there the request-id, which
/// every response of the API carries, tells who spoke.
fn not_the_documented_form(kind: RequestKind, status: u16, has_request_id: bool) -> Failure {
    if kind == RequestKind::Health && has_request_id {
        return Failure::new(Reason::UnexpectedStatus, format!("the health route answered {status}"));
    }
    Failure::new(
        Reason::Edge,
        format!("status {status} without the API's error form: a proxy, load balancer or firewall answered"),
    )
}

/// What a code means for the probe, the key and the secret.
struct Meaning {
    reason: Reason,
    key: Option<KeyEvidence>,
    secret: Option<SecretEvidence>,
}

impl Meaning {
    const fn probe(reason: Reason) -> Self {
        Self { reason, key: None, secret: None }
    }
    const fn token(evidence: KeyEvidence) -> Self {
        Self { reason: Reason::Token, key: Some(evidence), secret: None }
    }
}

/// A route's own refusal (`DROIT1`, `EXERCICE5`, …) says nothing about key or secret. Of the
/// statuses, 429 alone is documented.
const fn undocumented(status: u16) -> Meaning {
    Meaning::probe(if status == 429 { Reason::RateLimited } else { Reason::ApiError })
}

const fn meaning(code: Code) -> Meaning {
    match code {
        Code::ApiTokenNotFound | Code::FirmTokenNotFound => Meaning::token(KeyEvidence::NotFound),
        Code::InvalidJwt
        | Code::InvalidApiJwt
        | Code::InvalidFirmJwt
        | Code::InvalidUserJwt
        | Code::InvalidAuthHeader => Meaning::token(KeyEvidence::Invalid),
        Code::FolderNotFound | Code::SchemaNotFound => Meaning::token(KeyEvidence::FolderNotFound),
        Code::ThirdPartyDisconnected => Meaning::token(KeyEvidence::Disconnected),
        Code::SecretHeaderNotSet | Code::InvalidSecret | Code::SecretNotConfigured => {
            Meaning { reason: Reason::Secret, key: None, secret: Some(SecretEvidence::Refused) }
        }
        Code::ForbiddenRoute | Code::MissingRule => Meaning::probe(Reason::Forbidden),
        Code::ForbiddenAccess => {
            Meaning { reason: Reason::Forbidden, key: Some(KeyEvidence::Forbidden), secret: None }
        }
        // Older documentation only, and silent on what state it leaves the key in: it moves none.
        Code::TokenActivationFailure => Meaning::probe(Reason::Token),
        Code::TooManyRequest | Code::TooManyConcurrentRequest | Code::TooManyConcurrentRequests => {
            Meaning::probe(Reason::RateLimited)
        }
        Code::UnderMaintenance => Meaning::probe(Reason::Maintenance),
        Code::Http | Code::Internal => Meaning::probe(Reason::ApiError),
    }
}
