//! The parts of a request that the simulator uses.

use std::sync::Arc;

use axum::extract::Request;
use http::header;

use crate::paths::KEY_INFO;

/// The parts of a request that the simulator uses.
#[derive(Clone, Debug)]
pub(crate) struct RequestInfo {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) url: String,
    pub(crate) route: String,
    pub(crate) bearer: Option<String>,
    pub(crate) secret: Option<String>,
    pub(crate) society_id: Option<String>,
    pub(crate) accepts_gzip: bool,
    /// The e-mail address in the body of a log-in.
    pub(crate) mail: Option<String>,
    /// The key that the token or the account belongs to, even if the token or the log-in is not accepted.
    pub(crate) key: Option<Arc<str>>,
    /// The partner that the secret belongs to.
    pub(crate) partner: Option<Arc<str>>,
}

impl RequestInfo {
    pub(crate) fn of(request: &Request) -> Self {
        let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
        let bearer = header(header::AUTHORIZATION.as_str()).and_then(|value| {
            let token = value.strip_prefix("Bearer ")?.trim();
            (!token.is_empty()).then(|| token.to_owned())
        });
        Self {
            method: request.method().to_string(),
            url: request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            route: request.uri().path().to_owned(),
            bearer,
            secret: header("x-third-party-secret"),
            society_id: header("society-id"),
            accepts_gzip: header("accept-encoding").is_some_and(|accepted| accepted.contains("gzip")),
            mail: None,
            key: None,
            partner: None,
        }
    }

    pub(crate) fn is_extended_key_info(&self) -> bool {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        self.route == KEY_INFO && query.split('&').any(|parameter| parameter == "mode=extended")
    }
}
