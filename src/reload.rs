//! Reloads the configuration, on request or because one of its files changed. A reload takes everything
//! or nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::{Duration, Instant, sleep};
use tracing::{debug, error, info};

use crate::config::{Config, KeyFiles};
use crate::file_threads::FileThreads;
use crate::file_version::FileVersion;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::state::ReloadFailure;
use crate::store::Store;
use web_toolkit::{AuthHandle, Protection};

/// A changed file is read only after it has not changed again for this time, because it may still be being
/// written.
const SETTLE_TIME: Duration = Duration::from_millis(500);
/// A file that changes all the time is read after this number of waits. What is read then counts.
const MAX_SETTLE_WAITS: u32 = 6;
/// After a failed reload, the configuration is read again after this time even if none of its files
/// changed. The error may have been in a file that it names, such as a secret.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// How long the versions of all files may take. A local disk needs milliseconds.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to read the configuration. A hundred thousand keys take a few seconds.
pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How many attempts may be blocked by files that do not respond. Beyond that, a reload fails until one responds.
const MAX_BLOCKED: usize = 16;
/// The first errors are shown, the others only counted.
const MAX_SHOWN_PROBLEMS: usize = 5;

/// The store remembers whether there was a configuration file beside the patterns of key files, which are paths.
const CONFIGURATION_FILE: &str = "configuration file";

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
    /// The files that were read, and those that would be read if they existed.
    pub files: Vec<PathBuf>,
    /// Whether there is a configuration file. Without one, only the API's health route is probed.
    pub has_configuration_file: bool,
    /// The patterns of key files. A new file that matches one of them also causes a reload.
    pub patterns: Vec<KeyFiles>,
    /// Of what was read from them: it tells whether only the versions changed.
    pub content_hash: u64,
}

/// Loads everything. The error is a text that may be logged and shown: it contains no secret.
pub(crate) type Loader = Arc<dyn Fn() -> Result<LoadedConfig, String> + Send + Sync>;

/// The version of each file; `None` for a file that does not exist or can't be read.
type Snapshot = BTreeMap<PathBuf, Option<FileVersion>>;

/// Why the configuration is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    /// Someone asked for it.
    Request,
    /// A file changed, or the last reload failed.
    Automatic,
}

/// What a successful reload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Applied,
    /// The files have other versions and the same content.
    Unchanged,
}

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
    /// Where files are read: one that does not respond must block neither the probes nor a later reload.
    threads: FileThreads,
}

impl Reloader {
    /// `sources` are the files of the configuration that already runs; `loader` reads the next one.
    pub(crate) async fn new(
        loader: Loader,
        sources: ConfigFiles,
        fleet: Fleet,
        auth: AuthHandle,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.config_reloaded(true, SystemTime::now());
        sources.remember_files(&fleet.context().store);
        let threads = FileThreads::new(1, MAX_BLOCKED);
        let last_snapshot = snapshot(&threads, &sources).await.unwrap_or_default();
        Self { loader, fleet, auth, metrics, sources, last_snapshot, last_failure: None, threads }
    }

    /// Loads and applies everything, or changes nothing. The operator asked for it, so refused log-ins are tried
    /// once more: something was fixed, here or at MyUnisoft.
    ///
    /// # Errors
    /// All problems, as a text that may be shown.
    pub(crate) async fn reload(&mut self) -> Result<(), String> {
        let outcome = self.try_reload(Trigger::Request).await;
        match &outcome {
            Ok(_) => info!("configuration reloaded"),
            Err(problems) => error!(problems, "configuration not reloaded; the previous one stays in effect"),
        }
        outcome.map(drop)
    }

    /// Reloads if a file changed, or some time after a failed reload. The same error is not logged twice.
    pub(crate) async fn reload_if_changed(&mut self) {
        let last_failure = self.last_failure.clone();
        let retry = last_failure.as_ref().is_some_and(|(_, since)| since.elapsed() >= RETRY_INTERVAL);
        let outcome = match self.has_changed().await {
            Ok(false) if !retry => return,
            Ok(_) => self.try_reload(Trigger::Automatic).await,
            Err(problem) => self.record(Err(problem)),
        };
        match outcome {
            Ok(Outcome::Applied) => info!("configuration reloaded because a file changed"),
            Ok(Outcome::Unchanged) if last_failure.is_some() => info!("configuration can be read again"),
            Ok(Outcome::Unchanged) => debug!("a file of the configuration changed, but not its content"),
            Err(problems) if last_failure.is_some_and(|(last, _)| last == problems) => {}
            Err(problems) => {
                error!(problems, "configuration not reloaded; the previous one stays in effect");
            }
        }
    }

    /// Whether the files differ from the last snapshot. If they do, waits until they no longer change, but not for
    /// ever.
    async fn has_changed(&self) -> Result<bool, String> {
        if self.threads.is_blocked() {
            // An earlier attempt still waits for a file. Another one would wait, too.
            return Err(no_answer());
        }
        let mut last = snapshot(&self.threads, &self.sources).await?;
        if last == self.last_snapshot {
            return Ok(false);
        }
        for _ in 0..MAX_SETTLE_WAITS {
            sleep(SETTLE_TIME).await;
            let now = snapshot(&self.threads, &self.sources).await?;
            if now == last {
                break;
            }
            last = now;
        }
        Ok(true)
    }

    async fn try_reload(&mut self, trigger: Trigger) -> Result<Outcome, String> {
        let outcome = self.load_and_apply(trigger).await;
        self.record(outcome)
    }

    /// Shows the outcome in the metrics and on the status page.
    fn record(&mut self, outcome: Result<Outcome, String>) -> Result<Outcome, String> {
        let now = SystemTime::now();
        self.metrics.config_reloaded(outcome.is_ok(), now);
        let failure = outcome.as_ref().err();
        self.last_failure = failure.map(|problems| (problems.clone(), Instant::now()));
        let failure = failure.map(|problems| ReloadFailure { at: now, text: shortened(problems) });
        self.fleet.context().shared_state.set_reload_failure(failure);
        outcome
    }

    async fn load_and_apply(&mut self, trigger: Trigger) -> Result<Outcome, String> {
        let snapshot = snapshot(&self.threads, &self.sources).await?;
        let load = Arc::clone(&self.loader);
        let loaded = self.threads.run(LOAD_TIMEOUT, move || load()).await.map_err(|_| no_answer())?;
        let store = &self.fleet.context().store;
        match loaded.and_then(|loaded| loaded.sources.refuse_lost_files(store).map(|()| loaded)) {
            Ok(loaded)
                if trigger == Trigger::Automatic
                    && loaded.sources.content_hash == self.sources.content_hash =>
            {
                self.last_snapshot = self.next_snapshot(snapshot).await;
                Ok(Outcome::Unchanged)
            }
            Ok(loaded) => self.apply(loaded, snapshot, trigger).await.map(|()| Outcome::Applied),
            Err(problems) => {
                self.last_snapshot = snapshot;
                Err(problems)
            }
        }
    }

    async fn apply(
        &mut self,
        loaded: LoadedConfig,
        snapshot: Snapshot,
        trigger: Trigger,
    ) -> Result<(), String> {
        let read_ahead = loaded.config.read_secrets_ahead().await;
        let applied = self.fleet.apply(&loaded.config).map_err(|error| error.to_string());
        drop(read_ahead);
        if applied.is_err() {
            self.last_snapshot = snapshot;
            return applied;
        }
        // Nothing can fail after this point.
        self.auth.replace(loaded.protection);
        let context = self.fleet.context();
        if trigger == Trigger::Request {
            context.accounts.allow_another_try();
        }
        loaded.sources.remember_files(&context.store);
        self.sources = loaded.sources;
        self.last_snapshot = self.next_snapshot(snapshot).await;
        Ok(())
    }

    /// The versions to compare with at the next check: those from before the files were read. For a file that is new
    /// here, only the current version is known. If the file changed while it was read, only its next change is
    /// detected.
    async fn next_snapshot(&self, mut before: Snapshot) -> Snapshot {
        let Ok(mut present) = snapshot(&self.threads, &self.sources).await else { return before };
        for (path, version) in &mut present {
            if let Some(before) = before.remove(path) {
                *version = before;
            }
        }
        present
    }
}

impl ConfigFiles {
    /// Refuses a configuration whose files are lost: no configuration file, although there was one, or a pattern that
    /// matched files before and matches none now. A mount that is lost must not end the monitoring of all its keys.
    ///
    /// # Errors
    /// Names each lost file and pattern.
    pub(crate) fn refuse_lost_files(&self, store: &Store) -> Result<(), String> {
        if !self.has_configuration_file && store.key_files(CONFIGURATION_FILE) > 0 {
            let file = self.files.first().map(|file| file.display().to_string()).unwrap_or_default();
            return Err(format!(
                "{file}: there is no configuration file any more; bring it back (is a directory not \
                 mounted?), or name another one with --config.file; a file with `partners: []` says that there are no keys"
            ));
        }
        let lost = |it: &&KeyFiles| it.count == 0 && store.key_files(&it.pattern.name()) > 0;
        let problem = |it: &KeyFiles| {
            let (pattern, before) = (it.pattern.name(), store.key_files(&it.pattern.name()));
            format!(
                "key_files: {pattern} matches no file any more, and it matched {before} before; bring the files back \
                 (is a directory not mounted?), or remove the pattern; a file with `partners: []` says that there are \
                 no keys"
            )
        };
        let problems: Vec<_> = self.patterns.iter().filter(lost).map(problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
    }

    fn remember_files(&self, store: &Store) {
        let configuration = (CONFIGURATION_FILE.to_owned(), usize::from(self.has_configuration_file));
        let patterns = self.patterns.iter().map(|it| (it.pattern.name(), it.count));
        store.set_key_files(patterns.chain([configuration]));
    }

    fn snapshot(&self) -> Snapshot {
        let matching = self.patterns.iter().flat_map(|it| it.pattern.files().0);
        let paths = self.files.iter().cloned().chain(matching);
        paths.map(|path| (FileVersion::of(&path), path)).map(|(version, path)| (path, version)).collect()
    }
}

async fn snapshot(threads: &FileThreads, sources: &ConfigFiles) -> Result<Snapshot, String> {
    let sources = sources.clone();
    threads.run(SNAPSHOT_TIMEOUT, move || sources.snapshot()).await.map_err(|_| no_answer())
}

fn no_answer() -> String {
    "the files of the configuration do not respond; check the disk or network share that they are on"
        .to_owned()
}

/// The first problems of many.
fn shortened(problems: &str) -> Arc<str> {
    let lines: Vec<_> = problems.lines().collect();
    let more = lines.len().saturating_sub(MAX_SHOWN_PROBLEMS);
    let shown: Vec<_> = lines.into_iter().take(MAX_SHOWN_PROBLEMS).collect();
    let shown = shown.join("\n");
    if more == 0 { shown.into() } else { format!("{shown}\nand {more} more").into() }
}
