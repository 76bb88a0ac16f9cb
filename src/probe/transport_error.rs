//! Why no response was received, as a failure of the probe.

use std::error::Error;
use std::io;
use std::sync::Arc;

use super::head_limit::MAX_LEN_BEFORE_BODY;
use super::tunnel::TunnelError;
use super::{exhaustion, tls};
use crate::partner_api::failure::{Failure, Reason};
use crate::report::Phase;

/// In characters. Longer texts are truncated, because the names in a certificate have no maximum length.
const MAX_DETAIL_LEN: usize = 300;

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

/// Why a request got no complete response. The texts name the host that the step was about: the API, or the proxy.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    #[error("the name {host} cannot be resolved: {cause}")]
    Resolve {
        host: String,
        #[source]
        cause: Arc<io::Error>,
    },
    #[error("no connection to {peer}: {cause}")]
    Connect {
        peer: String,
        #[source]
        cause: io::Error,
    },
    #[error("the proxy {proxy} opened no connection: {cause}")]
    Proxy {
        proxy: String,
        #[source]
        cause: TunnelError,
    },
    #[error("the TLS handshake with {peer} failed: {}", tls::describe(cause))]
    Tls {
        peer: String,
        #[source]
        cause: io::Error,
    },
    #[error("the request cannot be written: {0}")]
    Request(#[from] Arc<http::Error>),
    /// The connection broke, or the response is not HTTP.
    #[error("{}", innermost(.0))]
    Http(#[from] hyper::Error),
    #[error("the server sent {} KiB, and the headers of its response are not complete", MAX_LEN_BEFORE_BODY >> 10)]
    HeadTooLong,
    /// The body cannot be decompressed.
    #[error("the body cannot be decompressed: {0}")]
    Encoding(#[source] io::Error),
}

/// The failure of a transport error. The phase in which the error occurred determines the reason.
pub(super) fn failure(error: &TransportError, phase: Phase) -> Failure {
    let reason = match phase {
        Phase::Resolve => Reason::Dns,
        Phase::Connect => Reason::Connect,
        Phase::Tls => Reason::Tls,
        Phase::Transfer if matches!(error, TransportError::Encoding(_)) => Reason::UnexpectedBody,
        Phase::Processing | Phase::Transfer => Reason::Io,
    };
    Failure {
        is_resource_exhaustion: exhaustion::is_resource_exhaustion(error, phase),
        ..Failure::new(reason, printable(&format!("in the {phase} phase: {error}")))
    }
}

/// Whether `test` accepts the error or one of its causes.
pub(super) fn any_cause(error: &(dyn Error + 'static), test: fn(&(dyn Error + 'static)) -> bool) -> bool {
    // `source` of an `io::Error` that wraps an error is the cause of that error, not the error itself.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    test(error)
        || wrapped.is_some_and(|wrapped| any_cause(wrapped, test))
        || error.source().is_some_and(|source| any_cause(source, test))
}

/// The text of the innermost cause. The outer ones only repeat the step.
fn innermost(error: &hyper::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// One line of printable text.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_DETAIL_LEN).collect()
}
