//! Collects errors and warnings instead of stopping at the first one.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use crate::file::is_world_readable;
use crate::problem::{Problem, Problems};

/// Proof that an error has been reported. The receiver does not report anything else.
#[derive(Clone, Copy, Debug)]
pub struct Reported;

/// The errors and warnings of all files that are read together.
#[derive(Default)]
pub struct Diagnostics(pub(crate) RefCell<Collected>);

#[derive(Default)]
pub(crate) struct Collected {
    errors: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    /// Warnings that a large fleet would repeat thousands of times: one is kept for each file.
    pub(crate) world_readable_files: Repeated,
    /// These become a warning if every user of the machine can read the configuration file.
    pub(crate) inline_secrets: Repeated,
    /// Of the content of all files.
    content: DefaultHasher,
}

/// The first occurrence of a warning in a file, and the number of occurrences.
#[derive(Default)]
pub(crate) struct Repeated {
    first: Option<Problem>,
    count: usize,
}

impl Repeated {
    pub(crate) fn add(&mut self, problem: impl FnOnce() -> Problem) {
        self.count += 1;
        self.first.get_or_insert_with(problem);
    }

    fn take(&mut self, text: impl FnOnce(&str) -> String) -> Option<Problem> {
        let Self { first, count } = std::mem::take(self);
        let others = match count.saturating_sub(1) {
            0 => String::new(),
            1 => " (and 1 more in this file)".to_owned(),
            others => format!(" (and {others} more in this file)"),
        };
        first.map(|first| Problem { text: text(&others), ..first })
    }
}

impl Diagnostics {
    /// Reports an error.
    pub fn error(&self, problem: Problem) -> Reported {
        self.0.borrow_mut().errors.push(problem);
        Reported
    }

    pub(crate) fn record_content(&self, content: &[u8]) {
        content.hash(&mut self.0.borrow_mut().content);
    }

    /// A hash of what was read from all files so far. It tells whether the files have the same content as at an earlier
    /// time; it is no protection against someone who wants two contents to have the same hash.
    pub fn content_hash(&self) -> u64 {
        self.0.borrow().content.finish()
    }

    /// Turns the notes of a file that is read to its end into one warning of each kind.
    pub(crate) fn finish_file(&self, path: &Path) {
        let mut collected = self.0.borrow_mut();
        let files = collected
            .world_readable_files
            .take(|others| format!("is readable by every user of the machine{others}; run chmod o-r on it"));
        let inline = collected.inline_secrets.take(|others| {
            format!(
                "is in a file that every user of the machine can read{others}; \
                 run chmod o-r on it, or move the secret to a file of its own"
            )
        });
        let inline = inline.filter(|_| is_world_readable(path));
        collected.warnings.extend(files.into_iter().chain(inline));
    }

    /// Returns `value` and the warnings in the order of files and lines, or all errors if there are any.
    ///
    /// # Errors
    /// Every error that was reported.
    pub fn into_result<T>(self, value: T) -> Result<(T, Vec<Problem>), Problems> {
        let Collected { errors, mut warnings, .. } = self.0.into_inner();
        if !errors.is_empty() {
            return Err(Problems::new(errors));
        }
        warnings.sort_by_key(Problem::position);
        Ok((value, warnings))
    }
}
