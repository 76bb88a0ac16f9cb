//! Verifies client certificates that need no intermediate certificate, as Go does.
//!
//! The TLS library refuses three kinds of certificates that Go admits: a certificate that is itself the trusted one,
//! one of a certificate authority (`CA:TRUE`) used by a client, and one of X.509 version 1. Every check of Go applies
//! here, too; a certificate with a critical extension that is not known here is refused.

use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved};
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate, X509Version};

/// Accepts the certificate if it is one of the trusted ones, or was signed directly by one of them, and may be used by a
/// client now.
pub(super) fn verify(
    certificate: &CertificateDer<'_>,
    trusted: &[CertificateDer<'static>],
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), CertificateError> {
    let client = parse(certificate).ok_or(CertificateError::BadEncoding)?;
    check_validity(&client, now)?;
    if !may_be_client(&client) {
        return Err(CertificateError::InvalidPurpose);
    }
    if !knows_critical_extensions(&client) {
        return Err(CertificateError::UnhandledCriticalExtension);
    }
    let is_trusted = trusted.iter().any(|trusted| {
        trusted == certificate
            || parse(trusted).is_some_and(|issuer| {
                issuer.subject().as_raw() == client.issuer().as_raw()
                    && check_validity(&issuer, now).is_ok()
                    && may_sign(&issuer)
                    && may_be_client(&issuer)
                    && knows_critical_extensions(&issuer)
                    && is_signed_by(&client, &issuer, algorithms)
            })
    });
    if is_trusted { Ok(()) } else { Err(CertificateError::UnknownIssuer) }
}

/// Whether a certificate that the operator trusts may sign others.
pub(super) fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_some_and(|certificate| may_sign(&certificate))
}

/// Verifies the signature of a handshake by a certificate of version 1, which the TLS library cannot read.
pub(super) fn verify_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let wrong = || Error::from(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme);
    let certificate = parse(certificate).ok_or_else(wrong)?;
    let key = &certificate.public_key().subject_public_key.data;
    let mut mapping = algorithms.mapping.iter();
    let (_, candidates) = mapping.find(|(scheme, _)| *scheme == signed.scheme).ok_or_else(wrong)?;
    let verifies = |candidate: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
        candidate.verify_signature(key, message, signed.signature()).is_ok()
    };
    if candidates.iter().any(verifies) {
        return Ok(());
    }
    Err(Error::InvalidCertificate(CertificateError::BadSignature))
}

/// Whether the certificate has version 1.
pub(super) fn is_version_1(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_some_and(|certificate| certificate.version() == X509Version::V1)
}

/// `None` if it is not a certificate, or if anything follows it.
fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, certificate) = X509Certificate::from_der(certificate).ok()?;
    rest.is_empty().then_some(certificate)
}

fn check_validity(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    let time = |seconds: i64| {
        let seconds = u64::try_from(seconds).unwrap_or_default();
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    };
    if seconds < validity.not_before.timestamp() {
        let not_before = time(validity.not_before.timestamp());
        return Err(CertificateError::NotValidYetContext { time: now, not_before });
    }
    if seconds > validity.not_after.timestamp() {
        let not_after = time(validity.not_after.timestamp());
        return Err(CertificateError::ExpiredContext { time: now, not_after });
    }
    Ok(())
}

/// A certificate that names no purpose may be used for any.
fn may_be_client(certificate: &X509Certificate<'_>) -> bool {
    match certificate.extended_key_usage() {
        Ok(Some(usage)) => usage.value.any || usage.value.client_auth,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Version 1 has no field that says whether a certificate may sign others, so the operator's trust says it.
fn may_sign(issuer: &X509Certificate<'_>) -> bool {
    if issuer.version() == X509Version::V1 {
        return true;
    }
    let is_authority =
        issuer.basic_constraints().is_ok_and(|found| found.is_some_and(|found| found.value.ca));
    let usage = issuer.key_usage().map(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
    is_authority && usage.unwrap_or(false)
}

/// Name constraints are not checked here, so they count as unknown.
fn knows_critical_extensions(certificate: &X509Certificate<'_>) -> bool {
    certificate.extensions().iter().all(|extension| {
        let is_known = matches!(
            extension.parsed_extension(),
            ParsedExtension::BasicConstraints(_)
                | ParsedExtension::KeyUsage(_)
                | ParsedExtension::ExtendedKeyUsage(_)
                | ParsedExtension::SubjectAlternativeName(_)
                | ParsedExtension::AuthorityKeyIdentifier(_)
                | ParsedExtension::SubjectKeyIdentifier(_)
        );
        let is_constraint = matches!(extension.parsed_extension(), ParsedExtension::NameConstraints(_));
        (is_known || !extension.critical) && !is_constraint
    })
}

/// Tries every algorithm of the TLS library: all of them are strong, and a signature fits one key and one algorithm.
fn is_signed_by(
    client: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    let key = &issuer.public_key().subject_public_key.data;
    let (signed, signature) = (client.tbs_certificate.as_ref(), &client.signature_value.data);
    algorithms.all.iter().any(|algorithm| algorithm.verify_signature(key, signed, signature).is_ok())
}
