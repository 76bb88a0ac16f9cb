//! What stands in the configuration file once, for the whole fleet: everything but the partners.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Url;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::canaries::Canaries;
use super::decode::{At, Fields, Report, Reported};
use super::problem::unreadable;
use super::timing::timing;
use super::{Api, KeyInfoMode, Metrics, RateLimit, Timing, urls};

/// The sections of the configuration file, each whole or reported.
pub(super) struct Settings {
    pub(super) api: Api,
    pub(super) health: Timing,
    pub(super) objective: f64,
    pub(super) key_info: Result<KeyInfo, Reported>,
    pub(super) canaries: Canaries,
    pub(super) rate_limit: RateLimit,
    pub(super) metrics: Metrics,
}

impl Settings {
    /// A section that is wrong is replaced by its default: its problems are in the report, so the
    /// configuration as a whole is never used.
    pub(super) fn read(fields: &Fields<'_>, report: &mut Report) -> Self {
        let api = fields.optional("api", report, api).unwrap_or_default();
        let health = fields.optional("health", report, health).ok().flatten();
        let (health, objective) = health.unwrap_or((Timing::HEALTH, OBJECTIVE));
        let key_info =
            fields.optional("key_info", report, |at, report| key_info(at, KeyInfo::DEFAULT, report));
        let canaries = Canaries::read(fields, report);
        let rate_limit = fields.optional("rate_limit", report, rate_limit);
        let metrics = fields.optional("metrics", report, metrics);
        Self {
            api: api.unwrap_or_default(),
            health,
            objective,
            key_info: key_info.map(|key_info| key_info.unwrap_or(KeyInfo::DEFAULT)),
            canaries,
            rate_limit: rate_limit.ok().flatten().unwrap_or_default(),
            metrics: metrics.ok().flatten().unwrap_or_default(),
        }
    }
}

/// The same as the alerts' own, in `alerts/settings.rules.yml`.
const OBJECTIVE: f64 = 0.999;

/// `key_info:`, for the fleet or for one key.
#[derive(Clone, Copy)]
pub(super) struct KeyInfo {
    pub(super) timing: Timing,
    /// None for `off`.
    pub(super) mode: Option<KeyInfoMode>,
}

impl KeyInfo {
    const DEFAULT: Self = Self { timing: Timing::KEY, mode: Some(KeyInfoMode::Extended) };
}

impl Default for Api {
    /// MyUnisoft's production API.
    #[expect(clippy::expect_used, reason = "a test parses both of these")]
    fn default() -> Self {
        let url = |text| Url::parse(text).expect("a URL written by hand");
        Self {
            base_url: url("https://api.myunisoft.fr"),
            auth_url: url("https://app.prodcomptable.myunisoft.fr/api/authenticate/firm"),
            ca_file: None,
            ca_pem: None,
            proxy_url: None,
        }
    }
}

impl Default for super::Config {
    /// Without a configuration file: the health route of MyUnisoft's production API alone.
    fn default() -> Self {
        Self {
            api: Api::default(),
            health: Timing::HEALTH,
            objective: OBJECTIVE,
            rate_limit: RateLimit::default(),
            metrics: Metrics::default(),
            partners: Vec::new(),
        }
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { keep_free: 5 }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { request_ids: true }
    }
}

fn api(at: &At<'_>, report: &mut Report) -> Result<Api, Reported> {
    let default = Api::default();
    let fields = at.fields(&["base_url", "auth_url", "ca_file", "proxy_url"], report)?;
    let base_url = fields.optional("base_url", report, urls::api_url);
    let auth_url = fields.optional("auth_url", report, urls::api_url);
    let ca_file = fields.optional("ca_file", report, ca_file);
    let proxy_url = fields.optional("proxy_url", report, urls::proxy_url);
    Ok(Api {
        base_url: base_url?.unwrap_or(default.base_url),
        auth_url: auth_url?.unwrap_or(default.auth_url),
        ca_file: ca_file?,
        ca_pem: None,
        proxy_url: proxy_url?,
    })
}

fn ca_file(at: &At<'_>, report: &mut Report) -> Result<PathBuf, Reported> {
    let path = at.path(report)?;
    match certificates(&path) {
        Ok(()) => Ok(path),
        Err(text) => Err(report.problem(at, format!("the file {} {text}", path.display()))),
    }
}

/// Whether the file holds certificates that can be trusted, and nothing broken among them.
fn certificates(path: &Path) -> Result<(), String> {
    let pem = fs::read(path).map_err(|error| unreadable(&error))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let number = store.len() + 1;
        certificate
            .map_err(|_| ())
            .and_then(|certificate| store.add(certificate).map_err(|_| ()))
            .map_err(|()| format!("is broken at certificate number {number}; export it again, as PEM"))?;
    }
    if store.is_empty() {
        return Err("holds no certificate; it must be PEM, with `BEGIN CERTIFICATE` lines".to_owned());
    }
    Ok(())
}

fn health(at: &At<'_>, report: &mut Report) -> Result<(Timing, f64), Reported> {
    let fields = at.fields(&["interval", "timeout", "objective"], report)?;
    let timing = timing(&fields, Timing::HEALTH, report);
    let objective = fields.optional("objective", report, |at, report| {
        at.share("a share below 1 of the probes, such as 0.999", report)
    });
    Ok((timing?, objective?.unwrap_or(OBJECTIVE)))
}

fn rate_limit(at: &At<'_>, report: &mut Report) -> Result<RateLimit, Reported> {
    let fields = at.fields(&["keep_free"], report)?;
    let keep_free = fields.optional("keep_free", report, |at, report| {
        at.number("a whole number of requests, such as 5", report)
    })?;
    Ok(keep_free.map_or_else(RateLimit::default, |keep_free| RateLimit { keep_free }))
}

fn metrics(at: &At<'_>, report: &mut Report) -> Result<Metrics, Reported> {
    let fields = at.fields(&["request_ids"], report)?;
    let request_ids = fields.optional("request_ids", report, At::flag)?;
    Ok(request_ids.map_or_else(Metrics::default, |request_ids| Metrics { request_ids }))
}

pub(super) fn key_info(at: &At<'_>, inherited: KeyInfo, report: &mut Report) -> Result<KeyInfo, Reported> {
    let fields = at.fields(&["interval", "timeout", "mode"], report)?;
    let timing = timing(&fields, inherited.timing, report);
    let mode = fields.optional("mode", report, |at, report| {
        let mode = |word: &str| match word {
            "off" => Some(None),
            word => KeyInfoMode::from_word(word).map(Some),
        };
        at.word(&["extended", "routes", "off"], mode, report)
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
