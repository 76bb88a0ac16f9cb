//! Reads secrets from where the operator keeps them. A secret can be used, but never printed.

mod files;
#[cfg(test)]
mod tests;
mod watched;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::fs::OFlags;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

pub(crate) use watched::{WatchedSecret, read_ahead, read_queued};

/// In bytes. No token, secret or password needs more; a larger file is the wrong file.
const MAX_SIZE: usize = 16 * 1024;
/// How long [`SecretSource::check`] waits for a file. After [`MAX_DEAD_FILES`], it waits for a hundredth of this.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_DEAD_FILES: u32 = 5;
/// How many files [`SecretSource::check`] waited for in vain.
static DEAD_FILES: AtomicU32 = AtomicU32::new(0);

/// Where the operator keeps a secret.
#[derive(Clone)]
pub(crate) enum SecretSource {
    /// A file with the secret and at most one line break at its end. It is read again if it changes.
    File(Arc<Path>),
    /// As `File`, but the name is never shown: it may be the secret itself, written in the wrong field.
    UnnamedFile(Arc<Path>),
    /// The name of an environment variable.
    Env(String),
    /// As `Env`, but the name is never shown: it may be the secret itself, written in the wrong field.
    UnnamedEnv(String),
    /// The secret itself, from the configuration.
    Inline(SecretString),
}

/// Two sources are equal if they are the same file or variable, or the same inline secret.
impl PartialEq for SecretSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) | (Self::UnnamedFile(one), Self::UnnamedFile(other)) => {
                one == other
            }
            (Self::Env(one), Self::Env(other)) | (Self::UnnamedEnv(one), Self::UnnamedEnv(other)) => {
                one == other
            }
            (Self::Inline(one), Self::Inline(other)) => one.expose_secret() == other.expose_secret(),
            (
                Self::File(_) | Self::UnnamedFile(_) | Self::Env(_) | Self::UnnamedEnv(_) | Self::Inline(_),
                _,
            ) => false,
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::UnnamedFile(_) => f.write_str("UnnamedFile"),
            Self::UnnamedEnv(_) => f.write_str("UnnamedEnv"),
            Self::Inline(_) => f.write_str("Inline"),
        }
    }
}

/// The use of a secret. It decides which characters the secret may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SecretKind {
    /// A token or a partner's secret. It is sent in an HTTP header, so it contains only visible ASCII.
    HeaderValue,
    /// A password. It is sent in a JSON body, so it is any text without control characters.
    Password,
}

impl SecretSource {
    /// Reads the current secret and checks its form.
    ///
    /// # Errors
    ///
    /// If the secret cannot be read, or its content cannot be a secret of this kind.
    pub(crate) fn read(&self, kind: SecretKind) -> Result<SecretString, SecretError> {
        self.read_raw().and_then(|bytes| check(&bytes, kind)).map_err(|fault| self.error(fault))
    }

    /// As [`Self::read`], but waits for a file for a limited time. Also returns whether every user of this machine can
    /// read the file that contains the secret.
    ///
    /// # Errors
    ///
    /// As [`Self::read`], or if the file does not respond.
    pub(crate) fn check(&self, kind: SecretKind) -> Result<bool, SecretError> {
        let Some(path) = self.path() else { return self.read(kind).map(|_| false) };
        // Hundreds of dead files must not add up to hours.
        let is_patient = DEAD_FILES.load(Ordering::Relaxed) < MAX_DEAD_FILES;
        let bound = if is_patient { CHECK_TIMEOUT } else { CHECK_TIMEOUT / 100 };
        let (source, path) = (self.clone(), Arc::clone(path));
        let check = move || source.read(kind).map(|_| checked_yaml::file::is_world_readable(&path));
        files::FILES.threads().wait(bound, check).unwrap_or_else(|_| {
            DEAD_FILES.fetch_add(1, Ordering::Relaxed);
            Err(self.error(SecretFault::NoAnswer))
        })
    }

    fn read_raw(&self) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
        match self {
            Self::File(path) | Self::UnnamedFile(path) => read_file(path),
            Self::Env(name) | Self::UnnamedEnv(name) => std::env::var_os(name)
                .map(|value| Zeroizing::new(value.into_encoded_bytes()))
                .ok_or(SecretFault::NotSet),
            Self::Inline(secret) => Ok(Zeroizing::new(secret.expose_secret().as_bytes().to_vec())),
        }
    }

    fn error(&self, fault: SecretFault) -> SecretError {
        let place = match self {
            Self::File(path) => Place::File(path.display().to_string()),
            Self::UnnamedFile(_) => Place::UnnamedFile,
            Self::Env(name) => Place::Env(name.clone()),
            Self::UnnamedEnv(_) => Place::UnnamedEnv,
            Self::Inline(_) => Place::Inline,
        };
        SecretError { place, fault }
    }

    fn path(&self) -> Option<&Arc<Path>> {
        match self {
            Self::File(path) | Self::UnnamedFile(path) => Some(path),
            Self::Env(_) | Self::UnnamedEnv(_) | Self::Inline(_) => None,
        }
    }

    /// The path as it may be shown.
    fn shown_path(&self) -> Option<String> {
        match self {
            Self::File(path) => Some(path.display().to_string()),
            Self::UnnamedFile(_) | Self::Env(_) | Self::UnnamedEnv(_) | Self::Inline(_) => None,
        }
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
    // Checked before opening: opening a named pipe waits for a writer, perhaps for ever.
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(SecretFault::Directory);
    }
    if !metadata.is_file() {
        return Err(SecretFault::NotAFile);
    }
    // A pipe that takes the place of the file now makes the open fail, or is read without a wait.
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let max_read = u64::try_from(MAX_SIZE + "\r\n".len() + 1).unwrap_or(u64::MAX);
    // Allocate everything at once: a growing buffer leaves copies in memory that are not wiped.
    let capacity = usize::try_from(metadata.len().min(max_read)).unwrap_or(MAX_SIZE);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity + 1));
    file.take(max_read).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn check(bytes: &[u8], kind: SecretKind) -> Result<SecretString, SecretFault> {
    let bytes = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(bytes);
    if bytes.len() > MAX_SIZE {
        return Err(SecretFault::TooLarge);
    }
    let text = str::from_utf8(bytes).map_err(|_| SecretFault::NotUtf8)?;
    let is_header = kind == SecretKind::HeaderValue;
    let faults = [
        (text.is_empty(), SecretFault::Empty),
        (text.starts_with('\u{feff}'), SecretFault::ByteOrderMark),
        (text.contains('\n'), SecretFault::SeveralLines),
        (text.contains(char::is_control), SecretFault::ControlCharacter),
        (is_header && !text.bytes().all(|byte| byte.is_ascii_graphic()), SecretFault::NotForHeader),
    ];
    match faults.into_iter().find(|(applies, _)| *applies) {
        Some((_, fault)) => Err(fault),
        None => Ok(SecretString::from(text)),
    }
}

/// Why a secret cannot be read. It says where and what to do, and never contains what was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} {fault}")]
pub(crate) struct SecretError {
    place: Place,
    fault: SecretFault,
}

#[derive(Clone, Debug, PartialEq, Eq, strum::Display)]
enum Place {
    #[strum(to_string = "the file {0}")]
    File(String),
    #[strum(to_string = "the file with this name (not shown, because it may be the secret itself)")]
    UnnamedFile,
    #[strum(to_string = "the environment variable {0}")]
    Env(String),
    #[strum(
        to_string = "the environment variable with this name (not shown, because it may be the secret itself)"
    )]
    UnnamedEnv,
    #[strum(to_string = "the value")]
    Inline,
}

/// What is wrong with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretFault {
    #[error("does not exist; create it, or correct the path")]
    NotFound,
    /// The exporter has no permission for the file or a directory above it.
    #[error(
        "is not readable by the user that runs the exporter; allow that user to read it and to enter its directory"
    )]
    NoPermission,
    #[error("is a directory; give the path of a file in it")]
    Directory,
    /// A pipe, a socket or a device.
    #[error("is not a regular file; keep the secret in a regular file")]
    NotAFile,
    /// Any other error of the operating system.
    #[error("cannot be read ({0}); fix the file or its path")]
    Unreadable(io::ErrorKind),
    /// For example a network share whose server is gone.
    #[error("does not respond; check the disk or network share that it is on")]
    NoAnswer,
    /// There is no such environment variable.
    #[error("is not set; set it in the environment of the exporter")]
    NotSet,
    #[error("is larger than 16 KiB, so it is not a secret; check the path or name")]
    TooLarge,
    /// Another encoding, or not text.
    #[error("is not UTF-8 text; save it as UTF-8")]
    NotUtf8,
    /// No content, or only a line break.
    #[error("is empty; write the secret there")]
    Empty,
    /// Some editors write this mark; it would become part of the secret.
    #[error("starts with a byte-order mark; save it as UTF-8 without byte-order mark")]
    ByteOrderMark,
    /// More than one line, even if the others are blank.
    #[error("has more than one line; keep only the secret and at most one line break after it")]
    SeveralLines,
    /// For example a tab, a NUL or a carriage return without line feed.
    #[error("contains a control character; remove it")]
    ControlCharacter,
    /// For example a space or an accented letter.
    #[error(
        "contains a character that is not allowed in an HTTP header; use only visible ASCII characters, without spaces"
    )]
    NotForHeader,
}

impl From<io::Error> for SecretFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::NoPermission,
            io::ErrorKind::IsADirectory => Self::Directory,
            kind => Self::Unreadable(kind),
        }
    }
}
