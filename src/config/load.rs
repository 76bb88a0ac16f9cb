//! From files on disk to a valid configuration.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;

use super::Config;
use super::decode::{At, Report, Source};
use super::node::{self, Node};
use super::partners::Fleet;
use super::problem::{Problem, Problems, unreadable};
use super::settings::Settings;

/// A hundred thousand keys fit; the tokens are the most of it.
const LARGEST: u64 = 64 << 20;

/// A configuration and what is to be told of how it was read.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What the files say.
    pub config: Config,
    /// What is doubtful in them, in the order of reading.
    pub warnings: Vec<Problem>,
    /// Every configuration file that was read: the one asked for, then the key files.
    pub files: Vec<PathBuf>,
    /// The patterns of `key_files`: a file that begins to match one belongs to the configuration.
    pub patterns: Vec<PathBuf>,
}

/// Reads a configuration file, the key files it names, and every secret they name.
///
/// # Errors
///
/// Everything that is wrong, all at once; nothing of the configuration is then to be used.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let mut report = Report::default();
    let (mut files, mut patterns) = (Vec::new(), Vec::new());
    let config = read_all(path, &mut files, &mut patterns, &mut report);
    if !report.problems.is_empty() {
        return Err(Problems::new(report.problems));
    }
    report.warnings.sort_by_key(Problem::place);
    Ok(Loaded { config, warnings: report.warnings, files, patterns })
}

fn read_all(
    path: &Path,
    files: &mut Vec<PathBuf>,
    patterns: &mut Vec<PathBuf>,
    report: &mut Report,
) -> Config {
    const FIELDS: [&str; 8] =
        ["api", "health", "key_info", "canaries", "rate_limit", "metrics", "partners", "key_files"];
    let source = Source::new(path, 0);
    let Some(root) = read_tree(&source, report) else { return Config::default() };
    files.push(path.to_owned());
    let at = At::root(&source, &root);
    let Ok(fields) = at.fields(&FIELDS, report) else { return Config::default() };

    let settings = Settings::read(&fields, report);
    let mut fleet = Fleet::new(&settings);
    if let Some(partners) = fields.get("partners") {
        fleet.add(&partners, report);
    }
    report.fold_remarks(&source);
    for key_file in fields.get("key_files").map(|at| key_files(&at, patterns, report)).unwrap_or_default() {
        read_key_file(&Source::new(&key_file, files.len()), &mut fleet, report);
        files.push(key_file);
    }
    let partners = fleet.finish(report);
    let Settings { api, health, objective, rate_limit, metrics, .. } = settings;
    Config { api, health, objective, rate_limit, metrics, partners }
}

fn read_key_file(source: &Source, fleet: &mut Fleet<'_>, report: &mut Report) {
    let Some(root) = read_tree(source, report) else { return };
    let at = At::root(source, &root);
    if let Ok(fields) = at.fields(&["partners"], report)
        && let Some(partners) = fields.get("partners")
    {
        fleet.add(&partners, report);
    }
    report.fold_remarks(source);
}

/// The file's tree.
pub(super) fn read_tree(source: &Source, report: &mut Report) -> Option<Node> {
    let text = match read_text(source) {
        Ok(text) => text,
        Err(problem) => {
            report.problems.push(problem);
            return None;
        }
    };
    match node::parse(&text) {
        Ok(Some(root)) if !root.says_nothing() => Some(root),
        // Half of a save by an editor, or a mount that came up empty: not a wish to watch nothing.
        Ok(_) => {
            report
                .problems
                .push(source.problem(Some(1), "says nothing; write at least one field in it, or remove it"));
            None
        }
        Err(fault) => {
            report.problems.push(source.problem(Some(fault.line), fault.text));
            None
        }
    }
}

fn read_text(source: &Source) -> Result<Zeroizing<String>, Problem> {
    let bytes = read_regular(&source.path).map_err(|text| source.problem(None, text))?;
    String::from_utf8(bytes).map(Zeroizing::new).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.split(|byte| *byte == b'\n').count();
        source.problem(Some(line), "is not UTF-8 text; save the file as UTF-8")
    })
}

/// Reads a file that can be one: to open a pipe would wait for a writer, a device may never end.
pub(super) fn read_regular(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Err("is not a regular file; name a regular file".to_owned());
    }
    if metadata.len() > LARGEST {
        return Err("is larger than 64 MiB, so it is no configuration; check which file is meant".to_owned());
    }
    fs::read(path).map_err(|error| unreadable(&error))
}

/// The files that the patterns of `key_files` match, sorted, each once.
fn key_files(at: &At<'_>, patterns: &mut Vec<PathBuf>, report: &mut Report) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(items) = at.items(report) {
        for at in items {
            if let Some(pattern) = at.text(report).ok().and_then(|pattern| rooted(pattern, &at, report)) {
                found.append(&mut matches(&pattern, &at, report));
                patterns.push(pattern);
            }
        }
    }
    found.sort();
    // Two patterns may match one file, and a pattern may match the configuration file itself.
    let mut seen: HashSet<_> = fs::canonicalize(&at.source.path).ok().into_iter().collect();
    found.retain(|path| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    found
}

/// The pattern, which begins at the folder of the file in which it stands.
fn rooted(pattern: &str, at: &At<'_>, report: &mut Report) -> Option<PathBuf> {
    let Some(folder) = at.source.folder.to_str() else {
        report.problem(at, "can't be sought, for the folder's name is not UTF-8; rename the folder");
        return None;
    };
    Some(Path::new(&glob::Pattern::escape(folder)).join(pattern))
}

/// What a pattern means. Hidden files are not meant by `*`: editors and Kubernetes keep copies in them.
const MATCHING: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The files that a pattern matches right now, and those that can't be told.
pub(crate) fn matching(pattern: &Path) -> Result<glob::Paths, glob::PatternError> {
    glob::glob_with(&pattern.to_string_lossy(), MATCHING)
}

fn matches(pattern: &Path, at: &At<'_>, report: &mut Report) -> Vec<PathBuf> {
    let paths = match matching(pattern) {
        Ok(paths) => paths,
        Err(error) => {
            report.problem(at, format!("is not a pattern of file names ({}); correct it", error.msg));
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
                report.problem(at, format!("leads to {path}, which can't be read ({kind}); mend its rights"));
            }
        }
    }
    if found.is_empty() {
        report.warning(at, "matches no file; correct the pattern, or put a file there");
    }
    found
}
