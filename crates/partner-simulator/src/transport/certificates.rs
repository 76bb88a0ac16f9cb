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

use crate::clock::since_epoch;
use crate::error::StartError;
use crate::options::tls::{Signer, TlsOptions, TlsVersions};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

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
