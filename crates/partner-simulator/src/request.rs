//! A request as the simulator sees it, and its entry in the request log.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::Request;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::paths::KEY_INFO;

/// One logged request, with its response.
#[derive(Clone, Debug)]
pub struct Call {
    /// The time of arrival on the simulator's clock.
    pub at: SystemTime,
    /// The time of arrival as an instant.
    pub started: Instant,
    pub method: String,
    /// Path and query.
    pub url: String,
    /// The key that the token belongs to, even if the token is no longer accepted.
    /// For a log-in: the key of the firm, or the account's first key.
    pub key: Option<Arc<str>>,
    /// The partner that the secret belongs to.
    pub partner: Option<Arc<str>>,
    /// The `society-id` header.
    pub society_id: Option<String>,
    /// The society that the request is about: the society of the token, or the one that `society-id` names.
    pub society: Option<u64>,
    /// The schema of the token. For a log-in: the firm that a correct password would give access to.
    pub schema: Option<u64>,
    /// `None` as long as there is no response, and if a fault sent raw bytes or closed the connection instead.
    pub response: Option<LoggedResponse>,
}

/// The response to a logged request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedResponse {
    pub status: u16,
    /// The error code of the API.
    pub code: Option<String>,
    /// The `request-id` header. Responses that do not come from the API have none.
    pub request_id: Option<String>,
}

impl Call {
    /// The path, without the query.
    pub fn route(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }

    /// The request ID that the client received.
    pub fn request_id(&self) -> Option<&str> {
        self.response.as_ref()?.request_id.as_deref()
    }

    /// The HTTP status that the client received.
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref().map(|response| response.status)
    }

    /// The error code that the client received.
    pub fn code(&self) -> Option<&str> {
        self.response.as_ref()?.code.as_deref()
    }

    pub(crate) fn is_extended_key_info(&self) -> bool {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        self.route() == KEY_INFO && query.split('&').any(|parameter| parameter == "mode=extended")
    }
}

/// The body of a log-in.
#[derive(Clone, Deserialize)]
pub(crate) struct LogInBody {
    pub(crate) mail: String,
    pub(crate) password: String,
    /// The ID of the firm as a number, or its name.
    pub(crate) firm: Option<Value>,
}

/// A request that is being handled.
pub(crate) struct RequestInfo {
    /// The entry in the log. It contains no secrets.
    pub(crate) call: Call,
    /// The time of arrival as the API says it.
    pub(crate) shown_time: SystemTime,
    /// The request ID of the response. It is empty until the request has been counted.
    pub(crate) request_id: String,
    pub(crate) bearer: Option<String>,
    pub(crate) secret: Option<String>,
    /// The body of a log-in.
    pub(crate) log_in: Option<LogInBody>,
    pub(crate) accepts_gzip: bool,
}

impl RequestInfo {
    pub(crate) fn of(request: &Request, clock: &Clock) -> Self {
        let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
        let bearer = header("authorization").and_then(|value| {
            let token = value.strip_prefix("Bearer ")?.trim();
            (!token.is_empty()).then(|| token.to_owned())
        });
        let call = Call {
            at: clock.now(),
            started: Instant::now(),
            method: request.method().to_string(),
            url: request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            key: None,
            partner: None,
            society_id: header("society-id"),
            society: None,
            schema: None,
            response: None,
        };
        Self {
            call,
            shown_time: clock.shown(),
            request_id: String::new(),
            bearer,
            secret: header("x-third-party-secret"),
            log_in: None,
            accepts_gzip: header("accept-encoding").is_some_and(|accepted| accepted.contains("gzip")),
        }
    }
}
