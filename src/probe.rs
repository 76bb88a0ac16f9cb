//! One probe: opens a connection, sends one request, reads one response, and measures the five phases.
//!
//! Two probes share no TLS session and no cookie, and no connection unless the operator wants it. Redirects are not
//! followed and answered requests are not sent again, so a probe uses one request of the key's budget. Two exceptions: a
//! connection that is used again may be dead, and the first response with hundreds of headers is asked for twice.

mod body;
mod client;
mod connect;
mod exhaustion;
mod head_limit;
mod http_connection;
mod idle_connections;
mod phase_timer;
mod plain;
mod request_id_history;
mod resolver;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod transport_error;
mod tunnel;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use tokio::time::{Duration, Instant, timeout};
use url::Url;

use crate::config;
use crate::config::Connection;
use crate::partner_api::error::ErrorCode;
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::judge::{Judgement, RequestKind, Response, judge};
use crate::partner_api::login::{self, LoginAnswer};
use crate::partner_api::request_id::RequestId;
use crate::partner_api::{Firm, Method, SECRET_HEADER, SOCIETY_HEADER};
use crate::report::{Phase, Phases, ProbeReport};

use body::{Body, BodyLimits};
use client::{Client, Opening, Outgoing};
use phase_timer::{PhaseTimer, Times};
pub(crate) use plain::{PlainClient, PlainError};
use request_id_history::RequestIdHistory;
use resolver::LookUp;
use target::{Target, Targets};
pub(crate) use transport_error::BuildError;
use transport_error::TransportError;

/// A key/info response has a few kilobytes. It must be complete to be parsed.
const KEY_INFO_LIMITS: BodyLimits = BodyLimits { read: 1 << 20, keep: 1 << 20 };
/// The body of the health route is read only to measure the transfer phase.
const HEALTH_LIMITS: BodyLimits = BodyLimits { read: 256 << 10, keep: 0 };
/// The body of a canary is read to measure the transfer phase: some routes list thousands of companies. All that is
/// read is kept until the response is judged, because it can be an error body with a long message.
const CANARY_LIMITS: BodyLimits = BodyLimits { read: 256 << 10, keep: 256 << 10 };
/// An error body is small, but it may hold a long message. One that is larger than this did not come from the API.
const ERROR_LIMITS: BodyLimits = BodyLimits { read: 256 << 10, keep: 256 << 10 };

/// Sends probes to one API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Prober(Arc<Inner>);

struct Inner {
    client: Client,
    api: config::Api,
    targets: Targets,
    log_in: Target,
    /// The content of the file of certificate authorities: it can change while its name stays the same.
    authorities: Option<Vec<u8>>,
    request_ids: RequestIdHistory,
}

/// One request to send.
#[derive(Debug)]
pub(crate) struct ProbeRequest<'a> {
    /// Determines the method, the body limits and how the response is judged.
    pub kind: RequestKind,
    /// Path and query, relative to the base URL.
    pub path: &'a str,
    /// `None` for the health route, which needs no authentication.
    pub credentials: Option<Credentials<'a>>,
    /// The limit for all five phases together.
    pub timeout: Duration,
    /// Whether the probe opens a connection.
    pub connection: Connection,
}

/// The values of the headers that every authenticated route needs.
#[derive(Debug)]
pub(crate) struct Credentials<'a> {
    pub token: &'a SecretString,
    pub secret: &'a SecretString,
    /// For a route about one society, if the token has firm access.
    pub society_id: Option<NonZeroU64>,
}

/// The result of one log-in.
#[derive(Debug)]
pub(crate) struct LoginReport {
    /// The meaning of the response, or why no response was received.
    pub outcome: Result<LoginAnswer, Failure>,
    /// The earliest expiry in the certificate chain of the log-in host.
    pub certificate_expiry: Option<SystemTime>,
}

/// One request, with what is needed to read its response.
struct Exchange<'a> {
    outgoing: Outgoing<'a>,
    /// The limits for a response with a success status.
    limits: BodyLimits,
    /// Whether the response is judged by its status, so that its body may be broken.
    judged_by_status: bool,
    opening: Opening,
}

/// A response, read to its end or to the read limit.
struct ReceivedResponse {
    status: u16,
    headers: HeaderMap,
    body: Body,
}

impl Prober {
    /// Prepares the probes of `api`: reads its certificate authorities. Opens no connection.
    ///
    /// # Errors
    /// If no certificate authority can be read, or the URL of the proxy is invalid.
    pub(crate) fn new(api: &config::Api) -> Result<Self, BuildError> {
        let authorities = client::read_authorities(api)?;
        let client = Client::new(api, authorities.as_deref())?;
        Ok(Self(Arc::new(Inner {
            targets: client.targets(api.base_url.clone()),
            log_in: client.target(api.auth_url.clone()),
            client,
            api: api.clone(),
            authorities,
            request_ids: RequestIdHistory::default(),
        })))
    }

    /// Expects request IDs on the routes that sent one before this prober existed, with the time of the last one. A time
    /// in the future counts as now.
    pub(crate) fn expect_request_ids(&self, routes: impl IntoIterator<Item = (Box<str>, SystemTime)>) {
        let now = SystemTime::now();
        for (path, last) in routes {
            let age = now.duration_since(last).unwrap_or_default();
            self.0.request_ids.record_earlier(&path, age, Instant::now());
        }
    }

    /// Whether this prober was made with the same settings and the same certificate authorities.
    pub(crate) fn matches(&self, api: &config::Api) -> bool {
        self.0.api == *api
            && client::read_authorities(api).is_ok_and(|authorities| authorities == self.0.authorities)
    }

    /// The URL of the API. The probes record the certificates of its host.
    pub(crate) fn base_url(&self) -> &Url {
        &self.0.api.base_url
    }

    /// Identifies the API that tokens and secrets are for.
    pub(crate) fn identity(&self) -> Arc<str> {
        self.0.api.identity()
    }

    /// The URL of the log-in route. Together with the mail address it identifies an account. The log-ins record the
    /// certificates of its host.
    pub(crate) fn auth_url(&self) -> &Url {
        &self.0.api.auth_url
    }

    /// Sends one request. Returns a report in every case: a failure is a result.
    pub(crate) async fn probe(&self, request: ProbeRequest<'_>) -> ProbeReport {
        let timer = Arc::new(PhaseTimer::start());
        let target = self.0.targets.get(request.path);
        let exchange = Exchange {
            outgoing: Outgoing {
                method: method(request.kind),
                target: &target,
                add_headers: &|headers| {
                    if let Some(credentials) = &request.credentials {
                        credentials.add_to(headers);
                    }
                },
                body: Bytes::new(),
            },
            limits: body_limits(request.kind),
            judged_by_status: request.kind == RequestKind::Health,
            opening: request.opening(),
        };
        let (response, phases) = self.send(exchange, &timer, request.timeout).await;
        let finished = SystemTime::now();
        let Times { status, request_id, certificate_expiry, .. } = timer.times().clone();
        let (outcome, request_id, judgement) = match response {
            Ok(response) => {
                let expects_request_id = self.0.request_ids.is_expected(request.path, Instant::now());
                let judgement = request.judge(response, finished, expects_request_id);
                if judgement.has_request_id_header {
                    self.0.request_ids.record(request.path, Instant::now());
                }
                (judgement.outcome.clone(), judgement.request_id.clone(), Some(judgement))
            }
            Err(failure) => (Err(failure), redact_request_id(request_id, request.secrets()), None),
        };
        ProbeReport { finished, phases, status, request_id, judgement, outcome, certificate_expiry }
    }

    /// Requests a token from the log-in route. This is not a probe: its duration is not reported.
    pub(crate) async fn log_in(
        &self,
        mail: &str,
        password: &SecretString,
        firm: Option<&Firm>,
        limit: Duration,
    ) -> LoginReport {
        let body = login::Request { mail, password: password.expose_secret(), firm };
        let timer = Arc::new(PhaseTimer::start());
        let exchange = Exchange {
            outgoing: Outgoing {
                method: http::Method::POST,
                target: &self.0.log_in,
                add_headers: &|headers| {
                    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                },
                body: body.to_json().into(),
            },
            limits: ERROR_LIMITS,
            judged_by_status: false,
            opening: Opening { look_up: LookUp::Always, keep: false },
        };
        let (response, _) = self.send(exchange, &timer, limit).await;
        let outcome = response.map(|response| {
            // A body above the limit is neither a token nor a refusal, even if it begins like one.
            let body = if response.body.complete { response.body.bytes.as_slice() } else { &[] };
            let mut answer = login::read(response.status, &response.headers, body, SystemTime::now());
            if let Some((code, request_id)) = answer.details_mut() {
                if let Some(code) = code.as_mut().filter(|code| echoes_secret(code, [password])) {
                    *code = ErrorCode::redacted();
                }
                *request_id = redact_request_id(request_id.take(), [password]);
            }
            if let LoginAnswer::Refused(refused) = &mut answer {
                refused.firms.retain(|firm| !contains_secret(firm, [password]));
            }
            answer
        });
        LoginReport { outcome, certificate_expiry: timer.times().certificate_expiry }
    }

    /// Sends the request and reads the response. Stops after `limit`. Also returns the phases until then.
    async fn send(
        &self,
        exchange: Exchange<'_>,
        timer: &Arc<PhaseTimer>,
        limit: Duration,
    ) -> (Result<ReceivedResponse, Failure>, Phases) {
        let url = &exchange.outgoing.target.url;
        let response = timeout(limit, self.send_and_read(exchange, timer)).await;
        let (phases, phase) = timer.phases();
        let outcome = match response {
            Ok(response) => response.map_err(|error| transport_error::failure(&error, phase)),
            Err(_) => {
                Err(Failure::new(Reason::Timeout, timeout_detail(limit, phase, &self.0.client.peer(url))))
            }
        };
        (outcome, phases)
    }

    async fn send_and_read(
        &self,
        exchange: Exchange<'_>,
        timer: &Arc<PhaseTimer>,
    ) -> Result<ReceivedResponse, TransportError> {
        let Exchange { outgoing, limits, judged_by_status, opening } = exchange;
        let client = &self.0.client;
        let mut exchange = client.send(&outgoing, opening, timer).await?;
        let status = exchange.response.status();
        timer.record_headers(status.as_u16(), RequestId::from_headers(exchange.response.headers()));
        let body = if has_body_to_judge(status) {
            let limits = if status.is_success() { limits } else { ERROR_LIMITS };
            match exchange.read_body(limits).await {
                Ok(body) => body,
                // What was received proves the status, and nothing else is judged.
                Err(_) if judged_by_status => Body::default(),
                // An error body that cannot be decompressed is not in the API's form. Its status is reported.
                Err(TransportError::Encoding(_)) if !status.is_success() => Body::default(),
                Err(error) => return Err(error),
            }
        } else {
            Body::default()
        };
        timer.record_end();
        let headers = std::mem::take(exchange.response.headers_mut());
        if opening.keep && body.complete {
            client.keep(exchange);
        }
        Ok(ReceivedResponse { status: status.as_u16(), headers, body })
    }
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").field("api", &self.0.api).finish_non_exhaustive()
    }
}

/// Two probers are equal only if they are clones of each other, because each reads its certificate authorities
/// itself.
impl PartialEq for Prober {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<'a> ProbeRequest<'a> {
    /// The judgement without the secrets of the request: an error code or a request ID is shown and logged,
    /// and the server could put a secret there.
    fn judge(&self, response: ReceivedResponse, received: SystemTime, expects_request_id: bool) -> Judgement {
        let ReceivedResponse { status, headers, body: Body { bytes, complete } } = response;
        let (headers, body) = (&headers, &*bytes);
        let response = Response { status, headers, body, complete, received, expects_request_id };
        let mut judgement = judge(self.kind, response);
        judgement.request_id = redact_request_id(judgement.request_id, self.secrets());
        if let Err(failure) = &mut judgement.outcome {
            failure.redact_code(|code| echoes_secret(code, self.secrets()));
        }
        judgement
    }

    fn opening(&self) -> Opening {
        Opening {
            // The health probe shows trouble with DNS at once.
            look_up: match self.kind {
                RequestKind::Health => LookUp::Always,
                RequestKind::KeyInfo(_) | RequestKind::Canary(_) => LookUp::UnlessRecent,
            },
            keep: match self.connection {
                Connection::Fresh => false,
                Connection::Reuse => true,
            },
        }
    }

    fn secrets(&self) -> impl Iterator<Item = &'a SecretString> {
        self.credentials.iter().flat_map(|credentials| [credentials.token, credentials.secret])
    }
}

/// Removes a request ID that contains a secret of the request.
fn redact_request_id<'a>(
    request_id: Option<RequestId>,
    secrets: impl IntoIterator<Item = &'a SecretString>,
) -> Option<RequestId> {
    request_id.filter(|id| !contains_secret(id.as_str(), secrets))
}

/// Whether an error code contains a secret of the request. A documented code never does.
fn echoes_secret<'a>(code: &ErrorCode, secrets: impl IntoIterator<Item = &'a SecretString>) -> bool {
    code.documented().is_none() && contains_secret(code.as_str(), secrets)
}

/// Whether a text contains a secret, or is a part of one that is long enough to matter.
fn contains_secret<'a>(text: &str, secrets: impl IntoIterator<Item = &'a SecretString>) -> bool {
    const MIN_PART_LEN: usize = 8;
    secrets.into_iter().any(|secret| {
        let secret = secret.expose_secret();
        text.contains(secret) || (text.len() >= MIN_PART_LEN && secret.contains(text))
    })
}

impl Credentials<'_> {
    fn add_to(&self, headers: &mut HeaderMap) {
        let bearer = Zeroizing::new(["Bearer ", self.token.expose_secret()].concat());
        headers.insert(AUTHORIZATION, sensitive(&bearer));
        headers.insert(SECRET_HEADER.clone(), sensitive(self.secret.expose_secret()));
        if let Some(society) = self.society_id {
            headers.insert(SOCIETY_HEADER.clone(), HeaderValue::from(society.get()));
        }
    }
}

/// A header value that is never printed. A secret is checked when it is read, so it is a valid header value.
/// If it were not, the header would be empty and the API would refuse it.
fn sensitive(value: &str) -> HeaderValue {
    let mut header = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

const fn method(kind: RequestKind) -> http::Method {
    match kind {
        RequestKind::Canary(Method::Head) => http::Method::HEAD,
        RequestKind::Canary(Method::Get) | RequestKind::Health | RequestKind::KeyInfo(_) => http::Method::GET,
    }
}

/// The limits for a response with a success status.
const fn body_limits(kind: RequestKind) -> BodyLimits {
    match kind {
        RequestKind::Health => HEALTH_LIMITS,
        RequestKind::KeyInfo(_) => KEY_INFO_LIMITS,
        RequestKind::Canary(_) => CANARY_LIMITS,
    }
}

/// Whether the judgement depends on the body. A redirect or an undocumented status is judged by its status
/// only, so nothing in its body can change the judgement.
fn has_body_to_judge(status: StatusCode) -> bool {
    status.is_success() || status.is_client_error() || status.is_server_error()
}

/// In which phase a probe timed out, and who did not answer.
fn timeout_detail(limit: Duration, phase: Phase, peer: &str) -> String {
    let limit = humantime::format_duration(limit);
    let silent = match phase {
        Phase::Resolve => format!("; the name servers gave no address for {peer}"),
        Phase::Connect => format!("; {peer} opened no connection"),
        Phase::Tls | Phase::Processing | Phase::Transfer => String::new(),
    };
    format!("no complete response within {limit}, in the {phase} phase{silent}")
}
