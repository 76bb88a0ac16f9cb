//! Reads secrets from where the operator keeps them. A secret can be used, but never printed.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::file_version::FileVersion;

/// In bytes. No token, secret or password needs more; a larger file is the wrong file.
const MAX_SIZE: usize = 16 * 1024;

/// Where the operator keeps a secret.
#[derive(Clone, Debug)]
pub(crate) enum SecretSource {
    /// A file with the secret and at most one line break at its end. It is read again if it changes.
    File(PathBuf),
    /// The name of an environment variable.
    Env(String),
    /// The secret itself, from the configuration. `SecretString` prints as `[REDACTED]`.
    Inline(SecretString),
}

/// Two sources are equal if they are the same file or variable, or the same inline secret.
impl PartialEq for SecretSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Env(one), Self::Env(other)) => one == other,
            (Self::Inline(one), Self::Inline(other)) => one.expose_secret() == other.expose_secret(),
            (Self::File(_) | Self::Env(_) | Self::Inline(_), _) => false,
        }
    }
}

/// The use of a secret. It decides which characters the secret may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// Whether every user of this machine can read the file that contains the secret.
    pub(crate) fn is_world_readable(&self) -> bool {
        match self {
            Self::File(path) => checked_yaml::file::is_world_readable(path),
            Self::Env(_) | Self::Inline(_) => false,
        }
    }

    fn read_raw(&self) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
        match self {
            Self::File(path) => read_file(path),
            Self::Env(name) => std::env::var_os(name)
                .map(|value| Zeroizing::new(value.into_encoded_bytes()))
                .ok_or(SecretFault::NotSet),
            Self::Inline(secret) => Ok(Zeroizing::new(secret.expose_secret().as_bytes().to_vec())),
        }
    }

    fn error(&self, fault: SecretFault) -> SecretError {
        let place = match self {
            Self::File(path) => Place::File(path.display().to_string()),
            Self::Env(name) => Place::Env(name.clone()),
            Self::Inline(_) => Place::Inline,
        };
        SecretError { place, fault }
    }

    /// Compared to detect that the secret may have changed. `None` if there is no such file.
    fn version(&self) -> Option<FileVersion> {
        match self {
            Self::File(path) => FileVersion::of(path),
            // They do not change while the process runs.
            Self::Env(_) | Self::Inline(_) => Some(FileVersion::default()),
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
    let max_read = u64::try_from(MAX_SIZE + "\r\n".len() + 1).unwrap_or(u64::MAX);
    // Allocate everything at once: a growing buffer leaves copies in memory that are not wiped.
    let capacity = usize::try_from(metadata.len().min(max_read)).unwrap_or(MAX_SIZE);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity + 1));
    File::open(path)?.take(max_read).read_to_end(&mut bytes)?;
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

impl SecretError {
    /// The same error without the name of the file or variable: the name may be the secret itself, written in
    /// the wrong field.
    pub(crate) fn without_name(self) -> Self {
        let place = match self.place {
            Place::File(_) | Place::UnnamedFile => Place::UnnamedFile,
            Place::Env(_) | Place::UnnamedEnv => Place::UnnamedEnv,
            Place::Inline => Place::Inline,
        };
        Self { place, fault: self.fault }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, strum::Display)]
enum Place {
    #[strum(to_string = "the file {0}")]
    File(String),
    #[strum(to_string = "the file named here (not shown, because it may be the secret itself)")]
    UnnamedFile,
    #[strum(to_string = "the environment variable {0}")]
    Env(String),
    #[strum(
        to_string = "the environment variable named here (not shown, because it may be the secret itself)"
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

/// A secret that follows its file: read again if the file changed, and only then.
#[derive(Debug)]
pub(crate) struct WatchedSecret {
    source: SecretSource,
    kind: SecretKind,
    cached: Option<CachedSecret>,
}

#[derive(Debug)]
struct CachedSecret {
    value: SecretString,
    /// The version of the file from which `value` was read; `None` if the file must be read again.
    version: Option<FileVersion>,
}

impl WatchedSecret {
    /// Reads nothing yet.
    pub(crate) fn new(source: SecretSource, kind: SecretKind) -> Self {
        Self { source, kind, cached: None }
    }

    /// The secret as it is now.
    ///
    /// # Errors
    ///
    /// As [`SecretSource::read`]. If the secret cannot be read, an older value is not used instead.
    pub(crate) fn current(&mut self) -> Result<&SecretString, SecretError> {
        // Determined before the read: the next call then detects a write in between.
        let version = self.source.version();
        let cached = match self.cached.take() {
            Some(cached) if cached.version.is_some() && cached.version == version => cached,
            Some(_) | None => {
                let value = self.source.read(self.kind)?;
                let version = version.filter(|version| version.is_settled(SystemTime::now()));
                CachedSecret { value, version }
            }
        };
        Ok(&self.cached.insert(cached).value)
    }
}
