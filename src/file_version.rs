//! Detects changes of a file from its metadata, without reading it.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file that changed more recently than this may change again without a change of its times: file systems
/// store times in ticks of the kernel's clock, some in whole seconds.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// The metadata of a file that change with its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileVersion {
    size: u64,
    modified: Option<SystemTime>,
    /// Only some systems have this and the next two. They reveal a replacement that kept size and modification
    /// time.
    device: u64,
    inode: u64,
    /// The time of the last change of content, name or permissions.
    changed: Option<SystemTime>,
}

impl FileVersion {
    /// The current version of the file at `path`; follows symbolic links. `None` if there is no file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let version = Self { size: metadata.len(), modified: metadata.modified().ok(), ..Self::default() };
        #[cfg(unix)]
        let version = {
            use std::os::unix::fs::MetadataExt as _;
            let seconds = u64::try_from(metadata.ctime()).ok();
            let since_epoch = seconds.zip(u32::try_from(metadata.ctime_nsec()).ok());
            let changed = since_epoch
                .and_then(|(secs, nanos)| SystemTime::UNIX_EPOCH.checked_add(Duration::new(secs, nanos)));
            Self { device: metadata.dev(), inode: metadata.ino(), changed, ..version }
        };
        Some(version)
    }

    /// Whether the last change is old enough that any further change will change the metadata.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        [self.modified, self.changed].into_iter().flatten().all(|time| {
            // A time in the future proves nothing, so the file is not settled.
            now.duration_since(time).is_ok_and(|age| age >= SETTLE_TIME)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> (tempfile::TempDir, FileVersion) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "content").unwrap();
        let version = FileVersion::of(&path).unwrap();
        (directory, version)
    }

    #[test]
    fn each_part_reveals_a_change() {
        let (_directory, now) = version();
        for then in [
            FileVersion { size: now.size + 1, ..now },
            FileVersion { modified: Some(SystemTime::UNIX_EPOCH), ..now },
            FileVersion { inode: now.inode + 1, ..now },
            FileVersion { changed: Some(SystemTime::UNIX_EPOCH), ..now },
        ] {
            assert_ne!(now, then);
        }
    }

    #[test]
    fn a_recently_changed_file_is_not_settled() {
        let (_directory, version) = version();
        let changed = version.changed.unwrap();
        assert!(!version.is_settled(changed));
        assert!(!version.is_settled(changed - Duration::from_hours(1)), "the clock was set back");
        assert!(version.is_settled(changed + Duration::from_secs(3)));
    }
}
