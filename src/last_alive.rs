//! When an exporter with this storage directory ran last. After a restart, the probes that were due in between are made
//! up for. Without this, an exporter that is restarted in step with an interval would never ask the keys that are due
//! while it is down.
//!
//! A file of its own, because the state file is written only when a state changes. If the file cannot be read or
//! written, nothing is made up for; the store reports a directory that does not work.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::task::spawn_blocking;
use tokio::time::{Duration, sleep};

use crate::file_threads::FileThreads;
use crate::rfc3339;
use crate::store::{read_regular_file, remove_temporary_files, require_own_directory};

const FILE_NAME: &str = "last-alive";
/// The prefix of the temporary file's name while it is being written.
const TEMPORARY_PREFIX: &str = "last-alive.new-";
/// Also keeps a thread for blocking work alive: the runtime ends one after ten idle seconds, and if the system had no
/// thread left then, the next blocking work would panic.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long the start waits for the disk.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// In bytes. The file has one time.
const MAX_SIZE: u64 = 64;

/// The file in one storage directory.
#[derive(Clone, Debug)]
pub(crate) struct LastAlive {
    directory: PathBuf,
    before: Option<SystemTime>,
}

impl LastAlive {
    /// Reads when an exporter ran last. A disk that does not respond must not stop the start.
    pub(crate) fn read(directory: &Path) -> Self {
        let directory = directory.to_owned();
        let read_from = directory.clone();
        let before = FileThreads::new(1, 1).wait(READ_TIMEOUT, move || read(&read_from).ok());
        Self { directory, before: before.ok().flatten() }
    }

    /// How long no exporter ran before `now`; `None` if this is not known, or if the clock was set back.
    pub(crate) fn downtime(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.before?).ok()
    }

    /// Records for ever that this exporter runs.
    pub(crate) async fn record(self) {
        let directory = self.directory.clone();
        let _ = spawn_blocking(move || remove_temporary_files(&directory, TEMPORARY_PREFIX)).await;
        loop {
            let directory = self.directory.clone();
            // Without the file, a restart makes up for nothing. The store reports what is wrong with the directory.
            let _ = spawn_blocking(move || write(&directory, SystemTime::now())).await;
            sleep(INTERVAL).await;
        }
    }
}

fn read(directory: &Path) -> io::Result<SystemTime> {
    require_own_directory(directory)?;
    let text = String::from_utf8(read_regular_file(&directory.join(FILE_NAME), MAX_SIZE)?);
    humantime::parse_rfc3339(text.map_err(io::Error::other)?.trim()).map_err(io::Error::other)
}

/// Replaces the file, so that a link in its place is not followed.
fn write(directory: &Path, now: SystemTime) -> io::Result<()> {
    require_own_directory(directory)?;
    let mut file = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(directory)?;
    writeln!(file, "{}", rfc3339::millis(now))?;
    file.persist(directory.join(FILE_NAME))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

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

    #[test]
    fn a_link_in_place_of_the_file_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        let time = "2026-11-23T18:00:00.000Z\n";
        fs::write(elsewhere.path(), time).unwrap();
        symlink(elsewhere.path(), directory.path().join(FILE_NAME)).unwrap();
        assert_eq!(LastAlive::read(directory.path()).before, None);
        write(directory.path(), NOW).unwrap();
        assert_eq!(LastAlive::read(directory.path()).before, Some(NOW));
        assert_eq!(fs::read_to_string(elsewhere.path()).unwrap(), time);
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        write(directory.path(), NOW).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{}", " ".repeat(100))).unwrap();
        assert_eq!(LastAlive::read(directory.path()).before, None);
    }

    #[test]
    fn a_pipe_in_place_of_the_file_does_not_delay_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        assert_eq!(read(directory.path()).unwrap_err().kind(), io::ErrorKind::Other);
    }

    #[tokio::test]
    async fn an_exporter_records_that_it_runs_and_leaves_no_other_file() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("last-alive.new-Ab3dEf"), "left by a killed process").unwrap();
        let recording = tokio::spawn(LastAlive::read(directory.path()).record());
        while LastAlive::read(directory.path()).before.is_none() {
            tokio::task::yield_now().await;
        }
        recording.abort();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
