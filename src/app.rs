//! Starts the probes and the server, reloads the configuration while they run, and stops them in time.

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Duration, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};
use url::Url;

use crate::clock_steps;
use crate::demo::Scenario;
use crate::fleet::Fleet;
use crate::history_file::HistoryFile;
use crate::http::{self, AppState, ReloadRequest};
use crate::last_alive::LastAlive;
use crate::metrics::Metrics;
use crate::monitor::Context;
use crate::probe::BuildError;
use crate::reload::{LoadedConfig, Loader, Reloader};
use crate::restore::{Forgotten, RestoreOptions, Restorer};
use crate::schedule::{Gap, Turn};
use crate::service_manager;
use crate::state::SharedState;
use crate::store::Store;
use web_toolkit::{AuthHandle, Service, serve};

/// The time that responses in progress have to finish when the exporter stops. Together with the store's
/// last write, a stop takes at most five seconds.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// A service manager that does not read must not delay the stop.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(1);

/// An exporter, ready to run.
pub(crate) struct App {
    /// The configuration to start with.
    pub initial: LoadedConfig,
    /// Loads the configuration again.
    pub loader: Loader,
    /// Without keys.
    pub shared_state: Arc<SharedState>,
    /// The persisted state.
    pub store: Store,
    /// When an exporter ran last, in the same directory.
    pub last_alive: LastAlive,
    /// The history in the same directory.
    pub history: HistoryFile,
    pub metrics: Arc<Metrics>,
    /// Already bound.
    pub listeners: Vec<TcpListener>,
    pub options: ServeOptions,
    /// They run the probes. They do nothing else, so that a scrape or a reload delays no probe.
    pub probe_runtimes: Vec<Handle>,
}

/// Options of the server. A reload does not change them.
pub(crate) struct ServeOptions {
    /// Whether `POST /-/reload` is allowed.
    pub lifecycle: bool,
    /// Whether `/-/healthy` and `/-/ready` need no password.
    pub probes_without_auth: bool,
    /// How often to check whether a file of the configuration changed; `None`: never.
    pub auto_reload_interval: Option<Duration>,
    /// The place of this exporter among those that monitor the same keys.
    pub turn: Turn,
    /// Where what the storage lost is restored from.
    pub restore: Option<RestoreOptions>,
    /// The maximum number of simultaneous connections, for all listeners.
    pub max_connections: usize,
    /// The path below which everything is served: empty, or `/…` without a final slash.
    pub prefix: String,
    /// Where users and Prometheus reach the exporter, if it is behind a proxy.
    pub external_url: Option<Url>,
    /// The scenario of the demo.
    pub scenario: Option<Scenario>,
}

impl App {
    /// Runs until `shutdown` resolves. Each reload request that the receiver of `requests` gets causes a
    /// reload; `POST /-/reload` uses the sender.
    ///
    /// # Errors
    /// If it could not start, because the HTTP client can't be built with these settings.
    pub(crate) async fn run(
        self,
        shutdown: impl Future<Output = ()>,
        (sender, requests): (mpsc::Sender<ReloadRequest>, mpsc::Receiver<ReloadRequest>),
    ) -> Result<(), BuildError> {
        let Self {
            initial,
            loader,
            shared_state,
            store,
            last_alive,
            mut history,
            metrics,
            listeners,
            options,
            probe_runtimes,
        } = self;
        let context = Arc::new(Context::new(Arc::clone(&shared_state), Arc::clone(&metrics), store));
        let now = SystemTime::now();
        let downtime = last_alive.downtime(now).map(|length| Gap::ending_now(length, now));
        let fleet = Fleet::new(Arc::clone(&context)).with_probe_runtimes(probe_runtimes);
        let mut fleet = fleet.with_start(options.turn, downtime);
        {
            let _read_ahead = initial.config.read_secrets_ahead().await;
            fleet.apply(&initial.config)?;
            // The monitors have copies of their keys. A large fleet is not kept twice.
            drop(initial.config);
        }
        history.restore(&shared_state, now);
        let _restoring = options.restore.map(|restore| start_restore(restore, &fleet));
        let public_paths = public_paths(&options.prefix, options.probes_without_auth);
        let app = AppState {
            context: Arc::clone(&context),
            key_index: fleet.key_index(),
            reload: options.lifecycle.then_some(sender),
            prefix: options.prefix.into(),
            external: options.external_url.map(Arc::new),
            scenario: options.scenario,
        };
        let auth = AuthHandle::new(initial.protection);
        let observer = Arc::clone(&metrics);
        let service = Service {
            router: http::router(app),
            auth: auth.subscribe(),
            observer,
            public_paths,
            refused_handshakes: Arc::default(),
        };
        // Before the server starts: a client that changes a file after its first response must see a reload.
        let reloader = Reloader::new(loader, initial.sources, fleet, auth, metrics).await;
        let _recording = AbortOnDropHandle::new(tokio::spawn(last_alive.record()));
        let _keeping = AbortOnDropHandle::new(tokio::spawn(history.record(Arc::clone(&shared_state))));
        let _watching = AbortOnDropHandle::new(tokio::spawn({
            let context = Arc::clone(&context);
            async move { context.pauses.watch().await }
        }));
        let _correcting = AbortOnDropHandle::new(tokio::spawn({
            let (context, metrics) = (Arc::clone(&context), Arc::clone(&context.metrics));
            clock_steps::watch(move |step| {
                context.shared_state.correct_times(step);
                metrics.correct_times(step);
            })
        }));
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listeners, service, options.max_connections, stop.clone()));
        let _reporting = AbortOnDropHandle::new(tokio::spawn({
            let context = Arc::clone(&context);
            async move {
                service_manager::notify_ready().await;
                service_manager::report_alive(&context.watchdog).await;
            }
        }));
        // At shutdown, a reload in progress is dropped. This is safe: it can only stop where it waits, and
        // it applies a change without waiting.
        tokio::select! {
            () = shutdown => {}
            never = reload_loop(reloader, requests, options.auto_reload_interval) => match never {},
        }
        info!("stopping");
        let _ = timeout(NOTIFY_TIMEOUT, service_manager::notify_stopping()).await;
        context.stop_probing();
        stop.cancel();
        if timeout(DRAIN_TIMEOUT, server).await.is_err() {
            warn!("some responses were still in progress and were cut off");
        }
        history.write_last(&shared_state).await;
        context.store.close().await;
        Ok(())
    }
}

/// Restores what the storage lost, in the background: the start does not wait for Prometheus, and does not fail with it.
fn start_restore(options: RestoreOptions, fleet: &Fleet) -> Option<AbortOnDropHandle<()>> {
    let forgotten = Forgotten::of(fleet);
    match Restorer::new(options, fleet) {
        Ok(restorer) => Some(AbortOnDropHandle::new(tokio::spawn(restorer.run(forgotten)))),
        Err(cause) => {
            error!(cause, "--restore.ca-file: nothing is restored from Prometheus");
            None
        }
    }
}

/// The paths that need no password.
fn public_paths(prefix: &str, probes_without_auth: bool) -> Arc<[String]> {
    let paths = ["/-/healthy", "/-/ready"].map(|path| format!("{prefix}{path}"));
    if probes_without_auth { paths.into() } else { Arc::default() }
}

/// Reloads at each request, and when a file changed. Dropping this future stops every probe.
async fn reload_loop(
    mut reloader: Reloader,
    mut requests: mpsc::Receiver<ReloadRequest>,
    auto_reload_interval: Option<Duration>,
) -> std::convert::Infallible {
    let mut checks = interval(auto_reload_interval.unwrap_or(Duration::from_hours(24)));
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(request) = requests.recv() => {
                // The client may have gone away.
                let _ = request.send(reloader.reload().await);
            }
            _ = checks.tick(), if auto_reload_interval.is_some() => reloader.reload_if_changed().await,
        }
    }
}
