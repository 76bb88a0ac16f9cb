//! The options of TLS and of the server certificate.

use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_hours(24);

/// The TLS versions and the certificate chain that the simulator uses in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// The host names or IP addresses in the leaf certificate.
    pub names: Vec<String>,
    pub leaf_expiry: Expiry,
    pub signer: Signer,
    pub versions: TlsVersions,
}

/// When a certificate expires, relative to its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    In(Duration),
    /// It has expired already.
    Ago(Duration),
}

/// Who signs the leaf certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The authority that [`ca_pem`](crate::Simulator::ca_pem) returns.
    Authority,
    /// An intermediate authority with its own expiry. The authority that `ca_pem` returns signs it.
    Intermediate(Expiry),
    /// The leaf itself. No client trusts it.
    SelfSigned,
}

/// The TLS versions that the server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersions {
    Both,
    Only12,
    Only13,
}

impl Default for TlsOptions {
    /// A valid certificate for loopback that expires in 90 days.
    fn default() -> Self {
        Self {
            names: vec!["127.0.0.1".into(), "::1".into(), "localhost".into()],
            leaf_expiry: Expiry::In(90 * DAY),
            signer: Signer::Authority,
            versions: TlsVersions::Both,
        }
    }
}

impl TlsOptions {
    /// The leaf expired yesterday.
    pub fn expired() -> Self {
        Self { leaf_expiry: Expiry::Ago(DAY), ..Self::default() }
    }

    /// The leaf is for another host.
    pub fn wrong_host() -> Self {
        Self { names: vec!["elsewhere.example".into()], ..Self::default() }
    }

    /// The leaf is self-signed.
    pub fn self_signed() -> Self {
        Self { signer: Signer::SelfSigned, ..Self::default() }
    }

    /// The leaf expires after `rest`.
    pub fn expiring_in(rest: Duration) -> Self {
        Self { leaf_expiry: Expiry::In(rest), ..Self::default() }
    }

    /// The leaf is valid for 90 days. The intermediate that signs it expires after `rest`.
    pub fn intermediate_expiring_in(rest: Duration) -> Self {
        Self { signer: Signer::Intermediate(Expiry::In(rest)), ..Self::default() }
    }
}

impl Expiry {
    pub(crate) fn after(self, now: SystemTime) -> SystemTime {
        match self {
            Self::In(rest) => now + rest,
            Self::Ago(past) => now - past,
        }
    }
}
