//! `tls_server_config:`

use serde_with::SerializeDisplay;
use std::sync::Arc;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use checked_yaml::{Cursor, Fields, Reported, file};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{
    CipherSuite, NamedGroup, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion, version,
};
use secrecy::zeroize::Zeroizing;

use super::Files;

/// How TLS is spoken.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The certificate chain to show, with its key, which fits.
    pub certified_key: Arc<CertifiedKey>,
    /// What is asked of clients.
    pub client_certificates: ClientCertificates,
    /// TLS 1.2, 1.3 or both.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// In order of preference.
    pub suites: Vec<SupportedCipherSuite>,
    /// In order of preference.
    pub groups: Vec<&'static dyn SupportedKxGroup>,
    /// Whether this side's preference counts rather than the client's.
    pub prefer_server_order: bool,
}

/// What is asked of clients.
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    /// Which certificate.
    pub auth: ClientAuth,
    /// Who must have signed it, where it is verified.
    pub authorities: Option<Arc<RootCertStore>>,
    /// One of these names must stand in it; any may where it is empty.
    pub allowed_sans: Vec<String>,
}

/// `client_auth_type`
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str)]
pub enum ClientAuth {
    /// None is asked for.
    #[strum(serialize = "NoClientCert")]
    None,
    /// One is asked for; any will do, and none.
    #[strum(serialize = "RequestClientCert")]
    Request,
    /// Any will do.
    #[strum(serialize = "RequireAnyClientCert")]
    RequireAny,
    /// None will do, or one that is verified.
    #[strum(serialize = "VerifyClientCertIfGiven")]
    VerifyIfGiven,
    /// One that is verified.
    #[strum(serialize = "RequireAndVerifyClientCert")]
    RequireAndVerify,
}

impl ClientAuth {
    /// Whether a certificate that is shown is verified.
    #[must_use]
    pub const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    /// Whether a client without certificate is sent away.
    #[must_use]
    pub const fn requires(self) -> bool {
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
    let suites = fields.optional("cipher_suites", |at| cipher_suites(at, &provider));
    let prefer_server_order = fields.optional("prefer_server_cipher_suites", Cursor::boolean);
    let groups = fields.optional("curve_preferences", |at| key_exchange_groups(at, &provider));
    Ok(TlsConfig {
        certified_key: certified_key?,
        client_certificates: client_certificates?,
        versions: versions?,
        suites: suites?.unwrap_or(provider.cipher_suites),
        groups: groups?.unwrap_or(provider.kx_groups),
        prefer_server_order: prefer_server_order?.unwrap_or(true),
    })
}

/// PEM text that stands in a field, or in the file that its `…_file` names.
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

/// Where to point when something is wrong with a field, or with the file that its `…_file` names.
fn error_at(name: &str, fields: &Fields<'_>, text: &str) -> Reported {
    let file = format!("{name}_file");
    match fields.get(name).or_else(|| fields.get(&file)) {
        Some(at) => at.error(text),
        None => fields.at().missing(&file, "add the path of a PEM file"),
    }
}

fn certified_key(
    fields: &Fields<'_>,
    provider: &CryptoProvider,
    files: &mut Files,
) -> Result<Arc<CertifiedKey>, Reported> {
    let chain = pem("cert", fields, files);
    let key = pem("key", fields, files);
    let chain = chain.and_then(|pem| match pem {
        Some(pem) => certificates("cert", &pem, fields),
        None => Err(error_at("cert", fields, "")),
    });
    let key = key.and_then(|pem| match pem {
        Some(pem) => PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            error_at("key", fields, "holds no private key in PEM; name the key of the certificate")
        }),
        None => Err(error_at("key", fields, "")),
    });
    let certified_key = CertifiedKey::from_der(chain?, key?, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            error_at("key", fields, "is not the key of the certificate; name the one that belongs to it")
        }
        rustls::Error::InvalidCertificate(_) => error_at("cert", fields, NO_CERTIFICATE),
        _ => error_at(
            "key",
            fields,
            "is of a kind that is not supported; use RSA, ECDSA (P-256, P-384) or Ed25519",
        ),
    });
    certified_key.map(Arc::new)
}

const NO_CERTIFICATE: &str = "holds no usable certificate in PEM; name a file with `BEGIN CERTIFICATE` in it";

fn certificates(
    name: &str,
    pem: &[u8],
    fields: &Fields<'_>,
) -> Result<Vec<CertificateDer<'static>>, Reported> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(error_at(name, fields, NO_CERTIFICATE)),
    }
}

fn client_certificates(fields: &Fields<'_>, files: &mut Files) -> Result<ClientCertificates, Reported> {
    let auth = fields.optional("client_auth_type", |at| {
        let choices: Vec<_> = ClientAuth::VARIANTS.iter().map(|auth| (auth.into_str(), *auth)).collect();
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
        return Err(fields
            .at()
            .missing("client_ca_file", "add the file of who signs the clients' certificates"));
    }
    if auth == ClientAuth::None && authorities.is_some() {
        let text = "asks for a client_auth_type that uses it; write `RequireAndVerifyClientCert`";
        return Err(error_at("client_ca", fields, text));
    }
    if !allowed_sans.is_empty() && !auth.requires() {
        let text =
            "needs a certificate from every client; write `RequireAndVerifyClientCert` as client_auth_type";
        return Err(error_at("client_allowed_sans", fields, text));
    }
    Ok(ClientCertificates { auth, authorities, allowed_sans })
}

fn authorities(pem: &[u8], fields: &Fields<'_>) -> Result<Arc<RootCertStore>, Reported> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca", pem, fields)? {
        roots.add(certificate).map_err(|_| error_at("client_ca", fields, NO_CERTIFICATE))?;
    }
    Ok(Arc::new(roots))
}

fn versions(fields: &Fields<'_>) -> Result<Vec<&'static SupportedProtocolVersion>, Reported> {
    let read = |at: &Cursor<'_>| match at.text()? {
        "TLS12" => Ok(12),
        "TLS13" => Ok(13),
        "TLS10" | "TLS11" => {
            Err(at.error("is a version that is not spoken here, for it is broken; write `TLS12` or `TLS13`"))
        }
        _ => Err(at.error("is no version of TLS; write `TLS12` or `TLS13`")),
    };
    let min = fields.optional("min_version", read);
    let max = fields.optional("max_version", read);
    let (min, max) = (min?.unwrap_or(12), max?.unwrap_or(13));
    let versions = [(13, &version::TLS13), (12, &version::TLS12)];
    let versions: Vec<_> = versions
        .into_iter()
        .filter(|(number, _)| (min..=max).contains(number))
        .map(|(_, version)| version)
        .collect();
    if versions.is_empty() {
        return Err(error_at("max_version", fields, "is below min_version; raise it"));
    }
    Ok(versions)
}

/// Those of TLS 1.2 that are named; all of TLS 1.3, which has no weak ones and no choice.
fn cipher_suites(at: &Cursor<'_>, provider: &CryptoProvider) -> Result<Vec<SupportedCipherSuite>, Reported> {
    let known = &provider.cipher_suites;
    let named = parse_names(
        at,
        |name| known.iter().find(|suite| suite_name(suite.suite()).contains(&name)).copied(),
        || known.iter().filter_map(|suite| suite_name(suite.suite()).first().copied()).collect(),
    )?;
    if named.is_empty() {
        return Ok(known.clone());
    }
    let modern = known.iter().filter(|suite| suite.tls13().is_some()).copied();
    Ok(modern.chain(named.into_iter().filter(|suite| suite.tls13().is_none())).collect())
}

/// As the file format spells it: Go's names.
const fn suite_name(suite: CipherSuite) -> &'static [&'static str] {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => &["TLS_AES_128_GCM_SHA256"],
        CipherSuite::TLS13_AES_256_GCM_SHA384 => &["TLS_AES_256_GCM_SHA384"],
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => &["TLS_CHACHA20_POLY1305_SHA256"],
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => &["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => &["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => &["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => &["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"],
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            &["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305"]
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
            &["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"]
        }
        _ => &[],
    }
}

fn key_exchange_groups(
    at: &Cursor<'_>,
    provider: &CryptoProvider,
) -> Result<Vec<&'static dyn SupportedKxGroup>, Reported> {
    let known = &provider.kx_groups;
    let named = parse_names(
        at,
        |name| known.iter().find(|group| group_name(group.name()) == name).copied(),
        || known.iter().map(|group| group_name(group.name())).collect(),
    )?;
    Ok(if named.is_empty() { known.clone() } else { named })
}

const fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519 => "X25519",
        NamedGroup::secp256r1 => "CurveP256",
        NamedGroup::secp384r1 => "CurveP384",
        _ => "",
    }
}

/// A list of names, each of which must be found.
fn parse_names<T>(
    at: &Cursor<'_>,
    find: impl Fn(&str) -> Option<T>,
    all: impl Fn() -> Vec<&'static str>,
) -> Result<Vec<T>, Reported> {
    let mut found = Vec::new();
    let mut outcome = Ok(());
    for at in at.items()? {
        if let Some(one) = find(at.text()?) {
            found.push(one);
        } else {
            let text = format!("is not supported here; choose among {}", all().join(", "));
            outcome = Err(at.error(text));
        }
    }
    outcome.map(|()| found)
}
