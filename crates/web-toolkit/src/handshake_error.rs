//! Says why a TLS handshake failed, in words that an operator understands: for both sides of a connection.

use std::io;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error};

/// The other side of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A server that this process connected to.
    Server,
    /// A client of this process.
    Client,
}

impl Peer {
    const fn noun(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// Why the handshake failed: the end of a sentence. `trusted_in` is the setting that names the trusted certificates.
pub fn describe(error: &io::Error, peer: Peer, trusted_in: &str) -> String {
    let noun = peer.noun();
    let Some(error) = tls_error(error) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => format!("the {noun} closed the connection"),
            _ => error.to_string(),
        };
    };
    match (error, peer) {
        (Error::InvalidCertificate(error), _) => describe_certificate(error, noun, trusted_in),
        (Error::NoCertificatesPresented, _) => format!("the {noun} shows no certificate, but it must"),
        (Error::AlertReceived(alert), _) => {
            format!("the {noun} ended it with the alert \"{}\"", in_words(&format!("{alert:?}")))
        }
        (Error::InvalidMessage(_), Peer::Server) => "the server does not speak TLS on this port".to_owned(),
        (Error::InvalidMessage(_), Peer::Client) => "the client does not speak TLS".to_owned(),
        (Error::PeerIncompatible(cause), _) => {
            let cause = in_words(&format!("{cause:?}"));
            format!("the {noun} supports no common version or method of TLS ({cause})")
        }
        (Error::NoApplicationProtocol, Peer::Server) => "the server does not support HTTP/1.1".to_owned(),
        (Error::NoApplicationProtocol, Peer::Client) => {
            "the client supports no version of HTTP that this server has".to_owned()
        }
        (Error::PeerMisbehaved(cause), _) => {
            format!("the {noun} breaks the rules of TLS ({})", in_words(&format!("{cause:?}")))
        }
        (Error::General(text), _) => text.clone(),
        (other, _) => format!("TLS failed ({})", in_words(&variant_name(other))),
    }
}

/// The error of the TLS library, if it is one.
pub(crate) fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn describe_certificate(error: &CertificateError, noun: &str, trusted_in: &str) -> String {
    match error {
        CertificateError::Expired => format!("a certificate of the {noun} has expired"),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("a certificate of the {noun} expired at{}", date(*not_after))
        }
        CertificateError::NotValidYet => {
            format!("a certificate of the {noun} is not valid yet; check the clock of this machine")
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            let from = date(*not_before);
            format!("a certificate of the {noun} is not valid before{from}; check the clock of this machine")
        }
        CertificateError::UnknownIssuer => {
            format!("the {noun}'s certificate comes from a certificate authority that is not trusted here")
        }
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            format!("the {noun}'s certificate is for other names: {}", names(presented))
        }
        CertificateError::NotValidForNameContext { .. } | CertificateError::NotValidForName => {
            format!("the {noun}'s certificate is not for this name; it names no host at all")
        }
        CertificateError::BadSignature => format!(
            "a certificate of the {noun} is not signed by the trusted certificate authority whose name it gives, or the \
             {noun} does not have its private key"
        ),
        CertificateError::BadEncoding => format!("a certificate of the {noun} is damaged"),
        CertificateError::Revoked => format!("a certificate of the {noun} is revoked"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("the {noun}'s certificate is not meant for {noun}s")
        }
        // Only the verifier of client certificates returns it.
        CertificateError::ApplicationVerificationFailure => {
            format!("the {noun}'s certificate has none of the names in client_allowed_sans")
        }
        CertificateError::UnhandledCriticalExtension => {
            describe_webpki("UnsupportedCriticalExtension", noun, trusted_in)
        }
        CertificateError::Other(cause) => describe_webpki(&cause.to_string(), noun, trusted_in),
        other => refused_because(&variant_name(other), noun),
    }
}

/// rustls passes most of webpki's errors on as the name of their variant.
fn describe_webpki(variant: &str, noun: &str, trusted_in: &str) -> String {
    match variant {
        "CaUsedAsEndEntity" => format!(
            "the {noun} shows the certificate of a certificate authority as its own; if you trust it, put this \
             certificate itself into {trusted_in}"
        ),
        "UnsupportedCertVersion" => format!(
            "a certificate of the {noun} has an old version of X.509; if you trust it, put this certificate itself into \
             {trusted_in}"
        ),
        "UnsupportedCriticalExtension" => {
            format!("a certificate of the {noun} has a critical extension that is not supported")
        }
        other => refused_because(other, noun),
    }
}

fn refused_because(variant: &str, noun: &str) -> String {
    format!("a certificate of the {noun} is refused ({})", in_words(variant))
}

/// With a space before it. Empty if the time cannot be written.
fn date(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(String::new, |time| format!(" {}", humantime::format_rfc3339_seconds(time)))
}

/// The variant of an error without its fields.
fn variant_name(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// The names of a certificate, a few of them. webpki writes them as `DnsName("api.example")`.
fn names(presented: &[String]) -> String {
    const SHOWN: usize = 5;
    let plain = |name: &String| {
        let quoted = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest.trim_end_matches(')'));
        quoted.trim_matches('"').to_owned()
    };
    let mut shown: Vec<_> = presented.iter().take(SHOWN).map(plain).collect();
    if presented.len() > SHOWN {
        shown.push(format!("and {} more", presented.len() - SHOWN));
    }
    shown.join(", ")
}

/// `HandshakeFailure` becomes `handshake failure`, and `UnknownCA` becomes `unknown ca`.
fn in_words(name: &str) -> String {
    let mut words = String::new();
    let mut last = None;
    for c in name.chars() {
        let after_word = last.is_some_and(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit());
        if c.is_ascii_uppercase() && after_word {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
        last = Some(c);
    }
    words
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, PeerIncompatible, PeerMisbehaved};

    use super::*;

    fn of_client(error: Error) -> String {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        describe(&error, Peer::Client, "client_ca_file")
    }

    #[test]
    fn each_refusal_of_a_client_is_a_sentence_without_words_of_the_library() {
        let time = UnixTime::since_unix_epoch(Duration::from_hours(480_000));
        let not_after = UnixTime::since_unix_epoch(Duration::from_hours(438_288));
        let expired = CertificateError::ExpiredContext { time, not_after };
        for (error, expected) in [
            (expired.into(), "a certificate of the client expired at 2020-01-01T00:00:00Z"),
            (CertificateError::Expired.into(), "a certificate of the client has expired"),
            (CertificateError::NotValidYet.into(), "is not valid yet; check the clock of this machine"),
            (CertificateError::UnknownIssuer.into(), "a certificate authority that is not trusted here"),
            (CertificateError::InvalidPurpose.into(), "the client's certificate is not meant for clients"),
            (CertificateError::BadSignature.into(), "or the client does not have its private key"),
            (CertificateError::BadEncoding.into(), "a certificate of the client is damaged"),
            (CertificateError::ApplicationVerificationFailure.into(), "names in client_allowed_sans"),
            (
                CertificateError::UnhandledCriticalExtension.into(),
                "a critical extension that is not supported",
            ),
            (CertificateError::InvalidOcspResponse.into(), "is refused (invalid ocsp response)"),
            (Error::NoCertificatesPresented, "the client shows no certificate, but it must"),
            (Error::AlertReceived(AlertDescription::UnknownCA), "ended it with the alert \"unknown ca\""),
            (
                PeerIncompatible::NoCipherSuitesInCommon.into(),
                "no common version or method of TLS (no cipher",
            ),
            (PeerMisbehaved::TooMuchEarlyDataReceived.into(), "breaks the rules of TLS (too much early data"),
            (Error::DecryptError, "TLS failed (decrypt error)"),
        ] {
            let text = of_client(error);
            assert!(text.contains(expected) && !text.contains("Error"), "{text}");
        }
    }

    #[test]
    fn a_certificate_of_an_authority_can_be_trusted_itself() {
        for (variant, expected) in [
            (
                "CaUsedAsEndEntity",
                "shows the certificate of a certificate authority as its own; if you trust it",
            ),
            ("UnsupportedCertVersion", "has an old version of X.509; if you trust it"),
            ("PathLenConstraintViolated", "is refused (path len constraint violated)"),
        ] {
            let text = describe_webpki(variant, "client", "client_ca_file");
            assert!(text.contains(expected), "{text}");
            assert_eq!(
                text.ends_with("put this certificate itself into client_ca_file"),
                text.contains("trust")
            );
        }
    }
}
