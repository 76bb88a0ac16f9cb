//! The configuration, read from files and fully checked: no value in a [`Config`] can be found invalid
//! later. Its reference is `docs/configuration.md`.

pub(crate) mod budget;
mod canaries;
mod credentials;
mod division;
mod labels;
mod load;
mod names;
mod partners;
mod pattern;
mod section;
mod settings;
mod shared_secrets;
mod summary;
#[cfg(test)]
mod tests;
mod timing;
mod unfit_routes;
mod urls;

use std::fmt;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use checked_yaml::{Cursor, Reported};
use strum::{IntoStaticStr, VariantArray};
use url::Url;

pub(crate) use self::division::Division;
pub(crate) use self::labels::Labels;
pub(crate) use self::load::{KeyFiles, Loaded, load, load_text};
pub(crate) use self::section::Section;
use crate::partner_api::{Access, Firm, KeyInfoMode, Method};
use crate::secret::{SecretKind, SecretSource};

/// The label value of the health probe.
pub(crate) const HEALTH: &str = "health";
/// The label value of a key's key/info probe.
pub(crate) const KEY_INFO: &str = "key_info";

/// What is done with the secrets, tokens and passwords that the files name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// Each is read; one that can't be read is an error. For `check-config`.
    Check,
    /// They are read when a probe needs them. One that can't be read fails the keys that need it, and no others.
    ReadLater,
    /// No file and no variable is read. For `check-config --syntax-only`.
    Ignore,
}

/// A valid configuration.
///
/// The default is used without a configuration file. It probes only the health route of the production
/// API.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    pub settings: Settings,
    /// In the order of the files; the names are unique.
    pub partners: Vec<Partner>,
}

impl Config {
    /// Where every secret, token and password comes from.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (&SecretSource, SecretKind)> {
        self.secrets_with_owners().map(|(_, _, secret)| secret)
    }

    /// As [`Self::secrets`], with the partner, and with the key unless it is the partner's own secret.
    fn secrets_with_owners(
        &self,
    ) -> impl Iterator<Item = (&Partner, Option<&Key>, (&SecretSource, SecretKind))> {
        self.partners.iter().flat_map(|partner| {
            let of_keys = partner.keys.iter().map(move |key| (partner, Some(key), key.credential.secret()));
            std::iter::once((partner, None, (&partner.secret, SecretKind::HeaderValue))).chain(of_keys)
        })
    }
}

impl Credential {
    fn secret(&self) -> (&SecretSource, SecretKind) {
        match self {
            Self::Token(source) => (source, SecretKind::HeaderValue),
            Self::Login(login) => (&login.password, SecretKind::Password),
        }
    }
}

/// What applies to the whole fleet: everything except the partners.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub api: Api,
    pub health: Health,
    /// A key is not probed while its remaining budget is known to be below this number of requests. They
    /// are left for the key's production traffic.
    pub keep_free: u32,
    /// Whether `myunisoft_probe_error_info` has the request ID.
    pub request_ids: bool,
    /// Which of the keys this exporter monitors. The command line says it, not a file.
    pub division: Arc<Division>,
}

/// `health:`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Health {
    pub timing: Timing,
    /// The share of health probes that should succeed, not counting those during announced maintenance;
    /// between 0 and 1, both excluded.
    pub objective: f64,
}

/// `api:`
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Api {
    /// Scheme and authority of the API (a path is kept as a prefix); `https`, or `http` to a loopback
    /// address.
    pub base_url: Url,
    /// The API Cabinet log-in route.
    pub auth_url: Url,
    /// What the persisted states of keys and secrets belong to, if it is not `base_url`.
    pub identity: Option<Arc<str>>,
    /// PEM file of certificate authorities, trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The content of `ca_file` when it was checked. The demo has no file.
    pub ca_pem: Option<String>,
    /// HTTP proxy for all requests; the user and the password in it are secret.
    pub proxy_url: Option<Url>,
}

impl Api {
    /// Identifies the API that tokens and secrets are for. The default is the base URL, so that the tokens of a
    /// staging environment and of production are different tokens.
    pub(crate) fn identity(&self) -> Arc<str> {
        let from_url = || self.base_url.as_str().trim_end_matches('/').into();
        self.identity.clone().unwrap_or_else(from_url)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the proxy's host: `Url` would print its password.
        let proxy_host = self.proxy_url.as_ref().and_then(Url::host_str);
        f.debug_struct("Api")
            .field("base_url", &self.base_url.as_str())
            .field("auth_url", &self.auth_url.as_str())
            .field("identity", &self.identity)
            .field("ca_file", &self.ca_file)
            .field("proxy_host", &proxy_host)
            .finish_non_exhaustive()
    }
}

/// When a probe runs, and how long it may take. Both are above zero; the timeout is not longer than the
/// interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// For the whole probe.
    pub timeout: Duration,
}

/// One software vendor (or a single firm), with its one secret.
#[derive(Clone, Debug)]
pub(crate) struct Partner {
    /// The label `partner`.
    pub name: Arc<str>,
    /// The `X-Third-Party-Secret`.
    pub secret: SecretSource,
    /// Their names are unique within the partner.
    pub keys: Vec<Key>,
}

/// One token that the partner holds, and the probes that use it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    /// The label `key`.
    pub name: Arc<str>,
    /// What the token gives access to.
    pub access: Access,
    pub credential: Credential,
    /// The key/info probe first (unless it is off), then the canaries; the names are unique within the key.
    /// Most keys of a fleet have the same ones, and share them.
    pub probes: Arc<[Probe]>,
    /// The operator's labels: the partner's, and the key's own.
    pub labels: Labels,
}

impl Key {
    /// Whether the other key is probed in the same way. Labels are only shown.
    pub(crate) fn is_probed_like(&self, other: &Self) -> bool {
        let Self { name, access, credential, probes, labels: _ } = self;
        *name == other.name
            && *access == other.access
            && *credential == other.credential
            && *probes == other.probes
    }
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Credential {
    /// A permanent token.
    Token(SecretSource),
    /// API Cabinet: a log-in that gives tokens for four hours.
    Login(Login),
}

impl Credential {
    /// The file with the token.
    pub(crate) fn token_file(&self) -> Option<&Path> {
        match self {
            Self::Token(SecretSource::File(file) | SecretSource::UnnamedFile(file)) => Some(file),
            Self::Token(SecretSource::Env(_) | SecretSource::UnnamedEnv(_) | SecretSource::Inline(_))
            | Self::Login(_) => None,
        }
    }
}

/// An API Cabinet account.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Login {
    /// Identifies the account.
    pub mail: String,
    pub password: SecretSource,
    /// Which firm, if the account has access to several.
    pub firm: Option<Firm>,
}

/// One request that is sent regularly with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// The label `probe`: `key_info`, or the name that this key gives to the canary.
    pub name: Arc<str>,
    pub target: Target,
    pub timing: Timing,
}

impl Probe {
    /// The label `probe` of the fleet-wide histograms. The number of its values is limited by the declared
    /// canaries, even if a key runs one of them for many societies.
    #[must_use]
    pub(crate) fn histogram_label(&self) -> &str {
        match &self.target {
            Target::KeyInfo(_) => KEY_INFO,
            Target::Canary(canary) => &canary.name,
        }
    }

    pub(crate) const fn connection(&self) -> Connection {
        match &self.target {
            Target::KeyInfo(_) => Connection::Fresh,
            Target::Canary(canary) => canary.connection,
        }
    }
}

/// What a key's probe requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `GET /api/v1/key/info`
    KeyInfo(KeyInfoMode),
    /// A route that the operator chose.
    Canary(Canary),
}

impl Target {
    /// What tells this request from the others of its key, as a text.
    pub(crate) fn route(&self) -> String {
        match self {
            Self::KeyInfo(mode) => format!("GET {}", mode.path()),
            Self::Canary(Canary { method, path, society_id: None, .. }) => format!("{method} {path}"),
            Self::Canary(Canary { method, path, society_id: Some(society), .. }) => {
                format!("{method} {path} (society {society})")
            }
        }
    }
}

/// A canary, as one key requests it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canary {
    /// The canary's name under `canaries:`. The fleet-wide histograms use it, because keys may rename a
    /// canary.
    pub name: Arc<str>,
    pub method: Method,
    /// Path and query; starts with `/`.
    pub path: Arc<str>,
    /// Sent as the header `society-id` if a firm key's canary is about one society.
    pub society_id: Option<NonZeroU64>,
    pub connection: Connection,
}

/// Which connection a probe uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(crate) enum Connection {
    /// A new one.
    #[default]
    Fresh,
    /// One that an earlier probe opened, if there is one.
    Reuse,
}

/// Reads one of the enum's words.
fn variant<T: VariantArray + Into<&'static str> + Copy>(at: &Cursor<'_>) -> Result<T, Reported> {
    let words: Vec<(&str, T)> = T::VARIANTS.iter().map(|variant| ((*variant).into(), *variant)).collect();
    at.one_of(&words)
}
