//! What must outlive a restart: the states of keys and secrets, and the log-ins that were refused.
//!
//! One readable file, replaced whole. Records that wait are written together, at most about once a
//! second, so that ten thousand keys that become active in a minute are not ten thousand writes.

mod content;
mod file;
mod fingerprint;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::{Notify, watch};
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};
use tracing::{error, info};

use content::Content;
use file::StateFile;

pub use content::{Record, RefusedLogins};
pub use file::OpenError;
pub use fingerprint::Fingerprint;

use crate::key_state::{KeyMemory, SecretMemory};

/// From the start of one write to that of the next.
const PACE: Duration = Duration::from_secs(1);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(5);
/// How long a stop waits for the last write.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// A record could not be written. It is kept and goes along with the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state could not be written to disk")]
pub struct NotWritten;

/// A handle on the store. Cheap to clone; the last records are written as the last handle goes only
/// if [`Store::close`] was awaited.
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

struct Shared {
    latest: Mutex<Latest>,
    /// There is something to write.
    dirty: Notify,
    written: watch::Sender<Written>,
    failed: Box<dyn Fn() + Send + Sync>,
}

/// What is to be on disk, and the number of the change that made it so.
#[derive(Debug, Default)]
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
    /// the exporter runs on without memory, trying again.
    pub fn open(folder: &Path, failed: impl Fn() + Send + Sync + 'static) -> Result<Self, OpenError> {
        let file = StateFile::take(folder)?;
        let latest = Mutex::new(Latest { content: file.read(), change: 0 });
        let written = watch::Sender::new(Written::default());
        let shared = Arc::new(Shared { latest, dirty: Notify::new(), written, failed: Box::new(failed) });
        tokio::spawn(Arc::clone(&shared).write_for_ever(file));
        Ok(Self(shared))
    }

    /// Remembers a record, and resolves once it is on disk.
    ///
    /// # Errors
    /// Where the write failed. The record is kept, shown to later look-ups, and tried again.
    pub async fn save(&self, record: Record) -> Result<(), NotWritten> {
        let change = self.0.change(|content| content.enter(record));
        self.0.wait_for(change).await
    }

    /// What is remembered of a key, if it is about this token.
    #[must_use]
    pub fn key(&self, partner: &str, key: &str, fingerprint: &Fingerprint) -> Option<KeyMemory> {
        self.0.latest().content.key(partner, key, fingerprint)
    }

    /// What is remembered of a partner's secret, if it is about this one.
    #[must_use]
    pub fn secret(&self, partner: &str, fingerprint: &Fingerprint) -> Option<SecretMemory> {
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
        let mut latest = self.0.latest();
        if latest.content.retain(&configured, SystemTime::now()) {
            latest.change += 1;
            self.0.dirty.notify_one();
        }
    }

    /// Waits until everything is on disk, a second at the most.
    pub async fn close(&self) {
        let change = self.0.latest().change;
        // What is lost here was reported as the writes failed.
        let _ = timeout(LAST_WRITE, self.0.wait_for(change)).await;
    }
}

impl Shared {
    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Content)) -> u64 {
        let mut latest = self.latest();
        change(&mut latest.content);
        latest.change += 1;
        self.dirty.notify_one();
        latest.change
    }

    async fn wait_for(&self, change: u64) -> Result<(), NotWritten> {
        let mut written = self.written.subscribe();
        let outcome = written.wait_for(|written| written.tried >= change).await;
        if outcome.is_ok_and(|written| written.done >= change) { Ok(()) } else { Err(NotWritten) }
    }

    async fn write_for_ever(self: Arc<Self>, mut file: StateFile) {
        let mut works = true;
        loop {
            self.dirty.notified().await;
            let started = Instant::now();
            let (text, change) = {
                let latest = self.latest();
                (latest.content.to_json(), latest.change)
            };
            let outcome = match text {
                Ok(text) => {
                    let write = move || (file.replace(&text), file);
                    let Ok((outcome, back)) = tokio::task::spawn_blocking(write).await else { return };
                    file = back;
                    outcome
                }
                Err(error) => Err(io::Error::other(error)),
            };
            self.report(&outcome, &mut works);
            self.written.send_modify(|written| {
                written.tried = change;
                if outcome.is_ok() {
                    written.done = change;
                }
            });
            if outcome.is_ok() {
                sleep_until(started + PACE).await;
            } else {
                sleep(RETRY).await;
                self.dirty.notify_one();
            }
        }
    }

    /// One line as writing begins to fail, one as it works again.
    fn report(&self, outcome: &io::Result<()>, works: &mut bool) {
        match outcome {
            Ok(()) if !*works => info!("states are written to disk again"),
            Ok(()) => {}
            Err(cause) => {
                (self.failed)();
                if *works {
                    error!(%cause, "states can't be written to disk: trying again until they can");
                }
            }
        }
        *works = outcome.is_ok();
    }
}
