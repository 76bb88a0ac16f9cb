//! What the simulator presents in a TLS handshake.

use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_hours(24);

/// What the simulator presents in a TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// The names, or addresses, that the leaf is for.
    pub names: Vec<String>,
    /// When the leaf ends.
    pub leaf_expiry: Expiry,
    /// Who signs the leaf.
    pub signer: Signer,
    /// Which versions of TLS are spoken.
    pub versions: TlsVersions,
}

/// When a certificate ends, from the moment it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Later.
    In(Duration),
    /// It has ended already.
    Ago(Duration),
}

/// Who signs the leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The authority that `ca_pem` gives.
    Authority,
    /// An intermediate authority that itself ends then, signed by the authority that `ca_pem` gives.
    Intermediate(Expiry),
    /// Itself: nobody has reason to trust it.
    SelfSigned,
}

/// Which versions of TLS are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    Both,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

impl Default for TlsOptions {
    /// A good certificate for loopback that ends in ninety days.
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
    /// The leaf ended yesterday.
    #[must_use]
    pub fn expired() -> Self {
        Self { leaf_expiry: Expiry::Ago(DAY), ..Self::default() }
    }

    /// The leaf is for a host that this isn't.
    #[must_use]
    pub fn wrong_host() -> Self {
        Self { names: vec!["elsewhere.example".into()], ..Self::default() }
    }

    /// The leaf is signed by itself.
    #[must_use]
    pub fn self_signed() -> Self {
        Self { signer: Signer::SelfSigned, ..Self::default() }
    }

    /// The leaf ends so soon.
    #[must_use]
    pub fn ending_in(rest: Duration) -> Self {
        Self { leaf_expiry: Expiry::In(rest), ..Self::default() }
    }

    /// The leaf is good for ninety days, and signed by an intermediate that ends so soon.
    #[must_use]
    pub fn intermediate_ending_in(rest: Duration) -> Self {
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
