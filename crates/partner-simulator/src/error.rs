//! The errors of starting a simulator.

use std::io;
use std::net::SocketAddr;

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    /// The certificate cannot be created.
    #[error("cannot create a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// rustls does not accept the certificate.
    #[error("cannot configure TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The listen address is not a valid part of a URL.
    #[error("the listen address is not a valid part of a URL")]
    Url(#[from] url::ParseError),
    #[error("the key {0:?} has no partner: add the partner before the key")]
    KeyWithoutPartner(String),
}
