//! Reloads the configuration, on request or because one of its files changed. A reload takes everything
//! or nothing.

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
use crate::secret;
use web_toolkit::{AuthHandle, Protection};

/// A changed file is read only after it has not changed again for this time, because it may still be being
/// written.
const SETTLE_TIME: Duration = Duration::from_millis(500);
/// After a failed reload, the configuration is read again after this time even if none of its files
/// changed. The error may have been in a file that it names, such as a secret.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Both configurations, and the files that they were read from.
pub(crate) struct LoadedConfig {
    pub config: Config,
    /// TLS, users and headers.
    pub protection: Protection,
    pub sources: ConfigFiles,
}

/// The files whose change causes a reload. Files with secrets are not among them: they are read again
/// when the secret is used.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigFiles {
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// The patterns of key files. A new file that matches one of them also causes a reload.
    pub patterns: Vec<PathBuf>,
}

/// Loads everything. The error is a text that may be logged and shown: it contains no secret.
pub(crate) type Loader = Arc<dyn Fn() -> Result<LoadedConfig, String> + Send + Sync>;

/// The version of each file; `None` for a file that does not exist or can't be read.
type Snapshot = BTreeMap<PathBuf, Option<FileVersion>>;

/// Applies changes of the configuration to the running fleet and server.
pub(crate) struct Reloader {
    loader: Loader,
    fleet: Fleet,
    auth: AuthHandle,
    metrics: Arc<Metrics>,
    sources: ConfigFiles,
    last_snapshot: Snapshot,
    /// The error of the last reload, and when it happened; `None` after a success.
    last_failure: Option<(String, Instant)>,
}

impl Reloader {
    /// `sources` are the files of the configuration that already runs; `loader` reads the next one.
    pub(crate) fn new(
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

    /// Loads and applies everything, or changes nothing. The operator asked for it, so refused log-ins are tried
    /// once more: something was fixed, here or at MyUnisoft.
    ///
    /// # Errors
    /// All problems, as a text that may be shown.
    pub(crate) async fn reload(&mut self) -> Result<(), String> {
        let outcome = self.try_reload().await;
        match &outcome {
            Ok(()) => {
                self.fleet.context().accounts.allow_another_try();
                info!("configuration reloaded");
            }
            Err(problems) => error!(problems, "configuration not reloaded; the previous one stays in effect"),
        }
        outcome
    }

    /// Reloads if a file changed, or some time after a failed reload. The same error is not logged twice.
    pub(crate) async fn reload_if_changed(&mut self) {
        let last_failure = self.last_failure.clone();
        let retry = last_failure.as_ref().is_some_and(|(_, since)| since.elapsed() >= RETRY_INTERVAL);
        if !self.has_changed().await && !retry {
            return;
        }
        match self.try_reload().await {
            Ok(()) => info!("configuration reloaded because a file changed"),
            Err(problems) if last_failure.is_some_and(|(last, _)| last == problems) => {}
            Err(problems) => {
                error!(problems, "configuration not reloaded; the previous one stays in effect");
            }
        }
    }

    /// Whether the files differ from the last snapshot. If they do, waits until they no longer change.
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
        let read_ahead = secret::read_ahead(loaded.config.secrets()).await;
        let applied = self.fleet.apply(&loaded.config).map_err(|error| error.to_string());
        drop(read_ahead);
        if applied.is_ok() {
            // Nothing can fail after this point.
            self.auth.replace(loaded.protection);
            self.sources = loaded.sources;
            // The next check must compare with the versions from before the files were read. For a file that
            // is new here, only the current version is known. If the file changed while it was read, only its
            // next change is detected.
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

    /// As [`Self::snapshot`], on a thread where a slow disk does not delay other tasks.
    async fn snapshot_in_background(&self) -> Snapshot {
        let sources = self.clone();
        spawn_blocking(move || sources.snapshot()).await.unwrap_or_default()
    }
}
