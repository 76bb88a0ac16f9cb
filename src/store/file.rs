//! The file: taken over once, then replaced whole.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tracing::{error, warn};

use super::content::Content;

/// The file's name.
const NAME: &str = "state.json";
/// The beginning of the names it has while it is being written.
const TEMPORARY: &str = "state.json.new-";
/// Held locked by the exporter that uses the folder.
const LOCK: &str = "lock";
/// Of a hundred thousand keys it has some 40 MB: what is larger was not written here.
const LARGEST: u64 = 256 << 20;

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
    /// The lock file that is held. It need not be the one that lies in the folder by now.
    lock: Option<File>,
    /// Whether the memory in the folder was taken over. Until then it must not be replaced.
    read: bool,
}

impl StateFile {
    /// The file in `folder`, which is not touched yet.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), lock: None, read: false }
    }

    /// What the file remembers, where that was not taken over yet: once, as soon as the folder can be
    /// used, and again when another folder has come into its place, made anew or mounted over it.
    ///
    /// A damaged file is set aside, so that nothing of it is lost, and reported. One that can't be read
    /// or set aside stays as it is, and so does all that it remembers.
    pub(super) fn unread(&mut self) -> io::Result<Option<Content>> {
        self.prepare()?;
        if self.read {
            return Ok(None);
        }
        let content = self.read()?;
        self.read = true;
        Ok(Some(content))
    }

    /// What the file remembers, without the lock and whatever uses the folder: nothing is changed, not even
    /// a damaged file.
    pub(super) fn peek(&self) -> io::Result<Content> {
        match read_whole(&self.folder.join(NAME)) {
            Ok(text) => Content::from_json(&text).map(|(content, _)| content).map_err(io::Error::other),
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(Content::default()),
            Err(cause) => Err(cause),
        }
    }

    fn read(&self) -> io::Result<Content> {
        let path = self.folder.join(NAME);
        match read_whole(&path) {
            Ok(text) => match Content::from_json(&text) {
                Ok((content, damage)) if damage.is_empty() => Ok(content),
                Ok((content, damage)) => self.keep_original(&path, &damage).map(|()| content),
                Err(cause) => self.set_aside(&path, &cause),
            },
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(Content::default()),
            Err(cause) => {
                Err(io::Error::new(cause.kind(), format!("{} can't be read: {cause}", path.display())))
            }
        }
    }

    /// A name for a damaged file.
    fn aside(&self) -> PathBuf {
        let second = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.folder.join(format!("{NAME}.damaged-{second}"))
    }

    /// Gives a file, some of whose records can't be read, a second name, before the first is replaced by
    /// those that can.
    fn keep_original(&self, path: &Path, damage: &[String]) -> io::Result<()> {
        let aside = self.aside();
        // Not every file system knows second names.
        fs::hard_link(path, &aside).or_else(|_| fs::copy(path, &aside).map(drop))?;
        let (file, kept, count) = (path.display(), aside.display(), damage.len());
        let first = damage.first().map_or("", String::as_str);
        error!(%file, %kept, count, first, "records of the memory are damaged: a copy is kept, and the others are used");
        Ok(())
    }

    /// Gives a damaged file another name, and begins with nothing.
    fn set_aside(&self, path: &Path, cause: &str) -> io::Result<Content> {
        let aside = self.aside();
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
        let mut new = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.folder)?;
        new.write_all(text)?;
        new.as_file().sync_all()?;
        new.persist(self.folder.join(NAME))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Makes the folder if it is missing, and locks it.
    ///
    /// A lock holds a file, not its name: where the folder was deleted and made again, or something
    /// was mounted over it, the one in it now is to be locked, and its memory is yet to be read.
    fn prepare(&mut self) -> io::Result<()> {
        create(&self.folder)?;
        let lock = open_lock(&self.folder.join(LOCK))?;
        if let Some(held) = &self.lock
            && are_same(held, &lock)?
        {
            return Ok(());
        }
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other(OpenError::InUse(self.folder.clone())));
            }
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
        (self.lock, self.read) = (Some(lock), false);
        warn_if_open(&self.folder);
        self.sweep();
        Ok(())
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

/// The file, if it is one: to open a pipe waits for a writer, and a device may never end.
fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file; remove it"));
    }
    if metadata.len() > LARGEST {
        return Err(io::Error::other("it is larger than 256 MiB, so it is no such memory; remove it"));
    }
    fs::read(path)
}

/// The lock, which nobody else may open: who can could hold it for ever.
fn open_lock(path: &Path) -> io::Result<File> {
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
fn warn_if_open(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    if fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o002 != 0) {
        let folder = folder.display();
        warn!(%folder, "every user of the machine may write to the storage folder; take that right away (chmod o-w)");
    }
}

/// Elsewhere rights are not told by a mode.
#[cfg(not(unix))]
fn warn_if_open(_: &Path) {}

/// Whether two open files are one and the same, whatever their names are by now.
#[cfg(unix)]
fn are_same(one: &File, other: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Elsewhere an open file can't lose its name.
#[cfg(not(unix))]
fn are_same(_: &File, _: &File) -> io::Result<bool> {
    Ok(true)
}

/// For the exporter's own user only.
fn create(folder: &Path) -> io::Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<_> = folder.ancestors().take_while(is_missing).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    missing.into_iter().filter_map(Path::parent).for_each(sync);
    Ok(())
}

/// Sees to it that what was made in a folder is still there after a power cut. Not every file system
/// can; then there is nothing else to do.
fn sync(folder: &Path) {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}
