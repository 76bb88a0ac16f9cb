//! Wiring: brings the parts to life, keeps them to the configuration, and ends them in time.

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::board::Board;
use crate::config::Config;
use crate::http::{self, Reload, Site};
use crate::metrics::Metrics;
use crate::probe::BuildError;
use crate::store::Store;
use crate::watch::Context;
use crate::watchers::Watchers;

/// How long answers under way may take to end once the exporter was asked to stop. With the store's
/// last write this stays within the five seconds that a stop may take.
const DRAIN: Duration = Duration::from_secs(3);

/// Reads the configuration again; the error is fit to be logged and shown.
pub type Loader = Arc<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// What an exporter is made of.
pub struct App {
    /// The configuration to begin with.
    pub config: Config,
    /// How to read it again.
    pub load: Loader,
    /// What outlives this process.
    pub store: Store,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where to serve; bound already.
    pub listeners: Vec<TcpListener>,
    /// Whether `POST /-/reload` is allowed.
    pub lifecycle: bool,
    /// Where the routes are mounted: empty, or `/…` without a final slash.
    pub prefix: String,
    /// The host that users see, where it is not the one that they ask.
    pub external: Option<String>,
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
        wishes: (mpsc::Sender<Reload>, mpsc::Receiver<Reload>),
    ) -> Result<(), RunError> {
        let metrics = self.metrics;
        let context = Arc::new(Context::new(Arc::new(Board::default()), Arc::clone(&metrics), self.store));
        let mut watchers = Watchers::new(Arc::clone(&context));
        watchers.apply(&self.config)?;
        metrics.config_reloaded(true, SystemTime::now());
        let (sender, mut reloads) = wishes;
        let site = Site {
            context: Arc::clone(&context),
            directory: watchers.directory(),
            reload: self.lifecycle.then_some(sender),
            prefix: self.prefix.into(),
            external: self.external.map(Into::into),
        };
        let stop = CancellationToken::new();
        let mut servers = serve(self.listeners, &site, &stop);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                // The wish's reading of files may hang; asking to stop must not wait for it.
                Some(wish) = reloads.recv() => tokio::select! {
                    () = &mut shutdown => break,
                    () = reload(&self.load, &mut watchers, &metrics, wish) => {}
                },
            }
        }
        info!("asked to stop");
        context.stop_probing();
        drop(watchers);
        stop.cancel();
        let drained = timeout(DRAIN, async { while servers.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            warn!("some answers were still under way and are cut off");
        }
        context.store.close().await;
        Ok(())
    }
}

/// Serves the site on every listener until `stop`.
fn serve(listeners: Vec<TcpListener>, site: &Site, stop: &CancellationToken) -> JoinSet<()> {
    let mut servers = JoinSet::new();
    for listener in listeners {
        let app = http::router(site.clone());
        let stop = stop.clone();
        servers.spawn(async move {
            let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                error!(%error, "a listener failed");
            }
        });
    }
    servers
}

/// Reads the configuration and changes to it, or changes nothing.
async fn reload(load: &Loader, watchers: &mut Watchers, metrics: &Metrics, wish: Reload) {
    let load = Arc::clone(load);
    let loaded =
        tokio::task::spawn_blocking(move || load()).await.unwrap_or_else(|died| Err(died.to_string()));
    let outcome = loaded.and_then(|config| watchers.apply(&config).map_err(|error| error.to_string()));
    if outcome.is_ok() {
        watchers.context().accounts.allow_another_try();
    }
    metrics.config_reloaded(outcome.is_ok(), SystemTime::now());
    match &outcome {
        Ok(()) => info!("configuration reloaded"),
        Err(problems) => error!(problems, "configuration not reloaded: the old one goes on"),
    }
    // Whoever wished may be gone.
    let _ = wish.send(outcome);
}
