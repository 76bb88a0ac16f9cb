//! One attempt: a fresh connection, one request, one answer, and where the time went.
//!
//! Nothing is shared between two probes but the configuration: no connection, no TLS session, no
//! cookie. Redirects are never followed and nothing is tried twice, so a probe is exactly one
//! request of the key's budget.

mod client;
mod exhaustion;
mod phase_timer;
mod resolver;
#[cfg(test)]
mod tests;
mod tls;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use tokio::time::{Duration, timeout};

use crate::config;
use crate::partner_api::error::ErrorCode;
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::judge::{RequestKind, Response, judge};
use crate::partner_api::login::{self, LoginAnswer};
use crate::partner_api::request_id::RequestId;
use crate::partner_api::{SECRET_HEADER, SOCIETY_HEADER};
use crate::report::ProbeReport;

pub use client::BuildError;
use phase_timer::PhaseTimer;

/// A key/info answer is a few kilobytes; it must be read whole to be parsed.
const KEY_INFO_CAP: usize = 1 << 20;
/// Other answers are read for their timing only: some routes list thousands of companies.
const BODY_CAP: usize = 256 << 10;
/// Errors are small; a larger one was not written by the API.
const ERROR_CAP: usize = 64 << 10;
/// What is looked at of a canary's body: enough to see its first byte behind any white space.
const GLIMPSE: usize = 1 << 10;

/// Sends probes to one API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Prober(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: reqwest::Client,
    api: config::Api,
    /// What was in the file of certification authorities: it may change under the same name.
    authorities: Option<Vec<u8>>,
}

/// One request to send.
#[derive(Debug)]
pub struct ProbeRequest<'a> {
    /// What the answer is judged as.
    pub kind: RequestKind,
    /// Path and query below the base URL.
    pub path: &'a str,
    /// Whose name it is sent in; the health route needs none.
    pub credentials: Option<Credentials<'a>>,
    /// For all five phases together.
    pub timeout: Duration,
}

/// The headers that every authenticated route needs.
#[derive(Debug)]
pub struct Credentials<'a> {
    /// The key's token.
    pub token: &'a SecretString,
    /// The partner's secret.
    pub secret: &'a SecretString,
    /// For firm access to a route about one society.
    pub society_id: Option<NonZeroU64>,
}

/// A log-in, done.
#[derive(Debug)]
pub struct LoginReport {
    /// What came of it, or why nothing did.
    pub outcome: Result<LoginAnswer, Failure>,
    /// The earliest end of the log-in host's certificate chain.
    pub certificate_expiry: Option<SystemTime>,
}

/// A response read to its end or its cap.
struct Exchange {
    status: u16,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
    complete: bool,
}

impl Prober {
    /// Prepares for probing `api`: reads its certification authorities, opens no connection.
    ///
    /// # Errors
    /// Where no certification authority can be read, or the proxy's URL is unusable.
    pub fn new(api: &config::Api) -> Result<Self, BuildError> {
        let authorities = client::read_authorities(api)?;
        let client = client::build(api, authorities.as_deref())?;
        Ok(Self(Arc::new(Inner { client, api: api.clone(), authorities })))
    }

    /// Whether this is a prober for just this API, its certification authorities included.
    #[must_use]
    pub fn matches(&self, api: &config::Api) -> bool {
        self.0.api == *api
            && client::read_authorities(api).is_ok_and(|authorities| authorities == self.0.authorities)
    }

    /// Whether the two are the same one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The host whose certificate the probes see.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.api.base_url.host_str().unwrap_or_default()
    }

    /// The host whose certificate log-ins see.
    #[must_use]
    pub fn auth_host(&self) -> &str {
        self.0.api.auth_url.host_str().unwrap_or_default()
    }

    /// The log-in route, which with the mail names an account.
    #[must_use]
    pub fn auth_url(&self) -> &str {
        self.0.api.auth_url.as_str()
    }

    /// Sends one request and tells what came of it. Never fails: a failure is a finding.
    pub async fn probe(&self, call: ProbeRequest<'_>) -> ProbeReport {
        let request = self.request(&call);
        let timer = Arc::new(PhaseTimer::start(self.looks_up_a_name(&self.0.api.base_url)));
        let exchange = self.exchange(request, &timer, call.timeout, caps(call.kind)).await;
        let (phases, _) = timer.phases();
        let finished = SystemTime::now();
        let certificate_expiry = timer.certificate_expiry();
        match exchange {
            Ok(exchange) => {
                let mut answer = judge(call.kind, exchange.as_response(finished));
                answer.request_id = harmless(answer.request_id, call.secrets());
                answer.outcome = answer
                    .outcome
                    .map_err(|failure| failure.redact_code(|code| is_an_echo(code, call.secrets())));
                ProbeReport {
                    finished,
                    phases,
                    status: Some(exchange.status),
                    request_id: answer.request_id.clone(),
                    outcome: answer.outcome.clone(),
                    judgement: Some(answer),
                    certificate_expiry,
                }
            }
            Err(failure) => {
                let (status, request_id) = timer.head();
                let request_id = harmless(request_id, call.secrets());
                ProbeReport {
                    finished,
                    phases,
                    status,
                    request_id,
                    judgement: None,
                    outcome: Err(failure),
                    certificate_expiry,
                }
            }
        }
    }

    /// Asks the log-in route for a token. The answer is not a probe: its time is not measured.
    pub async fn log_in(
        &self,
        mail: &str,
        password: &SecretString,
        firm: Option<&crate::partner_api::Firm>,
        limit: Duration,
    ) -> LoginReport {
        let body = login::Request { mail, password: password.expose_secret(), firm };
        let request = self.0.client.post(self.0.api.auth_url.clone()).json(&body);
        let timer = Arc::new(PhaseTimer::start(self.looks_up_a_name(&self.0.api.auth_url)));
        let caps = Caps { keep: ERROR_CAP, read: ERROR_CAP };
        let exchange = self.exchange(request, &timer, limit, caps).await;
        let outcome = match exchange {
            Ok(Exchange { status, headers, body, complete }) => {
                // What does not end within the cap is neither a token nor a refusal, however it begins.
                let body = if complete { body.as_slice() } else { &[] };
                Ok(login::read(status, &headers, body, SystemTime::now()))
            }
            Err(failure) => Err(failure),
        };
        let shown = |code| if is_an_echo(&code, [password]) { ErrorCode::redacted() } else { code };
        let outcome = outcome.map(|mut answer: LoginAnswer| {
            if let Some((code, id)) = answer.details_mut() {
                *code = code.take().map(shown);
                *id = harmless(id.take(), [password]);
            }
            answer
        });
        LoginReport { outcome, certificate_expiry: timer.certificate_expiry() }
    }

    /// Whether reaching `url` begins with a look-up: an address needs none.
    fn looks_up_a_name(&self, url: &Url) -> bool {
        self.0.api.proxy_url.as_ref().unwrap_or(url).domain().is_some()
    }

    fn request(&self, call: &ProbeRequest<'_>) -> reqwest::RequestBuilder {
        let method = match call.kind {
            RequestKind::Canary(crate::partner_api::Method::Head) => Method::HEAD,
            _ => Method::GET,
        };
        let request = self.0.client.request(method, join(&self.0.api.base_url, call.path));
        match &call.credentials {
            Some(credentials) => request.headers(credentials.headers()),
            None => request,
        }
    }

    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        timer: &Arc<PhaseTimer>,
        limit: Duration,
        caps: Caps,
    ) -> Result<Exchange, Failure> {
        let sent = Arc::clone(timer).scope(transfer(request, Arc::clone(timer), caps));
        let outcome = timeout(limit, sent).await;
        let (_, phase) = timer.finish();
        match outcome {
            Ok(exchange) => exchange.map_err(|error| client::failure(&error, phase)),
            Err(_) => Err(Failure::new(
                Reason::Timeout,
                format!("no answer within {}, in the {phase} phase", humantime::format_duration(limit)),
            )),
        }
    }
}

/// Two probers are equal if they are clones of each other. Probers of equal settings are not.
impl PartialEq for Prober {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<'a> ProbeRequest<'a> {
    /// What is sent that nobody may see.
    fn secrets(&self) -> impl IntoIterator<Item = &'a SecretString> + use<'a> {
        self.credentials
            .as_ref()
            .map(|credentials| [credentials.token, credentials.secret])
            .into_iter()
            .flatten()
    }
}

/// A request-id is shown and logged: one that gives back a secret that was just sent is none.
fn harmless<'a>(
    id: Option<RequestId>,
    secrets: impl IntoIterator<Item = &'a SecretString>,
) -> Option<RequestId> {
    let id = id?;
    (!gives_back(id.as_str(), secrets)).then_some(id)
}

/// A code is shown and logged too, and one that is not documented may be anything.
fn is_an_echo<'a>(code: &ErrorCode, secrets: impl IntoIterator<Item = &'a SecretString>) -> bool {
    code.documented().is_none() && gives_back(code.as_str(), secrets)
}

/// Whether a text holds a secret, or is a good part of one.
fn gives_back<'a>(text: &str, secrets: impl IntoIterator<Item = &'a SecretString>) -> bool {
    const GOOD_PART: usize = 8;
    secrets.into_iter().any(|secret| {
        let secret = secret.expose_secret();
        text.contains(secret) || (text.len() >= GOOD_PART && secret.contains(text))
    })
}

impl Credentials<'_> {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(3);
        let bearer = Zeroizing::new(format!("Bearer {}", self.token.expose_secret()));
        headers.insert(AUTHORIZATION, sensitive(&bearer));
        headers.insert(SECRET_HEADER, sensitive(self.secret.expose_secret()));
        if let Some(society) = self.society_id {
            headers.insert(SOCIETY_HEADER, HeaderValue::from(society.get()));
        }
        headers
    }
}

impl Exchange {
    fn as_response(&self, received: SystemTime) -> Response<'_> {
        Response {
            status: self.status,
            headers: &self.headers,
            body: &self.body,
            complete: self.complete,
            received,
        }
    }
}

/// A header that is never printed. Whatever is a secret was found fit for a header when it was read;
/// if it were not, the API's own refusal of an empty header would say so.
fn sensitive(value: &str) -> HeaderValue {
    let mut header = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

/// The base URL's path is a prefix (a gateway may serve the API below one).
fn join(base: &Url, path: &str) -> Url {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url
}

/// How much of a successful body is read, and how much of that is looked at.
#[derive(Clone, Copy)]
struct Caps {
    keep: usize,
    read: usize,
}

const fn caps(kind: RequestKind) -> Caps {
    match kind {
        RequestKind::Health => Caps { keep: 0, read: BODY_CAP },
        RequestKind::KeyInfo(_) => Caps { keep: KEY_INFO_CAP, read: KEY_INFO_CAP },
        RequestKind::Canary(_) => Caps { keep: GLIMPSE, read: BODY_CAP },
    }
}

/// Whether there is more to an answer than its status: a redirect, or a status that nobody documents, is
/// judged as it is, and nothing that its body does may change that.
fn has_a_body_to_judge(status: StatusCode) -> bool {
    status.is_success() || status.is_client_error() || status.is_server_error()
}

/// Sends the request and reads the answer, stamping as it goes.
async fn transfer(
    request: reqwest::RequestBuilder,
    timer: Arc<PhaseTimer>,
    caps: Caps,
) -> Result<Exchange, reqwest::Error> {
    let mut response = request.send().await?;
    let status = response.status();
    timer.headers(status.as_u16(), RequestId::from_headers(response.headers()));
    let headers = std::mem::take(response.headers_mut());
    if !has_a_body_to_judge(status) {
        return Ok(Exchange {
            status: status.as_u16(),
            headers,
            body: Zeroizing::default(),
            complete: false,
        });
    }
    let caps = if status.is_success() { caps } else { Caps { keep: ERROR_CAP, read: ERROR_CAP } };
    let mut body = Zeroizing::new(Vec::new());
    let mut read = 0;
    let complete = loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break true,
            // An error that can't be unpacked is not in the API's form: its status is what there is to tell.
            Err(error) if !status.is_success() && !client::is_the_connection_s(&error) => break false,
            Err(error) => return Err(error),
        };
        let room = caps.keep.saturating_sub(body.len()).min(chunk.len());
        body.extend_from_slice(chunk.get(..room).unwrap_or_default());
        read += chunk.len();
        if read > caps.read {
            break false;
        }
    };
    Ok(Exchange { status: status.as_u16(), headers, body, complete })
}
