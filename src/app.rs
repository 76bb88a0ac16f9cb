//! Wiring: brings the parts to life, keeps them to the configuration, and ends them in time.

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Duration, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::fleet::Fleet;
use crate::http::{self, AppState, ReloadRequest};
use crate::metrics::Metrics;
use crate::monitor::Context;
use crate::probe::BuildError;
use crate::reload::{LoadedConfig, Loader, Reloader};
use crate::state::SharedState;
use crate::store::Store;
use web_toolkit::auth::AuthHandle;
use web_toolkit::server::{self, Service};

/// How long answers under way may take to end once the exporter was asked to stop. With the store's
/// last write this stays within the five seconds that a stop may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// What an exporter is made of.
pub struct App {
    /// What to begin with.
    pub initial: LoadedConfig,
    /// How to read it again.
    pub loader: Loader,
    /// What outlives this process.
    pub store: Store,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where to serve; bound already.
    pub listeners: Vec<TcpListener>,
    /// How it is served.
    pub options: ServeOptions,
}

/// How it is served: what no reload changes.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Whether `POST /-/reload` is allowed.
    pub lifecycle: bool,
    /// How often to look whether a file of the configuration changed; `None`: never.
    pub auto_reload_interval: Option<Duration>,
    /// How many connections may be open at once.
    pub max_connections: usize,
    /// Where the routes are mounted: empty, or `/…` without a final slash.
    pub prefix: String,
    /// The host that users see, where it is not the one that they ask.
    pub external_host: Option<String>,
}

/// Why an exporter could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The API can't be reached by these settings.
    #[error(transparent)]
    Client(#[from] BuildError),
}

impl App {
    /// Runs until `shutdown` resolves. Each wish that comes through `wishes` is a reload; its sender is
    /// what `POST /-/reload` uses.
    ///
    /// # Errors
    /// Where it could not even begin.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()>,
        requests: (mpsc::Sender<ReloadRequest>, mpsc::Receiver<ReloadRequest>),
    ) -> Result<(), RunError> {
        let Self { initial, loader, store, metrics, listeners, options } = self;
        let context = Arc::new(Context::new(Arc::new(SharedState::default()), Arc::clone(&metrics), store));
        let mut fleet = Fleet::new(Arc::clone(&context));
        fleet.apply(&initial.config)?;
        let (sender, requests) = requests;
        let app = AppState {
            context: Arc::clone(&context),
            key_index: fleet.key_index(),
            reload: options.lifecycle.then_some(sender),
            prefix: options.prefix.into(),
            external: options.external_host.map(Into::into),
        };
        let auth = AuthHandle::new(initial.protection);
        let observer = Arc::clone(&metrics);
        let service = Service { router: http::router(app), auth: auth.subscribe(), observer };
        let stop = CancellationToken::new();
        let server = tokio::spawn(server::serve(listeners, service, options.max_connections, stop.clone()));
        let reloader = Reloader::new(loader, initial.sources, fleet, auth, metrics);
        // Dropped where it stands: what a reload does beside waiting is done at once.
        tokio::select! {
            () = shutdown => {}
            never = reload_loop(reloader, requests, options.auto_reload_interval) => match never {},
        }
        info!("asked to stop");
        context.stop_probing();
        stop.cancel();
        if timeout(DRAIN_TIMEOUT, server).await.is_err() {
            warn!("some answers were still under way and are cut off");
        }
        context.store.close().await;
        Ok(())
    }
}

/// Reloads on each wish, and where a file changed. Dropping it ends every probe.
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
                // Whoever wished may be gone.
                let _ = request.send(reloader.reload().await);
            }
            _ = checks.tick(), if auto_reload_interval.is_some() => reloader.reload_if_changed().await,
        }
    }
}
