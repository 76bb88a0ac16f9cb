//! Without a subcommand: the exporter itself. Also runs the exporter for the demo.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::app::{App, ServeOptions};
use crate::cli::{Flags, ListenAddress};
use crate::config::Config;
use crate::demo::Scenario;
use crate::history_file::HistoryFile;
use crate::last_alive::LastAlive;
use crate::metrics::Metrics;
use crate::panics;
use crate::reload::{LOAD_TIMEOUT, LoadedConfig};
use crate::restore::RestoreOptions;
use crate::schedule::Turn;
use crate::state::SharedState;
use crate::store::Store;
use checked_yaml::Problems;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::load::{combine, configuration_name, load_config, load_in_time, load_web_config, log_loaded};
use super::process::{
    BadConfiguration, Failure, ProbeThreads, bad_configuration, exit_code, listen, request_reload_on_sighup,
    run_async, stop_signal,
};

/// A port that the list of default ports of Prometheus exporters gives to no other exporter.
pub(super) const DEFAULT_PORT: u16 = 10_698;

/// Runs the exporter until a signal stops it.
pub(crate) fn exporter(flags: &Flags) -> ExitCode {
    let (config_file, web_config_file) = (flags.config_file.clone(), flags.web_config_file.clone());
    let shard = match flags.shard().and_then(|shard| flags.replica().map(|_| shard)) {
        Ok(shard) => shard,
        Err(problem) => return exit_code(Err(BadConfiguration(problem).into())),
    };
    let replicas = flags.replicas;
    let load = Arc::new(move || {
        let config = load_config(config_file.as_deref());
        let (mut config, web_config) = Problems::both(config, load_web_config(web_config_file.as_deref()))?;
        config.config.divide(shard);
        config.config.take_turns(replicas);
        log_loaded(&config);
        Ok(combine(config, web_config))
    });
    let first_load = Arc::clone(&load);
    let initial = match load_in_time(flags.config_file.as_deref(), LOAD_TIMEOUT, move || first_load()) {
        Ok(initial) => initial,
        Err(problems) => return bad_configuration(&problems),
    };
    exit_code(run_async(async || {
        let listeners = listen(flags, ListenAddress { host: None, port: DEFAULT_PORT }).await?;
        let configuration = configuration_name(flags.config_file.as_deref());
        serve(flags, initial, move || load(), &configuration, &flags.storage_path, listeners, None).await
    }))
}

/// Serves until a signal stops the process. `load` loads the configuration again at each reload; all its
/// problems become one text. `configuration` says in the log where it comes from.
pub(super) async fn serve(
    flags: &Flags,
    initial: LoadedConfig,
    load: impl Fn() -> Result<LoadedConfig, Problems> + Send + Sync + 'static,
    configuration: &str,
    storage: &Path,
    listeners: Vec<TcpListener>,
    scenario: Option<Scenario>,
) -> Result<(), Failure> {
    log_start(&initial.config, configuration, storage);
    let metrics = Arc::new(Metrics::new()?);
    panics::count_in(metrics.panics());
    let shared_state = Arc::new(SharedState::default());
    let (metrics_of_store, shown) = (Arc::clone(&metrics), Arc::clone(&shared_state));
    let store = Store::open(storage, move |written| {
        shown.record_write(written);
        if written.is_err() {
            metrics_of_store.storage_write_failed();
        }
    })?;
    initial.sources.refuse_lost_files(&store).map_err(BadConfiguration)?;
    let last_alive = LastAlive::read(storage);
    let (sender, requests) = mpsc::channel(1);
    tokio::spawn(request_reload_on_sighup(sender.clone())?);
    let loader = Arc::new(move || load().map_err(|problems| problems.to_string()));
    let probe_threads = ProbeThreads::start()?;
    let probe_runtimes = probe_threads.handles();
    let history = HistoryFile::read(storage);
    let app = App {
        initial,
        loader,
        shared_state,
        store,
        last_alive,
        history,
        metrics,
        listeners,
        options: ServeOptions { scenario, ..options(flags) },
        probe_runtimes,
    };
    app.run(stop_signal()?, (sender, requests)).await?;
    Ok(())
}

/// One line that says what runs, for support and for whoever compares two starts.
fn log_start(config: &Config, configuration: &str, storage: &Path) {
    let partners = config.partners.len();
    let keys: usize = config.partners.iter().map(|partner| partner.keys.len()).sum();
    let (version, storage) = (crate::version::VERSION, storage.display());
    let division = &config.settings.division;
    let shard = division.is_divided().then(|| tracing::field::display(division.shard));
    info!(version, configuration, %storage, partners, keys, shard, "myunisoft-exporter starts");
}

fn options(flags: &Flags) -> ServeOptions {
    let check_files = !flags.auto_reload_interval.is_zero();
    ServeOptions {
        lifecycle: flags.lifecycle,
        probes_without_auth: flags.probes_without_auth,
        auto_reload_interval: check_files.then_some(flags.auto_reload_interval),
        // The demo alone has not checked it, and it is one exporter.
        turn: Turn::of_replica(flags.replica().unwrap_or_default(), flags.replicas),
        restore: restore_options(flags),
        max_connections: max_connections(flags),
        prefix: flags.prefix(),
        external_url: flags.external_url.as_ref().map(|external| external.url.clone()),
        scenario: None,
    }
}

fn restore_options(flags: &Flags) -> Option<RestoreOptions> {
    let (url, matchers) = flags.restore_url.clone().zip(flags.restore_match.clone())?;
    let (authorization_file, ca_file) =
        (flags.restore_authorization_file.clone(), flags.restore_ca_file.clone());
    Some(RestoreOptions { url, matchers, authorization_file, ca_file })
}

/// The flag's value, but at most half of the files that the process may open: probes need the others.
fn max_connections(flags: &Flags) -> usize {
    let requested = usize::try_from(flags.max_connections).unwrap_or(usize::MAX);
    let open_files = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let connections = requested.min(usize::try_from(open_files / 2).unwrap_or(usize::MAX));
    if connections < requested {
        warn!(open_files, connections, "connections are limited to half of the files that may be open");
    }
    connections
}
