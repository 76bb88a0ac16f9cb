//! Reads secret files on threads of their own, so that a file that does not respond costs nobody else anything.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use secrecy::SecretString;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant, timeout};

use super::{SecretFault, SecretKind, check, read_file};
use crate::file_threads::{FileThreads, PausedClock, Task};
use crate::file_version::FileVersion;

/// How many files are read at the same time, not counting those that do not respond.
const ACTIVE_READERS: usize = 4;
/// How many files may be read at the same time in all. Beyond that, no file is read until one responds.
const MAX_READERS: usize = 256;
/// How many files of one directory may block a reader, and how many below one directory at any depth. Beyond that, the
/// directory counts as dead, and its other files are not tried: a dead share must leave readers for the files elsewhere.
const MAX_BLOCKED_IN: usize = 48;
const MAX_BLOCKED_BELOW: usize = 2 * MAX_BLOCKED_IN;
/// How long a probe waits for a file whose last value serves. A local disk needs far less.
const WAIT_WITH_VALUE: Duration = Duration::from_millis(100);
/// How long a probe waits for a file that was never read: without a value, it cannot send anything.
const WAIT_WITHOUT_VALUE: Duration = Duration::from_secs(2);
/// A file that was read ahead so short a time ago is not read again for the probe: see [`SecretFile::read_ahead`]. It is
/// longer than the time between the two.
const RECENT: Duration = Duration::from_millis(250);
/// A file that was read ahead so short a time ago was read ahead for the same probes. It is shorter than the tenth of a second
/// after which files are read ahead for the next probes: a shared file is read ahead each time, so that no probe reads it.
const SAME_MOMENT: Duration = Duration::from_millis(50);
/// One late answer can be a busy disk. A file is reported as one that does not respond after this number of waits
/// for the same answer.
const LATE_WAITS: u32 = 2;

/// All secret files of this process.
pub(super) static FILES: LazyLock<SecretFiles> =
    LazyLock::new(|| SecretFiles::new(Box::new(read_if_changed)));

/// A file is not kept only because it is listed here.
type ByPath = HashMap<(Arc<Path>, SecretKind), Weak<SecretFile>>;

type Reader = Box<dyn Fn(&Path, SecretKind, Option<FileVersion>) -> Reading + Send + Sync>;

/// What was found in a file.
pub(super) enum Reading {
    /// The file has the version that was read last.
    Unchanged,
    /// The value, and the version to compare with; `None` if the file must be read again in any case.
    Value(SecretString, Option<FileVersion>),
    Fault(SecretFault),
}

/// The secret files that are in use. Keys with the same file share it, so each file has one reader at a time.
pub(super) struct SecretFiles {
    inner: Arc<Inner>,
    files: Mutex<ByPath>,
}

struct Inner {
    threads: FileThreads,
    reader: Reader,
    /// How many readers are blocked below each directory.
    blocked: Mutex<HashMap<PathBuf, usize>>,
}

/// One secret file, and what was last found in it.
pub(super) struct SecretFile {
    path: Arc<Path>,
    kind: SecretKind,
    inner: Arc<Inner>,
    attempt: Mutex<Attempt>,
    found: Mutex<Found>,
    /// Wakes those who wait for the end of a read. A channel would need three times the memory, for each key of a fleet.
    read_ended: Notify,
}

/// The read that is under way.
#[derive(Default)]
struct Attempt {
    task: Option<Arc<Task>>,
    has_started: bool,
    /// The file must be read again after this read, because it may have changed since this read started.
    again: bool,
    /// How often somebody waited for the end of this read in vain.
    late_waits: u32,
    /// Whether the read counts as blocked in its directories.
    is_blocked: bool,
    /// When it started, if it reads ahead.
    read_ahead: Option<Instant>,
}

/// What is known of a file.
#[derive(Clone, Default)]
pub(super) struct Found {
    /// The last value that was read.
    pub(super) value: Option<SecretString>,
    version: Option<FileVersion>,
    /// Why the file could not be read, if it could not.
    pub(super) fault: Option<SecretFault>,
    pub(super) is_world_readable: bool,
    /// How many reads have ended.
    reads: u64,
    /// How many of them found a new value.
    pub(super) values: u64,
    /// When the file was last read ahead.
    read_ahead: Option<Instant>,
}

impl SecretFiles {
    pub(super) fn new(reader: Reader) -> Self {
        let threads = FileThreads::new(ACTIVE_READERS, MAX_READERS);
        let inner = Inner { threads, reader, blocked: Mutex::default() };
        Self { inner: Arc::new(inner), files: Mutex::default() }
    }

    /// The file at `path`. Reads nothing yet.
    pub(super) fn file(&self, path: &Arc<Path>, kind: SecretKind) -> Arc<SecretFile> {
        let mut files = lock(&self.files);
        let key = (Arc::clone(path), kind);
        if let Some(file) = files.get(&key).and_then(Weak::upgrade) {
            return file;
        }
        let file = Arc::new(SecretFile {
            path: Arc::clone(path),
            kind,
            inner: Arc::clone(&self.inner),
            attempt: Mutex::default(),
            found: Mutex::default(),
            read_ended: Notify::new(),
        });
        files.insert(key, Arc::downgrade(&file));
        file
    }

    /// Forgets the files that nobody uses any more.
    pub(super) fn remove_unused(&self) {
        lock(&self.files).retain(|_, file| file.strong_count() > 0);
    }

    pub(super) fn threads(&self) -> &FileThreads {
        &self.inner.threads
    }

    /// Has the queued files read. Nobody waits for them yet: a probe that needs one and does not find it read asks for it.
    pub(super) fn call_reader(&self) {
        self.inner.threads.call_one_thread();
    }
}

impl Inner {
    /// Whether so many files near this one do not respond that this one is not tried.
    fn is_dead(&self, path: &Path) -> bool {
        let blocked = lock(&self.blocked);
        if blocked.is_empty() {
            return false;
        }
        let limits = std::iter::once(MAX_BLOCKED_IN).chain(std::iter::repeat(MAX_BLOCKED_BELOW));
        directories(path).zip(limits).any(|(it, limit)| blocked.get(it).is_some_and(|count| *count >= limit))
    }

    fn add_blocked(&self, path: &Path) {
        let mut blocked = lock(&self.blocked);
        for directory in directories(path) {
            *blocked.entry(directory.to_owned()).or_default() += 1;
        }
    }

    fn remove_blocked(&self, path: &Path) {
        let mut blocked = lock(&self.blocked);
        for directory in directories(path) {
            if let Some(count) = blocked.get_mut(directory) {
                *count -= 1;
            }
        }
        blocked.retain(|_, count| *count > 0);
    }
}

/// The directory of a file, and those above it, except the first level: unrelated file systems are mounted there.
fn directories(path: &Path) -> impl Iterator<Item = &Path> {
    path.ancestors().skip(1).take_while(|directory| directory.components().count() > 2)
}

impl SecretFile {
    pub(super) fn found(&self) -> MutexGuard<'_, Found> {
        lock(&self.found)
    }

    /// Has the file read if it changed, for a probe that is due within less than [`RECENT`]. The files of all probes
    /// that are due at about the same time are queued, and then the caller calls a thread once for all of them.
    pub(super) fn read_ahead(self: &Arc<Self>) {
        if self.is_read_ahead_since(SAME_MOMENT) {
            return;
        }
        let mut attempt = lock(&self.attempt);
        // Keys that share the file ask for it at the same moment.
        if attempt.read_ahead.is_none() {
            self.request_in(&mut attempt);
            attempt.read_ahead = Some(Instant::now());
        }
    }

    #[cfg(test)]
    pub(super) fn call_reader(&self) {
        self.inner.threads.call_one_thread();
    }

    /// Whether the file was read ahead in this last time, without a fault.
    fn is_read_ahead_since(&self, last: Duration) -> bool {
        let found = self.found();
        found.fault.is_none() && found.read_ahead.is_some_and(|at| at.elapsed() < last)
    }

    /// Reads the file again if it changed. Does not wait for a file that does not respond, and not long for any file.
    pub(super) async fn refresh(self: &Arc<Self>) {
        if !self.is_read_ahead_since(RECENT) {
            self.refresh_now().await;
        }
    }

    /// [`Self::refresh`], also if the file was read ahead a moment ago.
    pub(super) async fn refresh_now(self: &Arc<Self>) {
        let read = self.request();
        if lock(&self.attempt).late_waits == 0 {
            let has_value = self.found().value.is_some();
            let bound = if has_value { WAIT_WITH_VALUE } else { WAIT_WITHOUT_VALUE };
            let _clock = PausedClock::stop();
            if timeout(bound, self.wait_for(read)).await.is_ok() {
                return;
            }
        }
        self.report_late();
    }

    /// Has the file read. Returns the number of the read that will have seen the present content.
    pub(super) fn request(self: &Arc<Self>) -> u64 {
        let read = self.request_in(&mut lock(&self.attempt));
        self.inner.threads.call_thread();
        read
    }

    fn request_in(self: &Arc<Self>, attempt: &mut Attempt) -> u64 {
        let reads = self.found().reads;
        if attempt.task.is_some() {
            attempt.again = attempt.has_started;
            return reads + 1 + u64::from(attempt.has_started);
        }
        let file = Arc::clone(self);
        *attempt =
            Attempt { task: Some(self.inner.threads.queue(move || file.read())), ..Attempt::default() };
        reads + 1
    }

    /// Waits until this read has ended.
    pub(super) async fn wait_for(&self, read: u64) {
        loop {
            // Created before the check, so that it hears of a read which ends after the check.
            let ended = self.read_ended.notified();
            if self.has_ended(read) {
                return;
            }
            ended.await;
        }
    }

    pub(super) fn has_ended(&self, read: u64) -> bool {
        self.found().reads >= read
    }

    /// Reports that the read which is under way takes too long.
    pub(super) fn report_late(&self) {
        let mut attempt = lock(&self.attempt);
        let Some(task) = attempt.task.clone() else { return };
        attempt.late_waits += 1;
        if attempt.has_started && !attempt.is_blocked {
            attempt.is_blocked = true;
            self.inner.add_blocked(&self.path);
        }
        self.inner.threads.report_late(&task);
        let is_dead = attempt.late_waits >= LATE_WAITS;
        let mut found = self.found();
        if is_dead || found.value.is_none() {
            found.fault = Some(SecretFault::NoAnswer);
        }
    }

    /// Runs on a thread that may block.
    fn read(&self) {
        loop {
            {
                let mut attempt = lock(&self.attempt);
                (attempt.has_started, attempt.again) = (true, false);
            }
            let known = self.found().version;
            let reading = if self.inner.is_dead(&self.path) {
                Reading::Fault(SecretFault::NoAnswer)
            } else {
                (self.inner.reader)(&self.path, self.kind, known)
            };
            let is_world_readable = match reading {
                Reading::Unchanged | Reading::Fault(_) => self.found().is_world_readable,
                Reading::Value(..) => checked_yaml::file::is_world_readable(&self.path),
            };
            let mut attempt = lock(&self.attempt);
            if std::mem::take(&mut attempt.is_blocked) {
                self.inner.remove_blocked(&self.path);
            }
            attempt.late_waits = 0;
            let (again, read_ahead) = (attempt.again, attempt.read_ahead);
            if !again {
                *attempt = Attempt::default();
            }
            self.found().end_read(reading, is_world_readable, read_ahead);
            self.read_ended.notify_waiters();
            if !again {
                return;
            }
        }
    }
}

impl std::fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretFile")
    }
}

impl Found {
    fn end_read(&mut self, reading: Reading, is_world_readable: bool, read_ahead: Option<Instant>) {
        self.take(reading);
        self.is_world_readable = is_world_readable;
        self.reads += 1;
        self.read_ahead = read_ahead.or(self.read_ahead);
    }

    fn take(&mut self, reading: Reading) {
        self.fault = match reading {
            Reading::Unchanged => None,
            Reading::Value(value, version) => {
                (self.value, self.version) = (Some(value), version);
                self.values += 1;
                None
            }
            Reading::Fault(fault) => Some(fault),
        };
    }
}

/// Reads a file, unless it still has the version `known`.
pub(super) fn read_if_changed(path: &Path, kind: SecretKind, known: Option<FileVersion>) -> Reading {
    // Determined before the read: the next call then detects a write in between.
    let version = FileVersion::of(path);
    if known.is_some() && known == version {
        return Reading::Unchanged;
    }
    match read_file(path).and_then(|bytes| check(&bytes, kind)) {
        Ok(value) => Reading::Value(value, version.filter(|version| version.is_settled(SystemTime::now()))),
        Err(fault) => Reading::Fault(fault),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
