//! The file: read once, replaced whole.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tracing::error;

use super::content::Content;

/// The file's name.
const NAME: &str = "state.json";
/// The beginning of the names it has while it is being written.
const TEMPORARY: &str = "state.json.new-";
/// Held locked by the exporter that uses the folder.
const LOCK: &str = "lock";

/// Why a store can't be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Two exporters would overwrite each other's memory.
    #[error("another exporter uses the storage folder {}; give each its own --storage.path", .0.display())]
    InUse(PathBuf),
}

/// The folder, and the lock on it.
#[derive(Debug)]
pub(super) struct StateFile {
    folder: PathBuf,
    lock: Option<File>,
}

impl StateFile {
    /// Takes the folder. One that can't be used is reported and tried again at each write.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let mut file = Self { folder: folder.to_owned(), lock: None };
        if let Err(cause) = file.prepare()? {
            let folder = folder.display();
            error!(%folder, %cause, "the storage folder can't be used: states will not outlive this process");
        }
        Ok(file)
    }

    /// What the file remembers. A damaged one is set aside, so that nothing of it is lost, and reported.
    pub(super) fn read(&self) -> Content {
        let path = self.folder.join(NAME);
        let cause = match fs::read(&path) {
            Ok(text) => match Content::from_json(&text) {
                Ok(content) => return content,
                Err(cause) => cause,
            },
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => return Content::default(),
            Err(unreadable) => unreadable.to_string(),
        };
        let second = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let aside = self.folder.join(format!("{NAME}.damaged-{second}"));
        let (file, kept) = (path.display(), aside.display());
        match fs::rename(&path, &aside) {
            Ok(()) => {
                error!(%file, %kept, cause, "the memory of states is damaged: set aside, and starting anew");
            }
            Err(stuck) => {
                error!(%file, cause, %stuck, "the memory of states is damaged, and can't be set aside");
            }
        }
        Content::default()
    }

    /// Replaces the file: whoever reads it finds the old text or the new one, whole, whenever the
    /// process or the machine stops.
    pub(super) fn replace(&mut self, text: &[u8]) -> io::Result<()> {
        self.prepare().map_err(io::Error::other)??;
        let mut new = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.folder)?;
        new.write_all(text)?;
        new.as_file().sync_all()?;
        new.persist(self.folder.join(NAME))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Makes the folder if it is missing, and locks it.
    fn prepare(&mut self) -> Result<io::Result<()>, OpenError> {
        if self.lock.is_some() && self.folder.is_dir() {
            return Ok(Ok(()));
        }
        let lock = create(&self.folder).and_then(|()| File::create(self.folder.join(LOCK)));
        match lock.map(|lock| (lock.try_lock(), lock)) {
            Ok((Ok(()), lock)) => {
                self.lock = Some(lock);
                self.sweep();
                Ok(Ok(()))
            }
            Ok((Err(TryLockError::WouldBlock), _)) => Err(OpenError::InUse(self.folder.clone())),
            Ok((Err(TryLockError::Error(cause)), _)) | Err(cause) => Ok(Err(cause)),
        }
    }

    /// Removes what a killed process left half-written. They are only scraps: failing is no harm.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// For the exporter's own user only.
fn create(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
