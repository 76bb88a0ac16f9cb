//! Reads YAML configuration files that may hold secrets, and reports all errors at once.
//!
//! Every error names the file, the line, the path of the field, what is wrong and how to fix it. No
//! error repeats a value of the file, because a value may be a secret in the wrong field.
//!
//! # Layout
//! - [`mod@file`]: reads a regular file of bounded size.
//! - `tree`: parses YAML text into nodes that know their lines and keep each scalar as it is written.
//! - [`Cursor`] and [`Fields`]: read typed values from the tree and keep track of the field's path.
//! - [`Diagnostics`]: collects the errors and warnings of all files that are read together.
//!
//! # Example
//! ```
//! use checked_yaml::{Cursor, Diagnostics, Reported, Source};
//!
//! fn port(at: &Cursor<'_>) -> Result<u16, Reported> {
//!     at.number("a port number, such as 8080")
//! }
//!
//! let diagnostics = Diagnostics::default();
//! let folder = tempfile::tempdir().expect("a temporary folder");
//! let path = folder.path().join("server.yml");
//! std::fs::write(&path, "prot: 8080\n").expect("a writable folder");
//! let source = Source::new(&path, 0, &diagnostics);
//! let tree = source.read().expect("valid YAML");
//! let root = Cursor::root(&source, &tree);
//! let fields = root.fields(&["port"]).expect("a mapping");
//! assert!(fields.required("port", "add the port", port).is_err());
//! let problems = diagnostics.into_result(()).expect_err("one error");
//! assert!(problems.to_string().ends_with("server.yml:1: prot: is not a field; did you mean `port`?"));
//! ```

mod cursor;
mod diagnostics;
pub mod file;
mod problem;
mod source;
mod suggestion;
mod tree;

pub use cursor::{Cursor, Fields};
pub use diagnostics::{Diagnostics, Reported};
pub use problem::{Problem, Problems};
pub use source::Source;
pub use suggestion::{nearest, quoted};
pub use tree::{Key, Node};
