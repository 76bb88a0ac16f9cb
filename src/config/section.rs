//! The sections of the configuration files, each with the fields that it may have.

use checked_yaml::{Cursor, Fields, Reported};
use strum::VariantArray;

/// A mapping whose fields are known. Every such mapping is read with the list from here, so that a test
/// can compare the reference with what the reader accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub(crate) enum Section {
    /// The configuration file itself.
    ConfigFile,
    /// A key file itself.
    KeyFile,
    Api,
    Health,
    /// `key_info:`, for the fleet or for one key.
    KeyInfo,
    /// One entry of `canaries:`
    Canary,
    RateLimit,
    Metrics,
    /// One item of `partners:`
    Partner,
    /// One item of a partner's `keys:`
    Key,
    Login,
    /// One item of a key's own `canaries:`
    CanaryOfKey,
}

impl Section {
    /// The names of the section's fields.
    pub(crate) const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::ConfigFile => {
                &["api", "health", "key_info", "canaries", "rate_limit", "metrics", "partners", "key_files"]
            }
            Self::KeyFile => &["partners"],
            Self::Api => &["base_url", "auth_url", "identity", "ca_file", "proxy_url"],
            Self::Health => &["interval", "timeout", "objective"],
            Self::KeyInfo => &["interval", "timeout", "mode"],
            Self::Canary => &["path", "method", "society", "interval", "timeout"],
            Self::RateLimit => &["keep_free"],
            Self::Metrics => &["request_ids"],
            Self::Partner => &["name", "secret_file", "secret_env", "secret", "labels", "keys"],
            Self::Key => &[
                "name",
                "access",
                "society_id",
                "token_file",
                "token_env",
                "token",
                "login",
                "key_info",
                "canaries",
                "labels",
            ],
            Self::Login => &["mail", "password_file", "password_env", "password", "firm"],
            Self::CanaryOfKey => &["canary", "name", "society_id", "interval", "timeout"],
        }
    }
    /// Reads the fields of this section.
    ///
    /// # Errors
    /// If the value is not a mapping.
    pub(super) fn read<'a>(self, at: &'a Cursor<'a>) -> Result<Fields<'a>, Reported> {
        at.fields_with_hint(self.fields(), place_of)
    }

    const fn place(self) -> &'static str {
        match self {
            Self::ConfigFile => "at the top level of the configuration file",
            Self::KeyFile => "at the top level of a key file",
            Self::Api => "under `api`",
            Self::Health => "under `health`",
            Self::KeyInfo => "under `key_info`",
            Self::Canary => "under a canary of `canaries`",
            Self::RateLimit => "under `rate_limit`",
            Self::Metrics => "under `metrics`",
            Self::Partner => "under `partners[]`",
            Self::Key => "under `partners[].keys[]`",
            Self::Login => "under `login`",
            Self::CanaryOfKey => "under a canary of a key",
        }
    }
}

/// Where a field of this name belongs, if only one section has it.
fn place_of(name: &str) -> Option<&'static str> {
    let mut sections = Section::VARIANTS.iter().filter(|section| section.fields().contains(&name));
    let section = sections.next()?;
    sections.next().is_none().then(|| section.place())
}
