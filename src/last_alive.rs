//! When an exporter with this storage directory ran last. After a restart, the probes that were due in between are made
//! up for. Without this, an exporter that is restarted in step with an interval would never ask the keys that are due
//! while it is down.
//!
//! A file of its own, because the state file is written only when a state changes. If the file cannot be read or
//! written, nothing is made up for; the store reports a directory that does not work.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::task::spawn_blocking;
use tokio::time::{Duration, sleep};

use crate::rfc3339;

const FILE_NAME: &str = "last-alive";
/// Also keeps a thread for blocking work alive: the runtime ends one after ten idle seconds, and if the system had no
/// thread left then, the next blocking work would panic.
const INTERVAL: Duration = Duration::from_secs(5);
/// In bytes. The file has one time.
const MAX_SIZE: u64 = 64;

/// The file in one storage directory.
#[derive(Clone, Debug)]
pub(crate) struct LastAlive {
    directory: PathBuf,
    before: Option<SystemTime>,
}

impl LastAlive {
    /// Reads when an exporter ran last.
    pub(crate) fn read(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), before: read(&directory.join(FILE_NAME)).ok() }
    }

    /// How long no exporter ran before `now`; `None` if this is not known, or if the clock was set back.
    pub(crate) fn downtime(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.before?).ok()
    }

    /// Records for ever that this exporter runs.
    pub(crate) async fn record(self) {
        loop {
            let directory = self.directory.clone();
            // Without the file, a restart makes up for nothing. The store reports what is wrong with the directory.
            let _ = spawn_blocking(move || write(&directory, SystemTime::now())).await;
            sleep(INTERVAL).await;
        }
    }
}

fn read(path: &Path) -> io::Result<SystemTime> {
    // To open a pipe would block.
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_SIZE).read_to_string(&mut text)?;
    humantime::parse_rfc3339(text.trim()).map_err(io::Error::other)
}

/// Replaces the file, so that a link in its place is not followed.
fn write(directory: &Path, now: SystemTime) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(FILE_NAME).tempfile_in(directory)?;
    writeln!(file, "{}", rfc3339::millis(now))?;
    file.persist(directory.join(FILE_NAME))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn the_downtime_is_known_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(LastAlive::read(directory.path()).downtime(NOW), None, "it never ran");
        write(directory.path(), NOW).unwrap();
        let last_alive = LastAlive::read(directory.path());
        let minute = Duration::from_mins(1);
        assert_eq!(last_alive.downtime(NOW + minute), Some(minute));
        assert_eq!(last_alive.downtime(NOW - minute), None, "the clock was set back");
    }

    #[test]
    fn what_is_no_time_in_a_file_is_not_known() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["", "soon", "2026-11-23T18:0"] {
            fs::write(directory.path().join(FILE_NAME), text).unwrap();
            assert_eq!(LastAlive::read(directory.path()).downtime(NOW), None, "{text}");
        }
        fs::remove_file(directory.path().join(FILE_NAME)).unwrap();
        fs::create_dir(directory.path().join(FILE_NAME)).unwrap();
        assert_eq!(LastAlive::read(directory.path()).downtime(NOW), None);
    }

    #[tokio::test]
    async fn an_exporter_records_that_it_runs_and_leaves_no_other_file() {
        let directory = tempfile::tempdir().unwrap();
        let recording = tokio::spawn(LastAlive::read(directory.path()).record());
        while LastAlive::read(directory.path()).before.is_none() {
            tokio::task::yield_now().await;
        }
        recording.abort();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
