//! Reads the configuration file and the key files, and combines them into one configuration.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::zeroize::Zeroizing;

use checked_yaml::{Cursor, Diagnostics, Problem, Problems, Reported, Source};

use super::budget::LargestShare;
use super::partners::Partners;
use super::pattern::FilePattern;
use super::shared_secrets::Findings;
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
    pub patterns: Vec<KeyFiles>,
    /// Of what was read from the files.
    pub content_hash: u64,
    /// Which token's budget is used most. Unknown if the secrets are read later.
    pub largest_share: LargestShare,
}

/// One pattern of `key_files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyFiles {
    pub pattern: FilePattern,
    /// How many files matched.
    pub count: usize,
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
    let source = source(&diagnostics);
    let file = Arc::clone(&source.path);
    // The errors are in the diagnostics.
    let _ = read_all(&source, secrets, &mut loaded, &diagnostics);
    loaded.content_hash = diagnostics.content_hash();
    let (loaded, mut warnings) = diagnostics.into_result(loaded)?;
    let Findings { warnings: of_secrets, largest_share } = shared_secrets(&loaded.config, secrets);
    warnings.extend(of_secrets.into_iter().map(|text| Problem::with_file(&file, text)));
    Ok(Loaded { warnings, largest_share, ..loaded })
}

/// Warnings about the secrets that are configured in several places, and about the budgets of tokens.
fn shared_secrets(config: &Config, secrets: Secrets) -> Findings {
    let values: Vec<_> = match secrets {
        // No file is without an answer here: it would have been an error.
        Secrets::Check => config.secrets().map(|(source, kind)| source.read(kind).ok()).collect(),
        // The files and variables can still be compared by their names.
        Secrets::Ignore => config.secrets().map(|_| None).collect(),
        // Whoever reads them later warns: see `Config::read_secrets_ahead`.
        Secrets::ReadLater => return Findings::default(),
    };
    config.shared_secrets(values.iter().map(Option::as_ref))
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
    let fields = Section::ConfigFile.read(&at)?;

    let (settings, defaults) = settings::read(&fields, secrets);
    let mut partners = Partners::new(&defaults);
    // A section without a value has its defaults. Only here: a key file that ends there was cut off.
    if let Some(at) = fields.get("partners").filter(|at| !at.is_null()) {
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
    if let Ok(fields) = Section::KeyFile.read(&at)
        && let Some(at) = fields.get("partners")
    {
        partners.add(&at);
    }
    source.finish();
    Ok(())
}

/// The files that match the patterns of `key_files`: sorted, and each only once.
fn find_key_files(at: &Cursor<'_>, patterns: &mut Vec<KeyFiles>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for at in at.items().into_iter().flatten() {
        if let Ok(pattern) = file_pattern(&at) {
            let mut files = files_of_pattern(&pattern, &at);
            patterns.push(KeyFiles { pattern, count: files.len() });
            found.append(&mut files);
        }
    }
    found.sort();
    // Two patterns may match the same file, and a pattern may match the configuration file itself.
    let mut seen: HashSet<_> = fs::canonicalize(&at.source.path).ok().into_iter().collect();
    found.retain(|path| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    found
}

/// The pattern, relative to the directory of the file that contains it.
fn file_pattern(at: &Cursor<'_>) -> Result<FilePattern, Reported> {
    FilePattern::new(&at.source.folder, at.text()?)
        .map_err(|error| at.error(format!("is not a pattern for file names ({}); correct it", error.msg)))
}

fn files_of_pattern(pattern: &FilePattern, at: &Cursor<'_>) -> Vec<PathBuf> {
    let (found, errors) = pattern.files();
    for error in &errors {
        at.error(format!("can't be searched, because {error}"));
    }
    if found.is_empty() {
        at.warning("matches no file; correct the pattern, or add a file");
    }
    found
}
