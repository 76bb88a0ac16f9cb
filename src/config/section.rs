//! The sections of the configuration files, each with the fields that it may have.

use strum::VariantArray;

use super::{canaries, credentials, load, partners, settings};

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
            Self::ConfigFile => load::CONFIG_FILE_FIELDS,
            Self::KeyFile => load::KEY_FILE_FIELDS,
            Self::Api => settings::API_FIELDS,
            Self::Health => settings::HEALTH_FIELDS,
            Self::KeyInfo => settings::KEY_INFO_FIELDS,
            Self::Canary => canaries::CANARY_FIELDS,
            Self::RateLimit => settings::RATE_LIMIT_FIELDS,
            Self::Metrics => settings::METRICS_FIELDS,
            Self::Partner => partners::PARTNER_FIELDS,
            Self::Key => partners::KEY_FIELDS,
            Self::Login => credentials::LOGIN_FIELDS,
            Self::CanaryOfKey => canaries::CANARY_OF_KEY_FIELDS,
        }
    }
}
