//! `myunisoft-exporter probe`: runs every configured probe once and prints the results.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::{DEFAULT_CONFIG_FILE, Flags, Output};
use crate::file_threads::FileThreads;
use crate::language::Language;
use crate::metrics::Metrics;
use crate::probe_once::{self, ProbeOnce};
use crate::reload::LOAD_TIMEOUT;
use crate::status::{self, Filter, KeyDetail, Overview, StatusSource};
use crate::store::Store;
use crate::terminal::{self, Colours};
use indicatif::{ProgressBar, ProgressStyle};
use tracing::error;

use super::load::{load_config, load_in_time, log_loaded};
use super::process::{BAD_CONFIGURATION, Failure, bad_configuration, exit_code, print, run_async};

/// Runs the probes of the named keys, or of all keys if `names` is empty.
pub(crate) fn probe(names: &[String], output: Output, flags: &Flags) -> ExitCode {
    let file = flags.config_file.clone();
    let load = move || load_config(file.as_deref());
    let loaded = match load_in_time(flags.config_file.as_deref(), LOAD_TIMEOUT, load) {
        Ok(loaded) => loaded,
        Err(problems) => return bad_configuration(&problems),
    };
    log_loaded(&loaded);
    if loaded.files.is_empty() && !names.is_empty() {
        error!(
            "--key: no key is configured, because there is no configuration file {DEFAULT_CONFIG_FILE}; name it with \
             --config.file"
        );
        return BAD_CONFIGURATION.into();
    }
    let config = match probe_once::choose(loaded.config, names) {
        Ok(config) => config,
        Err(unknown) => {
            error!("{unknown}");
            return BAD_CONFIGURATION.into();
        }
    };
    let mut succeeded = false;
    let outcome = run_async(async || {
        let _read_ahead = config.read_secrets_ahead().await;
        let once = ProbeOnce::new(&config, persisted_state(&flags.storage_path), Arc::new(Metrics::new()?))?;
        let bar = progress_bar(once.key_count());
        once.run(|| bar.inc(1)).await;
        bar.finish_and_clear();
        succeeded = once.succeeded();
        print_result(&once, output)
    });
    match exit_code(outcome) {
        ExitCode::SUCCESS if !succeeded => ExitCode::FAILURE,
        code => code,
    }
}

/// The state that an exporter persisted. With it, a revoked key is not confused with one that never worked.
fn persisted_state(directory: &Path) -> Store {
    let read_from = directory.to_owned();
    let snapshot = FileThreads::new(1, 1).wait(LOAD_TIMEOUT, move || Store::snapshot(&read_from));
    let snapshot = snapshot.unwrap_or_else(|error| Err(io::Error::other(format!("the disk {error}"))));
    snapshot.unwrap_or_else(|cause| {
        error!(directory = %directory.display(), %cause, "persisted state can't be read; a revoked key is shown as not_found");
        Store::without_state(directory)
    })
}

/// On standard error, and only if that is a terminal. Hidden for fewer than 20 keys, because it would only
/// flicker.
fn progress_bar(keys: usize) -> ProgressBar {
    if keys < 20 {
        return ProgressBar::hidden();
    }
    let length = u64::try_from(keys).unwrap_or(u64::MAX);
    let style = ProgressStyle::with_template("{pos} of {len} keys [{bar:40}] {eta} left");
    let bar = ProgressBar::new(length);
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

fn print_result(once: &ProbeOnce, output: Output) -> Result<(), Failure> {
    let source = StatusSource::new(once.shared_state(), Language::English);
    let selection = status::select(&source, &Filter::default());
    match output {
        Output::Json => {
            let pieces = status::document(&source, selection)?;
            let text = pieces.flatten().collect();
            print(format_args!("{}", String::from_utf8(text)?))?;
        }
        Output::Table => {
            let overview = Overview::new(&source, &selection);
            let keys: Vec<_> = selection.keys.iter().map(|key| KeyDetail::new(&source, key)).collect();
            print(format_args!("{}", terminal::table(&overview, &keys, colours())))?;
        }
    }
    Ok(())
}

/// Used on a terminal that supports them, unless `NO_COLOR` is set (no-color.org).
fn colours() -> Colours {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    Colours(io::stdout().is_terminal() && !is_dumb && !is_set("NO_COLOR"))
}
