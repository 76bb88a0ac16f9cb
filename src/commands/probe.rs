//! `myunisoft-exporter probe`: every configured probe once, told on standard output.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use myunisoft_exporter::cli::{Flags, Output};
use myunisoft_exporter::metrics::Metrics;
use myunisoft_exporter::probe_once::{self, ProbeOnce};
use myunisoft_exporter::status::{self, Filter, KeyDetail, Overview, StatusSource};
use myunisoft_exporter::store::Store;
use myunisoft_exporter::terminal::{self, Colours};
use tracing::error;

use super::{BAD_CONFIGURATION, Failure, finish, load, misconfigured, noted, print, run};

/// Runs every configured probe once, and tells what came of it.
pub(crate) fn probe(names: &[String], output: Output, flags: &Flags) -> ExitCode {
    let chosen = match load(flags.config_file.as_deref()) {
        Ok(loaded) => probe_once::choose(noted(loaded).config, names),
        Err(problems) => return misconfigured(&problems),
    };
    let config = match chosen {
        Ok(config) => config,
        Err(unknown) => {
            error!("{unknown}");
            return BAD_CONFIGURATION.into();
        }
    };
    let mut succeeded = false;
    let outcome = run(async || {
        let once = ProbeOnce::new(&config, memory(&flags.storage_path), Arc::new(Metrics::new()?))?;
        let bar = progress_bar(once.key_count());
        once.run(|| bar.inc(1)).await;
        bar.finish_and_clear();
        succeeded = once.succeeded();
        tell(&once, output)
    });
    match finish(outcome) {
        ExitCode::SUCCESS if !succeeded => ExitCode::FAILURE,
        code => code,
    }
}

/// What an exporter remembers in its storage folder: it tells a revoked key from one that never worked.
fn memory(folder: &Path) -> Store {
    Store::view(folder).unwrap_or_else(|cause| {
        let folder = folder.display();
        error!(%folder, %cause, "what is remembered of the keys can't be read: a revoked one shows as not_found");
        Store::nothing()
    })
}

/// On standard error, and only where that is a terminal; for few keys it would only flicker.
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

fn tell(once: &ProbeOnce, output: Output) -> Result<(), Failure> {
    let source = StatusSource::new(once.shared_state());
    let selection = status::select(&source.inventory, &Filter::default());
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

/// Only on a terminal that knows them, and where nobody said otherwise (no-color.org).
fn colours() -> Colours {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    Colours(io::stdout().is_terminal() && !dumb && !is_set("NO_COLOR"))
}
