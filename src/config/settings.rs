//! Reads the sections that apply to the whole fleet: everything except the partners and the canaries.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use checked_yaml::{Cursor, Fields, Reported, file};
use url::Url;
use web_toolkit::certificate_bundle;

use super::canaries::Canaries;
use super::timing::timing;
use super::{Api, Health, KEY_INFO, Secrets, Section, Settings, Timing, urls};
use crate::partner_api::KeyInfoMode;

/// The maximum length of `api.identity`, in bytes.
const MAX_IDENTITY_LEN: usize = 200;

/// What each key inherits unless it overrides it.
pub(super) struct Defaults {
    pub(super) key_info: Result<KeyInfo, Reported>,
    /// The name of every key's key/info probe, which thousands of keys share.
    pub(super) key_info_name: Arc<str>,
    pub(super) canaries: Canaries,
    pub(super) secrets: Secrets,
}

/// Reads every section except the partners. An invalid section is replaced by its default. This is safe:
/// its errors are in the diagnostics, so the configuration is never used.
pub(super) fn read(fields: &Fields<'_>, secrets: Secrets) -> (Settings, Defaults) {
    let key_info = fields.optional("key_info", |at| key_info(at, KeyInfo::DEFAULT));
    let default = Settings::default();
    let settings = Settings {
        api: section(fields, "api", |at| api(at, secrets)).unwrap_or(default.api),
        health: section(fields, "health", health).unwrap_or(default.health),
        keep_free: section(fields, "rate_limit", keep_free).flatten().unwrap_or(default.keep_free),
        request_ids: section(fields, "metrics", request_ids).flatten().unwrap_or(default.request_ids),
        division: default.division,
    };
    let defaults = Defaults {
        key_info: key_info.map(|key_info| key_info.unwrap_or(KeyInfo::DEFAULT)),
        key_info_name: KEY_INFO.into(),
        canaries: Canaries::read(fields),
        secrets,
    };
    (settings, defaults)
}

fn section<T>(
    fields: &Fields<'_>,
    name: &str,
    read: impl FnOnce(&Cursor<'_>) -> Result<T, Reported>,
) -> Option<T> {
    fields.optional(name, read).ok().flatten()
}

/// The same as in `alerts/settings.rules.yml`.
const DEFAULT_OBJECTIVE: f64 = 0.999;

/// `key_info:`, for the fleet or for one key.
#[derive(Clone, Copy)]
pub(super) struct KeyInfo {
    pub(super) timing: Timing,
    /// `None` for `off`.
    pub(super) mode: Option<KeyInfoMode>,
}

impl KeyInfo {
    const DEFAULT: Self = Self { timing: Timing::KEY, mode: Some(KeyInfoMode::Extended) };
}

impl Default for Api {
    /// MyUnisoft's production API.
    #[expect(clippy::expect_used, reason = "a test parses both of these")]
    fn default() -> Self {
        let url = |text| Url::parse(text).expect("the constant is a valid URL");
        Self {
            base_url: url("https://api.myunisoft.fr"),
            auth_url: url("https://app.prodcomptable.myunisoft.fr/api/authenticate/firm"),
            identity: None,
            ca_file: None,
            ca_pem: None,
            proxy_url: None,
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self { timing: Timing::HEALTH, objective: DEFAULT_OBJECTIVE }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api: Api::default(),
            health: Health::default(),
            keep_free: 5,
            request_ids: true,
            division: Arc::default(),
        }
    }
}

fn api(at: &Cursor<'_>, secrets: Secrets) -> Result<Api, Reported> {
    let default = Api::default();
    let fields = Section::Api.read(at)?;
    let base_url = fields.optional("base_url", urls::api_url);
    let auth_url = fields.optional("auth_url", urls::api_url);
    let identity = fields.optional("identity", identity);
    let ca_file = fields.optional("ca_file", |at| ca_file(at, secrets));
    let proxy_url = fields.optional("proxy_url", urls::proxy_url);
    let (ca_file, ca_pem) = ca_file?.unzip();
    let ca_pem = ca_pem.flatten();
    Ok(Api {
        base_url: base_url?.unwrap_or(default.base_url),
        auth_url: auth_url?.unwrap_or(default.auth_url),
        identity: identity?,
        ca_file,
        ca_pem,
        proxy_url: proxy_url?,
    })
}

fn identity(at: &Cursor<'_>) -> Result<Arc<str>, Reported> {
    let text = at.text()?;
    if text.trim_end_matches('/').is_empty()
        || text.len() > MAX_IDENTITY_LEN
        || text.contains(char::is_control)
    {
        return Err(at.error("must be a short text; write a name such as `production`, or the base URL"));
    }
    // As the default: a slash at the end of a base URL makes no difference.
    Ok(text.trim_end_matches('/').into())
}

/// The path, and the content unless [`Secrets::Ignore`] says that no file is read.
fn ca_file(at: &Cursor<'_>, secrets: Secrets) -> Result<(PathBuf, Option<String>), Reported> {
    let path = at.path()?;
    if secrets == Secrets::Ignore {
        return Ok((path, None));
    }
    let name = path.display();
    let pem = file::read(&path).map_err(|problem| at.error(format!("the file {name} {problem}")))?;
    let certificates = certificate_bundle::read_authorities(&pem);
    let certificates = certificates.map_err(|problem| at.error(format!("the file {name} {problem}")))?;
    for problem in certificate_bundle::describe_expired(&certificates, SystemTime::now()) {
        at.warning(format!("the file {name} {problem}"));
    }
    // The certificates are ASCII; comments around them may be anything.
    Ok((path, Some(String::from_utf8_lossy(&pem).into_owned())))
}

fn health(at: &Cursor<'_>) -> Result<Health, Reported> {
    let fields = Section::Health.read(at)?;
    let timing = timing(&fields, Timing::HEALTH);
    let objective = fields.optional("objective", |at| at.fraction("a fraction below 1, such as 0.999"));
    Ok(Health { timing: timing?, objective: objective?.unwrap_or(DEFAULT_OBJECTIVE) })
}

fn keep_free(at: &Cursor<'_>) -> Result<Option<u32>, Reported> {
    let fields = Section::RateLimit.read(at)?;
    fields.optional("keep_free", |at| at.number("a whole number of requests, such as 5"))
}

fn request_ids(at: &Cursor<'_>) -> Result<Option<bool>, Reported> {
    Section::Metrics.read(at)?.optional("request_ids", Cursor::boolean)
}

pub(super) fn key_info(at: &Cursor<'_>, inherited: KeyInfo) -> Result<KeyInfo, Reported> {
    let fields = Section::KeyInfo.read(at)?;
    let timing = timing(&fields, inherited.timing);
    let mode = fields.optional("mode", |at| {
        at.one_of(&[
            ("extended", Some(KeyInfoMode::Extended)),
            ("routes", Some(KeyInfoMode::Routes)),
            ("off", None),
        ])
    });
    Ok(KeyInfo { timing: timing?, mode: mode?.unwrap_or(inherited.mode) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_production_api_is_the_default() {
        let api = Api::default();
        assert_eq!(api.base_url.as_str(), "https://api.myunisoft.fr/");
        assert_eq!(api.auth_url.as_str(), "https://app.prodcomptable.myunisoft.fr/api/authenticate/firm");
    }
}
