//! The journal: the log-ins of the command `probe`.
//!
//! The exporter alone writes the state file. The command `probe` may run at the same time, so it appends its
//! log-ins to a file of its own, and the exporter reads that file before each log-in. The record of an account
//! says up to which event the journal is already included.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_with::serde_as;

use super::file::{MAX_SIZE, create_directory, read_regular_file, remove_temporary_files};
use crate::partner_api::Firm;
use crate::partner_api::login::LoginRefusal;
use crate::password_fingerprint::PasswordFingerprint;
use crate::rfc3339::Rfc3339;

const JOURNAL_NAME: &str = "probe-logins.json";
/// The file that a command keeps locked while it replaces the journal.
const LOCK_NAME: &str = "probe-logins.lock";
const TEMPORARY_PREFIX: &str = "probe-logins.json.new-";
/// A command tries this often to get the lock, which another one holds for some milliseconds.
const LOCK_ATTEMPTS: u32 = 400;
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(5);
/// Older events are dropped: the exporter has read them long ago.
const MAX_EVENTS: usize = 2_000;
const VERSION: u32 = 1;

/// One log-in of the command `probe`.
#[serde_as]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoginEvent {
    /// Grows from event to event, also if the journal was deleted in between.
    #[serde(default)]
    pub number: u64,
    #[serde_as(as = "Rfc3339")]
    pub at: SystemTime,
    pub auth_url: String,
    /// In lower case.
    pub mail: String,
    pub firm: Option<Firm>,
    pub password: PasswordFingerprint,
    /// `None` if the log-in succeeded.
    pub refused: Option<LoginRefusal>,
}

/// The journal in a storage directory. Its functions block.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    directory: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
struct JournalFile {
    version: u32,
    events: Vec<LoginEvent>,
}

impl Journal {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// All events. There are none if there is no journal.
    pub(super) fn read(&self) -> io::Result<Vec<LoginEvent>> {
        let text = match read_regular_file(&self.directory.join(JOURNAL_NAME), MAX_SIZE) {
            Ok(text) => text,
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(cause),
        };
        let file: JournalFile = serde_json::from_slice(&text)?;
        if file.version != VERSION {
            return Err(io::Error::other(format!("it has version {}", file.version)));
        }
        Ok(file.events)
    }

    /// Appends an event and returns its number. The journal is replaced as a whole, so a reader always finds a
    /// complete file. A damaged journal is replaced too: keeping the bounds of later log-ins matters more.
    pub(super) fn append(&self, mut event: LoginEvent) -> io::Result<u64> {
        create_directory(&self.directory)?;
        let _lock = self.lock()?;
        let mut events = self.read().unwrap_or_default();
        let now = event.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let next = events.last().map_or(0, |last| last.number) + 1;
        event.number = next.max(u64::try_from(now).unwrap_or(0));
        let number = event.number;
        events.push(event);
        events.drain(..events.len().saturating_sub(MAX_EVENTS));
        // While the journal is locked, no other command writes one.
        remove_temporary_files(&self.directory, TEMPORARY_PREFIX);
        let text = serde_json::to_vec_pretty(&JournalFile { version: VERSION, events })?;
        // Only the user of this process can read a temporary file, and so the journal.
        let mut new = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(&self.directory)?;
        new.write_all(&text)?;
        new.as_file().sync_all()?;
        new.persist(self.directory.join(JOURNAL_NAME))?;
        Ok(number)
    }

    /// Locks the journal against other commands. The lock ends with the returned file.
    #[expect(clippy::disallowed_methods, reason = "it runs on a thread for blocking work")]
    fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        // A link is not followed, and opening a pipe would wait for a reader.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let path = self.directory.join(LOCK_NAME);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::other(format!("{} is not a regular file; remove it", path.display())));
        }
        let lock = options.open(path)?;
        for _ in 0..LOCK_ATTEMPTS {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY_DELAY),
                Err(TryLockError::Error(cause)) => return Err(cause),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(mail: &str) -> LoginEvent {
        LoginEvent {
            number: 0,
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000),
            auth_url: "https://auth".to_owned(),
            mail: mail.to_owned(),
            firm: Some(Firm::Id(80)),
            password: PasswordFingerprint::with_salt([7; 16], &"wrong".into()),
            refused: Some(LoginRefusal::RequireOtp),
        }
    }

    #[test]
    fn events_of_commands_that_run_at_the_same_time_are_all_kept() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(&directory.path().join("missing"));
        assert_eq!(journal.read().unwrap(), []);
        thread::scope(|scope| {
            for thread in 0..8 {
                let journal = &journal;
                scope.spawn(move || {
                    for index in 0..5 {
                        journal.append(event(&format!("{thread}-{index}@b.example"))).unwrap();
                    }
                });
            }
        });
        let events = journal.read().unwrap();
        assert_eq!(events.len(), 40);
        assert!(events.windows(2).all(|two| two[0].number < two[1].number));
        assert_eq!(LoginEvent { number: 0, mail: String::new(), ..events[0].clone() }, event(""));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_the_journal() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        Journal::new(directory.path()).append(event("a@b.example")).unwrap();
        for name in [JOURNAL_NAME, LOCK_NAME] {
            let mode = fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_damaged_journal_is_an_error_for_the_reader_and_is_replaced_by_the_next_event() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path());
        fs::write(directory.path().join(JOURNAL_NAME), r#"{"version":1,"events":[{"#).unwrap();
        let left_by_a_killed_command = directory.path().join(format!("{TEMPORARY_PREFIX}x"));
        fs::write(&left_by_a_killed_command, "").unwrap();
        assert!(journal.read().is_err());
        journal.append(event("a@b.example")).unwrap();
        assert!(!left_by_a_killed_command.exists());
        assert_eq!(journal.read().unwrap().len(), 1);
    }

    #[test]
    fn the_number_of_events_is_limited() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path());
        let events = vec![LoginEvent { number: 7, ..event("old@b.example") }; MAX_EVENTS];
        let text = serde_json::to_vec(&JournalFile { version: VERSION, events }).unwrap();
        fs::write(directory.path().join(JOURNAL_NAME), text).unwrap();
        let number = journal.append(event("new@b.example")).unwrap();
        let events = journal.read().unwrap();
        assert_eq!(events.len(), MAX_EVENTS);
        assert_eq!(events.last().map(|event| (event.number, &*event.mail)), Some((number, "new@b.example")));
    }
}
