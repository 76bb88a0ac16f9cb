//! Applies a web configuration to connections and requests: TLS, users, a rate limit and response headers.
//!
//! The protection can be replaced while requests are served.

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

/// The default security headers. A header that the configuration names replaces its default, or removes it.
/// With the defaults, browsers do not guess content types and show no page in a frame. They load content
/// from this server only, and ignore scripts and styles that are written inside a page.
const DEFAULT_HEADERS: [(HeaderName, HeaderValue); 4] = [
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

/// A web configuration, prepared for use.
pub struct Protection {
    /// `None`: plain HTTP.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    users: Users,
    rate_limiter: Option<RateLimiter>,
    digest: [u8; 32],
}

impl Protection {
    /// Prepares the protection that `config` describes.
    ///
    /// # Errors
    /// If the TLS library refuses a combination of settings that are valid on their own.
    pub fn new(config: WebConfig) -> Result<Self, rustls::Error> {
        let tls = config.tls.map(|settings| tls::server_config(&settings, config.http2)).transpose()?;
        let configured = |name: &HeaderName| config.headers.iter().any(|(other, _)| other == name);
        let defaults = DEFAULT_HEADERS.into_iter().filter(|(name, _)| !configured(name));
        let custom = config.headers.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        Ok(Self {
            tls: tls.map(Arc::new),
            headers: defaults.chain(custom).collect(),
            users: Users::new(config.users),
            rate_limiter: config.rate_limit.map(RateLimiter::new),
            digest: config.digest,
        })
    }

    /// A hash of the files that it was read from. Two protections with the same digest are the same.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether clients must use TLS.
    pub const fn uses_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Checks whether this request from this client address may reach the routes.
    ///
    /// # Errors
    /// The response: 429 if the rate limit is exceeded, 401 if the user or the password is wrong.
    pub(crate) async fn authorize<B>(&self, request: &Request<B>, client: IpAddr) -> Result<(), Response> {
        self.check_rate()?;
        if self.users.authenticate(request.headers().get(header::AUTHORIZATION), client).await {
            return Ok(());
        }
        let challenge = [(header::WWW_AUTHENTICATE, "Basic")];
        Err((StatusCode::UNAUTHORIZED, challenge, "Unauthorized\n").into_response())
    }

    /// Checks the rate limit only.
    ///
    /// # Errors
    /// The response 429 if it is exceeded.
    #[expect(clippy::result_large_err, reason = "the error is the response that is sent")]
    pub(crate) fn check_rate(&self) -> Result<(), Response> {
        if self.rate_limiter.as_ref().is_some_and(|limiter| !limiter.try_acquire()) {
            return Err((StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n").into_response());
        }
        Ok(())
    }

    /// Whether no client needs a password.
    pub(crate) fn is_open(&self) -> bool {
        self.users.is_empty()
    }

    fn warn_if_weaker(&self, next: &Self) {
        if self.tls.is_some() && next.tls.is_none() {
            warn!("the web configuration no longer has TLS: the server now uses plain HTTP");
        }
        if !self.users.is_empty() && next.users.is_empty() {
            warn!("the web configuration no longer has users: clients need no password now");
        }
    }

    /// Adds the configured headers to a response. A header that a route has set is kept.
    pub(crate) fn apply_headers(&self, response: &mut Response) {
        for (name, value) in &self.headers {
            response.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
    }
}

/// Replaces the protection that its [`Auth`] subscribers apply.
pub struct AuthHandle(watch::Sender<Arc<Protection>>);

/// Reads the current protection of an [`AuthHandle`]. Cheap to clone.
#[derive(Clone)]
pub struct Auth(watch::Receiver<Arc<Protection>>);

impl AuthHandle {
    pub fn new(protection: Protection) -> Self {
        Self(watch::Sender::new(Arc::new(protection)))
    }

    pub fn subscribe(&self) -> Auth {
        Auth(self.0.subscribe())
    }

    /// Replaces the protection, also for connections that are open. If the new protection equals the
    /// current one, nothing happens, and the cached results of password checks are kept. If the new one drops
    /// TLS or the users, a warning is logged.
    pub fn replace(&self, protection: Protection) {
        self.0.send_if_modified(|current| {
            let differs = current.digest != protection.digest;
            if differs {
                current.warn_if_weaker(&protection);
                *current = Arc::new(protection);
            }
            differs
        });
    }
}

impl Auth {
    /// The current protection. [`Self::changed`] resolves when a later one replaces it.
    pub(crate) fn current(&mut self) -> Arc<Protection> {
        Arc::clone(&self.0.borrow_and_update())
    }

    /// Resolves when the protection is no longer the one that [`Self::current`] returned.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The handle was dropped, so the protection cannot change.
            std::future::pending::<()>().await;
        }
    }
}
