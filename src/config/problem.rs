//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// One thing that is wrong, or doubtful, and how to mend it.
///
/// Displays as `FILE:LINE: FIELD.PATH: what is wrong; how to mend it`. The text never repeats a value
/// from the file, except names and the paths of files: a value may be a secret in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    file: Arc<Path>,
    /// The place of the file in the order of reading.
    order: usize,
    line: Option<usize>,
    field: String,
    text: String,
}

impl Problem {
    /// About one field of a file.
    pub(super) fn new(file: Arc<Path>, order: usize, line: usize, field: String, text: String) -> Self {
        Self { file, order, line: Some(line), field, text }
    }

    /// About a line of a file that isn't known to be any field, or about the file as a whole.
    pub(super) fn of_file(file: Arc<Path>, order: usize, line: Option<usize>, text: String) -> Self {
        Self { file, order, line, field: String::new(), text }
    }

    /// The file in which it stands.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line, from 1; none where the file as a whole is meant.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The path of the field, as in `partners[0].keys[2].token_file`; empty where none is meant.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong and how to mend it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Files in the order of reading, and each from top to bottom.
    pub(super) fn place(&self) -> (usize, Option<usize>) {
        (self.order, self.line)
    }

    pub(super) fn with_text(self, text: String) -> Self {
        Self { text, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.field.is_empty() {
            write!(f, " {}:", self.field)?;
        }
        write!(f, " {}", self.text)
    }
}

/// Everything that is wrong with a configuration: at least one [`Problem`], in the order in which the
/// files were read and then of lines. Displays with one problem to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(Problem::place);
        Self(problems)
    }

    /// One problem with a file as a whole.
    #[must_use]
    pub fn with_file(file: &Path, text: String) -> Self {
        Self(vec![Problem::of_file(file.into(), 0, None, text)])
    }

    /// Both, or everything that is wrong with either.
    ///
    /// # Errors
    ///
    /// The problems of the first, then those of the second.
    pub fn of_both<A, B>(first: Result<A, Self>, second: Result<B, Self>) -> Result<(A, B), Self> {
        match (first, second) {
            (Ok(first), Ok(second)) => Ok((first, second)),
            (Err(Self(mut first)), Err(Self(second))) => {
                first.extend(second);
                Err(Self(first))
            }
            (Err(problems), _) | (_, Err(problems)) => Err(problems),
        }
    }

    /// The problems one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// What to say of a file, whose name stands before, that can't be read.
pub(super) fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist; create it, or correct the path".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "may not be read by the user the exporter runs as; let that user read it".to_owned()
        }
        io::ErrorKind::IsADirectory => "is a directory; name the file in it".to_owned(),
        kind => format!("can't be read ({kind}); mend the file or its path"),
    }
}
