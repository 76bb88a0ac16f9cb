//! Reading the configuration again, on a wish or because a file of it changed: all of it, or nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::spawn_blocking;
use tokio::time::{Duration, Instant, sleep};
use tracing::{error, info};

use crate::config::{self, Config};
use crate::file_version::FileVersion;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use web_toolkit::auth::{AuthHandle, Protection};

/// A file that is being written is left alone until it has been the same for so long.
const SETTLE_TIME: Duration = Duration::from_millis(500);
/// A configuration that was found bad is read again after this time even where no file of it changed:
/// what was wrong may have been a file that it names.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// All that the operator asked for, as it was read.
#[derive(Debug)]
pub struct LoadedConfig {
    /// What to watch.
    pub config: Config,
    /// Who may look.
    pub protection: Protection,
    /// Where it stands.
    pub sources: ConfigFiles,
}

/// The files whose change is a change of the configuration. Secrets' files are not among them: they are
/// read afresh by whoever uses them.
#[derive(Clone, Debug, Default)]
pub struct ConfigFiles {
    /// Files that were read.
    pub files: Vec<PathBuf>,
    /// Patterns of further ones.
    pub patterns: Vec<PathBuf>,
}

/// Reads everything; the error is fit to be logged and shown.
pub type Loader = Arc<dyn Fn() -> Result<LoadedConfig, String> + Send + Sync>;

/// What the files looked like.
type Snapshot = BTreeMap<PathBuf, Option<FileVersion>>;

/// Keeps what runs to what is configured.
pub struct Reloader {
    loader: Loader,
    fleet: Fleet,
    auth: AuthHandle,
    metrics: Arc<Metrics>,
    sources: ConfigFiles,
    last_snapshot: Snapshot,
    /// What was last found wrong, and when; none while all is well.
    last_failure: Option<(String, Instant)>,
}

impl Reloader {
    /// Keeps to what `load` reads from now on; `sources` are those of what runs already.
    pub fn new(
        loader: Loader,
        sources: ConfigFiles,
        fleet: Fleet,
        auth: AuthHandle,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.config_reloaded(true, SystemTime::now());
        let last_snapshot = sources.snapshot();
        Self { loader, fleet, auth, metrics, sources, last_snapshot, last_failure: None }
    }

    /// Reads everything and changes to it, or changes nothing and tells why.
    ///
    /// # Errors
    /// What is wrong, fit to be shown.
    pub async fn reload(&mut self) -> Result<(), String> {
        let outcome = self.try_reload().await;
        match &outcome {
            Ok(()) => info!("configuration reloaded"),
            Err(problems) => error!(problems, "configuration not reloaded: the old one goes on"),
        }
        outcome
    }

    /// Reloads if a file changed, or if something was wrong a while ago; tells nothing twice.
    pub async fn reload_if_changed(&mut self) {
        let last_failure = self.last_failure.clone();
        let retry = last_failure.as_ref().is_some_and(|(_, since)| since.elapsed() >= RETRY_INTERVAL);
        if !self.has_changed().await && !retry {
            return;
        }
        match self.try_reload().await {
            Ok(()) => info!("configuration reloaded, for it changed"),
            Err(problems) if last_failure.is_some_and(|(last, _)| last == problems) => {}
            Err(problems) => error!(problems, "changed configuration not loaded: the old one goes on"),
        }
    }

    /// Whether the files differ from how they were last seen, and have come to rest.
    async fn has_changed(&self) -> bool {
        let mut last = self.sources.snapshot_in_background().await;
        if last == self.last_snapshot {
            return false;
        }
        loop {
            sleep(SETTLE_TIME).await;
            let now = self.sources.snapshot_in_background().await;
            if now == last {
                return true;
            }
            last = now;
        }
    }

    async fn try_reload(&mut self) -> Result<(), String> {
        let snapshot = self.sources.snapshot_in_background().await;
        let load = Arc::clone(&self.loader);
        let loaded = spawn_blocking(move || load()).await.unwrap_or_else(|panic| Err(panic.to_string()));
        let outcome = match loaded {
            Ok(loaded) => self.apply(loaded, snapshot).await,
            Err(problems) => {
                self.last_snapshot = snapshot;
                Err(problems)
            }
        };
        self.metrics.config_reloaded(outcome.is_ok(), SystemTime::now());
        self.last_failure = outcome.as_ref().err().map(|problems| (problems.clone(), Instant::now()));
        outcome
    }

    async fn apply(&mut self, loaded: LoadedConfig, mut snapshot: Snapshot) -> Result<(), String> {
        let applied = self.fleet.apply(&loaded.config).map_err(|error| error.to_string());
        if applied.is_ok() {
            // From here on nothing can fail.
            self.auth.replace(loaded.protection);
            self.fleet.context().accounts.allow_another_try();
            self.sources = loaded.sources;
            // How a file looked before it was read is what counts; a file that is new here may have
            // changed while it was read, which its next change tells.
            let mut present = self.sources.snapshot_in_background().await;
            for (path, version) in &mut present {
                if let Some(before) = snapshot.remove(path) {
                    *version = before;
                }
            }
            snapshot = present;
        }
        self.last_snapshot = snapshot;
        applied
    }
}

impl ConfigFiles {
    fn snapshot(&self) -> Snapshot {
        let matching =
            self.patterns.iter().filter_map(|pattern| config::files_matching(pattern).ok()).flatten();
        let paths = self.files.iter().cloned().chain(matching.filter_map(Result::ok));
        paths.map(|path| (FileVersion::of(&path), path)).map(|(version, path)| (path, version)).collect()
    }

    /// The same, where a slow disk delays nobody.
    async fn snapshot_in_background(&self) -> Snapshot {
        let sources = self.clone();
        spawn_blocking(move || sources.snapshot()).await.unwrap_or_default()
    }
}
