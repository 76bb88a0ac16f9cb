//! The HTTP client, with hooks where the phases meet.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::task::{Context, Poll};

use futures_util::future::{FutureExt as _, Map};
use reqwest::{Client, redirect, retry};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tower::{Layer, Service};

use super::{exhaustion, phase_timer, resolver::Resolver, tls};
use crate::config::Api;
use crate::partner_api::failure::{Failure, Reason};
use crate::report::Phase;

/// Longer causes than this are cut: a certificate can name itself at any length.
const LONGEST_CAUSE: usize = 300;

/// Why no client could be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The machine has no certification authorities.
    #[error("no certification authority found on this system; install ca-certificates, or set api.ca_file")]
    NoRoots,
    /// `api.ca_file` can't be used.
    #[error("api.ca_file: {cause}")]
    Authorities {
        /// What is wrong with it.
        cause: String,
    },
    /// The libraries refuse the settings.
    #[error("the HTTP client can't be set up: {0}")]
    Client(#[source] Box<dyn Error + Send + Sync>),
}

/// Builds the one client of an API.
pub(super) fn build(api: &Api, authorities: Option<&[u8]>) -> Result<Client, BuildError> {
    let tls = tls::config(roots(authorities)?).map_err(BuildError::Client)?;
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Resolver::system())
        .connector_layer(StampConnected)
        .http1_only()
        // A connection of its own for each probe: it measures all five phases, and its hooks run in
        // the asking task.
        .pool_max_idle_per_host(0)
        // The client strips only the standard credentials on a redirect: the partner's secret would
        // follow it anywhere.
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));
    if let Some(url) = &api.proxy_url {
        let proxy = reqwest::Proxy::all(url.clone()).map_err(|error| BuildError::Client(error.into()))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| BuildError::Client(error.into()))
}

/// The certification authorities to trust instead of the system's, if any are configured.
pub(super) fn read_authorities(api: &Api) -> Result<Option<Vec<u8>>, BuildError> {
    if let Some(pem) = &api.ca_pem {
        return Ok(Some(pem.clone().into_bytes()));
    }
    let read = |path: &PathBuf| {
        std::fs::read(path)
            .map_err(|error| BuildError::Authorities { cause: format!("{}: {error}", path.display()) })
    };
    api.ca_file.as_ref().map(read).transpose()
}

/// Whom to trust: the configured authorities alone, or else the system's.
fn roots(authorities: Option<&[u8]>) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = authorities else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(BuildError::NoRoots) } else { Ok(roots) };
    };
    let broken = |cause: String| BuildError::Authorities { cause };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| broken(error.to_string()))?;
        roots.add(certificate).map_err(|error| broken(error.to_string()))?;
    }
    if roots.is_empty() { Err(broken("it holds no certificate".to_owned())) } else { Ok(roots) }
}

/// What a transport error is counted under: the phase it happened in tells.
pub(super) fn failure(error: &reqwest::Error, phase: Phase) -> Failure {
    let reason = match phase {
        Phase::Resolve => Reason::Dns,
        Phase::Connect => Reason::Connect,
        Phase::Tls => Reason::Tls,
        Phase::Transfer if !is_the_connection_s(error) => Reason::UnexpectedBody,
        Phase::Processing | Phase::Transfer => Reason::Io,
    };
    Failure {
        is_resource_exhaustion: exhaustion::is_resource_exhaustion(error, phase),
        ..Failure::new(reason, format!("in the {phase} phase: {}", cause(error)))
    }
}

/// Whether the connection broke, rather than what came over it could not be unpacked. The client calls
/// both a decoding error; only the first has one of hyper's among its causes.
pub(super) fn is_the_connection_s(error: &(dyn Error + 'static)) -> bool {
    // An `io::Error` that wraps another names the other's cause, not the other itself.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<hyper::Error>()
        || wrapped.is_some_and(|wrapped| is_the_connection_s(wrapped))
        || error.source().is_some_and(is_the_connection_s)
}

/// The innermost cause, as one printable line. The outer layers only repeat the URL and the step.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_CAUSE).collect()
}

/// Stamps the moment the connection is ready.
#[derive(Clone, Copy, Debug)]
struct StampConnected;

impl<S> Layer<S> for StampConnected {
    type Service = Stamping<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Stamping { inner }
    }
}

/// The connector behind [`StampConnected`].
#[derive(Clone, Debug)]
struct Stamping<S> {
    inner: S,
}

impl<S, R> Service<R> for Stamping<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Map<S::Future, fn(Result<S::Response, S::Error>) -> Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.inner.call(request).map(|outcome| {
            if outcome.is_ok() {
                phase_timer::connected();
            }
            outcome
        })
    }
}
