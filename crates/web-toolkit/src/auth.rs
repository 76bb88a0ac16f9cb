//! The door: who may come in, over what, and with which headers an answer leaves.
//!
//! What the operator asked for is in [`config::web`](crate::config::web); here it is kept. A door can be
//! given another protection while people walk through it.

mod rate_limiter;
mod tls;
mod users;

use std::net::IpAddr;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use rustls::ServerConfig;
use tokio::sync::watch;
use tracing::warn;

use crate::config::WebConfig;
use rate_limiter::RateLimiter;
use users::Users;

/// What browsers are told unless the operator says otherwise: not to guess, not to frame, and to load and
/// run what comes from here alone, none of it from within a page.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
];

/// What stands between a client and the routes.
#[derive(Debug)]
pub struct Protection {
    /// How TLS is spoken; `None`: it isn't.
    pub tls: Option<Arc<ServerConfig>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    users: Users,
    rate_limiter: Option<RateLimiter>,
    digest: [u8; 32],
}

impl Protection {
    /// Keeps what `web` asks for.
    ///
    /// # Errors
    /// Where the TLS library refuses a combination that is valid by itself.
    pub fn new(config: WebConfig) -> Result<Self, rustls::Error> {
        let tls = config.tls.map(|settings| tls::server_config(&settings, config.http2)).transpose()?;
        let configured = |name: &HeaderName| config.headers.iter().any(|(other, _)| other == name);
        let defaults = HEADERS.into_iter().filter(|(name, _)| !configured(name));
        let custom = config.headers.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        Ok(Self {
            tls: tls.map(Arc::new),
            headers: defaults.chain(custom).collect(),
            users: Users::new(config.users),
            rate_limiter: config.rate_limit.map(RateLimiter::new),
            digest: config.digest,
        })
    }

    /// Whether this request from that address may go on to the routes; else the answer to it.
    ///
    /// # Errors
    /// The answer: 429 where too many come, 401 where the user is not known.
    pub async fn admit<B>(&self, request: &Request<B>, from: IpAddr) -> Result<(), Response> {
        if self.rate_limiter.as_ref().is_some_and(|limiter| !limiter.try_acquire()) {
            return Err((StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n").into_response());
        }
        if self.users.admit(request.headers().get(header::AUTHORIZATION), from).await {
            return Ok(());
        }
        let challenge = [(header::WWW_AUTHENTICATE, "Basic")];
        Err((StatusCode::UNAUTHORIZED, challenge, "Unauthorized\n").into_response())
    }

    fn warn_if_weaker(&self, next: &Self) {
        if self.tls.is_some() && next.tls.is_none() {
            warn!("the web configuration speaks TLS no longer: from now on over plain HTTP");
        }
        if !self.users.is_empty() && next.users.is_empty() {
            warn!(
                "the web configuration has no users any longer: from now on nobody is asked for a password"
            );
        }
    }

    /// Puts the headers on a response that leaves. Those that a route set itself stay.
    pub fn apply_headers(&self, response: &mut Response) {
        for (name, value) in &self.headers {
            response.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
    }
}

/// The side of the door on which the protection is changed.
#[derive(Debug)]
pub struct AuthHandle(watch::Sender<Arc<Protection>>);

/// The side on which it is looked up. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Auth(watch::Receiver<Arc<Protection>>);

impl AuthHandle {
    /// A door with this protection.
    #[must_use]
    pub fn new(protection: Protection) -> Self {
        Self(watch::Sender::new(Arc::new(protection)))
    }

    /// The door.
    #[must_use]
    pub fn subscribe(&self) -> Auth {
        Auth(self.0.subscribe())
    }

    /// From now on this protection holds, for connections that are open too. Where it is the same as
    /// before nothing happens, and what is known of users stays known. Where less is asked than before,
    /// the log says so.
    pub fn replace(&self, protection: Protection) {
        self.0.send_if_modified(|held| {
            let differs = held.digest != protection.digest;
            if differs {
                held.warn_if_weaker(&protection);
                *held = Arc::new(protection);
            }
            differs
        });
    }
}

impl Auth {
    /// What holds right now.
    #[must_use]
    pub fn protection(&self) -> Arc<Protection> {
        Arc::clone(&self.0.borrow())
    }

    /// What holds right now, and from which [`Self::changed`] tells a change.
    pub fn current(&mut self) -> Arc<Protection> {
        Arc::clone(&self.0.borrow_and_update())
    }

    /// Resolves when another protection holds than when [`Self::current`] was called.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could change it.
            std::future::pending::<()>().await;
        }
    }
}
