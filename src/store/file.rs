//! The file: taken over once, then replaced whole.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tracing::{error, warn};

use super::content::Content;

/// The file's name.
const FILE_NAME: &str = "state.json";
/// The beginning of the names it has while it is being written.
const TEMPORARY_PREFIX: &str = "state.json.new-";
/// Held locked by the exporter that uses the folder.
const LOCK_NAME: &str = "lock";
/// Of a hundred thousand keys it has some 40 MB: what is larger was not written here.
const MAX_SIZE: u64 = 256 << 20;

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
    directory: PathBuf,
    /// The lock file that is held. It need not be the one that lies in the folder by now.
    lock: Option<File>,
    /// Whether the memory in the folder was taken over. Until then it must not be replaced.
    read: bool,
}

impl StateFile {
    /// The file in `folder`, which is not touched yet.
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), lock: None, read: false }
    }

    /// What the file remembers, where that was not taken over yet: once, as soon as the folder can be
    /// used, and again when another folder has come into its place, made anew or mounted over it.
    ///
    /// A damaged file is set aside, so that nothing of it is lost, and reported. One that can't be read
    /// or set aside stays as it is, and so does all that it remembers.
    pub(super) fn read_if_new(&mut self) -> io::Result<Option<Content>> {
        self.lock_directory()?;
        if self.read {
            return Ok(None);
        }
        let content = self.read()?;
        self.read = true;
        Ok(Some(content))
    }

    /// What the file remembers, without the lock and whatever uses the folder: nothing is changed, not even
    /// a damaged file.
    pub(super) fn read_without_lock(&self) -> io::Result<Content> {
        match read_regular_file(&self.directory.join(FILE_NAME)) {
            Ok(text) => Content::from_json(&text).map(|(content, _)| content).map_err(io::Error::other),
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(Content::default()),
            Err(cause) => Err(cause),
        }
    }

    fn read(&self) -> io::Result<Content> {
        let path = self.directory.join(FILE_NAME);
        match read_regular_file(&path) {
            Ok(text) => match Content::from_json(&text) {
                Ok((content, damage)) if damage.is_empty() => Ok(content),
                Ok((content, damage)) => self.copy_damaged(&path, &damage).map(|()| content),
                Err(cause) => self.move_damaged(&path, &cause),
            },
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(Content::default()),
            Err(cause) => {
                Err(io::Error::new(cause.kind(), format!("{} can't be read: {cause}", path.display())))
            }
        }
    }

    /// A name for a damaged file.
    fn damaged_path(&self) -> PathBuf {
        let second = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.directory.join(format!("{FILE_NAME}.damaged-{second}"))
    }

    /// Gives a file, some of whose records can't be read, a second name, before the first is replaced by
    /// those that can.
    fn copy_damaged(&self, path: &Path, damage: &[String]) -> io::Result<()> {
        let aside = self.damaged_path();
        // Not every file system knows second names.
        fs::hard_link(path, &aside).or_else(|_| fs::copy(path, &aside).map(drop))?;
        let (file, kept, count) = (path.display(), aside.display(), damage.len());
        let first = damage.first().map_or("", String::as_str);
        error!(%file, %kept, count, first, "records of the memory are damaged: a copy is kept, and the others are used");
        Ok(())
    }

    /// Gives a damaged file another name, and begins with nothing.
    fn move_damaged(&self, path: &Path, cause: &str) -> io::Result<Content> {
        let aside = self.damaged_path();
        let (file, kept) = (path.display(), aside.display());
        fs::rename(path, &aside).map_err(|stuck| {
            io::Error::new(
                stuck.kind(),
                format!("{file} is damaged ({cause}), and can't be set aside: {stuck}"),
            )
        })?;
        error!(%file, %kept, cause, "the memory of states is damaged: set aside, and starting anew");
        Ok(Content::default())
    }

    /// Replaces the file: whoever reads it finds the old text or the new one, whole, whenever the
    /// process or the machine stops. Only after [`Self::unread`], lest it replace what nobody read.
    pub(super) fn replace(&self, text: &[u8]) -> io::Result<()> {
        let mut new = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(&self.directory)?;
        new.write_all(text)?;
        new.as_file().sync_all()?;
        new.persist(self.directory.join(FILE_NAME))?;
        File::open(&self.directory)?.sync_all()
    }

    /// Makes the folder if it is missing, and locks it.
    ///
    /// A lock holds a file, not its name: where the folder was deleted and made again, or something
    /// was mounted over it, the one in it now is to be locked, and its memory is yet to be read.
    fn lock_directory(&mut self) -> io::Result<()> {
        create_directory(&self.directory)?;
        let lock = open_lock_file(&self.directory.join(LOCK_NAME))?;
        if let Some(held) = &self.lock
            && is_same_file(held, &lock)?
        {
            return Ok(());
        }
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other(OpenError::InUse(self.directory.clone())));
            }
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
        (self.lock, self.read) = (Some(lock), false);
        warn_if_world_writable(&self.directory);
        self.remove_temporary_files();
        Ok(())
    }

    /// Removes what a killed process left half-written. They are only scraps: failing is no harm.
    fn remove_temporary_files(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The file, if it is one: to open a pipe waits for a writer, and a device may never end.
fn read_regular_file(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file; remove it"));
    }
    if metadata.len() > MAX_SIZE {
        return Err(io::Error::other("it is larger than 256 MiB, so it is no such memory; remove it"));
    }
    fs::read(path)
}

/// The lock, which nobody else may open: who can could hold it for ever.
fn open_lock_file(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let text = format!("{} is not a regular file; remove it", path.display());
        return Err(io::Error::other(text));
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let lock = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // One that an operator made. Where it belongs to somebody else it stays as it is.
        let _ = lock.set_permissions(fs::Permissions::from_mode(0o600));
    }
    Ok(lock)
}

/// The files in the folder are for the exporter's user alone, whatever the folder's mode; but who may
/// write to a folder may replace what is in it.
#[cfg(unix)]
fn warn_if_world_writable(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    if fs::metadata(directory).is_ok_and(|metadata| metadata.permissions().mode() & 0o002 != 0) {
        let folder = directory.display();
        warn!(%folder, "every user of the machine may write to the storage folder; take that right away (chmod o-w)");
    }
}

/// Elsewhere rights are not told by a mode.
#[cfg(not(unix))]
fn warn_if_world_writable(_: &Path) {}

/// Whether two open files are one and the same, whatever their names are by now.
#[cfg(unix)]
fn is_same_file(one: &File, other: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Elsewhere an open file can't lose its name.
#[cfg(not(unix))]
fn is_same_file(_: &File, _: &File) -> io::Result<bool> {
    Ok(true)
}

/// For the exporter's own user only.
fn create_directory(directory: &Path) -> io::Result<()> {
    let is_missing = |directory: &&Path| !directory.as_os_str().is_empty() && !directory.exists();
    let missing: Vec<_> = directory.ancestors().take_while(is_missing).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    missing.into_iter().filter_map(Path::parent).for_each(sync_directory);
    Ok(())
}

/// Sees to it that what was made in a folder is still there after a power cut. Not every file system
/// can; then there is nothing else to do.
fn sync_directory(directory: &Path) {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
}
