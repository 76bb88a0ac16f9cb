//! TLS: its options, the simulator's certificate authority, and the chains that it issues.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::clock::since_epoch;
use crate::error::StartError;

const HOUR: Duration = Duration::from_hours(1);
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

/// The certificate authority and the current chain of a server. Each simulator has its own authority, which clients of
/// another simulator do not trust.
pub(crate) struct Tls {
    authority: CertifiedIssuer<'static, KeyPair>,
    chain: Mutex<CertificateChain>,
}

/// A chain for the TLS server, and the earliest expiry in it.
#[derive(Clone)]
pub(crate) struct CertificateChain {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) expires_at: SystemTime,
}

impl Tls {
    pub(crate) fn new(options: &TlsOptions, now: SystemTime) -> Result<Self, StartError> {
        let params = authority_params("Simulated Root CA", now, now + 3_650 * DAY);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let chain = Mutex::new(issue_chain(&authority, options, now)?);
        Ok(Self { authority, chain })
    }

    /// The authority's certificate, for clients to trust.
    pub(crate) fn authority_pem(&self) -> String {
        self.authority.pem()
    }

    /// The chain for the next handshake.
    pub(crate) fn chain(&self) -> CertificateChain {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Issues a new chain with a new private key.
    pub(crate) fn renew(&self, options: &TlsOptions, now: SystemTime) -> Result<(), StartError> {
        let chain = issue_chain(&self.authority, options, now)?;
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = chain;
        Ok(())
    }
}

fn issue_chain(
    authority: &CertifiedIssuer<'_, KeyPair>,
    options: &TlsOptions,
    now: SystemTime,
) -> Result<CertificateChain, StartError> {
    let mut expires_at = options.leaf_expiry.after(now);
    let mut leaf = CertificateParams::new(options.names.clone())?;
    leaf.distinguished_name.push(DnType::CommonName, "Simulated Partner API");
    leaf.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    set_validity(&mut leaf, now, expires_at);
    let key = KeyPair::generate()?;
    let chain = match options.signer {
        Signer::SelfSigned => vec![leaf.self_signed(&key)?.der().clone()],
        Signer::Authority => vec![leaf.signed_by(&key, authority)?.der().clone()],
        Signer::Intermediate(expiry) => {
            let intermediate_expiry = expiry.after(now);
            expires_at = expires_at.min(intermediate_expiry);
            let params = authority_params("Simulated Intermediate CA", now, intermediate_expiry);
            let intermediate = CertifiedIssuer::signed_by(params, KeyPair::generate()?, authority)?;
            vec![leaf.signed_by(&key, &intermediate)?.der().clone(), intermediate.der().clone()]
        }
    };
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Ok(CertificateChain { config: Arc::new(server_config(chain, key, options.versions)?), expires_at })
}

fn authority_params(name: &str, now: SystemTime, expires_at: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, expires_at);
    params
}

/// The certificate is valid from an hour before now, so that a client whose clock is late accepts it, or before its
/// expiry if it has expired. Certificates store whole seconds.
fn set_validity(params: &mut CertificateParams, now: SystemTime, expires_at: SystemTime) {
    let epoch = date_time_ymd(1970, 1, 1);
    let not_before = now.min(expires_at) - HOUR;
    params.not_before = epoch + Duration::from_secs(since_epoch(not_before).as_secs());
    params.not_after = epoch + Duration::from_secs(since_epoch(expires_at).as_secs());
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
