//! Reads files that an operator names, without blocking on a pipe and without filling the memory.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The largest configuration file, in bytes: a hundred thousand keys with their tokens fit.
const MAX_SIZE: u64 = 64 << 20;

/// Reads a regular file. Opening a named pipe would block until a writer appears, and a device may
/// never end, so neither is opened.
///
/// # Errors
/// What is wrong with the file and how to fix it, to be written after the file's name.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|error| describe(&error))?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Err("is not a regular file; name a regular file".to_owned());
    }
    if metadata.len() > MAX_SIZE {
        return Err("is larger than 64 MiB, which no configuration needs; check the path".to_owned());
    }
    fs::read(path).map_err(|error| describe(&error))
}

/// Describes why a file cannot be read, to be written after the file's name.
pub fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist; create it, or correct the path".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "is not readable by the user that runs this program; grant that user read access".to_owned()
        }
        io::ErrorKind::IsADirectory => "is a directory; name a file in it".to_owned(),
        kind => format!("cannot be read ({kind}); fix the file or its path"),
    }
}

/// Returns whether every user of the machine can read this file.
pub fn is_world_readable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
