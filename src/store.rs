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

pub use content::{Record, RefusedLogins};
pub use file::OpenError;
pub use fingerprint::Fingerprint;

use crate::key_state::{PersistedKeyState, PersistedSecretState};

/// From the start of one write to that of the next.
const PACE: Duration = Duration::from_secs(1);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(5);
/// A write that takes so long counts as failed, again each time as long passes, and is waited for: a
/// network file system may come back.
const HUNG: Duration = Duration::from_secs(10);
/// How long a stop waits for the last write.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// A record could not be written. It is kept and goes along with the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state could not be written to disk")]
pub struct NotWritten;

/// A handle on the store. Cheap to clone; the folder is free again as the last handle goes, and the
/// last records are in it only if [`Store::close`] was awaited.
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

struct Shared {
    latest: Mutex<Latest>,
    /// Locked by the writer alone, on a thread that may block.
    file: Mutex<StateFile>,
    calls: Arc<Calls>,
    written: watch::Sender<Written>,
    failed: Box<dyn Fn() + Send + Sync>,
    /// It knows this only weakly, and ends with it. None where nothing is ever written.
    writer: Option<AbortOnDropHandle<()>>,
}

/// What calls the writer.
#[derive(Debug, Default)]
struct Calls {
    /// There is something to write.
    dirty: Notify,
    /// It can't wait.
    closing: Notify,
}

/// What is to be on disk, and the number of the change that made it so.
#[derive(Clone, Debug, Default)]
struct Latest {
    content: Content,
    change: u64,
}

/// Up to which change the writer came.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    /// All up to this one are on disk.
    done: u64,
    /// All up to this one were tried at least once.
    tried: u64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("written", &*self.written.borrow()).finish_non_exhaustive()
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
    pub fn open(folder: &Path, failed: impl Fn() + Send + Sync + 'static) -> Result<Self, OpenError> {
        let mut file = StateFile::new(folder);
        let content = first_read(&mut file, folder)?;
        let works = content.is_some();
        let calls = Arc::new(Calls::default());
        let shared = Arc::new_cyclic(|shared| Shared {
            latest: Mutex::new(Latest { content: content.unwrap_or_default(), change: 0 }),
            file: Mutex::new(file),
            calls: Arc::clone(&calls),
            written: watch::Sender::new(Written::default()),
            failed: Box::new(failed),
            writer: Some(AbortOnDropHandle::new(tokio::spawn(write_for_ever(
                Weak::clone(shared),
                calls,
                works,
            )))),
        });
        // A first write, needed or not: a folder that can't be written to shows now, and not when a state
        // changes; what is there to be read and couldn't be is wanted; what was damaged is mended.
        shared.calls.dirty.notify_one();
        Ok(Self(shared))
    }

    /// A view of the memory in `folder`, which an exporter may be using: what is remembered here is known
    /// to this view alone, and nothing is ever written.
    ///
    /// # Errors
    /// Where there is a memory that can't be read. Where there is none, nothing is known.
    pub fn snapshot(folder: &Path) -> io::Result<Self> {
        let file = StateFile::new(folder);
        file.peek().map(|content| Self::without_writer(file, content))
    }

    /// A memory of nothing, which is never written.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::without_writer(StateFile::new(Path::new("")), Content::default())
    }

    fn without_writer(file: StateFile, content: Content) -> Self {
        Self(Arc::new(Shared {
            latest: Mutex::new(Latest { content, change: 0 }),
            file: Mutex::new(file),
            calls: Arc::default(),
            written: watch::Sender::new(Written::default()),
            failed: Box::new(|| {}),
            writer: None,
        }))
    }

    /// Remembers a record, and resolves once it is on disk.
    ///
    /// # Errors
    /// Where the write failed. The record is kept, shown to later look-ups, and tried again.
    pub async fn save(&self, record: Record) -> Result<(), NotWritten> {
        match self.0.change(|content| content.enter(record)) {
            Some(change) => self.0.wait_for(change).await,
            None => Ok(()),
        }
    }

    /// What is remembered of a key, if it is about this token.
    #[must_use]
    pub fn key(&self, partner: &str, key: &str, fingerprint: &Fingerprint) -> Option<PersistedKeyState> {
        self.0.latest().content.key(partner, key, fingerprint)
    }

    /// What is remembered of a partner's secret, if it is about this one.
    #[must_use]
    pub fn secret(&self, partner: &str, fingerprint: &Fingerprint) -> Option<PersistedSecretState> {
        self.0.latest().content.secret(partner, fingerprint)
    }

    /// The refused log-ins of an account.
    #[must_use]
    pub fn refused_logins(&self, auth_url: &str, mail: &str) -> Option<RefusedLogins> {
        self.0.latest().content.refused_logins(auth_url, mail)
    }

    /// Tells who is configured. Keys that leave are remembered for 30 days.
    pub fn retain(&self, configured: impl Iterator<Item = (Arc<str>, Arc<str>)>) {
        let configured: Vec<_> = configured.collect();
        self.0.change(|content| content.retain(&configured, SystemTime::now()));
    }

    /// Waits until everything is on disk, a second at the most. Whatever the writer was waiting for, it
    /// tries at once.
    pub async fn close(&self) {
        let latest = self.0.latest().change;
        if self.0.written.borrow().done >= latest {
            return;
        }
        // A new number for the same content: what failed before is tried once more.
        if let Some(change) = self.0.change(|_| true) {
            self.0.calls.closing.notify_one();
            // What is lost here was reported as the writes failed.
            let _ = timeout(LAST_WRITE, self.0.wait_for(change)).await;
        }
    }
}

impl Shared {
    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the change, if it was one.
    fn change(&self, change: impl FnOnce(&mut Content) -> bool) -> Option<u64> {
        let mut latest = self.latest();
        if !change(&mut latest.content) {
            return None;
        }
        latest.change += 1;
        self.calls.dirty.notify_one();
        Some(latest.change)
    }

    async fn wait_for(&self, change: u64) -> Result<(), NotWritten> {
        if self.writer.is_none() {
            return Ok(());
        }
        let mut written = self.written.subscribe();
        let outcome = written.wait_for(|written| written.tried >= change).await;
        if outcome.is_ok_and(|written| written.done >= change) { Ok(()) } else { Err(NotWritten) }
    }

    /// Brings the latest to disk, and tells up to which change. Blocks.
    fn write(&self) -> io::Result<u64> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(older) = file.unread()? {
            self.latest().content.take_over(older);
        }
        let Latest { content, change } = self.latest().clone();
        file.replace(&content.to_json()?)?;
        Ok(change)
    }

    /// Tells whoever waits, and the log: one line as writing begins to fail, one as it works again.
    fn report(&self, outcome: &io::Result<u64>, tried: u64, works: &mut bool) {
        match outcome {
            Ok(_) if !*works => info!("states are written to disk again"),
            Ok(_) => {}
            Err(cause) => {
                (self.failed)();
                if *works {
                    error!(%cause, "states can't be written to disk: trying again until they can");
                }
            }
        }
        *works = outcome.is_ok();
        self.written.send_modify(|written| match outcome {
            Ok(done) => *written = Written { done: *done, tried: *done },
            Err(_) => written.tried = tried,
        });
    }
}

/// What the file remembers; `None` where it can't be told yet.
fn first_read(file: &mut StateFile, folder: &Path) -> Result<Option<Content>, OpenError> {
    let cause = match file.unread() {
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
async fn write_for_ever(shared: Weak<Shared>, calls: Arc<Calls>, mut works: bool) {
    loop {
        calls.dirty.notified().await;
        let started = Instant::now();
        let Some(writing) = shared.upgrade() else { return };
        let change = writing.latest().change;
        let mut write = pin!(in_background(move || writing.write()));
        loop {
            let outcome = timeout(HUNG, &mut write).await;
            let Some(reporting) = shared.upgrade() else { return };
            let hangs = || Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer"));
            let ended = outcome.is_ok();
            // Whatever came since waits behind what hangs.
            let tried = if ended { change } else { reporting.latest().change };
            reporting.report(&outcome.unwrap_or_else(|_| hangs()), tried, &mut works);
            if ended {
                break;
            }
        }
        let next = if works { started + PACE } else { Instant::now() + RETRY };
        tokio::select! {
            () = sleep_until(next) => {}
            () = calls.closing.notified() => {}
        }
        if !works {
            calls.dirty.notify_one();
        }
    }
}

/// Does what blocks on a thread that may. To panic there is to fail.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|died| Err(io::Error::other(died)))
}
