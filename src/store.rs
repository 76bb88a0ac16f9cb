//! The persisted state: what must survive a restart. It holds the states of keys and secrets, and the refused
//! log-ins.
//!
//! It is one human-readable file, which each write replaces as a whole. Waiting updates are written together,
//! about once per second at most: if ten thousand keys become active within a minute, there are not ten
//! thousand writes.

mod content;
mod contradictions;
mod file;
mod fingerprint;
mod journal;
mod logins;
mod records;
mod rendered;
mod request_ids;
#[cfg(test)]
mod tests;
mod version_1;

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::time::{Duration, Instant, timeout, timeout_at};
use tracing::{error, info};

use content::Content;
use file::StateFile;
use journal::Journal;

pub(crate) use content::StateUpdate;
pub(crate) use contradictions::{NamedContradiction, NamedKey, NamedRoute, ProbeName};
pub(crate) use file::{OpenError, read_regular_file, remove_temporary_files, require_own_directory};
pub(crate) use fingerprint::{CredentialId, Fingerprint};
pub(crate) use journal::LoginEvent;
pub(crate) use logins::{AccountRecord, FirmRecord, PasswordRecord, RefusalRecord};

use crate::file_threads::FileThreads;
use crate::key_state::{PersistedKeyState, PersistedSecretState};

/// The minimum time between the starts of two writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// The delay after a failed write.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// A write that takes this long counts as failed, and counts as failed again each time the same time passes.
/// The writer still waits for it: a network file system may come back.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the texts of the records are kept after a write. They make the next write cheaper, and a large fleet needs
/// megabytes for them. While a fleet starts, there is a write each second.
const TEXTS_KEPT: Duration = Duration::from_secs(10);
/// How long [`Store::close`] waits for the last write.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// An update could not be written. It is kept and is part of the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state could not be written to disk")]
pub(crate) struct NotWritten;

/// A handle to the store, cheap to clone. Dropping the last handle unlocks the storage directory. The last
/// updates are on disk only if [`Store::close`] was awaited.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Shared>);

/// Is called with the result of each write.
type OnWrite = Box<dyn Fn(Result<(), &io::Error>) + Send + Sync>;

struct Shared {
    current: watch::Sender<Current>,
    /// Only the writer locks it, on a thread that may block.
    file: Mutex<StateFile>,
    progress: watch::Sender<Progress>,
    /// The log-ins of the command `probe`; `None` if nothing is on disk.
    journal: Option<Journal>,
    /// Whether this process is that command: it writes the journal instead of the state file.
    writes_journal: bool,
    on_write: OnWrite,
}

/// What should be on disk.
#[derive(Clone, Debug, Default)]
struct Current {
    content: Content,
    /// The number of changes since start.
    revision: u64,
    /// The store is closing: this revision is written without delay.
    urgent: u64,
}

/// How far the writer is.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// All revisions up to this one are on disk.
    written: u64,
    /// A write of all revisions up to this one was attempted at least once.
    attempted: u64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("progress", &*self.progress.borrow()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the persisted state in `directory`, which is created if it is missing. `on_write` is called with the
    /// result of each write. Must be called within a Tokio runtime, because it spawns the
    /// writer task.
    ///
    /// # Errors
    /// Only if another exporter uses the directory. A directory or file that cannot be used is logged and
    /// retried until it can be used. Its content is then merged, and [`Self::key`], [`Self::secret`] and
    /// [`Self::account`] return what they did not know before.
    pub(crate) fn open(
        directory: &Path,
        on_write: impl Fn(Result<(), &io::Error>) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let (file, content) = initial_read(directory)?;
        let working = content.is_some();
        let mut store =
            Self::shared(file, content.unwrap_or_default(), Progress::default(), Box::new(on_write));
        store.journal = Some(Journal::new(directory));
        let store = Self(Arc::new(store));
        tokio::spawn(run_writer(Arc::downgrade(&store.0), store.0.current.subscribe(), working));
        Ok(store)
    }

    /// Loads the persisted state in `directory` without locking it: an exporter may be using it. Updates stay
    /// in this copy and are never written, except log-ins, which go to the journal.
    ///
    /// # Errors
    /// If the file exists but cannot be read. If there is no file, the copy is empty.
    pub(crate) fn snapshot(directory: &Path) -> io::Result<Self> {
        let file = StateFile::new(directory);
        file.read_without_lock().map(|content| Self::with_journal(directory, content))
    }

    /// As [`Self::snapshot`], without the persisted state.
    pub(crate) fn without_state(directory: &Path) -> Self {
        Self::with_journal(directory, Content::default())
    }

    fn with_journal(directory: &Path, content: Content) -> Self {
        let mut shared = Self::without_writer(StateFile::new(directory), content);
        shared.journal = Some(Journal::new(directory));
        shared.writes_journal = true;
        Self(Arc::new(shared))
    }

    /// All revisions count as written, so that nothing waits for a write.
    fn without_writer(file: StateFile, content: Content) -> Shared {
        Self::shared(file, content, Progress { written: u64::MAX, attempted: u64::MAX }, Box::new(|_| {}))
    }

    fn shared(file: StateFile, content: Content, progress: Progress, on_write: OnWrite) -> Shared {
        Shared {
            current: watch::Sender::new(Current { content, revision: 0, urgent: 0 }),
            file: Mutex::new(file),
            progress: watch::Sender::new(progress),
            journal: None,
            writes_journal: false,
            on_write,
        }
    }

    /// Applies an update, and resolves when it is on disk.
    ///
    /// # Errors
    /// If the write failed. The update is kept, later look-ups see it, and the write is retried.
    pub(crate) async fn save(&self, update: StateUpdate) -> Result<(), NotWritten> {
        match self.0.modify(|current| current.content.apply(update)) {
            Some(revision) => self.0.wait_for(revision).await,
            None => Ok(()),
        }
    }

    /// Applies an update that nobody waits for.
    pub(crate) fn save_later(&self, update: StateUpdate) {
        self.0.modify(|current| current.content.apply(update));
    }

    /// The persisted state of a key with this token; the key is named by partner and key.
    pub(crate) fn key(&self, key: &(Arc<str>, Arc<str>), token: &CredentialId) -> Option<PersistedKeyState> {
        self.0.current.borrow().content.key(key, token)
    }

    /// The persisted state of a key whose token cannot be read: with the token that it used last at this API.
    pub(crate) fn last_key(&self, key: &(Arc<str>, Arc<str>), api: &str) -> Option<PersistedKeyState> {
        self.0.current.borrow().content.last_key(key, api)
    }

    /// The persisted state of a partner whose secret cannot be read: with the secret that it used last at this API.
    pub(crate) fn last_secret(&self, partner: &Arc<str>, api: &str) -> Option<PersistedSecretState> {
        self.0.current.borrow().content.last_secret(partner, api)
    }

    /// The persisted state of a partner with this secret.
    pub(crate) fn secret(&self, partner: &Arc<str>, secret: &CredentialId) -> Option<PersistedSecretState> {
        self.0.current.borrow().content.secret(partner, secret)
    }

    /// Records that a key uses this token now. Returns the state of the token, or `new` if there is none. A key
    /// that is broken stays broken when its token is replaced.
    pub(crate) fn adopt_key(
        &self,
        partner: Arc<str>,
        key: Arc<str>,
        token: &CredentialId,
        new: PersistedKeyState,
    ) -> PersistedKeyState {
        self.adopt(new, |content| content.adopt_key((partner, key), token, new))
    }

    /// If this key was not here, and is here now: somebody else monitored it meanwhile, so its state is not known.
    pub(crate) fn note_absence(&self, key: &(Arc<str>, Arc<str>), token: &CredentialId, now: SystemTime) {
        self.0.modify(|current| current.content.keys_mut().note_absence(key, token, now));
    }

    /// Records that a partner uses this secret now. Returns the state of the secret, or `new` if there is none.
    pub(crate) fn adopt_secret(
        &self,
        partner: Arc<str>,
        secret: &CredentialId,
        new: PersistedSecretState,
    ) -> PersistedSecretState {
        self.adopt(new, |content| content.adopt_secret(partner, secret, new))
    }

    fn adopt<S>(&self, mut state: S, adopt: impl FnOnce(&mut Content) -> (S, bool)) -> S {
        self.0.modify(|current| {
            let is_changed;
            (state, is_changed) = adopt(&mut current.content);
            is_changed
        });
        state
    }

    /// The settled contradictions between the probes of a key with this token.
    pub(crate) fn key_contradictions(
        &self,
        key: &(Arc<str>, Arc<str>),
        token: &CredentialId,
    ) -> Vec<NamedContradiction> {
        self.0.current.borrow().content.key_contradictions(key, token).to_vec()
    }

    /// Replaces them. Nobody waits until they are on disk.
    pub(crate) fn set_key_contradictions(
        &self,
        key: (Arc<str>, Arc<str>),
        token: &CredentialId,
        settled: Vec<NamedContradiction>,
    ) {
        self.0.modify(|current| current.content.set_key_contradictions(key, token, settled));
    }

    /// The settled contradictions about a partner's secret that `is_wanted` selects.
    pub(crate) fn secret_contradictions(
        &self,
        partner: &Arc<str>,
        secret: &CredentialId,
        is_wanted: impl Fn(&NamedContradiction) -> bool,
    ) -> Vec<NamedContradiction> {
        let current = self.0.current.borrow();
        let settled = current.content.secret_contradictions(partner, secret);
        settled.iter().filter(|settled| is_wanted(settled)).cloned().collect()
    }

    /// Replaces all of them. Nobody waits until they are on disk.
    pub(crate) fn set_secret_contradictions(
        &self,
        partner: Arc<str>,
        secret: &CredentialId,
        settled: Vec<NamedContradiction>,
    ) {
        self.0.modify(|current| current.content.set_secret_contradictions(partner, secret, settled));
    }

    /// On which routes of this API a response had a request ID, and about when the last one came.
    pub(crate) fn request_ids(&self, api: &str) -> Vec<(Box<str>, SystemTime)> {
        self.0.current.borrow().content.request_ids().of(api)
    }

    /// Records that a response on this route had a request ID.
    pub(crate) fn record_request_id(&self, api: &Arc<str>, path: &str, now: SystemTime) {
        // Most calls change nothing, and need no more than a look.
        if self.0.current.borrow().content.request_ids().is_due(api, path, now) {
            self.0.modify(|current| current.content.request_ids_mut().record(api, path, now));
        }
    }

    /// What is known about the log-ins of an account; `mail` in lower case.
    pub(crate) fn account(&self, auth_url: &str, mail: &str) -> Option<AccountRecord> {
        self.0.current.borrow().content.account(auth_url, mail)
    }

    /// All log-ins of the command `probe` that are in its journal.
    pub(crate) async fn journal(&self) -> io::Result<Vec<LoginEvent>> {
        let Some(journal) = self.0.journal.clone() else { return Ok(Vec::new()) };
        run_blocking(move || journal.read()).await
    }

    /// Records a log-in of the command `probe` in its journal, and returns the number of the event; `None` if
    /// this process is the exporter.
    pub(crate) async fn record_in_journal(&self, event: LoginEvent) -> io::Result<Option<u64>> {
        let Some(journal) = self.0.journal.clone().filter(|_| self.0.writes_journal) else { return Ok(None) };
        run_blocking(move || journal.append(event)).await.map(Some)
    }

    /// Sets which keys are configured, as pairs of partner and key. Must be called before new keys are adopted: then a
    /// renamed key takes up the state of the name that left. The state of a key that is removed from the configuration
    /// is kept for 30 days.
    pub(crate) fn set_configured_keys(&self, configured: impl Iterator<Item = (Arc<str>, Arc<str>)>) {
        let configured: Vec<_> = configured.collect();
        self.0.modify(|current| current.content.update_configured(&configured, SystemTime::now()));
    }

    /// How many files this pattern of `key_files` matched last; 0 if this is not known.
    pub(crate) fn key_files(&self, pattern: &str) -> usize {
        self.0.current.borrow().content.key_files(pattern)
    }

    /// Sets the patterns of the present configuration, and how many files each one matches.
    pub(crate) fn set_key_files(&self, patterns: impl Iterator<Item = (String, usize)>) {
        let patterns = patterns.collect();
        self.0.modify(|current| current.content.set_key_files(patterns));
    }

    /// Waits until everything is on disk, for at most one second. The writer stops any wait of its own and
    /// tries immediately.
    pub(crate) async fn close(&self) {
        if self.0.progress.borrow().written >= self.0.current.borrow().revision {
            return;
        }
        // A new revision of the same content: a write that failed before is tried once more.
        let urgent = self.0.modify(|current| {
            current.urgent = current.revision + 1;
            true
        });
        if let Some(revision) = urgent {
            // If it fails, the earlier failed writes were reported already.
            let _ = timeout(CLOSE_TIMEOUT, self.0.wait_for(revision)).await;
        }
    }
}

impl Shared {
    /// Returns the new revision if `modify` reports a change to write.
    fn modify(&self, modify: impl FnOnce(&mut Current) -> bool) -> Option<u64> {
        let mut revision = None;
        self.current.send_if_modified(|current| {
            let is_changed = modify(current);
            current.revision += u64::from(is_changed);
            revision = is_changed.then_some(current.revision);
            is_changed
        });
        revision
    }

    async fn wait_for(&self, revision: u64) -> Result<(), NotWritten> {
        let mut progress = self.progress.subscribe();
        let attempted = progress.wait_for(|progress| progress.attempted >= revision).await;
        if attempted.is_ok_and(|progress| progress.written >= revision) { Ok(()) } else { Err(NotWritten) }
    }

    /// Writes the current content to disk and returns its revision. Blocks.
    fn write(&self) -> io::Result<u64> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(older) = file.read_if_new()? {
            self.current.send_modify(|current| current.content.merge_older(older));
        }
        // A probe that saves a state waits for the lock, and blocks its thread meanwhile: to copy is fast, to format is not.
        let Current { content, revision, .. } = self.current.borrow().clone();
        file.replace(&content)?;
        Ok(revision)
    }

    /// Reports to the waiting tasks and to the log: one line when writing starts to fail, one when it
    /// succeeds again.
    fn report(&self, outcome: &io::Result<u64>, attempted: u64, working: &mut bool) {
        (self.on_write)(outcome.as_ref().map(|_| ()));
        match outcome {
            Ok(_) if !*working => info!("the state file can be written again"),
            Ok(_) => {}
            Err(cause) => {
                if *working {
                    error!(%cause, "cannot write the state file; check the space and the permissions of the storage directory; retrying");
                }
            }
        }
        *working = outcome.is_ok();
        self.progress.send_modify(|progress| match *outcome {
            Ok(written) => *progress = Progress { written, attempted: written },
            Err(_) => progress.attempted = attempted,
        });
    }
}

/// The file, and its content; `None` if it cannot be read yet. A disk that does not respond must not stop the start.
fn initial_read(directory: &Path) -> Result<(StateFile, Option<Content>), OpenError> {
    let mut file = StateFile::new(directory);
    let read = move || {
        let content = file.read_if_new();
        (file, content)
    };
    let (file, content) = FileThreads::new(1, 1).wait(WRITE_TIMEOUT, read).unwrap_or_else(|error| {
        let error = io::Error::new(io::ErrorKind::TimedOut, format!("the disk {error}"));
        (StateFile::new(directory), Err(error))
    });
    match content {
        Ok(content) => Ok((file, Some(content.unwrap_or_default()))),
        Err(cause) => match cause.downcast() {
            Ok(in_use) => Err(in_use),
            Err(cause) => {
                error!(
                    directory = %directory.display(),
                    %cause,
                    "cannot use the storage directory; let the user that runs the exporter write there, or set another \
                     --storage.path; retrying"
                );
                Ok((file, None))
            }
        },
    }
}

/// Writes whenever there is something to write. While it waits, it holds no strong reference, so that it does
/// not keep the store alive after the last handle is dropped; then it ends.
///
/// It always writes once at start: a directory that is not writable shows now, not at the first change of a
/// state; a file that could not be read is tried again; a damaged file is repaired.
async fn run_writer(shared: Weak<Shared>, mut current: watch::Receiver<Current>, mut working: bool) {
    loop {
        let started = Instant::now();
        let Some(writing) = shared.upgrade() else { return };
        let revision = writing.current.borrow().revision;
        let mut write = pin!(run_blocking(move || writing.write()));
        loop {
            let outcome = timeout(WRITE_TIMEOUT, &mut write).await;
            let Some(reporting) = shared.upgrade() else { return };
            let timed_out = || Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not respond"));
            let ended = outcome.is_ok();
            // Updates that came meanwhile wait for the same write, so they failed too.
            let attempted = if ended { revision } else { reporting.current.borrow().revision };
            reporting.report(&outcome.unwrap_or_else(|_| timed_out()), attempted, &mut working);
            if ended {
                break;
            }
        }
        let next = if working { started + WRITE_INTERVAL } else { Instant::now() + RETRY_DELAY };
        let _ = timeout_at(next, current.wait_for(|current| current.urgent > revision)).await;
        if working && !wait_for_change(&shared, &mut current, revision).await {
            return;
        }
    }
}

/// Waits for a later revision. Returns whether there is one; otherwise, the store was dropped.
async fn wait_for_change(
    shared: &Weak<Shared>,
    current: &mut watch::Receiver<Current>,
    revision: u64,
) -> bool {
    let is_later = |current: &Current| current.revision > revision;
    if let Ok(change) = timeout(TEXTS_KEPT, current.wait_for(is_later)).await {
        return change.is_ok();
    }
    if let Some(shared) = shared.upgrade() {
        let forget = move || {
            shared.file.lock().unwrap_or_else(PoisonError::into_inner).forget_texts();
            Ok(())
        };
        // If it fails, the texts stay.
        let _ = run_blocking(forget).await;
    }
    current.wait_for(is_later).await.is_ok()
}

/// Runs blocking work on a thread for blocking work. A panic there is returned as an error.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
