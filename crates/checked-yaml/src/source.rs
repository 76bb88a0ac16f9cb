//! One configuration file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::zeroize::Zeroizing;

use crate::diagnostics::{Diagnostics, Reported};
use crate::file;
use crate::problem::Problem;
use crate::tree::{self, Node};

/// A configuration file that is being read.
pub struct Source<'d> {
    pub path: Arc<Path>,
    /// The folder that relative paths in the file start from.
    pub folder: PathBuf,
    /// The file's position in the order of reading, from 0.
    pub order: usize,
    pub(crate) diagnostics: &'d Diagnostics,
    /// The content, if it does not come from the file.
    content: Option<Zeroizing<Vec<u8>>>,
}

impl<'d> Source<'d> {
    /// The file at `path`, which is read as number `order`; its errors go to `diagnostics`.
    pub fn new(path: &Path, order: usize, diagnostics: &'d Diagnostics) -> Self {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self { path: path.into(), folder, order, diagnostics, content: None }
    }

    /// The same with this content instead of the file's: errors name `path`, and the file need not exist.
    #[must_use]
    pub fn with_content(self, content: Zeroizing<Vec<u8>>) -> Self {
        Self { content: Some(content), ..self }
    }

    /// Reads and parses the file.
    ///
    /// # Errors
    /// If the file cannot be read, is not YAML, or has no content. An empty file is more likely an
    /// editor's half-finished save, or a mount that came up empty, than a request to configure nothing.
    pub fn read(&self) -> Result<Node, Reported> {
        let text = self.read_text()?;
        match tree::parse(&text) {
            Ok(Some(root)) if !root.is_empty() => Ok(root),
            Ok(_) => Err(self.error(Some(1), "is empty; write at least one field, or remove the file")),
            Err(error) => Err(self.error(Some(error.line), error.text)),
        }
    }

    /// Reports what was noted while the file was read. Call it once the whole file is read.
    pub fn finish(&self) {
        self.diagnostics.finish_file(&self.path);
    }

    fn read_text(&self) -> Result<Zeroizing<String>, Reported> {
        let bytes = match &self.content {
            Some(content) => content.to_vec(),
            None => file::read(&self.path).map_err(|text| self.error(None, text))?,
        };
        self.diagnostics.record_content(&bytes);
        String::from_utf8(bytes).map(Zeroizing::new).map_err(|error| {
            let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = valid.split(|byte| *byte == b'\n').count();
            self.error(Some(line), "is not UTF-8 text; save the file as UTF-8")
        })
    }

    fn error(&self, line: Option<usize>, text: impl Into<String>) -> Reported {
        let (file, field) = (Arc::clone(&self.path), String::new());
        self.diagnostics.error(Problem { file, order: self.order, line, field, text: text.into() })
    }
}
