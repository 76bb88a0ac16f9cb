//! The commands, as a process: files, sockets and signals in, an exit code out.

mod probe;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use checked_yaml::Problems;
use myunisoft_exporter::app::{App, ServeOptions};
use myunisoft_exporter::cli::{DEFAULT_CONFIG_FILE, Flags, ListenAddress};
use myunisoft_exporter::config::{self, Loaded};
use myunisoft_exporter::demo;
use myunisoft_exporter::http::ReloadRequest;
use myunisoft_exporter::metrics::Metrics;
use myunisoft_exporter::panics;
use myunisoft_exporter::reload::{ConfigFiles, LoadedConfig, Loader};
use myunisoft_exporter::store::Store;
use partner_simulator::Simulator;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};
use web_toolkit::auth::Protection;
use web_toolkit::config::{self as web, LoadedWebConfig};

pub(crate) use probe::probe;

/// The default port, registered by nobody else's exporter.
const PORT: u16 = 10_698;
/// Bad usage, or a bad configuration.
const BAD_CONFIGURATION: u8 = 2;

/// Why a command failed after its configuration was found good.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the exporter until it is asked to stop.
pub(crate) fn exporter(flags: &Flags) -> ExitCode {
    let (file, web) = (flags.config_file.clone(), flags.web_config_file.clone());
    let load = move || {
        let (loaded, web) = Problems::both(load(file.as_deref()), load_web(web.as_deref()))?;
        Ok(reading(noted(loaded), web))
    };
    let reading = match load() {
        Ok(reading) => reading,
        Err(problems) => return misconfigured(&problems),
    };
    finish(run(async || {
        let listeners = bind(&flags.listen_addresses_or(ListenAddress { host: None, port: PORT })).await?;
        serve(flags, reading, again(load), &flags.storage_path, listeners).await
    }))
}

/// Runs the exporter against a simulated API.
pub(crate) fn demo(flags: &Flags) -> ExitCode {
    if let Some(file) = &flags.config_file {
        warn!(file = %file.display(), "the demo has a configuration of its own: this file is not read");
    }
    let web = flags.web_config_file.clone();
    let first = match load_web(web.as_deref()) {
        Ok(web) => web,
        Err(problems) => return misconfigured(&problems),
    };
    finish(run(async || {
        let listeners = bind(
            &flags.listen_addresses_or(ListenAddress { host: Some("127.0.0.1".to_owned()), port: PORT }),
        )
        .await?;
        // Nobody reads the demo's journal: remembering thousands of calls would only look like a leak.
        let simulator = Simulator::builder().tls().request_log_capacity(100).start().await?;
        let config = demo::fleet(&simulator);
        // Each run begins with no memory, and leaves none behind.
        let storage = tempfile::tempdir()?;
        introduce(&simulator, &listeners, &flags.prefix(), first.protection.tls.is_some())?;
        let fleet = move || Loaded { config: config.clone(), ..Loaded::default() };
        let reading = reading(fleet(), first);
        let load = again(move || Ok(self::reading(fleet(), load_web(web.as_deref())?)));
        tokio::select! {
            never = demo::run_story(simulator.clone()) => match never {},
            ended = serve(flags, reading, load, storage.path(), listeners) => ended,
        }
    }))
}

/// Says what was understood of a configuration, or everything that is wrong with it.
pub(crate) fn check_config(file: &Path, flags: &Flags) -> ExitCode {
    let web = flags.web_config_file.as_deref().map(web::load).transpose();
    match Problems::both(config::load(file), web) {
        Ok((loaded, web)) => {
            let web = web.map(|web| web.summary()).unwrap_or_default();
            finish(print(format_args!("{}{web}", loaded.summary())).map_err(Into::into))
        }
        Err(problems) => {
            // Nobody is left to tell that nobody reads it.
            let _ = writeln!(io::stderr(), "{problems}");
            BAD_CONFIGURATION.into()
        }
    }
}

/// Logs everything that is wrong, a line each.
fn misconfigured(problems: &Problems) -> ExitCode {
    for problem in problems {
        error!("{problem}");
    }
    BAD_CONFIGURATION.into()
}

/// Reads the configuration. Only where no flag names a file may it be missing.
fn load(file: Option<&Path>) -> Result<Loaded, Problems> {
    match file {
        Some(file) => config::load(file),
        None if Path::new(DEFAULT_CONFIG_FILE).exists() => config::load(Path::new(DEFAULT_CONFIG_FILE)),
        None => Ok(Loaded::default()),
    }
}

/// Who may come in, and the files that say so.
struct Entrance {
    protection: Protection,
    files: Vec<PathBuf>,
}

fn load_web(file: Option<&Path>) -> Result<Entrance, Problems> {
    let LoadedWebConfig { config, warnings, files } = file.map(web::load).transpose()?.unwrap_or_default();
    for warning in warnings {
        warn!("{warning}");
    }
    let protection = Protection::new(config)
        .map_err(|error| Problems::with_file(file.unwrap_or(Path::new("")), error.to_string()))?;
    Ok(Entrance { protection, files })
}

/// Logs what there is to say about a good configuration.
fn noted(loaded: Loaded) -> Loaded {
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let Loaded { config, files, .. } = &loaded;
    if files.is_empty() {
        let url = config.settings.api.base_url.as_str();
        info!(url, "no configuration file {DEFAULT_CONFIG_FILE}: probing the API's health route alone");
    } else {
        let partners = config.partners.len();
        let keys: usize = config.partners.iter().map(|partner| partner.keys.len()).sum();
        info!(files = files.len(), partners, keys, "configuration read");
    }
    loaded
}

/// Brings together what was read.
fn reading(Loaded { config, mut files, patterns, .. }: Loaded, web: Entrance) -> LoadedConfig {
    files.extend(config.settings.api.ca_file.clone());
    files.extend(web.files);
    LoadedConfig { config, protection: web.protection, sources: ConfigFiles { files, patterns } }
}

/// What reads everything again. Its problems are told as one text.
fn again(load: impl Fn() -> Result<LoadedConfig, Problems> + Send + Sync + 'static) -> Loader {
    Arc::new(move || load().map_err(|problems| problems.to_string()))
}

fn run(command: impl AsyncFnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    // A connection and a socket each: a large fleet needs more than the customary 1,024.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    // A dump of the memory would hold every customer's key.
    let _ = rlimit::setrlimit(rlimit::Resource::CORE, 0, 0);
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(command());
    // A thread that hangs, in a look-up or on a dead disk, must not keep the process.
    runtime.shutdown_background();
    outcome
}

fn finish(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            error!("{cause}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(
    flags: &Flags,
    initial: LoadedConfig,
    loader: Loader,
    storage: &Path,
    listeners: Vec<TcpListener>,
) -> Result<(), Failure> {
    let metrics = Arc::new(Metrics::new()?);
    panics::count_in(metrics.panics());
    let counted = Arc::clone(&metrics);
    let store = Store::open(storage, move || counted.storage_write_failed())?;
    let (sender, requests) = mpsc::channel(1);
    tokio::spawn(request_reload_on_sighup(sender.clone())?);
    let app = App {
        initial,
        loader,
        store,
        metrics,
        listeners,
        options: ServeOptions {
            lifecycle: flags.lifecycle,
            auto_reload_interval: (!flags.auto_reload_interval.is_zero())
                .then_some(flags.auto_reload_interval),
            max_connections: max_connections(flags),
            prefix: flags.prefix(),
            external_host: flags.external_host(),
        },
    };
    app.run(asked_to_stop()?, (sender, requests)).await?;
    Ok(())
}

/// As many as asked for, but no more than half of what the system lets be open: probes need the rest.
fn max_connections(flags: &Flags) -> usize {
    let asked = usize::try_from(flags.max_connections).unwrap_or(usize::MAX);
    let open = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let most = asked.min(usize::try_from(open / 2).unwrap_or(usize::MAX));
    if most < asked {
        warn!(
            open_files = open,
            connections = most,
            "few files may be open, so fewer connections are served"
        );
    }
    most
}

async fn bind(addresses: &[ListenAddress]) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = Vec::new();
    for ListenAddress { host, port } in addresses {
        let bound = match host {
            Some(host) => TcpListener::bind((host.as_str(), *port)).await,
            // `[::]` takes IPv4 too; a machine without IPv6 has only that.
            None => match TcpListener::bind(("::", *port)).await {
                Err(cause) if cause.kind() != io::ErrorKind::AddrInUse => {
                    TcpListener::bind(("0.0.0.0", *port)).await
                }
                bound => bound,
            },
        };
        let host = host.as_deref().unwrap_or_default();
        let listener = bound.map_err(|cause| format!("--web.listen-address: {host}:{port}: {cause}"))?;
        info!(address = %listener.local_addr()?, "listening");
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Resolves at SIGTERM or SIGINT.
fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    })
}

/// Wishes for a reload at each SIGHUP. What came of it is logged by whoever fulfils the wish.
fn request_reload_on_sighup(requests: mpsc::Sender<ReloadRequest>) -> io::Result<impl Future<Output = ()>> {
    let mut hang_ups = signal(SignalKind::hangup())?;
    Ok(async move {
        while hang_ups.recv().await.is_some() {
            let (request, _) = oneshot::channel();
            if requests.send(request).await.is_err() {
                return;
            }
        }
    })
}

/// Tells whoever started the demo where to look.
fn introduce(simulator: &Simulator, listeners: &[TcpListener], prefix: &str, tls: bool) -> io::Result<()> {
    let scheme = if tls { "https" } else { "http" };
    let mut text = "The exporter, and what it knows:\n".to_owned();
    for listener in listeners {
        let address = listener.local_addr()?;
        // Writing to a string can't fail.
        let _ =
            writeln!(text, "  {scheme}://{address}{prefix}/           the state of every key, for a person");
        let _ = writeln!(text, "  {scheme}://{address}{prefix}/metrics    for Prometheus");
    }
    let health = simulator.url("/api/partners/health");
    print(format_args!(
        "{text}The simulated Partner API, whose certificate is its own (curl --insecure):\n  {health}\n\
         Within two minutes: a key goes pending → active, one active → revoked, one spends its budget, \
         maintenance comes and goes.\nEnd it with Ctrl-C.\n\n"
    ))
}

/// Prints. That nobody reads on, as `head` does once it has enough, is no failure.
fn print(text: std::fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
