//! A certificate authority, and the files that a web configuration file names.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use tempfile::TempDir;

/// A bcrypt hash with cost 4, as `htpasswd -nBC 4` writes it.
pub(crate) fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

/// A certificate authority, with a folder for the files that a web configuration file names.
pub(crate) struct Pki {
    pub(crate) folder: TempDir,
    pub(crate) authority: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its private key.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Identity {
    pub(crate) fn pem(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }
}

impl Pki {
    /// Creates an authority with `ca.pem`, `server.pem` and `server.key` in its folder.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pki = Self { folder: tempfile::tempdir().unwrap(), authority };
        pki.write("ca.pem", &pki.authority.pem());
        pki.renew_server();
        pki
    }

    /// Writes a new `server.pem` and `server.key`.
    pub(crate) fn renew_server(&self) {
        let server = self.sign(&["127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth);
        self.write("server.pem", &server.certificate);
        self.write("server.key", &server.key);
    }

    /// A client certificate for these names.
    pub(crate) fn client(&self, names: &[&str]) -> Identity {
        self.sign(names, ExtendedKeyUsagePurpose::ClientAuth)
    }

    pub(crate) fn sign(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(|name| san(name)).collect();
        params.extended_key_usages.push(purpose);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        write(&self.path(name), content);
        self.path(name)
    }
}

/// Replaces a file atomically: writes a new file that only the owner can read, and renames it.
pub(crate) fn write(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(new, path).unwrap();
}

/// The subject alternative name: an IP address, a URI, a mail address or a host name.
pub(crate) fn san(name: &str) -> SanType {
    if let Ok(address) = name.parse() {
        return SanType::IpAddress(address);
    }
    let text = || name.try_into().unwrap();
    if name.contains("://") {
        SanType::URI(text())
    } else if name.contains('@') {
        SanType::Rfc822Name(text())
    } else {
        SanType::DnsName(text())
    }
}

/// A client that trusts `pki`, presents `identity`, and opens a new connection for each request.
pub(crate) fn client(pki: &Pki, identity: Option<&Identity>) -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = reqwest::Certificate::from_pem(pki.authority.pem().as_bytes()).unwrap();
    let mut builder =
        reqwest::Client::builder().no_proxy().tls_certs_only([authority]).pool_max_idle_per_host(0);
    if let Some(identity) = identity {
        builder = builder.identity(reqwest::Identity::from_pem(identity.pem().as_bytes()).unwrap());
    }
    builder
}
