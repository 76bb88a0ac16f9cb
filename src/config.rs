//! What the operator asked for, fully checked: nothing in a [`Config`] can fail later for its form.
//!
//! The configuration's reference is `docs/configuration.md`.

mod canaries;
mod credentials;
mod load;
mod names;
mod partners;
mod section;
mod settings;
mod summary;
#[cfg(test)]
mod tests;
mod timing;
mod urls;

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use checked_yaml::{Cursor, Reported};
use reqwest::Url;
use strum::VariantArray;

pub(crate) use self::load::files_matching;
pub use self::load::{Loaded, load};
pub use self::section::Section;
use crate::partner_api::{Access, Firm, KeyInfoMode, Method};
use crate::secret::SecretSource;

/// The label value of the health probe.
pub const HEALTH: &str = "health";
/// The label value of a key's key/info probe.
pub const KEY_INFO: &str = "key_info";

/// A whole, valid configuration.
///
/// The default, used without a configuration file, probes the health route of the production API only.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What holds for the whole fleet.
    pub settings: Settings,
    /// The partners, in the order of the files; their names are unique.
    pub partners: Vec<Partner>,
}

/// What holds for the whole fleet: everything but the partners.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Where the API is, and how to get there.
    pub api: Api,
    /// The health probe.
    pub health: Health,
    /// What to leave of a key's budget to its production traffic.
    pub rate_limit: RateLimit,
    /// What the metrics carry.
    pub metrics: Metrics,
}

/// `health:`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// When to ask the health route.
    pub timing: Timing,
    /// The share of health probes that are to succeed, announced maintenance apart; between 0 and 1, 1 excluded.
    pub objective: f64,
}

/// `api:`
#[derive(Clone, PartialEq, Eq)]
pub struct Api {
    /// Scheme and authority of the API (a path is kept as a prefix); `https`, or `http` to loopback.
    pub base_url: Url,
    /// The API Cabinet log-in route.
    pub auth_url: Url,
    /// PEM file with certification authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// In-memory alternative to `ca_file`, used by the demo.
    pub ca_pem: Option<String>,
    /// HTTP proxy through which every call goes; the user and the password in it are secret.
    pub proxy_url: Option<Url>,
}

#[expect(
    clippy::missing_fields_in_debug,
    reason = "the proxy's URL may hold a password, a certificate says nothing"
)]
impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the proxy's host: `Url` would print its password.
        let proxy_host = self.proxy_url.as_ref().and_then(Url::host_str);
        f.debug_struct("Api")
            .field("base_url", &self.base_url.as_str())
            .field("auth_url", &self.auth_url.as_str())
            .field("ca_file", &self.ca_file)
            .field("proxy_host", &proxy_host)
            .finish()
    }
}

/// When a probe runs, and how long it may take. Neither is zero; the timeout is not longer than the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From one start to the next.
    pub interval: Duration,
    /// For the whole probe.
    pub timeout: Duration,
}

/// `rate_limit:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// A key whose remaining budget is known to be below this many requests is not probed.
    pub keep_free: u32,
}

/// `metrics:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Whether `myunisoft_probe_error_info` carries the request-id.
    pub request_ids: bool,
}

/// One software vendor (or a firm on its own), with its one secret.
#[derive(Clone, Debug)]
pub struct Partner {
    /// Label value.
    pub name: Arc<str>,
    /// The `X-Third-Party-Secret`.
    pub secret: SecretSource,
    /// Its keys; their names are unique within the partner.
    pub keys: Vec<Key>,
}

/// One token the partner holds, and what to probe with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Label value.
    pub name: Arc<str>,
    /// What the token opens.
    pub access: Access,
    /// Where the token comes from.
    pub credential: Credential,
    /// key/info first (unless off), then the canaries; the names are unique within the key.
    pub probes: Vec<Probe>,
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Credential {
    /// A permanent token.
    Token(SecretSource),
    /// API Cabinet: a log-in that yields four-hour tokens.
    Login(Login),
}

/// An API Cabinet account.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// The account.
    pub mail: String,
    /// Its password.
    pub password: SecretSource,
    /// Which firm, where the account reaches several.
    pub firm: Option<Firm>,
}

/// One thing to ask with a key, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Label value: `key_info`, or the canary's name in this key.
    pub name: Arc<str>,
    /// What is asked.
    pub target: Target,
    /// When, and for how long.
    pub timing: Timing,
}

impl Probe {
    /// What the fleet-wide histograms call it: bounded by the configured routes, however many
    /// societies a key runs one of them for.
    #[must_use]
    pub fn route(&self) -> &str {
        match &self.target {
            Target::KeyInfo(_) => KEY_INFO,
            Target::Canary(canary) => &canary.route,
        }
    }
}

/// What a key's probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `GET /api/v1/key/info`
    KeyInfo(KeyInfoMode),
    /// A route of the operator's choice.
    Canary(Canary),
}

/// A canary route, as one key calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// The canary's name under `canaries:`; bounds the fleet-wide histograms where a key renames it.
    pub route: Arc<str>,
    /// GET or HEAD.
    pub method: Method,
    /// Path and query, beginning with `/`.
    pub path: Arc<str>,
    /// Sent as the `society-id` header: a firm key's canary that is about one society.
    pub society_id: Option<NonZeroU64>,
}

/// Reads the name of one of the enum's variants.
fn variant<T: VariantArray + Into<&'static str> + Copy>(at: &Cursor<'_>) -> Result<T, Reported> {
    let words: Vec<(&str, T)> = T::VARIANTS.iter().map(|variant| ((*variant).into(), *variant)).collect();
    at.one_of(&words)
}
