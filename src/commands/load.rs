//! Loads the configuration and the web configuration, and logs what was found.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::DEFAULT_CONFIG_FILE;
use crate::config::{self, Loaded, Secrets};
use crate::file_threads::{FileThreads, NoResult};
use crate::reload::{ConfigFiles, LoadedConfig};
use checked_yaml::Problems;
use tracing::{info, warn};

use web_toolkit::{self as web, LoadedWebConfig, Protection};

/// Loads on a thread of its own, for a limited time: a file that does not respond must not block a command for ever.
/// `file` is named in the error.
pub(super) fn load_in_time<T: Send + 'static>(
    file: Option<&Path>,
    bound: Duration,
    load: impl FnOnce() -> Result<T, Problems> + Send + 'static,
) -> Result<T, Problems> {
    FileThreads::new(1, 1).wait(bound, load).unwrap_or_else(|error| {
        let text = match error {
            NoResult::NoAnswer => "or a file that it names does not respond; check the disk or network share",
            NoResult::Panic => "cannot be read because of a defect; see the log",
        };
        Err(Problems::with_file(file.unwrap_or(Path::new(DEFAULT_CONFIG_FILE)), text.to_owned()))
    })
}

/// Loads the configuration file. It may be missing only if no flag names it.
pub(super) fn load_config(file: Option<&Path>) -> Result<Loaded, Problems> {
    match present_config_file(file) {
        Some(file) => config::load(file, Secrets::ReadLater),
        None => Ok(Loaded::default()),
    }
}

/// The name of the file that [`load_config`] loads, or `none`.
pub(super) fn configuration_name(file: Option<&Path>) -> String {
    present_config_file(file).map_or_else(|| "none".to_owned(), |file| file.display().to_string())
}

/// The file that a flag names, or the default one unless it is missing. A link without its target is not missing.
fn present_config_file(file: Option<&Path>) -> Option<&Path> {
    let default = Path::new(DEFAULT_CONFIG_FILE);
    let is_missing = || default.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    file.or_else(|| (!is_missing()).then_some(default))
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
        let division = &config.settings.division;
        let fleet_keys = division.is_divided().then_some(division.fleet_keys);
        info!(files = files.len(), partners, keys, fleet_keys, "configuration loaded");
    }
}

/// Combines both configurations, and the files whose change causes a reload.
pub(super) fn combine(
    Loaded { config, mut files, patterns, content_hash, .. }: Loaded,
    (protection, web_files): (Protection, Vec<PathBuf>),
) -> LoadedConfig {
    let has_configuration_file = !files.is_empty();
    if !has_configuration_file {
        // It may be created later.
        files.push(DEFAULT_CONFIG_FILE.into());
    }
    files.extend(config.settings.api.ca_file.clone());
    files.extend(web_files);
    let mut hasher = DefaultHasher::new();
    (content_hash, &config.settings.api.ca_pem, protection.digest()).hash(&mut hasher);
    LoadedConfig {
        config,
        protection,
        sources: ConfigFiles { files, has_configuration_file, patterns, content_hash: hasher.finish() },
    }
}
