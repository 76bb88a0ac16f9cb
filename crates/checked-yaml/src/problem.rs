//! Errors and warnings about a configuration, with their position.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// One error or warning, and how to fix it.
///
/// Displays as `FILE:LINE: FIELD.PATH: what is wrong; how to fix it`. The text never repeats a value of
/// the file, except names and file paths, because a value may be a secret in the wrong field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file that contains the problem.
    pub file: Arc<Path>,
    /// The file's position in the order of reading.
    pub(crate) order: usize,
    /// The line, from 1; `None` if the problem is about the whole file.
    pub line: Option<usize>,
    /// The path of the field, such as `partners[0].keys[2].token_file`; empty if the problem is about no field.
    pub field: String,
    /// What is wrong and how to fix it.
    pub text: String,
}

impl Problem {
    /// A problem with a whole file.
    pub fn with_file(file: &Path, text: String) -> Self {
        Self { file: file.into(), order: 0, line: None, field: String::new(), text }
    }

    /// The sort key: files in the order of reading, then lines from top to bottom.
    pub(crate) fn position(&self) -> (usize, Option<usize>) {
        (self.order, self.line)
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

/// All errors of a configuration: at least one [`Problem`], in the order in which the files were read and
/// then by line. Displays one problem per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(Problem::position);
        Self(problems)
    }

    /// One problem with a whole file.
    pub fn with_file(file: &Path, text: String) -> Self {
        Self(vec![Problem::with_file(file, text)])
    }

    /// Returns both values, or the errors of both.
    ///
    /// # Errors
    /// The problems of the first result, then those of the second.
    pub fn both<A, B>(first: Result<A, Self>, second: Result<B, Self>) -> Result<(A, B), Self> {
        match (first, second) {
            (Ok(first), Ok(second)) => Ok((first, second)),
            (Err(Self(mut first)), Err(Self(second))) => {
                first.extend(second);
                Err(Self(first))
            }
            (Err(problems), _) | (_, Err(problems)) => Err(problems),
        }
    }

    /// Iterates over the problems.
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
        let lines: Vec<_> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}
