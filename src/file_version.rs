//! What tells that a file changed, without reading it.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file whose last change is younger than this may change again without any of its times moving:
/// file systems stamp with the ticks of the kernel's clock, some with whole seconds.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// What a file's metadata say of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileVersion {
    size: u64,
    modified: Option<SystemTime>,
    identity: Identity,
}

/// What only some systems tell of a file: it gives away a replacement that kept size and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// The last change of content, name or rights.
    changed: Option<SystemTime>,
}

impl FileVersion {
    /// Of what is no file and never changes.
    pub(crate) const FIXED: Self =
        Self { size: 0, modified: None, identity: Identity { device: 0, inode: 0, changed: None } };

    /// Of the file that stands there now, behind any links; none where there is none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            size: metadata.len(),
            modified: metadata.modified().ok(),
            identity: Identity::of(&metadata),
        })
    }

    /// Whether enough time has passed for a further change to be sure to move a stamp.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        [self.modified, self.identity.changed].into_iter().flatten().all(|time| {
            // A time in the future proves nothing: it is not settled.
            now.duration_since(time).is_ok_and(|age| age >= SETTLE_TIME)
        })
    }
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let since_epoch = u64::try_from(metadata.ctime()).ok().zip(u32::try_from(metadata.ctime_nsec()).ok());
        let changed = since_epoch
            .and_then(|(secs, nanos)| SystemTime::UNIX_EPOCH.checked_add(Duration::new(secs, nanos)));
        Self { device: metadata.dev(), inode: metadata.ino(), changed }
    }

    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> (tempfile::TempDir, FileVersion) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "content").unwrap();
        let version = FileVersion::of(&path).unwrap();
        (folder, version)
    }

    #[test]
    fn every_part_gives_a_change_away() {
        let (_folder, now) = version();
        for then in [
            FileVersion { size: now.size + 1, ..now },
            FileVersion { modified: Some(SystemTime::UNIX_EPOCH), ..now },
            FileVersion { identity: Identity { inode: now.identity.inode + 1, ..now.identity }, ..now },
            FileVersion {
                identity: Identity { changed: Some(SystemTime::UNIX_EPOCH), ..now.identity },
                ..now
            },
        ] {
            assert_ne!(now, then);
        }
    }

    #[test]
    fn a_file_that_changed_just_now_is_not_settled() {
        let (_folder, version) = version();
        let changed = version.identity.changed.unwrap();
        assert!(!version.is_settled(changed));
        assert!(!version.is_settled(changed - Duration::from_hours(1)), "a clock that was put back");
        assert!(version.is_settled(changed + Duration::from_secs(3)));
    }
}
