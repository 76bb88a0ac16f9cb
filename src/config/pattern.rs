//! The patterns of `key_files`, and the files that match them.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, PatternError};

/// `*` does not match hidden files, because editors and Kubernetes keep copies in them.
const MATCH_OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
/// How many directories one `**` enters. A link to the root directory must not search the whole machine.
const MAX_DIRECTORIES: usize = 10_000;

/// A pattern for file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FilePattern {
    /// Where a relative pattern starts.
    folder: PathBuf,
    text: String,
}

/// Why a directory cannot be searched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    #[error("{} can't be read ({}); fix its permissions", .0.display(), .1.kind())]
    Directory(PathBuf, io::Error),
    #[error(
        "{} has more than 10000 directories below it; look for a link that leads out of it, or make the pattern narrower",
        .0.display()
    )]
    TooManyDirectories(PathBuf),
}

/// One part of a pattern, between two slashes.
enum Part<'a> {
    /// `**`: any number of directories.
    AnyDirectories,
    Name(&'a str),
    Wildcard(glob::Pattern),
}

impl FilePattern {
    /// # Errors
    /// If the text is not a pattern.
    pub(crate) fn new(folder: &Path, text: &str) -> Result<Self, PatternError> {
        // The whole pattern first: a `**` that is not alone in its part is an error only there.
        glob::Pattern::new(text)?;
        let pattern = Self { folder: folder.to_owned(), text: text.to_owned() };
        pattern.parts()?;
        Ok(pattern)
    }

    /// Identifies the pattern, for people too.
    pub(crate) fn name(&self) -> String {
        self.folder.join(&self.text).display().to_string()
    }

    /// The files that match now, and the directories that can't be searched. A directory is entered once, whatever
    /// the number of links to it is, so links that form a loop end.
    pub(crate) fn files(&self) -> (Vec<PathBuf>, Vec<SearchError>) {
        let mut errors = Vec::new();
        let start = if self.text.starts_with('/') { PathBuf::from("/") } else { self.folder.clone() };
        let mut paths = vec![start];
        for part in self.parts().unwrap_or_default() {
            paths = match part {
                Part::Name(name) => join_existing(paths, name),
                Part::Wildcard(pattern) => matching_entries(&paths, &pattern, &mut errors),
                Part::AnyDirectories => directories_below(paths, &mut errors),
            };
        }
        if self.text.ends_with("**") {
            // Everything below, and not the directories themselves.
            let any = glob::Pattern::new("*").ok();
            paths = any.map(|any| matching_entries(&paths, &any, &mut errors)).unwrap_or_default();
        }
        paths.retain(|path| !path.is_dir());
        (paths, errors)
    }

    fn parts(&self) -> Result<Vec<Part<'_>>, PatternError> {
        let part = |text| match text {
            "**" => Ok(Part::AnyDirectories),
            text if text.contains(['*', '?', '[']) => glob::Pattern::new(text).map(Part::Wildcard),
            text => Ok(Part::Name(text)),
        };
        self.text.split('/').filter(|text| !text.is_empty()).map(part).collect()
    }
}

fn join_existing(paths: Vec<PathBuf>, name: &str) -> Vec<PathBuf> {
    let joined = paths.into_iter().map(|path| path.join(name));
    joined.filter(|path| fs::symlink_metadata(path).is_ok()).collect()
}

/// The entries of these directories whose names match, sorted.
fn matching_entries(
    directories: &[PathBuf],
    pattern: &glob::Pattern,
    errors: &mut Vec<SearchError>,
) -> Vec<PathBuf> {
    // A name that is not UTF-8 is compared with a replacement for what is not text.
    let matches = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        pattern.matches_with(&name, MATCH_OPTIONS)
    };
    directories.iter().flat_map(|directory| entries(directory, errors)).filter(matches).collect()
}

/// These directories and all below them, except hidden ones. Links are followed last, so that a file that can be
/// reached without a link is found by its own name.
fn directories_below(roots: Vec<PathBuf>, errors: &mut Vec<SearchError>) -> Vec<PathBuf> {
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    for root in roots {
        let mut waiting = VecDeque::from([root.clone()]);
        while let Some(directory) = waiting.pop_front() {
            let Ok(metadata) = fs::metadata(&directory) else { continue };
            if !metadata.is_dir() || !seen.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            if seen.len() > MAX_DIRECTORIES {
                errors.push(SearchError::TooManyDirectories(root));
                return found;
            }
            for entry in entries(&directory, errors) {
                let is_hidden =
                    entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                let Ok(metadata) = fs::symlink_metadata(&entry) else { continue };
                if is_hidden {
                    continue;
                }
                if metadata.is_dir() {
                    waiting.push_front(entry);
                } else if metadata.is_symlink() {
                    waiting.push_back(entry);
                }
            }
            found.push(directory);
        }
    }
    found
}

/// What is in a directory, sorted. Nothing if there is no such directory.
fn entries(directory: &Path, errors: &mut Vec<SearchError>) -> Vec<PathBuf> {
    // An empty path is the working directory.
    let path = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let listed = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match listed {
        Ok(listed) => {
            let mut paths: Vec<_> = listed.iter().map(|entry| directory.join(entry.file_name())).collect();
            paths.sort();
            paths
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Vec::new()
        }
        Err(error) => {
            errors.push(SearchError::Directory(directory.to_owned(), error));
            Vec::new()
        }
    }
}
