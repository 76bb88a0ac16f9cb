//! The state file and its lock: the file is read once, then replaced as a whole by each write.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;
use tracing::{error, warn};

use super::content::Content;
use super::rendered::Rendered;

const FILE_NAME: &str = "state.json";
/// The prefix of the temporary file's name while it is being written.
const TEMPORARY_PREFIX: &str = "state.json.new-";
/// The file that the exporter which uses the directory keeps locked.
const LOCK_NAME: &str = "lock";
/// The maximum size in bytes. With a hundred thousand keys, the file has about 40 MB: a larger one is
/// not ours.
pub(super) const MAX_SIZE: u64 = 256 << 20;

/// How many bytes are written at a time.
const BUFFER_SIZE: usize = 1 << 16;

/// Why the store cannot be opened at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Two exporters would overwrite each other's state.
    #[error(
        "another exporter uses the storage directory {}; give each exporter its own --storage.path",
        .0.display()
    )]
    InUse(PathBuf),
}

/// The state file in the storage directory, and the lock on the directory.
#[derive(Debug)]
pub(super) struct StateFile {
    directory: PathBuf,
    /// The locked file. The directory may contain another lock file by now.
    lock: Option<File>,
    /// Whether the state file in the directory was read. Until then, it must not be replaced.
    read: bool,
    rendered: Rendered,
}

impl StateFile {
    /// Does not access the directory yet.
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), lock: None, read: false, rendered: Rendered::default() }
    }

    /// Locks the directory and reads the file, unless it was read already. It is read once, as soon as the
    /// directory can be used, and again if another directory has taken its place (created again, or mounted
    /// over it).
    ///
    /// A damaged file is reported and kept under another name, so that nothing of it is lost. A file
    /// that cannot be read or renamed stays unchanged, with all its content.
    pub(super) fn read_if_new(&mut self) -> io::Result<Option<Content>> {
        self.lock_directory()?;
        if self.read {
            return Ok(None);
        }
        let content = self.read()?;
        self.read = true;
        Ok(Some(content))
    }

    /// Reads the file without locking the directory, whether or not an exporter uses it. Changes nothing, not
    /// even a damaged file.
    pub(super) fn read_without_lock(&self) -> io::Result<Content> {
        match read_regular_file(&self.directory.join(FILE_NAME), MAX_SIZE) {
            Ok(text) => Content::from_json(&text).map(|(content, _)| content).map_err(io::Error::other),
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(Content::default()),
            Err(cause) => Err(cause),
        }
    }

    fn read(&self) -> io::Result<Content> {
        let path = self.directory.join(FILE_NAME);
        match read_regular_file(&path, MAX_SIZE) {
            Ok(text) => match Content::from_json(&text) {
                Ok((content, damage)) if damage.is_empty() => Ok(content),
                Ok((content, damage)) => self.copy_damaged(&path, &damage).map(|()| content),
                Err(cause) => self.move_damaged(&path, &cause),
            },
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(Content::default()),
            Err(cause) => {
                Err(io::Error::new(cause.kind(), format!("cannot read {}: {cause}", path.display())))
            }
        }
    }

    /// The path under which a damaged file is kept.
    fn damaged_path(&self) -> PathBuf {
        let second = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.directory.join(format!("{FILE_NAME}.damaged-{second}"))
    }

    /// Keeps a copy of a file with some unreadable records, before the file is replaced by the readable ones.
    fn copy_damaged(&self, path: &Path, damage: &[String]) -> io::Result<()> {
        let kept_path = self.damaged_path();
        // Some file systems have no hard links.
        fs::hard_link(path, &kept_path).or_else(|_| copy_to_new_file(path, &kept_path))?;
        let (file, copy, count) = (path.display(), kept_path.display(), damage.len());
        let first = damage.first().map_or("", String::as_str);
        error!(
            %file, %copy, count, first,
            "some records of the state file are damaged; kept a copy and loaded the other records"
        );
        Ok(())
    }

    /// Renames a damaged file, and starts with an empty state.
    fn move_damaged(&self, path: &Path, cause: &str) -> io::Result<Content> {
        let kept_path = self.damaged_path();
        let (file, renamed_to) = (path.display(), kept_path.display());
        fs::rename(path, &kept_path).map_err(|error| {
            let text = format!("{file} is damaged ({cause}) and cannot be renamed: {error}");
            io::Error::new(error.kind(), text)
        })?;
        error!(%file, %renamed_to, cause, "the state file is damaged; renamed it and started with an empty state");
        Ok(Content::default())
    }

    /// Replaces the file atomically: a reader finds the complete old text or the complete new text, even
    /// if the process or the machine stops at any moment. Call it only after [`Self::read_if_new`], so
    /// that it does not replace a file that was not read.
    pub(super) fn replace(&mut self, content: &Content) -> io::Result<()> {
        let new = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(&self.directory)?;
        let mut out = BufWriter::with_capacity(BUFFER_SIZE, new.as_file());
        content.write_json(&mut out, &mut self.rendered)?;
        out.flush()?;
        drop(out);
        new.as_file().sync_all()?;
        new.persist(self.directory.join(FILE_NAME))?;
        File::open(&self.directory)?.sync_all()
    }

    /// Forgets the texts of the records: the next write formats them all.
    pub(super) fn forget_texts(&mut self) {
        self.rendered = Rendered::default();
    }

    /// Creates the directory if it is missing, and locks it.
    ///
    /// A lock belongs to a file, not to its name. If the directory was deleted and created again, or
    /// something was mounted over it, the lock file that is there now must be locked, and the state file
    /// there must be read.
    fn lock_directory(&mut self) -> io::Result<()> {
        create_directory(&self.directory)?;
        require_own_directory(&self.directory)?;
        let lock = open_lock_file(&self.directory.join(LOCK_NAME))?;
        if let Some(held) = &self.lock
            && is_same_file(held, &lock)?
        {
            return Ok(());
        }
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other(OpenError::InUse(self.directory.clone())),
            TryLockError::Error(cause) => cause,
        })?;
        (self.lock, self.read) = (Some(lock), false);
        warn_if_world_writable(&self.directory);
        remove_temporary_files(&self.directory, TEMPORARY_PREFIX);
        Ok(())
    }
}

/// Removes temporary files that a killed process left. They contain nothing of value, so errors are ignored.
pub(crate) fn remove_temporary_files(directory: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Never writes to a file that exists: it may be a link to any other file.
fn copy_to_new_file(path: &Path, new_path: &Path) -> io::Result<()> {
    let content = read_regular_file(path, MAX_SIZE)?;
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new_path)?;
    new.write_all(&content)
}

/// Reads only regular files: opening a pipe waits for a writer, and reading a device may never end.
pub(crate) fn read_regular_file(path: &Path, max_size: u64) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file; remove it"));
    }
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    require_own_file(path, &metadata)?;
    if metadata.len() > max_size {
        let text = format!("it is larger than {max_size} bytes, so the exporter did not write it; remove it");
        return Err(io::Error::other(text));
    }
    let mut content = Vec::new();
    // It may grow while it is read.
    file.take(max_size).read_to_end(&mut content)?;
    Ok(content)
}

/// Only the exporter's user may open the lock file: anyone who can open it could hold the lock for ever. A link is not
/// followed, and a file of another user is not used: it may be any file that the exporter may write.
fn open_lock_file(path: &Path) -> io::Result<File> {
    // Opening a pipe would wait for a reader.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let opened = options.open(path).and_then(|lock| Ok((lock.metadata()?, lock)));
    let (metadata, lock) = match opened {
        Ok(opened) => opened,
        Err(cause) if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) => {
            let text = format!("{} is not a regular file ({cause}); remove it", path.display());
            return Err(io::Error::other(text));
        }
        Err(cause) => return Err(cause),
    };
    require_own_file(path, &metadata)?;
    // Kubernetes, for example, gives the group of a volume access to each file in it. The mode of a file with a second
    // name stays: it may be any file of the exporter's user.
    if metadata.permissions().mode() & 0o077 != 0 && metadata.nlink() == 1 {
        // Some file systems have no modes. Then nothing else can be done.
        let _ = lock.set_permissions(fs::Permissions::from_mode(0o600));
    }
    Ok(lock)
}

/// Refuses what is not a regular file, or belongs to another user.
fn require_own_file(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let path = path.display();
    if !metadata.is_file() {
        return Err(io::Error::other(format!("{path} is not a regular file; remove it")));
    }
    if !is_trusted_owner(metadata.uid()) {
        let owner = metadata.uid();
        return Err(io::Error::other(format!(
            "{path} belongs to the user {owner}, not to the user that runs the exporter; remove it, or change its owner"
        )));
    }
    Ok(())
}

/// The exporter's user, or root, who can do everything in any case.
fn is_trusted_owner(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
}

/// Refuses a directory of another user, who could replace the files in it at any time.
pub(crate) fn require_own_directory(directory: &Path) -> io::Result<()> {
    let metadata = fs::metadata(directory)?;
    if is_trusted_owner(metadata.uid()) {
        return Ok(());
    }
    let (directory, owner) = (directory.display(), metadata.uid());
    Err(io::Error::other(format!(
        "{directory} belongs to the user {owner}, not to the user that runs the exporter; change its owner (chown), or \
         set another --storage.path"
    )))
}

/// Only the exporter's user can access the files in the directory, whatever the directory's mode is. But
/// anyone who can write to a directory can replace the files in it.
fn warn_if_world_writable(directory: &Path) {
    if fs::metadata(directory).is_ok_and(|metadata| metadata.permissions().mode() & 0o002 != 0) {
        let directory = directory.display();
        warn!(
            %directory,
            "every user of this machine can write to the storage directory; remove this permission (chmod o-w)"
        );
    }
}

/// Whether two open files are the same file, whatever their current names are.
fn is_same_file(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Creates the directory and its missing parents, with access for the exporter's user only.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    let is_missing = |directory: &&Path| !directory.as_os_str().is_empty() && !directory.exists();
    let missing: Vec<_> = directory.ancestors().take_while(is_missing).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    builder.mode(0o700);
    builder.create(directory)?;
    missing.into_iter().filter_map(Path::parent).for_each(sync_directory);
    Ok(())
}

/// Makes new entries of a directory survive a power cut. Some file systems cannot do this; then
/// nothing else can be done.
fn sync_directory(directory: &Path) {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
}
