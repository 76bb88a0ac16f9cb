//! The simulator's own certification authority, and the chains it presents.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::StartError;
use crate::clock::since_epoch;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What the simulator presents in a TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// The names, or addresses, that the leaf is for.
    pub names: Vec<String>,
    /// When the leaf ends.
    pub leaf_ends: Ends,
    /// Who signs the leaf.
    pub signer: Signer,
    /// Which versions of TLS are spoken.
    pub versions: TlsVersions,
}

/// When a certificate ends, from the moment it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
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
    Intermediate(Ends),
    /// Itself: nobody has reason to trust it.
    Itself,
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
            leaf_ends: Ends::In(90 * DAY),
            signer: Signer::Authority,
            versions: TlsVersions::Both,
        }
    }
}

impl TlsOptions {
    /// The leaf ended yesterday.
    #[must_use]
    pub fn expired() -> Self {
        Self { leaf_ends: Ends::Ago(DAY), ..Self::default() }
    }

    /// The leaf is for a host that this isn't.
    #[must_use]
    pub fn wrong_host() -> Self {
        Self { names: vec!["elsewhere.example".into()], ..Self::default() }
    }

    /// The leaf is signed by itself.
    #[must_use]
    pub fn self_signed() -> Self {
        Self { signer: Signer::Itself, ..Self::default() }
    }

    /// The leaf ends so soon.
    #[must_use]
    pub fn ending_in(rest: Duration) -> Self {
        Self { leaf_ends: Ends::In(rest), ..Self::default() }
    }

    /// The leaf is good for ninety days, and signed by an intermediate that ends so soon.
    #[must_use]
    pub fn intermediate_ending_in(rest: Duration) -> Self {
        Self { signer: Signer::Intermediate(Ends::In(rest)), ..Self::default() }
    }
}

/// An authority of one's own: two simulators don't trust each other's.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What is presented, and when the first of it ends.
#[derive(Clone)]
pub(crate) struct Presented {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) ends: SystemTime,
}

impl Authority {
    pub(crate) fn new(now: SystemTime) -> Result<Self, rcgen::Error> {
        let params = authority_params("Simulated Root CA", now, now + 3_650 * DAY);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// The authority's certificate, for clients to trust.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A new chain with a new key.
    pub(crate) fn present(&self, options: &TlsOptions, now: SystemTime) -> Result<Presented, StartError> {
        let leaf_ends = options.leaf_ends.after(now);
        let mut leaf = CertificateParams::new(options.names.clone())?;
        leaf.distinguished_name.push(DnType::CommonName, "Simulated Partner API");
        leaf.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        set_life(&mut leaf, now, leaf_ends);
        let key = KeyPair::generate()?;
        let mut ends = leaf_ends;
        let chain = match options.signer {
            Signer::Itself => vec![leaf.self_signed(&key)?.der().clone()],
            Signer::Authority => vec![leaf.signed_by(&key, &self.0)?.der().clone()],
            Signer::Intermediate(end) => {
                let intermediate_ends = end.after(now);
                ends = ends.min(intermediate_ends);
                let params = authority_params("Simulated Intermediate CA", now, intermediate_ends);
                let intermediate = CertifiedIssuer::signed_by(params, KeyPair::generate()?, &self.0)?;
                vec![leaf.signed_by(&key, &intermediate)?.der().clone(), intermediate.der().clone()]
            }
        };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok(Presented { config: Arc::new(server_config(chain, key, options.versions)?), ends })
    }
}

impl Ends {
    fn after(self, now: SystemTime) -> SystemTime {
        match self {
            Self::In(rest) => now + rest,
            Self::Ago(past) => now - past,
        }
    }
}

fn authority_params(name: &str, now: SystemTime, ends: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_life(&mut params, now, ends);
    params
}

/// Certificates know whole seconds only.
fn set_life(params: &mut CertificateParams, now: SystemTime, ends: SystemTime) {
    let epoch = date_time_ymd(1970, 1, 1);
    let begins = now.min(ends) - HOUR;
    params.not_before = epoch + Duration::from_secs(since_epoch(begins).as_secs());
    params.not_after = epoch + Duration::from_secs(since_epoch(ends).as_secs());
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    versions: TlsVersions,
) -> Result<ServerConfig, rustls::Error> {
    let versions = match versions {
        TlsVersions::Both => rustls::ALL_VERSIONS,
        TlsVersions::Only12 => &[&rustls::version::TLS12],
        TlsVersions::Only13 => &[&rustls::version::TLS13],
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
