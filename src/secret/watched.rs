//! A secret that follows its file.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, timeout_at};
use tracing::warn;

use super::files::{FILES, SecretFile, SecretFiles};
use super::{SecretError, SecretFault, SecretKind, SecretSource};
use crate::file_threads::PausedClock;

/// How long [`read_ahead`] waits for all files together.
const READ_AHEAD: Duration = Duration::from_secs(2);
/// A read that takes longer than this no longer counts among the few that run at the same time.
const LATE: Duration = Duration::from_millis(50);

/// A secret that follows its file: read again if the file changed, and only then. Keys with the same file share its
/// value, also across reloads.
#[derive(Debug)]
pub(crate) struct WatchedSecret {
    source: SecretSource,
    kind: SecretKind,
    /// `None` for a variable or an inline secret: they do not change while the process runs.
    file: Option<Arc<SecretFile>>,
    value: Option<SecretString>,
    /// See [`Self::version`].
    version: u64,
    /// Why the last read failed, if it did.
    problem: Option<SecretError>,
}

impl WatchedSecret {
    /// Reads nothing yet.
    pub(crate) fn new(source: SecretSource, kind: SecretKind) -> Self {
        Self::among(&FILES, source, kind)
    }

    /// As [`Self::new`], with the file among these files.
    pub(super) fn among(files: &SecretFiles, source: SecretSource, kind: SecretKind) -> Self {
        let file = source.path().map(|path| files.file(path, kind));
        Self { source, kind, file, value: None, version: 0, problem: None }
    }

    /// Reads the secret again if its file changed. Never waits long: a file that does not respond must not delay
    /// the probes. Call it before [`Self::current`].
    pub(crate) fn refresh(&self) -> impl Future<Output = ()> + Send + use<> {
        let file = self.file.clone();
        async move {
            if let Some(file) = file {
                file.refresh().await;
            }
        }
    }

    /// [`Self::refresh`], also if the file was read ahead a moment ago.
    pub(crate) fn refresh_now(&self) -> impl Future<Output = ()> + Send + use<> {
        let file = self.file.clone();
        async move {
            if let Some(file) = file {
                file.refresh_now().await;
            }
        }
    }

    /// Has the file read ahead, for a probe that is due in a moment. Await [`read_queued`] then.
    pub(crate) fn read_ahead(&self) {
        if let Some(file) = &self.file {
            file.read_ahead();
        }
    }

    /// As [`read_queued`], for files that are not those of the process.
    #[cfg(test)]
    pub(super) fn read_queued(&self) {
        self.file.as_ref().unwrap().call_reader();
    }

    /// Whether the secret is in a file.
    pub(crate) const fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// The secret as it was when it was last refreshed. While a secret that could be read before cannot be read, this
    /// is the last value: a file that is gone for a moment must not stop the monitoring of a key. [`Self::problem`]
    /// then says why. Never accesses a file.
    ///
    /// # Errors
    ///
    /// As [`SecretSource::read`], if the secret could never be read.
    pub(crate) fn current(&mut self) -> Result<&SecretString, SecretError> {
        self.update();
        match (&self.value, &self.problem) {
            (Some(value), _) => Ok(value),
            (None, Some(problem)) => Err(problem.clone()),
            (None, None) => Err(self.source.error(SecretFault::NoAnswer)),
        }
    }

    /// The number of the current value among those that were found in the file: another number may be another value.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Why the secret could not be read when it was last needed, if it could not.
    pub(crate) const fn problem(&self) -> Option<&SecretError> {
        self.problem.as_ref()
    }

    /// Whether a value was ever read.
    pub(crate) const fn has_value(&self) -> bool {
        self.value.is_some()
    }

    /// Where the value is read from.
    pub(crate) fn description(&self) -> String {
        match &self.source {
            SecretSource::File(path) => format!("file {}", path.display()),
            SecretSource::Env(name) => format!("environment variable {name}"),
            SecretSource::UnnamedFile(_) => "file (its name is not shown)".to_owned(),
            SecretSource::UnnamedEnv(_) => "environment variable (its name is not shown)".to_owned(),
            SecretSource::Inline(_) => "configuration file".to_owned(),
        }
    }

    fn update(&mut self) {
        if let Some(file) = &self.file {
            let found = file.found();
            if found.values != self.version {
                self.value.clone_from(&found.value);
                self.version = found.values;
            }
            self.problem = found.fault.map(|fault| self.source.error(fault));
        } else if self.value.is_none() {
            match self.source.read(self.kind) {
                Ok(value) => (self.value, self.problem) = (Some(value), None),
                Err(problem) => self.problem = Some(problem),
            }
        }
    }
}

/// Has all files read that other tasks of this moment queue, too.
pub(crate) async fn read_queued() {
    // The tasks that are ready run first.
    yield_now().await;
    FILES.call_reader();
}

/// Reads the files of many secrets before they are needed, and waits for all of them together, for a limited time. The
/// files stay known until the result is dropped.
pub(crate) async fn read_ahead<'a>(
    secrets: impl Iterator<Item = (&'a SecretSource, SecretKind)>,
) -> Vec<WatchedSecret> {
    let secrets: Vec<_> = secrets.map(|(source, kind)| WatchedSecret::new(source.clone(), kind)).collect();
    FILES.remove_unused();
    wait_for_all(&secrets, READ_AHEAD).await;
    warn_if_world_readable(&secrets);
    secrets
}

/// Reads all files. The first few that do not respond must not use up the time of the others.
pub(super) async fn wait_for_all(secrets: &[WatchedSecret], bound: Duration) {
    let files = secrets.iter().filter_map(|secret| secret.file.as_ref());
    let mut reads: Vec<_> = files.map(|file| (file, file.request())).collect();
    let _clock = PausedClock::stop();
    let end = Instant::now() + bound;
    while Instant::now() < end {
        let all = async {
            for (file, read) in &reads {
                file.wait_for(*read).await;
            }
        };
        if timeout_at(end.min(Instant::now() + LATE), all).await.is_ok() {
            return;
        }
        reads.retain(|(file, read)| !file.has_ended(*read));
        for (file, _) in &reads {
            file.report_late();
        }
    }
}

/// Logs one line, whatever the number of files is. Whoever can read a secret can use it.
fn warn_if_world_readable(secrets: &[WatchedSecret]) {
    let is_world_readable =
        |secret: &&WatchedSecret| secret.file.as_ref().is_some_and(|file| file.found().is_world_readable);
    let readable: Vec<_> = secrets.iter().filter(is_world_readable).collect();
    let Some(first) = readable.first() else { return };
    let secret_file = first.source.shown_path();
    warn!(
        secret_file,
        files = readable.len(),
        "a secret file is readable by every user of the machine; remove this permission (chmod o-r)"
    );
}
