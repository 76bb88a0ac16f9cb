//! Reads the configuration file and the key files, and combines them into one configuration.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;

use checked_yaml::{Cursor, Diagnostics, Problem, Problems, Reported, Source};

use super::partners::Partners;
use super::{Config, Secrets, Section, settings};

/// A configuration, the warnings about it, and the files that it came from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    pub config: Config,
    /// In the order in which the files were read.
    pub warnings: Vec<Problem>,
    /// Every file that was read: the configuration file, then the key files.
    pub files: Vec<PathBuf>,
    /// The patterns of `key_files`. A new file that matches one of them belongs to the configuration.
    pub patterns: Vec<PathBuf>,
}

/// Reads a configuration file and the key files that it names, and treats the secrets that they name as `secrets` says.
///
/// # Errors
/// All errors at once. No part of the configuration may then be used.
pub(crate) fn load(path: &Path, secrets: Secrets) -> Result<Loaded, Problems> {
    load_from(secrets, |diagnostics| Source::new(path, 0, diagnostics))
}

/// As [`load`], from the text of a configuration file. Errors name the file `name`, and relative paths start from the
/// working directory.
pub(crate) fn load_text(name: &str, text: &[u8], secrets: Secrets) -> Result<Loaded, Problems> {
    let content = || Zeroizing::new(text.to_vec());
    load_from(secrets, |diagnostics| Source::new(Path::new(name), 0, diagnostics).with_content(content()))
}

fn load_from(
    secrets: Secrets,
    source: impl for<'d> FnOnce(&'d Diagnostics) -> Source<'d>,
) -> Result<Loaded, Problems> {
    let diagnostics = Diagnostics::default();
    let mut loaded = Loaded::default();
    // The errors are in the diagnostics.
    let _ = read_all(&source(&diagnostics), secrets, &mut loaded, &diagnostics);
    let (loaded, warnings) = diagnostics.into_result(loaded)?;
    Ok(Loaded { warnings, ..loaded })
}

fn read_all(
    source: &Source<'_>,
    secrets: Secrets,
    loaded: &mut Loaded,
    diagnostics: &Diagnostics,
) -> Result<(), Reported> {
    let root = source.read()?;
    loaded.files.push(source.path.to_path_buf());
    let at = Cursor::root(source, &root);
    let fields = at.fields(Section::ConfigFile.fields())?;

    let (settings, defaults) = settings::read(&fields, secrets);
    let mut partners = Partners::new(&defaults);
    if let Some(at) = fields.get("partners") {
        partners.add(&at);
    }
    source.finish();
    let key_files = fields.get("key_files").map(|at| find_key_files(&at, &mut loaded.patterns));
    for key_file in key_files.unwrap_or_default() {
        // The errors are in the diagnostics. After an invalid key file, the next ones are still read.
        let _ = read_key_file(&Source::new(&key_file, loaded.files.len(), diagnostics), &mut partners);
        loaded.files.push(key_file);
    }
    loaded.config = Config { settings, partners: partners.finish(diagnostics) };
    Ok(())
}

fn read_key_file(source: &Source<'_>, partners: &mut Partners<'_>) -> Result<(), Reported> {
    let root = source.read()?;
    let at = Cursor::root(source, &root);
    if let Ok(fields) = at.fields(Section::KeyFile.fields())
        && let Some(at) = fields.get("partners")
    {
        partners.add(&at);
    }
    source.finish();
    Ok(())
}

/// The files that match the patterns of `key_files`: sorted, and each only once.
fn find_key_files(at: &Cursor<'_>, patterns: &mut Vec<PathBuf>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for at in at.items().into_iter().flatten() {
        if let Some(pattern) = at.text().ok().and_then(|pattern| below_folder_of(pattern, &at)) {
            found.append(&mut files_of_pattern(&pattern, &at));
            patterns.push(pattern);
        }
    }
    found.sort();
    // Two patterns may match the same file, and a pattern may match the configuration file itself.
    let mut seen: HashSet<_> = fs::canonicalize(&at.source.path).ok().into_iter().collect();
    found.retain(|path| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    found
}

/// The pattern, relative to the directory of the file that contains it.
fn below_folder_of(pattern: &str, at: &Cursor<'_>) -> Option<PathBuf> {
    let Some(folder) = at.source.folder.to_str() else {
        at.error(
            "can't be used, because the path of this file's directory is not UTF-8; rename the directory",
        );
        return None;
    };
    Some(Path::new(&glob::Pattern::escape(folder)).join(pattern))
}

/// `*` does not match hidden files, because editors and Kubernetes keep copies in them.
const MATCH_OPTIONS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The files that match a pattern now, and an error for each directory that can't be read.
pub(crate) fn files_matching(pattern: &Path) -> Result<glob::Paths, glob::PatternError> {
    glob::glob_with(&pattern.to_string_lossy(), MATCH_OPTIONS)
}

fn files_of_pattern(pattern: &Path, at: &Cursor<'_>) -> Vec<PathBuf> {
    let paths = match files_matching(pattern) {
        Ok(paths) => paths,
        Err(error) => {
            at.error(format!("is not a pattern for file names ({}); correct it", error.msg));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for path in paths {
        match path {
            Ok(path) if path.is_dir() => {}
            Ok(path) => found.push(path),
            Err(error) => {
                let (path, kind) = (error.path().display(), error.error().kind());
                at.error(format!(
                    "can't be searched, because {path} can't be read ({kind}); fix its permissions"
                ));
            }
        }
    }
    if found.is_empty() {
        at.warning("matches no file; correct the pattern, or add a file");
    }
    found
}
