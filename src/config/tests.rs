//! From files on disk to a configuration, or to everything that is wrong with them.

mod invalid_files;
mod key_files;
mod reference;
mod valid_files;

use std::fs;
use std::path::PathBuf;

use crate::config::{Loaded, load};
use checked_yaml::Problems;
use tempfile::TempDir;

/// A folder of files that a test writes and loads.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a file, and the folders above it.
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
        load(&self.path("exporter.yml"))
    }

    /// Loads what must be valid.
    fn loaded(&self) -> Loaded {
        match self.load() {
            Ok(loaded) => loaded,
            Err(problems) => panic!("{problems}"),
        }
    }

    /// Without the folder's own name.
    fn shortened(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// A configuration alone in its folder, with a secret that only its owner may read.
fn configured(content: &str) -> Folder {
    let folder = Folder::new().with("exporter.yml", content).with("secret", "a-secret\n");
    close(&folder.path("secret"));
    folder
}

/// Leaves a file to its owner alone.
fn close(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
