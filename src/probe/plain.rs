//! One request to another server than the API: it is not a probe, so nothing is measured, recorded or judged.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use checked_yaml::file;
use http::{HeaderMap, Method};
use secrecy::zeroize::Zeroizing;
use tokio::time::{Duration, timeout};
use url::Url;

use super::body::BodyLimits;
use super::client::{Client, Opening, Outgoing};
use super::phase_timer::PhaseTimer;
use super::resolver::LookUp;
use crate::config::Api;

/// Sends such requests, each on a connection of its own. Redirects are not followed, because the headers may be secret.
pub(crate) struct PlainClient(Client);

/// Why there is no complete answer. The text has no secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PlainError {
    TooLarge,
    Failed(String),
}

impl PlainClient {
    /// Trusts the authorities in this PEM file, or else those of the system.
    ///
    /// # Errors
    /// If the file cannot be used, or if there are no authorities. A sentence without the name of a flag.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let read = |path: &Path| {
            file::read(path).map_err(|problem| format!("the file {} {problem}", path.display()))
        };
        let authorities = ca_file.map(read).transpose()?;
        let client = Client::new(&Api::default(), authorities.as_deref());
        client.map(Self).map_err(|error| error.to_string())
    }

    /// Posts a form, and returns the status and the body.
    ///
    /// # Errors
    /// If the answer does not end within `limit`, or has more than `max_size` bytes.
    pub(crate) async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        form: String,
        max_size: usize,
        limit: Duration,
    ) -> Result<(u16, Zeroizing<Vec<u8>>), PlainError> {
        let exchange = async {
            let timer = Arc::new(PhaseTimer::start());
            let outgoing = Outgoing {
                method: Method::POST,
                target: &self.0.target(url.clone()),
                add_headers: &|all| all.extend(headers.clone()),
                body: Bytes::from(form),
            };
            let opening = Opening { look_up: LookUp::Always, keep: false };
            let sent = self.0.send(&outgoing, opening, &timer).await;
            let mut exchange = sent.map_err(|error| PlainError::Failed(error.to_string()))?;
            let limits = BodyLimits { read: max_size, keep: max_size };
            let body = exchange.read_body(limits).await;
            let body = body.map_err(|error| PlainError::Failed(error.to_string()))?;
            if body.complete {
                Ok((exchange.response.status().as_u16(), body.bytes))
            } else {
                Err(PlainError::TooLarge)
            }
        };
        let too_late = || PlainError::Failed(format!("no complete answer within {} s", limit.as_secs()));
        timeout(limit, exchange).await.unwrap_or_else(|_| Err(too_late()))
    }
}
