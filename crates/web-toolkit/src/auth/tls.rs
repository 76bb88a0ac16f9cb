//! Builds the TLS configuration of the server.

mod direct;

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName};
use rustls::{Error, PeerMisbehaved, RootCertStore, ServerConfig, SignatureScheme};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::config::{ClientAuth, TlsConfig};

pub(super) fn server_config(settings: &TlsConfig, http2: bool) -> Result<ServerConfig, Error> {
    let certified_key = SingleCertAndKey::from(Arc::clone(&settings.certified_key));
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&settings.provider))
        .with_protocol_versions(&settings.versions)?
        .with_client_cert_verifier(client_verifier(settings)?)
        .with_cert_resolver(Arc::new(certified_key));
    server.ignore_client_order = settings.prefer_server_order;
    let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(server)
}

fn client_verifier(settings: &TlsConfig) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let (clients, provider) = (&settings.client_certificates, &settings.provider);
    let trusted = match (clients.auth, &clients.authorities) {
        (ClientAuth::None, _) => return Ok(Arc::new(NoClientAuth)),
        (ClientAuth::Request | ClientAuth::RequireAny, _) => None,
        (ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify, Some(authorities)) => {
            Some(Trusted::new(authorities, provider)?)
        }
        // `config` refuses this combination. This second check keeps clients out even if `config` has a bug.
        (ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify, None) => {
            let text = "client certificates cannot be verified without client_ca_file";
            return Err(Error::General(text.to_owned()));
        }
    };
    Ok(Arc::new(ClientVerifier {
        trusted,
        mandatory: clients.auth.requires(),
        allowed_sans: clients.allowed_sans.clone(),
        algorithms: provider.signature_verification_algorithms,
    }))
}

fn store<'a>(
    certificates: impl Iterator<Item = &'a CertificateDer<'static>>,
) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate.clone())?;
    }
    Ok(store)
}

/// The certificates that client certificates are verified against.
#[derive(Debug)]
struct Trusted {
    certificates: Vec<CertificateDer<'static>>,
    /// Verifies chains up to those of them that may sign others; `None` if none may.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    /// The subjects of all of them, which a server tells so that clients can choose a certificate.
    subjects: Vec<DistinguishedName>,
}

impl Trusted {
    fn new(certificates: &[CertificateDer<'static>], provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let subjects = store(certificates.iter())?.subjects();
        // The TLS library would let every trusted certificate sign others.
        let roots = store(certificates.iter().filter(|certificate| direct::is_authority(certificate)))?;
        let chain: Option<Arc<dyn ClientCertVerifier>> = if roots.is_empty() {
            None
        } else {
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            Some(builder.build().map_err(|error| Error::General(error.to_string()))?)
        };
        Ok(Self { certificates: certificates.to_vec(), chain, subjects })
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Error> {
        let Some(chain) = &self.chain else {
            return Ok(direct::verify(end_entity, &self.certificates, now, algorithms)?);
        };
        let Err(of_chain) = chain.verify_client_cert(end_entity, intermediates, now) else { return Ok(()) };
        match direct::verify(end_entity, &self.certificates, now, algorithms) {
            Ok(()) => Ok(()),
            // The TLS library does not accept this kind of certificate at all, so its error is not what is wrong here.
            Err(direct) if direct != CertificateError::UnknownIssuer && is_of_kind(&of_chain) => {
                Err(direct.into())
            }
            Err(_) => Err(of_chain),
        }
    }
}

/// Whether the TLS library refuses a kind of certificate, and not this one.
const fn is_of_kind(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(_)))
}

/// Accepts a client certificate that passes every configured check, and whose private key the client has.
#[derive(Debug)]
struct ClientVerifier {
    /// Verifies who signed the certificate; `None`: anyone may have signed it.
    trusted: Option<Trusted>,
    mandatory: bool,
    /// The certificate must have one of these names; if empty, any name is allowed.
    allowed_sans: Vec<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trusted.as_ref().map_or(&[], |trusted| &trusted.subjects)
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(trusted) = &self.trusted {
            trusted.verify(end_entity, intermediates, now, &self.algorithms)?;
        }
        let is_allowed = |name: &String| self.allowed_sans.contains(name);
        if self.allowed_sans.is_empty() || subject_alternative_names(end_entity).iter().any(is_allowed) {
            return Ok(ClientCertVerified::assertion());
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if direct::is_version_1(cert) {
            direct::verify_handshake(message, cert, dss, &self.algorithms)?;
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if direct::is_version_1(cert) {
            // TLS 1.3 forbids the signatures that only TLS 1.2 allows.
            if !is_of_tls13(dss.scheme) {
                return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
            }
            direct::verify_handshake(message, cert, dss, &self.algorithms)?;
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

const fn is_of_tls13(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::ECDSA_NISTP256_SHA256
            | SignatureScheme::ECDSA_NISTP384_SHA384
            | SignatureScheme::ECDSA_NISTP521_SHA512
            | SignatureScheme::RSA_PSS_SHA256
            | SignatureScheme::RSA_PSS_SHA384
            | SignatureScheme::RSA_PSS_SHA512
            | SignatureScheme::ED25519
    )
}

/// The subject alternative names of a certificate, of the four kinds that the file format supports.
fn subject_alternative_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::IPAddress(bytes) => ip_address(bytes),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn ip_address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
}
