//! Loads configuration files from a temporary directory, and checks the configuration or the errors.

mod division;
mod invalid_files;
mod key_files;
mod reference;
mod shared_secrets;
mod valid_files;

use std::fs;
use std::path::PathBuf;

use crate::config::{Loaded, Secrets, load};
use checked_yaml::Problems;
use tempfile::TempDir;

/// A temporary directory with the files of one test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Adds a file and its parent directories.
    fn with(self, name: &str, content: &str) -> Self {
        self.write(name, content);
        self
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self) -> Result<Loaded, Problems> {
        load(&self.path("exporter.yml"), Secrets::Check)
    }

    /// Loads files that must be valid.
    fn loaded(&self) -> Loaded {
        match self.load() {
            Ok(loaded) => loaded,
            Err(problems) => panic!("{problems}"),
        }
    }

    /// The text with paths relative to the directory.
    fn shortened(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// A directory with this configuration and the files `secret` and `of-partner`, which only their owner can read.
fn configured(content: &str) -> Folder {
    let folder = Folder::new().with("exporter.yml", content);
    for (name, content) in [("secret", "a-secret\n"), ("of-partner", "another-secret\n")] {
        folder.write(name, content);
        close(&folder.path(name));
    }
    folder
}

/// Lets only the owner read the file.
fn close(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
