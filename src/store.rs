//! What must outlive a restart: the states of keys and secrets, and the log-ins that were refused.
//!
//! One readable file, replaced whole. Records that wait are written together, at most about once a
//! second, so that ten thousand keys that become active in a minute are not ten thousand writes.

mod content;
mod file;
mod fingerprint;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use tokio::sync::{Notify, watch};
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info};

use content::Content;
use file::StateFile;

pub use content::{RefusedLogins, StateUpdate};
pub use file::OpenError;
pub use fingerprint::Fingerprint;

use crate::key_state::{PersistedKeyState, PersistedSecretState};

/// From the start of one write to that of the next.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// After a write that failed.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// A write that takes so long counts as failed, again each time as long passes, and is waited for: a
/// network file system may come back.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a stop waits for the last write.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A record could not be written. It is kept and goes along with the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state could not be written to disk")]
pub struct NotWritten;

/// A handle on the store. Cheap to clone; the folder is free again as the last handle goes, and the
/// last records are in it only if [`Store::close`] was awaited.
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

struct Shared {
    current: Mutex<Current>,
    /// Locked by the writer alone, on a thread that may block.
    file: Mutex<StateFile>,
    signals: Arc<WriterSignals>,
    progress: watch::Sender<Progress>,
    on_failure: Box<dyn Fn() + Send + Sync>,
    /// It knows this only weakly, and ends with it. None where nothing is ever written.
    writer: Option<AbortOnDropHandle<()>>,
}

/// What calls the writer.
#[derive(Debug, Default)]
struct WriterSignals {
    /// There is something to write.
    dirty: Notify,
    /// It can't wait.
    closing: Notify,
}

/// What is to be on disk, and the number of the change that made it so.
#[derive(Clone, Debug, Default)]
struct Current {
    content: Content,
    revision: u64,
}

/// Up to which change the writer came.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// All up to this one are on disk.
    written: u64,
    /// All up to this one were tried at least once.
    attempted: u64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("progress", &*self.progress.borrow()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the memory in `folder`, making the folder if it is missing. `failed` is called at each
    /// write that fails. Must be called within the runtime: a task of its own writes.
    ///
    /// # Errors
    /// Only where another exporter uses the folder. A folder or file that can't be used is logged, and
    /// tried again until it can; then what it remembers is taken over, and [`Store::key`] and its like
    /// tell what they did not know before.
    pub fn open(folder: &Path, on_failure: impl Fn() + Send + Sync + 'static) -> Result<Self, OpenError> {
        let mut file = StateFile::new(folder);
        let content = initial_read(&mut file, folder)?;
        let working = content.is_some();
        let signals = Arc::new(WriterSignals::default());
        let shared = Arc::new_cyclic(|shared| Shared {
            current: Mutex::new(Current { content: content.unwrap_or_default(), revision: 0 }),
            file: Mutex::new(file),
            signals: Arc::clone(&signals),
            progress: watch::Sender::new(Progress::default()),
            on_failure: Box::new(on_failure),
            writer: Some(AbortOnDropHandle::new(tokio::spawn(run_writer(
                Weak::clone(shared),
                signals,
                working,
            )))),
        });
        // A first write, needed or not: a folder that can't be written to shows now, and not when a state
        // changes; what is there to be read and couldn't be is wanted; what was damaged is mended.
        shared.signals.dirty.notify_one();
        Ok(Self(shared))
    }

    /// A view of the memory in `folder`, which an exporter may be using: what is remembered here is known
    /// to this view alone, and nothing is ever written.
    ///
    /// # Errors
    /// Where there is a memory that can't be read. Where there is none, nothing is known.
    pub fn snapshot(folder: &Path) -> io::Result<Self> {
        let file = StateFile::new(folder);
        file.read_without_lock().map(|content| Self::without_writer(file, content))
    }

    /// A memory of nothing, which is never written.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::without_writer(StateFile::new(Path::new("")), Content::default())
    }

    fn without_writer(file: StateFile, content: Content) -> Self {
        Self(Arc::new(Shared {
            current: Mutex::new(Current { content, revision: 0 }),
            file: Mutex::new(file),
            signals: Arc::default(),
            progress: watch::Sender::new(Progress::default()),
            on_failure: Box::new(|| {}),
            writer: None,
        }))
    }

    /// Remembers a record, and resolves once it is on disk.
    ///
    /// # Errors
    /// Where the write failed. The record is kept, shown to later look-ups, and tried again.
    pub async fn save(&self, record: StateUpdate) -> Result<(), NotWritten> {
        match self.0.modify(|content| content.apply(record)) {
            Some(revision) => self.0.wait_for(revision).await,
            None => Ok(()),
        }
    }

    /// What is remembered of a key, if it is about this token.
    #[must_use]
    pub fn key(&self, partner: &str, key: &str, fingerprint: &Fingerprint) -> Option<PersistedKeyState> {
        self.0.current().content.key(partner, key, fingerprint)
    }

    /// What is remembered of a partner's secret, if it is about this one.
    #[must_use]
    pub fn secret(&self, partner: &str, fingerprint: &Fingerprint) -> Option<PersistedSecretState> {
        self.0.current().content.secret(partner, fingerprint)
    }

    /// The refused log-ins of an account.
    #[must_use]
    pub fn refused_logins(&self, auth_url: &str, mail: &str) -> Option<RefusedLogins> {
        self.0.current().content.refused_logins(auth_url, mail)
    }

    /// Tells who is configured. Keys that leave are remembered for 30 days.
    pub fn set_configured_keys(&self, configured: impl Iterator<Item = (Arc<str>, Arc<str>)>) {
        let configured: Vec<_> = configured.collect();
        self.0.modify(|content| content.update_configured(&configured, SystemTime::now()));
    }

    /// Waits until everything is on disk, a second at the most. Whatever the writer was waiting for, it
    /// tries at once.
    pub async fn close(&self) {
        let current = self.0.current().revision;
        if self.0.progress.borrow().written >= current {
            return;
        }
        // A new number for the same content: what failed before is tried once more.
        if let Some(revision) = self.0.modify(|_| true) {
            self.0.signals.closing.notify_one();
            // What is lost here was reported as the writes failed.
            let _ = timeout(CLOSE_TIMEOUT, self.0.wait_for(revision)).await;
        }
    }
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the change, if it was one.
    fn modify(&self, modify: impl FnOnce(&mut Content) -> bool) -> Option<u64> {
        let mut current = self.current();
        if !modify(&mut current.content) {
            return None;
        }
        current.revision += 1;
        self.signals.dirty.notify_one();
        Some(current.revision)
    }

    async fn wait_for(&self, revision: u64) -> Result<(), NotWritten> {
        if self.writer.is_none() {
            return Ok(());
        }
        let mut progress = self.progress.subscribe();
        let attempted = progress.wait_for(|progress| progress.attempted >= revision).await;
        if attempted.is_ok_and(|progress| progress.written >= revision) { Ok(()) } else { Err(NotWritten) }
    }

    /// Brings the latest to disk, and tells up to which change. Blocks.
    fn write(&self) -> io::Result<u64> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(older) = file.read_if_new()? {
            self.current().content.merge_older(older);
        }
        let Current { content, revision } = self.current().clone();
        file.replace(&content.to_json()?)?;
        Ok(revision)
    }

    /// Tells whoever waits, and the log: one line as writing begins to fail, one as it works again.
    fn report(&self, outcome: &io::Result<u64>, attempted: u64, working: &mut bool) {
        match outcome {
            Ok(_) if !*working => info!("states are written to disk again"),
            Ok(_) => {}
            Err(cause) => {
                (self.on_failure)();
                if *working {
                    error!(%cause, "states can't be written to disk: trying again until they can");
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

/// What the file remembers; `None` where it can't be told yet.
fn initial_read(file: &mut StateFile, folder: &Path) -> Result<Option<Content>, OpenError> {
    let cause = match file.read_if_new() {
        Ok(content) => return Ok(Some(content.unwrap_or_default())),
        Err(cause) => match cause.downcast() {
            Ok(in_use) => return Err(in_use),
            Err(cause) => cause,
        },
    };
    error!(folder = %folder.display(), %cause, "states can't be kept on disk: trying again until they can");
    Ok(None)
}

/// Writes whenever there is something to write. While it waits it holds on to nothing, so that the
/// last handle's end is its own. Nothing calls it before there is a first handle.
async fn run_writer(shared: Weak<Shared>, signals: Arc<WriterSignals>, mut working: bool) {
    loop {
        signals.dirty.notified().await;
        let started = Instant::now();
        let Some(writing) = shared.upgrade() else { return };
        let revision = writing.current().revision;
        let mut write = pin!(run_blocking(move || writing.write()));
        loop {
            let outcome = timeout(WRITE_TIMEOUT, &mut write).await;
            let Some(reporting) = shared.upgrade() else { return };
            let hangs = || Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer"));
            let ended = outcome.is_ok();
            // Whatever came since waits behind what hangs.
            let attempted = if ended { revision } else { reporting.current().revision };
            reporting.report(&outcome.unwrap_or_else(|_| hangs()), attempted, &mut working);
            if ended {
                break;
            }
        }
        let next = if working { started + WRITE_INTERVAL } else { Instant::now() + RETRY_DELAY };
        tokio::select! {
            () = sleep_until(next) => {}
            () = signals.closing.notified() => {}
        }
        if !working {
            signals.dirty.notify_one();
        }
    }
}

/// Does what blocks on a thread that may. To panic there is to fail.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|died| Err(io::Error::other(died)))
}
