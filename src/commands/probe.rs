//! `myunisoft-exporter probe`: runs every configured probe once and prints the results.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::{DEFAULT_CONFIG_FILE, Flags, Output, ProbeOptions};
use crate::file_threads::FileThreads;
use crate::language::Language;
use crate::metrics::Metrics;
use crate::probe_once::{self, ProbeOnce};
use crate::reload::LOAD_TIMEOUT;
use crate::status::{self, Filter, KeyDetail, Overview, StatusSource};
use crate::store::Store;
use crate::terminal::{self, Results, Screen};
use indicatif::{ProgressBar, ProgressStyle};
use tracing::error;

use super::load::{load_config, load_in_time, log_loaded};
use super::process::{BAD_CONFIGURATION, Failure, bad_configuration, exit_code, print, run_async};

/// Up to this number of keys, the table shows every key in full.
const FEW_KEYS: usize = 20;

/// Runs the probes of the named keys, or of all keys if none is named.
pub(crate) fn probe(options: &ProbeOptions, flags: &Flags) -> ExitCode {
    let names = &options.keys;
    let file = flags.config_file.clone();
    let load = move || load_config(file.as_deref());
    let mut loaded = match load_in_time(flags.config_file.as_deref(), LOAD_TIMEOUT, load) {
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
    let shard = match flags.shard() {
        Ok(shard) => shard,
        Err(problem) => {
            error!("{problem}");
            return BAD_CONFIGURATION.into();
        }
    };
    // Who names a key wants its result, whichever shard monitors it.
    if names.is_empty() {
        loaded.config.divide(shard);
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
        print_result(&once, options)
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

/// On standard error, and only if that is a terminal. Hidden for few keys, because it would only flicker.
fn progress_bar(keys: usize) -> ProgressBar {
    if keys < FEW_KEYS {
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

fn print_result(once: &ProbeOnce, options: &ProbeOptions) -> Result<(), Failure> {
    let source = StatusSource::new(once.shared_state(), Language::English);
    let mut selection = status::select(&source, &Filter::default());
    let probed = selection.keys.len();
    let failing = selection.keys.iter().filter(|key| !probe_once::key_succeeded(key)).count();
    let in_full = options.all || !options.keys.is_empty() || (probed <= FEW_KEYS && !options.failing);
    let only_failing = match options.output {
        Output::Json => options.failing,
        Output::Table => options.failing || !in_full,
    };
    if only_failing {
        selection.keys.retain(|key| !probe_once::key_succeeded(key));
    }
    match options.output {
        Output::Json => {
            let pieces = status::document(&source, selection)?;
            let text = pieces.flatten().collect();
            print(format_args!("{}", String::from_utf8(text)?))?;
        }
        Output::Table => {
            let overview = Overview::new(&source, &selection);
            let keys: Vec<_> = selection.keys.iter().map(|key| KeyDetail::new(&source, key)).collect();
            let results = Results { overview: &overview, keys: &keys, probed, failing };
            let write = if in_full { terminal::full } else { terminal::failing };
            print(format_args!("{}", write(&results, Screen::of_standard_output())))?;
        }
    }
    Ok(())
}
