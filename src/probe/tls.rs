//! TLS for probes. Each handshake is a full one, and the expiry of the certificates is recorded even if the handshake
//! then fails.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
    crypto::{CryptoProvider, ring},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use web_toolkit::certificate_bundle;
use web_toolkit::handshake_error::{self, Peer};
use x509_parser::certificate::X509Certificate;

use super::phase_timer::PhaseTimer;
use super::transport_error::BuildError;

/// The TLS settings of all probes of one API.
#[derive(Debug)]
pub(super) struct TlsClient {
    /// For a connection to the proxy.
    config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
}

impl TlsClient {
    /// Trusts only the configured certificate authorities, or those of the system if none is configured.
    pub(super) fn new(authorities: Option<&[u8]>) -> Result<Self, BuildError> {
        let provider = Arc::new(provider());
        let (roots, pinned) = roots(authorities)?;
        let webpki =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let webpki = webpki.map_err(|error| BuildError::Client(error.into()))?;
        let verifier = Arc::new(Verifier { webpki, pinned, trusted: Mutex::default() });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| BuildError::Client(error.into()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Verifier>::clone(&verifier))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), verifier })
    }

    /// Does the handshake with the API, and records when its certificates end.
    pub(super) async fn connect_to_api<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
        timer: &Arc<PhaseTimer>,
    ) -> io::Result<TlsStream<S>> {
        let recorder = Recorder { verifier: Arc::clone(&self.verifier), timer: Arc::clone(timer) };
        let mut config = ClientConfig::clone(&self.config);
        config.dangerous().set_certificate_verifier(Arc::new(recorder));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        handshake(Arc::new(config), host, stream).await
    }

    pub(super) async fn connect_to_proxy<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        handshake(Arc::clone(&self.config), host, stream).await
    }
}

/// AES-128 first, as in Go and in browsers: processors compute its hash, SHA-256, several times faster than the SHA-384 of
/// AES-256.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        !matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    });
    provider
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ClientConfig>,
    host: &str,
    stream: S,
) -> io::Result<TlsStream<S>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// The trusted authorities, and the configured certificates themselves.
fn roots(authorities: Option<&[u8]>) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), BuildError> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = authorities else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(BuildError::NoRoots) } else { Ok((roots, Vec::new())) };
    };
    let describe = |problem| BuildError::Authorities(format!("the file {problem}"));
    let bundle = certificate_bundle::read_authorities(pem).map_err(describe)?;
    let certificates: Vec<_> = bundle.into_iter().map(|certificate| certificate.der).collect();
    // Each of them was read as an authority, so each can be added.
    roots.add_parsable_certificates(certificates.iter().cloned());
    Ok((roots, certificates))
}

/// Verifies a certificate as webpki does, and trusts a configured certificate that the server itself shows.
#[derive(Debug)]
struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    /// The certificates of `api.ca_file`; empty if the system's authorities are used.
    pinned: Vec<CertificateDer<'static>>,
    /// The chains that were verified last, oldest first.
    trusted: Mutex<VecDeque<TrustedChain>>,
}

/// A chain that was verified, byte for byte. The same chain for the same name stays trusted until one of its
/// certificates ends: the authorities are those of the verifier. The server proves in each handshake that it has the key.
#[derive(Debug)]
struct TrustedChain {
    /// As the server sent them, its own first.
    certificates: Vec<CertificateDer<'static>>,
    server_name: ServerName<'static>,
    /// When it was verified. The clock may be set back.
    from: UnixTime,
    /// When the first of its certificates ends, needed or not.
    until: UnixTime,
    /// See [`Verifier::chain_expiry`].
    expiry: Option<SystemTime>,
}

/// How many chains are kept: more than there are servers behind one name that each have their own.
const MAX_TRUSTED_CHAINS: usize = 16;

impl TrustedChain {
    fn is(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
    ) -> bool {
        self.certificates.split_first().is_some_and(|(first, rest)| {
            first == end_entity && rest == intermediates && self.server_name == *server_name
        })
    }
}

impl Verifier {
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.webpki.verify_server_cert(end_entity, intermediates, server_name, &[], now);
        verified.or_else(|error| self.verify_pinned(end_entity, server_name, now, error))
    }

    /// Verifies a chain, and returns its [`Self::chain_expiry`]. A chain that was verified before is only compared.
    fn verify_with_expiry(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<Option<SystemTime>, Error> {
        {
            let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
            trusted.retain(|chain| (chain.from..chain.until).contains(&now));
            if let Some(chain) = trusted.iter().find(|chain| chain.is(end_entity, intermediates, server_name))
            {
                return Ok(chain.expiry);
            }
        }
        self.verify(end_entity, intermediates, server_name, now)?;
        let expiry = self.chain_expiry(end_entity, intermediates, server_name, now);
        let sent = || std::iter::once(end_entity).chain(intermediates);
        let earliest = sent().map(expiry_of).min().flatten().map(unix_time);
        if let Some(until) = earliest {
            let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
            if trusted.len() == MAX_TRUSTED_CHAINS {
                trusted.pop_front();
            }
            trusted.push_back(TrustedChain {
                certificates: sent().map(|certificate| certificate.clone().into_owned()).collect(),
                server_name: server_name.to_owned(),
                from: now,
                until,
                expiry,
            });
        }
        Ok(expiry)
    }

    /// webpki refuses an authority as the certificate of a server, and `openssl req -x509` makes such certificates.
    /// curl, Go and Node trust one that is configured byte for byte, so this does too. Its name and its validity
    /// count as for any other, and the handshake proves that the server has its key.
    fn verify_pinned(
        &self,
        end_entity: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
        now: UnixTime,
        error: Error,
    ) -> Result<ServerCertVerified, Error> {
        if !self.pinned.iter().any(|pinned| pinned == end_entity) {
            return Err(error);
        }
        let (Ok((_, certificate)), Ok(parsed)) =
            (x509_parser::parse_x509_certificate(end_entity), ParsedCertificate::try_from(end_entity))
        else {
            return Err(error);
        };
        check_validity(&certificate, now)?;
        verify_server_name(&parsed, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    /// When the chain ends: the earliest expiry among the certificates that the verification needs. Servers keep
    /// sending a cross-signed certificate that has ended; a client that does not need it does not notice.
    fn chain_expiry(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Option<SystemTime> {
        let end = expiry_of(end_entity);
        let mut sent = intermediates.to_vec();
        sent.sort_by_key(expiry_of);
        while let Some((earliest, others)) = sent.split_first() {
            let ends = expiry_of(earliest);
            // In most chains, every intermediate certificate ends after the server's own.
            if ends >= end {
                break;
            }
            if self.verify(end_entity, others, server_name, now).is_err() {
                return ends.or(end);
            }
            sent.remove(0);
        }
        end
    }
}

fn check_validity(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let validity = certificate.validity();
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if seconds < validity.not_before.timestamp() {
        Err(CertificateError::NotValidYet.into())
    } else if seconds > validity.not_after.timestamp() {
        Err(CertificateError::Expired.into())
    } else {
        Ok(())
    }
}

/// Verifies the certificates of the API, and records when they end, whether they are trusted or not.
#[derive(Debug)]
struct Recorder {
    verifier: Arc<Verifier>,
    timer: Arc<PhaseTimer>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_with_expiry(end_entity, intermediates, server_name, now);
        // What is wrong is not known to be one certificate, so the earliest of all counts.
        let earliest = || std::iter::once(end_entity).chain(intermediates).filter_map(expiry_of).min();
        let expiry = verified.as_ref().map_or_else(|_| earliest(), |expiry| *expiry);
        if let Some(expiry) = expiry {
            self.timer.record_certificate_expiry(expiry);
        }
        verified.map(|_| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, server_name, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// `None` if the certificate cannot be read. Then the verification reports the error.
fn expiry_of(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn unix_time(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Why a handshake failed, in words that an operator understands.
pub(super) fn describe(error: &io::Error) -> String {
    handshake_error::describe(error, Peer::Server, "api.ca_file")
}

#[cfg(test)]
mod tests;
