//! Why a simulator didn't start.

use std::io;
use std::net::SocketAddr;

/// Why a simulator didn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can't be listened on.
    #[error("listening on {address}: {source}")]
    Listen {
        /// The one asked for.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// No certificate could be made.
    #[error("making a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate can't be used.
    #[error("setting TLS up: {0}")]
    Tls(#[from] rustls::Error),
    /// The address makes no URL.
    #[error("the simulator's address makes no URL")]
    Url,
    /// A key was added before any partner.
    #[error("the key {0:?} has no partner: name the partner first")]
    KeyWithoutPartner(String),
}
