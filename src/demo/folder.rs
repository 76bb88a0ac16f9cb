//! The folder that `demo --write-config` writes: a configuration for the simulated API, and the files that it names.
//!
//! A list of hashes in the folder says which files the demo wrote. Only these are written again, and only while nobody
//! changed them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The list of the files that the demo wrote, in the format of `sha256sum`.
const LIST: &str = "written-by-demo.sha256";
/// Larger than any file of the demo.
const MAX_SIZE: u64 = 1 << 20;

/// Why the folder could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    #[error("{}: {cause}; choose a directory that this user can write", path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error(
        "{} was not written by the demo, and is not overwritten; move it away, or choose another directory",
        .0.display()
    )]
    Foreign(PathBuf),
}

/// Writes the files (path below the folder, content) into the folder, and creates it if it does not exist. Returns the
/// paths of the files that somebody changed since the demo wrote them: they are kept as they are.
///
/// # Errors
/// If a file exists that the demo did not write. Then nothing is written.
pub(crate) fn write(folder: &Path, files: &[(String, String)]) -> Result<Vec<PathBuf>, FolderError> {
    let list_path = folder.join(LIST);
    let mut list = match read(&list_path)? {
        Existing::Nothing => BTreeMap::new(),
        Existing::File(text) => parse(&text).ok_or_else(|| FolderError::Foreign(list_path.clone()))?,
        Existing::Other => return Err(FolderError::Foreign(list_path)),
    };
    let (mut outdated, mut changed) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let path = folder.join(name);
        match read(&path)? {
            Existing::Nothing => outdated.push((path, content)),
            Existing::File(present) if present == content.as_bytes() => {}
            Existing::File(present) => match list.get(name) {
                Some(written) if *written == hash(&present) => outdated.push((path, content)),
                Some(_) => changed.push(path),
                None => return Err(FolderError::Foreign(path)),
            },
            Existing::Other => return Err(FolderError::Foreign(path)),
        }
        if !changed.contains(&folder.join(name)) {
            list.insert(name.clone(), hash(content.as_bytes()));
        }
    }
    for (path, content) in outdated {
        replace(&path, content)?;
    }
    replace(&list_path, &format(&list))?;
    Ok(changed)
}

enum Existing {
    Nothing,
    File(Vec<u8>),
    /// A directory, a link, or a file that is too large to be one of the demo.
    Other,
}

fn read(path: &Path) -> Result<Existing, FolderError> {
    let failed = |cause| FolderError::Io { path: path.to_owned(), cause };
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_SIZE => {
            std::fs::read(path).map(Existing::File).map_err(failed)
        }
        Ok(_) => Ok(Existing::Other),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Existing::Nothing),
        Err(cause) => Err(failed(cause)),
    }
}

/// Replaces the file as a whole. Only its owner may read it, as for a real token.
fn replace(path: &Path, content: &str) -> Result<(), FolderError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|cause| FolderError::Io { path: path.to_owned(), cause })
}

fn hash(content: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(content) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn parse(text: &[u8]) -> Option<BTreeMap<String, String>> {
    let lines = std::str::from_utf8(text).ok()?.lines();
    lines.map(|line| line.split_once("  ").map(|(hash, name)| (name.to_owned(), hash.to_owned()))).collect()
}

fn format(list: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, hash) in list {
        let _ = writeln!(text, "{hash}  {name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn files(configuration: &str) -> Vec<(String, String)> {
        [("a.yml", configuration), ("tokens/dupont", "secret\n")]
            .map(|(name, content)| (name.to_owned(), content.to_owned()))
            .into()
    }

    #[test]
    fn the_folder_and_its_parents_are_created_and_files_of_the_demo_are_written_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new/folder");
        assert!(write(&folder, &files("one")).unwrap().is_empty());
        assert!(write(&folder, &files("two")).unwrap().is_empty());
        assert_eq!(fs::read_to_string(folder.join("a.yml")).unwrap(), "two");
        assert_eq!(fs::read_to_string(folder.join("tokens/dupont")).unwrap(), "secret\n");
    }

    #[test]
    fn a_file_that_somebody_changed_is_kept_also_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yml");
        write(folder.path(), &files("one")).unwrap();
        fs::write(&path, "mine").unwrap();
        for configuration in ["one", "two", "one"] {
            assert_eq!(write(folder.path(), &files(configuration)).unwrap(), std::slice::from_ref(&path));
            assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        }
        fs::remove_file(&path).unwrap();
        assert!(write(folder.path(), &files("three")).unwrap().is_empty());
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
    }

    #[test]
    fn a_file_that_the_demo_did_not_write_is_an_error_that_names_it_and_nothing_is_written() {
        for foreign in ["a.yml", "tokens/dupont", LIST] {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("tokens")).unwrap();
            let path = folder.path().join(foreign);
            fs::write(&path, "mine").unwrap();
            let error = write(folder.path(), &files("one")).unwrap_err().to_string();
            assert!(
                error.contains(&path.display().to_string()) && error.contains("not overwritten"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
            let entries = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(entries, if foreign.starts_with("tokens") { 1 } else { 2 }, "{foreign}");
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let mine = folder.path().join("mine");
        fs::write(&mine, "mine").unwrap();
        std::os::unix::fs::symlink(&mine, folder.path().join("a.yml")).unwrap();
        assert!(matches!(write(folder.path(), &files("one")), Err(FolderError::Foreign(_))));
        assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    }
}
