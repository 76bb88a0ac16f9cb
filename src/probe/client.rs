//! The HTTP client of the probes, with hooks between the phases, and the reasons of its errors.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use reqwest::{Client, redirect, retry};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tower::util::MapResponseLayer;

use super::{exhaustion, phase_timer, resolver::Resolver, tls};
use crate::config::Api;
use crate::partner_api::failure::{Failure, Reason};
use crate::report::Phase;

/// In characters. Longer causes are truncated, because the names in a certificate have no maximum length.
const MAX_CAUSE_LEN: usize = 300;

/// Why the HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The system has no certificate authorities.
    #[error("no certificate authority found on this system; install ca-certificates, or set api.ca_file")]
    NoRoots,
    /// `api.ca_file` cannot be used.
    #[error("api.ca_file: {0}")]
    Authorities(String),
    /// A library refuses the settings.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[source] Box<dyn Error + Send + Sync>),
}

pub(super) fn build(api: &Api, authorities: Option<&[u8]>) -> Result<Client, BuildError> {
    let tls = tls::config(roots(authorities)?).map_err(BuildError::Client)?;
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Resolver::system())
        .connector_layer(MapResponseLayer::new(|connection| {
            phase_timer::record_connected();
            connection
        }))
        .http1_only()
        // Each probe opens a connection, so that all five phases are measured and the hooks run in the
        // task of the probe.
        .pool_max_idle_per_host(0)
        // On a redirect, the client removes only the standard credentials. The partner's secret would be
        // sent to any target.
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

/// The configured certificate authorities, as PEM. `None` if those of the system are used.
pub(super) fn read_authorities(api: &Api) -> Result<Option<Vec<u8>>, BuildError> {
    if let Some(pem) = &api.ca_pem {
        return Ok(Some(pem.clone().into_bytes()));
    }
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| BuildError::Authorities(format!("{}: {error}", path.display())))
    };
    api.ca_file.as_ref().map(read).transpose()
}

/// Trusts only the configured certificate authorities, or those of the system if none is configured.
fn roots(authorities: Option<&[u8]>) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = authorities else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(BuildError::NoRoots) } else { Ok(roots) };
    };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| BuildError::Authorities(error.to_string()))?;
        roots.add(certificate).map_err(|error| BuildError::Authorities(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(BuildError::Authorities("it contains no certificate".to_owned()));
    }
    Ok(roots)
}

/// The failure of a transport error. The phase in which the error occurred determines the reason.
pub(super) fn failure(error: &reqwest::Error, phase: Phase) -> Failure {
    let reason = match phase {
        Phase::Resolve => Reason::Dns,
        Phase::Connect => Reason::Connect,
        Phase::Tls => Reason::Tls,
        Phase::Transfer if !is_connection_error(error) => Reason::UnexpectedBody,
        Phase::Processing | Phase::Transfer => Reason::Io,
    };
    Failure {
        is_resource_exhaustion: exhaustion::is_resource_exhaustion(error, phase),
        ..Failure::new(reason, format!("in the {phase} phase: {}", cause(error)))
    }
}

/// Whether the connection broke. Otherwise the body could not be decompressed. The client reports both as a
/// decoding error, but only an error of the connection is caused by an error of hyper.
pub(super) fn is_connection_error(error: &(dyn Error + 'static)) -> bool {
    any_cause(error, <dyn Error>::is::<hyper::Error>)
}

/// Whether `test` accepts the error or one of its causes.
pub(super) fn any_cause(error: &(dyn Error + 'static), test: fn(&(dyn Error + 'static)) -> bool) -> bool {
    // `source` of an `io::Error` that wraps an error is the cause of that error, not the error itself.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    test(error)
        || wrapped.is_some_and(|wrapped| any_cause(wrapped, test))
        || error.source().is_some_and(|source| any_cause(source, test))
}

/// The innermost cause, as one line of printable text. The outer errors only repeat the URL and the step.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CAUSE_LEN).collect()
}
