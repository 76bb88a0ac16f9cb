//! Walking a tree with a path in hand, and collecting what is wrong on the way instead of stopping there.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::node::{Key, Node, Scalar, Value};
use super::problem::Problem;
use crate::secret::world_readable;

/// A file that is being read.
pub(super) struct Source {
    pub(super) path: Arc<Path>,
    /// What relative paths in the file are relative to.
    pub(super) folder: PathBuf,
    /// Its place in the order of reading.
    pub(super) order: usize,
}

impl Source {
    pub(super) fn new(path: &Path, order: usize) -> Self {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self { path: path.into(), folder, order }
    }

    /// The configuration file itself is read first.
    pub(super) fn is_key_file(&self) -> bool {
        self.order > 0
    }

    pub(super) fn problem(&self, line: Option<usize>, text: impl Into<String>) -> Problem {
        Problem::of_file(Arc::clone(&self.path), self.order, line, text.into())
    }
}

/// The proof that a problem has been reported: whoever gets one has nothing more to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// What was found wrong or doubtful so far.
#[derive(Default)]
pub(super) struct Report {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// Remarks of which a fleet would have thousands: folded into one for each file.
    open_files: Remarks,
    inline_secrets: Remarks,
}

/// The first place where something was remarked, and how many there were.
#[derive(Default)]
struct Remarks {
    first: Option<Problem>,
    count: usize,
}

impl Remarks {
    fn add(&mut self, at: &At<'_>) {
        self.count += 1;
        self.first.get_or_insert_with(|| at.problem(""));
    }

    fn fold(&mut self, text: impl FnOnce(&str) -> String) -> Option<Problem> {
        let Self { first, count } = std::mem::take(self);
        let others = match count.saturating_sub(1) {
            0 => String::new(),
            1 => " (as is one more in this file)".to_owned(),
            others => format!(" (as are {others} more in this file)"),
        };
        first.map(|first| first.with_text(text(&others)))
    }
}

impl Report {
    pub(super) fn problem(&mut self, at: &At<'_>, text: impl Into<String>) -> Reported {
        self.problems.push(at.problem(text));
        Reported
    }

    pub(super) fn warning(&mut self, at: &At<'_>, text: impl Into<String>) {
        self.warnings.push(at.problem(text));
    }

    /// A secret's file that every user of the machine may read.
    pub(super) fn open_file(&mut self, at: &At<'_>) {
        self.open_files.add(at);
    }

    /// A secret that stands in the configuration itself.
    pub(super) fn inline_secret(&mut self, at: &At<'_>) {
        self.inline_secrets.add(at);
    }

    /// Makes warnings of what was remarked in a file, which is now read to its end.
    pub(super) fn fold_remarks(&mut self, source: &Source) {
        let open = self.open_files.fold(|others| {
            format!("may be read by every user of the machine{others}; take that right away (chmod o-r)")
        });
        let inline = self.inline_secrets.fold(|others| {
            format!(
                "stands in a file that every user of the machine may read{others}; \
                 take that right away (chmod o-r), or move the secret to a file of its own"
            )
        });
        let inline = inline.filter(|_| world_readable(&source.path));
        self.warnings.extend(open.into_iter().chain(inline));
    }

    /// A field that should be there.
    pub(super) fn missing(&mut self, at: &At<'_>, name: &str, how: &str) -> Reported {
        let text = format!("is missing; {how}");
        self.problems.push(at.problem_below(name, at.line, text));
        Reported
    }
}

/// A node and the way to it.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) source: &'a Source,
    pub(super) node: &'a Node,
    /// Of the field's name rather than of its value: that is where a reader looks.
    pub(super) line: usize,
    step: Step<'a>,
    parent: Option<&'a At<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Item(usize),
}

impl<'a> At<'a> {
    pub(super) fn root(source: &'a Source, node: &'a Node) -> Self {
        At { source, node, line: node.line, step: Step::Root, parent: None }
    }

    pub(super) fn problem(&self, text: impl Into<String>) -> Problem {
        let field = FieldPath(self).to_string();
        Problem::new(Arc::clone(&self.source.path), self.source.order, self.line, field, text.into())
    }

    fn problem_below(&self, name: &str, line: usize, text: String) -> Problem {
        let step = Step::Field(name);
        At { source: self.source, node: self.node, line, step, parent: Some(self) }.problem(text)
    }

    /// The items of a list; none where the field is left empty.
    pub(super) fn items(
        &'a self,
        report: &mut Report,
    ) -> Result<impl ExactSizeIterator<Item = At<'a>> + use<'a>, Reported> {
        let items: &[Node] = match &self.node.value {
            Value::List(items) => items,
            Value::Scalar(_) if self.node.is_null() => &[],
            value => {
                let text = format!("must be a list, but is {}; write `- …` lines, or `[…]`", kind(value));
                return Err(report.problem(self, text));
            }
        };
        Ok(items.iter().enumerate().map(|(index, node)| At {
            source: self.source,
            node,
            line: node.line,
            step: Step::Item(index),
            parent: Some(self),
        }))
    }

    /// The entries of a mapping whose names are the operator's; none where the field is left empty.
    pub(super) fn entries(
        &'a self,
        report: &mut Report,
    ) -> Result<impl Iterator<Item = (&'a Key, At<'a>)> + use<'a>, Reported> {
        let entries = self.pairs(report)?;
        Ok(entries.iter().map(|(key, node)| (key, self.below(key, node))))
    }

    /// The fields of a mapping whose names are known; none where it is left empty. Unknown and repeated
    /// ones are reported, and the others can still be read.
    pub(super) fn fields(&'a self, known: &[&str], report: &mut Report) -> Result<Fields<'a>, Reported> {
        let entries = self.pairs(report)?;
        let mut misspelt = Vec::new();
        for (index, (key, node)) in entries.iter().enumerate() {
            let name = key.name.as_str();
            if !known.contains(&name) {
                let near = nearest(name, known.iter().copied());
                misspelt.extend(near.map(str::to_owned));
                report.problems.push(self.unknown(key, node, near, known));
            } else if let Some((first, _)) =
                entries.iter().take(index).find(|(first, _)| first.name == key.name)
            {
                let text = format!("stands twice, the first time at line {}; keep one", first.line);
                report.problem(&self.below(key, node), text);
            }
        }
        Ok(Fields { at: self, entries, misspelt })
    }

    fn pairs(&self, report: &mut Report) -> Result<&'a [(Key, Node)], Reported> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries),
            Value::Scalar(_) if self.node.is_null() => Ok(&[]),
            value => Err(report.problem(
                self,
                format!("must be a mapping, but is {}; write `name: value` lines", kind(value)),
            )),
        }
    }

    fn below(&'a self, key: &'a Key, node: &'a Node) -> At<'a> {
        At { source: self.source, node, line: key.line, step: Step::Field(&key.name), parent: Some(self) }
    }

    fn unknown(&self, key: &Key, node: &Node, near: Option<&str>, known: &[&str]) -> Problem {
        let name = key.name.as_str();
        if name == "<<" {
            let text = "merging is not supported; write the fields out".to_owned();
            return self.problem_below(name, key.line, text);
        }
        if let Some(near) = near {
            return self.problem_below(name, key.line, format!("is not a field; did you mean `{near}`?"));
        }
        let known = known.join(", ");
        if is_plain_word(name) && !node.is_null() {
            let text = format!("is not a field; remove it (the fields here are: {known})");
            return self.problem_below(name, key.line, text);
        }
        // `{token, hunter2}` makes a field of the secret.
        let text = format!(
            "holds a field that does not exist (not shown, as it may be a secret); \
             remove it (the fields here are: {known})"
        );
        At { line: key.line, ..*self }.problem(text)
    }

    fn scalar(&self, what: &str, report: &mut Report) -> Result<&'a Scalar, Reported> {
        match &self.node.value {
            Value::Scalar(_) if self.node.is_null() => {
                Err(report.problem(self, "has no value; give it one, or remove the line"))
            }
            Value::Scalar(scalar) => Ok(scalar),
            value => {
                let text = format!("must be {what}, but is {}; write a single value", kind(value));
                Err(report.problem(self, text))
            }
        }
    }

    /// A value that isn't empty, as it is spelt.
    pub(super) fn text(&self, report: &mut Report) -> Result<&'a str, Reported> {
        let text = self.scalar("text", report)?.text.as_str();
        if text.is_empty() {
            return Err(report.problem(self, "is empty; give it a value, or remove the line"));
        }
        Ok(text)
    }

    /// Whether it is empty text, or nothing at all.
    pub(super) fn is_blank(&self) -> bool {
        matches!(&self.node.value, Value::Scalar(Scalar { text, .. }) if text.is_empty())
            || self.node.is_null()
    }

    /// The path of a file, which begins at the folder of the file in which it stands.
    pub(super) fn path(&self, report: &mut Report) -> Result<PathBuf, Reported> {
        let text = self.text(report)?;
        if text.contains(char::is_control) {
            return Err(
                report.problem(self, "is a path with a control character; rename the file, or correct it")
            );
        }
        Ok(self.source.folder.join(text))
    }

    /// Whether it is neither a list nor a mapping.
    pub(super) fn is_scalar(&self) -> bool {
        matches!(&self.node.value, Value::Scalar(_))
    }

    /// Whether it is text that stands without quotation marks.
    pub(super) fn is_plain(&self) -> bool {
        matches!(&self.node.value, Value::Scalar(Scalar { plain: true, .. }))
    }

    pub(super) fn flag(&self, report: &mut Report) -> Result<bool, Reported> {
        const WANTED: &str = "`true` or `false`";
        let scalar = self.scalar(WANTED, report)?;
        match scalar.text.as_str() {
            "true" if scalar.plain => Ok(true),
            "false" if scalar.plain => Ok(false),
            _ => Err(report.problem(self, format!("is neither of the two; write {WANTED}, unquoted"))),
        }
    }

    pub(super) fn number<T: std::str::FromStr>(
        &self,
        what: &str,
        report: &mut Report,
    ) -> Result<T, Reported> {
        let text = self.scalar(what, report)?.text.as_str();
        let number = is_digits(text).then(|| text.parse().ok()).flatten();
        number.ok_or_else(|| report.problem(self, format!("is no such number; write {what}")))
    }

    /// Between 0 and 1, both excluded.
    pub(super) fn share(&self, what: &str, report: &mut Report) -> Result<f64, Reported> {
        let text = self.scalar(what, report)?.text.as_str();
        let looks_right = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let share = looks_right.then(|| text.parse().ok()).flatten();
        let share = share.filter(|share: &f64| *share > 0.0 && *share < 1.0);
        share.ok_or_else(|| report.problem(self, format!("is no such share; write {what}")))
    }

    pub(super) fn word<T>(
        &self,
        words: &[&str],
        read: impl FnOnce(&str) -> Option<T>,
        report: &mut Report,
    ) -> Result<T, Reported> {
        let choice = match words {
            [head @ .., last] if !head.is_empty() => format!("`{}` or `{last}`", head.join("`, `")),
            words => words.concat(),
        };
        let text = self.scalar(&choice, report)?.text.as_str();
        read(text).ok_or_else(|| report.problem(self, format!("is not a word for this; write {choice}")))
    }

    /// Neither negative nor without unit, as humantime writes it.
    pub(super) fn duration(&self, report: &mut Report) -> Result<Duration, Reported> {
        let text = self.scalar("a duration such as `30s`", report)?.text.as_str();
        humantime::parse_duration(text).map_err(|error| {
            let text = match error {
                humantime::DurationError::UnknownUnit { unit, .. } if unit.is_empty() => {
                    "is a duration without unit; add one, as in `30s` or `5m`"
                }
                humantime::DurationError::NumberOverflow => "is longer than a duration can be; shorten it",
                _ => "is not a duration; write it as in `30s`, `5m` or `1m 30s`",
            };
            report.problem(self, text)
        })
    }
}

/// A mapping's fields, to be asked for by name.
pub(super) struct Fields<'a> {
    pub(super) at: &'a At<'a>,
    entries: &'a [(Key, Node)],
    /// What unknown fields were likely meant to be: to call these missing too would tell one slip twice.
    misspelt: Vec<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<At<'a>> {
        let (key, node) = self.entries.iter().find(|(key, _)| key.name.as_str() == name)?;
        Some(self.at.below(key, node))
    }

    /// Those of the given fields that are there, in the order of the file.
    pub(super) fn given(&self, names: &[&str]) -> impl Iterator<Item = (&'a str, At<'a>)> {
        self.entries
            .iter()
            .filter(|(key, _)| names.contains(&key.name.as_str()))
            .map(|(key, node)| (key.name.as_str(), self.at.below(key, node)))
    }

    /// The field's value, none without the field.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        report: &mut Report,
        read: impl FnOnce(&At<'a>, &mut Report) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        match self.get(name) {
            Some(at) => read(&at, report).map(Some),
            None if self.is_misspelt(name) => Err(Reported),
            None => Ok(None),
        }
    }

    /// The field's value; without the field, a problem that says `how` to mend it.
    pub(super) fn required<T>(
        &self,
        name: &str,
        how: &str,
        report: &mut Report,
        read: impl FnOnce(&At<'a>, &mut Report) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        match self.get(name) {
            Some(at) => read(&at, report),
            None if self.is_misspelt(name) => Err(Reported),
            None => Err(report.missing(self.at, name, how)),
        }
    }

    /// Whether a field was reported whose name is close to this one.
    pub(super) fn is_misspelt(&self, name: &str) -> bool {
        self.misspelt.iter().any(|misspelt| misspelt == name)
    }
}

struct FieldPath<'a>(&'a At<'a>);

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.0.parent {
            FieldPath(parent).fmt(f)?;
        }
        match self.0.step {
            Step::Root => Ok(()),
            Step::Item(index) => write!(f, "[{index}]"),
            Step::Field(name) if !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-<".contains(c)) => {
                write!(f, "[{}]", shown(name))
            }
            Step::Field(name) => {
                if self.0.parent.is_some_and(|parent| !matches!(parent.step, Step::Root)) {
                    f.write_char('.')?;
                }
                f.write_str(name)
            }
        }
    }
}

/// A name in quotation marks, without control characters, and not endless.
pub(super) fn shown(name: &str) -> String {
    const LONGEST: usize = 64;
    let cut: String = name.chars().take(LONGEST).collect();
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("\"{}{more}\"", cut.escape_debug())
}

/// The name that was likely meant.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Longer than any field's name: not a slip of the hand.
    if name.len() > 48 {
        return None;
    }
    let plain = name.to_lowercase().replace(['-', ' '], "_");
    known
        .map(|candidate| (strsim::osa_distance(&plain, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What a field's name looks like, and a secret hardly.
fn is_plain_word(name: &str) -> bool {
    name.len() <= 24 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn is_digits(text: &str) -> bool {
    // A leading zero would be octal to some readers of YAML.
    text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Scalar(_) => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}
