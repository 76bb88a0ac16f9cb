//! Where a secret comes from. A secret can be used; it can't be printed.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::file_version::FileVersion;

/// More than any token, secret or password needs; a longer file is some other file.
const MAX_SIZE: usize = 16 * 1024;

/// Where the operator keeps a secret.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// A file that holds the secret and at most one final line break; read afresh when it changes.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// In the configuration itself. `SecretString` prints as `[REDACTED]`.
    Inline(SecretString),
}

/// Whether two sources are the same place; of secrets that stand in the configuration, whether they are the same.
impl PartialEq for SecretSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Env(one), Self::Env(other)) => one == other,
            (Self::Inline(one), Self::Inline(other)) => one.expose_secret() == other.expose_secret(),
            _ => false,
        }
    }
}

/// What a secret is for, which decides the characters it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A token or a partner's secret: it travels in an HTTP header, so only visible ASCII will do.
    HeaderValue,
    /// A password: it travels in a JSON body, so any text will do that has no control characters.
    Password,
}

impl SecretSource {
    /// Reads the secret as it is now, and checks its form.
    ///
    /// # Errors
    ///
    /// When there is nothing to read, or when what is there can't be a secret of this kind.
    pub fn read(&self, kind: SecretKind) -> Result<SecretString, SecretError> {
        self.read_raw().and_then(|bytes| check(&bytes, kind)).map_err(|fault| self.error(fault))
    }

    /// Whether every user of the machine may read the file that holds the secret.
    #[must_use]
    pub fn is_world_readable(&self) -> bool {
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
            Self::File(path) => Place::File(path.clone()),
            Self::Env(name) => Place::Env(name.clone()),
            Self::Inline(_) => Place::Inline,
        };
        SecretError { place, fault }
    }

    /// What to compare to know whether the secret may have changed.
    fn version(&self) -> Option<FileVersion> {
        match self {
            Self::File(path) => FileVersion::of(path),
            // Neither changes while the process lives.
            Self::Env(_) | Self::Inline(_) => Some(FileVersion::FIXED),
        }
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
    // Asked before opening: to open a named pipe would wait for a writer, perhaps for ever.
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(SecretFault::Directory);
    }
    if !metadata.is_file() {
        return Err(SecretFault::NotAFile);
    }
    let max_read = u64::try_from(MAX_SIZE + "\r\n".len() + 1).unwrap_or(u64::MAX);
    // All the room at once: a buffer that grows leaves copies behind that nobody wipes.
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
    if text.is_empty() {
        return Err(SecretFault::Empty);
    }
    if text.starts_with('\u{feff}') {
        return Err(SecretFault::ByteOrderMark);
    }
    if text.contains('\n') {
        return Err(SecretFault::SeveralLines);
    }
    if text.contains(char::is_control) {
        return Err(SecretFault::ControlCharacter);
    }
    if kind == SecretKind::HeaderValue && !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SecretFault::NotForHeader);
    }
    Ok(SecretString::from(text))
}

/// Why a secret can't be had. It says where and what to do, never what was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} {fault}")]
pub struct SecretError {
    place: Place,
    fault: SecretFault,
}

impl SecretError {
    /// What is wrong.
    #[must_use]
    pub fn fault(&self) -> &SecretFault {
        &self.fault
    }

    /// The same error, not naming the file or the variable: for a name that may itself be the secret,
    /// written under the wrong field.
    #[must_use]
    pub(crate) fn without_name(self) -> Self {
        let place = match self.place {
            Place::File(_) | Place::UnnamedFile => Place::UnnamedFile,
            Place::Env(_) | Place::UnnamedEnv => Place::UnnamedEnv,
            Place::Inline => Place::Inline,
        };
        Self { place, fault: self.fault }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    UnnamedFile,
    Env(String),
    UnnamedEnv,
    Inline,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::UnnamedFile => {
                f.write_str("the file named here (not shown, as it may be the secret itself)")
            }
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::UnnamedEnv => {
                f.write_str("the environment variable named here (not shown, as it may be the secret itself)")
            }
            Self::Inline => f.write_str("the value"),
        }
    }
}

/// What can be wrong with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// No such file.
    #[error("does not exist; create it, or correct the path")]
    NotFound,
    /// The file, or a folder above it, is closed to the exporter.
    #[error("may not be read by the user the exporter runs as; let that user read it and enter its folder")]
    NoPermission,
    /// A folder stands where the file should.
    #[error("is a directory; name the file in it")]
    Directory,
    /// A pipe, a socket or a device.
    #[error("is not a regular file; keep the secret in a regular file")]
    NotAFile,
    /// The operating system said something else.
    #[error("can't be read ({0}); mend the file or its path")]
    Unreadable(io::ErrorKind),
    /// No such variable.
    #[error("is not set; set it where the exporter is started")]
    NotSet,
    /// Larger than 16 KiB.
    #[error("is larger than 16 KiB, so it is no secret; check which one is meant")]
    TooLarge,
    /// Some other encoding, or no text at all.
    #[error("is not UTF-8 text; save it as UTF-8")]
    NotUtf8,
    /// Nothing, or a line break alone.
    #[error("is empty; put the secret there")]
    Empty,
    /// An editor's mark at the beginning would become part of the secret.
    #[error("begins with a byte-order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    /// More than the secret's own line, be it a blank one.
    #[error("has more than one line; leave the secret alone, with at most one line break after it")]
    SeveralLines,
    /// A tab, a NUL, a lone carriage return and the like.
    #[error("has a control character in it; write the secret again without it")]
    ControlCharacter,
    /// Blanks, accents and the like.
    #[error("has a character that no HTTP header can carry; use visible ASCII alone, without blanks")]
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
pub struct WatchedSecret {
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
    #[must_use]
    pub fn new(source: SecretSource, kind: SecretKind) -> Self {
        Self { source, kind, cached: None }
    }

    /// The secret as it is now.
    ///
    /// # Errors
    ///
    /// As [`SecretSource::read`]. An older value never replaces one that cannot be read.
    pub fn current(&mut self) -> Result<&SecretString, SecretError> {
        // Taken before the read: a write in between shows as a change at the next call.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file_source(content: &str) -> (tempfile::TempDir, SecretSource) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, content).unwrap();
        (directory, SecretSource::File(path))
    }

    #[test]
    fn a_file_with_an_unchanged_version_is_not_read_again() {
        let (_directory, source) = file_source("on-disk");
        let cached = CachedSecret { value: SecretString::from("in-memory"), version: source.version() };
        let mut watched = WatchedSecret { source, kind: SecretKind::HeaderValue, cached: Some(cached) };
        for _ in 0..2 {
            assert_eq!(watched.current().unwrap().expose_secret(), "in-memory");
        }
    }
}
