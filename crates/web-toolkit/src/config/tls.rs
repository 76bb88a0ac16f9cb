//! Reads `tls_server_config`.

use std::sync::Arc;
use std::time::SystemTime;

use checked_yaml::{Cursor, Fields, Reported, file};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite, SupportedProtocolVersion, version};
use secrecy::zeroize::Zeroizing;
use strum::{Display, IntoStaticStr, VariantArray};

use super::Files;
use crate::certificate_bundle;

/// `tls_server_config`, with the content of the files that it names.
#[derive(Clone, Debug)]
pub(crate) struct TlsConfig {
    /// The certificate chain and the private key of its first certificate.
    pub(crate) certified_key: Arc<CertifiedKey>,
    pub(crate) client_certificates: ClientCertificates,
    /// TLS 1.2, 1.3 or both.
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    /// Cipher suites and key exchange groups in order of preference.
    pub(crate) provider: Arc<CryptoProvider>,
    /// Whether the server's order of cipher suites applies, and not the client's.
    pub(crate) prefer_server_order: bool,
}

/// What is required of client certificates.
#[derive(Clone, Debug)]
pub(crate) struct ClientCertificates {
    pub(crate) auth: ClientAuth,
    /// The certificate authorities that client certificates are verified against; present if
    /// [`ClientAuth::verifies`].
    pub(crate) authorities: Option<Vec<CertificateDer<'static>>>,
    /// The certificate must have one of these subject alternative names; if empty, any name is allowed.
    pub(crate) allowed_sans: Vec<String>,
}

/// `client_auth_type`, with Go's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, IntoStaticStr, VariantArray)]
#[strum(const_into_str)]
pub(crate) enum ClientAuth {
    /// No certificate is requested.
    #[strum(serialize = "NoClientCert")]
    None,
    /// A certificate is requested, but it is optional and not verified.
    #[strum(serialize = "RequestClientCert")]
    Request,
    /// A certificate is required, but it is not verified.
    #[strum(serialize = "RequireAnyClientCert")]
    RequireAny,
    /// A certificate is optional. If the client sends one, it is verified.
    #[strum(serialize = "VerifyClientCertIfGiven")]
    VerifyIfGiven,
    /// A verified certificate is required.
    #[strum(serialize = "RequireAndVerifyClientCert")]
    RequireAndVerify,
}

impl ClientAuth {
    /// Whether a certificate that the client sends is verified.
    pub(crate) const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    /// Whether a client without a certificate is refused.
    pub(crate) const fn requires(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }
}

const FIELDS: [&str; 13] = [
    "cert",
    "cert_file",
    "key",
    "key_file",
    "client_auth_type",
    "client_ca",
    "client_ca_file",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
];

pub(super) fn read(at: &Cursor<'_>, files: &mut Files) -> Result<TlsConfig, Reported> {
    let fields = at.fields(&FIELDS)?;
    let provider = ring::default_provider();
    let certified_key = certified_key(&fields, &provider, files);
    let client_certificates = client_certificates(&fields, files);
    let versions = versions(&fields);
    let cipher_suites = fields.optional("cipher_suites", |at| cipher_suites(at, &provider));
    let prefer_server_order = fields.optional("prefer_server_cipher_suites", Cursor::boolean);
    let key_exchange_groups = fields.optional("curve_preferences", |at| key_exchange_groups(at, &provider));
    Ok(TlsConfig {
        certified_key: certified_key?,
        client_certificates: client_certificates?,
        versions: versions?,
        provider: Arc::new(CryptoProvider {
            cipher_suites: cipher_suites?.unwrap_or(provider.cipher_suites),
            kx_groups: key_exchange_groups?.unwrap_or(provider.kx_groups),
            ..provider
        }),
        prefer_server_order: prefer_server_order?.unwrap_or(true),
    })
}

/// Reads PEM text from the field `name`, or from the file that the field `…_file` names.
fn pem(name: &str, fields: &Fields<'_>, files: &mut Files) -> Result<Option<Zeroizing<Vec<u8>>>, Reported> {
    let file = format!("{name}_file");
    let content = fields.optional(&file, |at| {
        let (path, content) = files.read_field(at)?;
        if name == "key" && file::is_world_readable(&path) {
            at.note_world_readable_file();
        }
        Ok(Zeroizing::new(content))
    })?;
    let inline = fields.optional(name, |at| {
        if name == "key" {
            at.note_inline_secret();
        }
        at.text().map(|text| Zeroizing::new(text.as_bytes().to_vec()))
    })?;
    match (&content, &inline, fields.get(name)) {
        (Some(_), Some(_), Some(at)) => {
            Err(at.error(format!("is a second source beside `{file}`; keep one of the two")))
        }
        _ => Ok(content.or(inline)),
    }
}

/// Reports an error about the field `name`, or about its `…_file` if the text comes from a file.
fn error_at(name: &str, fields: &Fields<'_>, text: &str) -> Reported {
    field(name, fields).error(text)
}

/// The field `name` or its `…_file`, whichever is there.
fn field<'a>(name: &str, fields: &'a Fields<'a>) -> Cursor<'a> {
    fields.get(name).or_else(|| fields.get(&format!("{name}_file"))).unwrap_or(*fields.at)
}

fn certified_key(
    fields: &Fields<'_>,
    provider: &CryptoProvider,
    files: &mut Files,
) -> Result<Arc<CertifiedKey>, Reported> {
    let missing = |file| fields.at.missing(file, "add the path of a PEM file");
    let chain = pem("cert", fields, files).and_then(|pem| pem.ok_or_else(|| missing("cert_file")));
    let chain = chain.and_then(|pem| certificates("cert", &pem, fields));
    let key = pem("key", fields, files).and_then(|pem| pem.ok_or_else(|| missing("key_file")));
    let key = key.and_then(|pem| {
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            error_at("key", fields, "contains no PEM private key; name the key of the certificate")
        })
    });
    let certified_key = CertifiedKey::from_der(chain?, key?, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            error_at("key", fields, "is not the key of the certificate; name the one that belongs to it")
        }
        rustls::Error::InvalidCertificate(_) => {
            error_at("cert", fields, "contains a certificate that cannot be used; export it again, as PEM")
        }
        _ => error_at("key", fields, "has an unsupported type; use RSA, ECDSA (P-256, P-384) or Ed25519"),
    });
    certified_key.map(Arc::new)
}

fn certificates(
    name: &str,
    pem: &[u8],
    fields: &Fields<'_>,
) -> Result<Vec<CertificateDer<'static>>, Reported> {
    match certificate_bundle::read(pem) {
        Ok(certificates) => Ok(certificates.into_iter().map(|certificate| certificate.der).collect()),
        Err(problem) => Err(error_at(name, fields, &problem)),
    }
}

fn client_certificates(fields: &Fields<'_>, files: &mut Files) -> Result<ClientCertificates, Reported> {
    let auth = fields.optional("client_auth_type", |at| {
        let mut choices: Vec<_> = ClientAuth::VARIANTS.iter().map(|auth| (auth.into_str(), *auth)).collect();
        // The former name, which exporter-toolkit still accepts.
        choices.push(("RequireClientCert", ClientAuth::RequireAny));
        at.one_of(&choices)
    });
    let authorities =
        pem("client_ca", fields, files).and_then(|pem| pem.map(|pem| authorities(&pem, fields)).transpose());
    let allowed_sans = fields.optional("client_allowed_sans", |at| {
        at.items()?.map(|at| at.text().map(str::to_owned)).collect::<Result<Vec<_>, _>>()
    });
    let (auth, authorities) = (auth?.unwrap_or(ClientAuth::None), authorities?);
    let allowed_sans = allowed_sans?.unwrap_or_default();
    if auth.verifies() && authorities.is_none() {
        let fix = "add the certificate authority that signs the client certificates";
        return Err(fields.at.missing("client_ca_file", fix));
    }
    if auth == ClientAuth::None && authorities.is_some() {
        let text = "has no effect without client_auth_type; set that to `RequireAndVerifyClientCert`";
        return Err(error_at("client_ca", fields, text));
    }
    if !allowed_sans.is_empty() && !auth.requires() {
        let text =
            "requires a certificate from every client; set client_auth_type to `RequireAndVerifyClientCert`";
        return Err(error_at("client_allowed_sans", fields, text));
    }
    Ok(ClientCertificates { auth, authorities, allowed_sans })
}

fn authorities(pem: &[u8], fields: &Fields<'_>) -> Result<Vec<CertificateDer<'static>>, Reported> {
    let certificates = certificate_bundle::read_authorities(pem);
    let certificates = certificates.map_err(|problem| error_at("client_ca", fields, &problem))?;
    for problem in certificate_bundle::describe_expired(&certificates, SystemTime::now()) {
        field("client_ca", fields).warning(problem);
    }
    Ok(certificates.into_iter().map(|certificate| certificate.der).collect())
}

fn versions(fields: &Fields<'_>) -> Result<Vec<&'static SupportedProtocolVersion>, Reported> {
    let read = |at: &Cursor<'_>| match at.text()? {
        "TLS12" => Ok(12),
        "TLS13" => Ok(13),
        "TLS10" | "TLS11" => {
            Err(at.error("is an insecure version and not supported; write `TLS12` or `TLS13`"))
        }
        _ => Err(at.error("is not a TLS version; write `TLS12` or `TLS13`")),
    };
    let min = fields.optional("min_version", read);
    let max = fields.optional("max_version", read);
    match (min?.unwrap_or(12), max?.unwrap_or(13)) {
        (12, 13) => Ok(vec![&version::TLS13, &version::TLS12]),
        (12, _) => Ok(vec![&version::TLS12]),
        (_, 13) => Ok(vec![&version::TLS13]),
        _ => Err(error_at("max_version", fields, "is below min_version; raise it")),
    }
}

/// Reads the cipher suites of TLS 1.2. Those of TLS 1.3 are always included: none is weak, and the file
/// format does not let the operator choose among them.
fn cipher_suites(at: &Cursor<'_>, provider: &CryptoProvider) -> Result<Vec<SupportedCipherSuite>, Reported> {
    let known = &provider.cipher_suites;
    let named = parse_names(at, known, |suite| suite_name(suite.suite()))?;
    if named.is_empty() {
        return Ok(known.clone());
    }
    let modern = known.iter().filter(|suite| suite.tls13().is_some()).copied();
    Ok(modern.chain(named.into_iter().filter(|suite| suite.tls13().is_none())).collect())
}

/// Go's name of a cipher suite, which the file format uses.
fn suite_name(suite: CipherSuite) -> String {
    suite.as_str().unwrap_or_default().replace("TLS13_", "TLS_")
}

fn key_exchange_groups(
    at: &Cursor<'_>,
    provider: &CryptoProvider,
) -> Result<Vec<&'static dyn SupportedKxGroup>, Reported> {
    let named = parse_names(at, &provider.kx_groups, |group| group_name(group.name()).to_owned())?;
    Ok(if named.is_empty() { provider.kx_groups.clone() } else { named })
}

const fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519 => "X25519",
        NamedGroup::secp256r1 => "CurveP256",
        NamedGroup::secp384r1 => "CurveP384",
        _ => "",
    }
}

/// Reads a list of names of `known` values, and reports each other name.
fn parse_names<T: Copy>(
    at: &Cursor<'_>,
    known: &[T],
    name_of: impl Fn(T) -> String,
) -> Result<Vec<T>, Reported> {
    let mut found = Vec::new();
    let mut outcome = Ok(());
    for at in at.items()? {
        let mut name = at.text()?.to_owned();
        // Go also accepts the names that these cipher suites had before the standard added the suffix.
        if name.ends_with("_WITH_CHACHA20_POLY1305") {
            name.push_str("_SHA256");
        }
        if let Some(value) = known.iter().find(|value| name_of(**value) == name) {
            found.push(*value);
        } else {
            let names: Vec<_> = known.iter().map(|value| name_of(*value)).collect();
            outcome = Err(at.error(format!("is not supported; use one of {}", names.join(", "))));
        }
    }
    outcome.map(|()| found)
}
