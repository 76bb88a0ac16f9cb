//! Loads the configuration and the web configuration, and logs what was found.

use std::path::{Path, PathBuf};

use crate::cli::DEFAULT_CONFIG_FILE;
use crate::config::{self, Loaded, Secrets};
use crate::reload::{ConfigFiles, LoadedConfig};
use checked_yaml::Problems;
use tracing::{info, warn};

use web_toolkit::{self as web, LoadedWebConfig, Protection};

/// Loads the configuration file. It may be missing only if no flag names it.
pub(super) fn load_config(file: Option<&Path>) -> Result<Loaded, Problems> {
    match file {
        Some(file) => config::load(file, Secrets::ReadLater),
        None if Path::new(DEFAULT_CONFIG_FILE).exists() => {
            config::load(Path::new(DEFAULT_CONFIG_FILE), Secrets::ReadLater)
        }
        None => Ok(Loaded::default()),
    }
}

/// Loads the web configuration file, if there is one, and logs its warnings. Returns TLS, users and headers,
/// and the files that they were read from.
pub(super) fn load_web_config(file: Option<&Path>) -> Result<(Protection, Vec<PathBuf>), Problems> {
    let LoadedWebConfig { config, warnings, files } = file.map(web::load).transpose()?.unwrap_or_default();
    for warning in warnings {
        warn!("{warning}");
    }
    let protection = Protection::new(config)
        .map_err(|error| Problems::with_file(file.unwrap_or(Path::new("")), error.to_string()))?;
    Ok((protection, files))
}

/// Logs the warnings about a valid configuration, and its size.
pub(super) fn log_loaded(Loaded { config, warnings, files, .. }: &Loaded) {
    for warning in warnings {
        warn!("{warning}");
    }
    if files.is_empty() {
        let url = config.settings.api.base_url.as_str();
        info!(url, "no configuration file {DEFAULT_CONFIG_FILE}; only the API's health route is probed");
    } else {
        let partners = config.partners.len();
        let keys: usize = config.partners.iter().map(|partner| partner.keys.len()).sum();
        info!(files = files.len(), partners, keys, "configuration loaded");
    }
}

/// Combines both configurations, and the files whose change causes a reload.
pub(super) fn combine(
    Loaded { config, mut files, patterns, .. }: Loaded,
    (protection, web_files): (Protection, Vec<PathBuf>),
) -> LoadedConfig {
    files.extend(config.settings.api.ca_file.clone());
    files.extend(web_files);
    LoadedConfig { config, protection, sources: ConfigFiles { files, patterns } }
}
