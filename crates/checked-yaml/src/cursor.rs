//! Reads typed values from a tree and knows the path to each of them.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::diagnostics::Reported;
use crate::problem::Problem;
use crate::source::Source;
use crate::suggestion::{nearest, quoted};
use crate::tree::{Key, Node, Scalar, Value};

/// A node of the tree and the path to it.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    /// The file that contains the node.
    pub source: &'a Source<'a>,
    node: &'a Node,
    /// The line, from 1. It is the line of the field's name and not of its value, because a reader looks
    /// there.
    pub line: usize,
    step: Step<'a>,
    parent: Option<&'a Cursor<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Item(usize),
}

/// Position and errors.
impl<'a> Cursor<'a> {
    /// The root of a file's tree.
    pub const fn root(source: &'a Source<'a>, node: &'a Node) -> Self {
        Cursor { source, node, line: node.line, step: Step::Root, parent: None }
    }

    /// Builds a problem with this field without reporting it.
    pub fn problem(&self, text: impl Into<String>) -> Problem {
        let Source { path, order, .. } = self.source;
        let (file, line) = (Arc::clone(path), Some(self.line));
        Problem { file, order: *order, line, field: self.field_path(), text: text.into() }
    }

    /// Such as `partners[0].keys[2].token_file`.
    fn field_path(&self) -> String {
        let parent = self.parent.map(Self::field_path).unwrap_or_default();
        match self.step {
            Step::Root => parent,
            Step::Item(index) => format!("{parent}[{index}]"),
            Step::Field(name) if !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-<".contains(c)) => {
                format!("{parent}[{}]", quoted(name))
            }
            Step::Field(name) if parent.is_empty() => name.to_owned(),
            Step::Field(name) => format!("{parent}.{name}"),
        }
    }

    /// Reports an error about this field.
    pub fn error(&self, text: impl Into<String>) -> Reported {
        self.source.diagnostics.error(self.problem(text))
    }

    /// Reports a warning about this field.
    pub fn warning(&self, text: impl Into<String>) {
        self.source.diagnostics.0.borrow_mut().warnings.push(self.problem(text));
    }

    /// Reports that the field `name` is missing; `fix` says what to add.
    pub fn missing(&self, name: &str, fix: &str) -> Reported {
        let child = Cursor { step: Step::Field(name), parent: Some(self), ..*self };
        child.error(format!("is missing; {fix}"))
    }

    /// Notes that the field names a file with a secret that every user of the machine can read.
    pub fn note_world_readable_file(&self) {
        self.source.diagnostics.0.borrow_mut().world_readable_files.add(|| self.problem(""));
    }

    /// Notes that the field itself holds a secret.
    pub fn note_inline_secret(&self) {
        self.source.diagnostics.0.borrow_mut().inline_secrets.add(|| self.problem(""));
    }
}

/// Lists and mappings.
impl<'a> Cursor<'a> {
    /// The items of a list. A field without a value is not an empty list: the rest of the file may be missing.
    ///
    /// # Errors
    /// If the value is not a list.
    pub fn items(&'a self) -> Result<impl ExactSizeIterator<Item = Cursor<'a>> + use<'a>, Reported> {
        let items: &[Node] = match &self.node.value {
            Value::List(items) => items,
            Value::Scalar(_) if self.is_null() => {
                return Err(self.error("has no value; write `[]` for an empty list, or remove the line"));
            }
            value => {
                let text = format!("must be a list, but is {}; write `- …` lines, or `[…]`", kind(value));
                return Err(self.error(text));
            }
        };
        Ok(items.iter().enumerate().map(|(index, node)| self.child(node, node.line, Step::Item(index))))
    }

    /// The entries of a mapping whose names the operator chooses; none if the field has no value.
    ///
    /// # Errors
    /// If the value is not a mapping.
    pub fn entries(&'a self) -> Result<impl Iterator<Item = (&'a Key, Cursor<'a>)> + use<'a>, Reported> {
        let entries = self.pairs()?;
        Ok(entries.iter().map(|(key, node)| (key, self.entry(key, node))))
    }

    /// The fields of a mapping whose names are known; none if the mapping has no value. Unknown and
    /// repeated fields are reported, and the other fields can still be read.
    ///
    /// # Errors
    /// If the value is not a mapping.
    pub fn fields(&'a self, known: &[&str]) -> Result<Fields<'a>, Reported> {
        self.fields_with_hint(known, |_| None)
    }

    /// As [`Self::fields`]. For an unknown field, `place` may say where a field of this name belongs.
    ///
    /// # Errors
    /// If the value is not a mapping.
    pub fn fields_with_hint(
        &'a self,
        known: &[&str],
        place: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<Fields<'a>, Reported> {
        let entries = self.pairs()?;
        let mut misspelt = Vec::new();
        for (index, (key, node)) in entries.iter().enumerate() {
            let name = key.name.as_str();
            if !known.contains(&name) {
                let near = nearest(name, known.iter().copied());
                misspelt.extend(near.map(str::to_owned));
                match place(name).filter(|_| near.is_none()) {
                    Some(place) => {
                        let text = format!("is not a field here; it belongs {place}, so move it there");
                        self.entry(key, node).error(text);
                    }
                    None => self.report_unknown(key, node, near, known),
                }
            } else if let Some((first, _)) =
                entries.iter().take(index).find(|(first, _)| first.name == key.name)
            {
                let text = format!("is written twice, first at line {}; keep one", first.line);
                self.entry(key, node).error(text);
            }
        }
        Ok(Fields { at: self, entries, misspelt })
    }

    fn pairs(&self) -> Result<&'a [(Key, Node)], Reported> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries),
            Value::Scalar(_) if self.is_null() => Ok(&[]),
            value => {
                let kind = kind(value);
                Err(self.error(format!("must be a mapping, but is {kind}; write `name: value` lines")))
            }
        }
    }

    fn entry(&'a self, key: &'a Key, node: &'a Node) -> Cursor<'a> {
        self.child(node, key.line, Step::Field(&key.name))
    }

    fn child(&'a self, node: &'a Node, line: usize, step: Step<'a>) -> Cursor<'a> {
        Cursor { source: self.source, node, line, step, parent: Some(self) }
    }

    fn report_unknown(&'a self, key: &'a Key, node: &'a Node, near: Option<&str>, known: &[&str]) {
        let (name, known) = (key.name.as_str(), known.join(", "));
        let text = if name == "<<" {
            "merge keys are not supported; write the fields out".to_owned()
        } else if let Some(near) = near {
            format!("is not a field; did you mean `{near}`?")
        } else if looks_like_a_field_name(name) && !node.is_null() {
            format!("is not a field; remove it (the fields here are: {known})")
        } else {
            // `{token, hunter2}` makes the secret a field name.
            let text = format!(
                "has an unknown field, whose name is not shown because it may be a secret; \
                 remove it (the fields here are: {known})"
            );
            Cursor { line: key.line, ..*self }.error(text);
            return;
        };
        self.entry(key, node).error(text);
    }
}

/// Scalars.
impl<'a> Cursor<'a> {
    fn scalar(&self, expected: &str) -> Result<&'a Scalar, Reported> {
        match &self.node.value {
            Value::Scalar(_) if self.is_null() => {
                Err(self.error("has no value; give it one, or remove the line"))
            }
            Value::Scalar(scalar) => Ok(scalar),
            value => {
                let text = format!("must be {expected}, but is {}; write a single value", kind(value));
                Err(self.error(text))
            }
        }
    }

    /// A text that is not empty, as it is written.
    ///
    /// # Errors
    /// If the value is missing, empty, a list or a mapping.
    pub fn text(&self) -> Result<&'a str, Reported> {
        let text = self.scalar("text")?.text.as_str();
        if text.is_empty() {
            return Err(self.error("is empty; give it a value, or remove the line"));
        }
        Ok(text)
    }

    /// Whether the value is missing or null.
    pub fn is_null(&self) -> bool {
        self.node.is_null()
    }

    /// Whether the value is null or a mapping without fields.
    pub fn is_empty(&self) -> bool {
        self.node.is_empty()
    }

    /// Whether the value is null or an empty text.
    pub fn is_blank(&self) -> bool {
        matches!(&self.node.value, Value::Scalar(Scalar { text, .. }) if text.is_empty()) || self.is_null()
    }

    /// Whether the value is neither a list nor a mapping.
    pub const fn is_scalar(&self) -> bool {
        matches!(&self.node.value, Value::Scalar(_))
    }

    /// Whether the value is a scalar without quotation marks.
    pub const fn is_unquoted(&self) -> bool {
        matches!(&self.node.value, Value::Scalar(Scalar { plain: true, .. }))
    }

    /// The path of a file. A relative path starts from the folder of the configuration file.
    ///
    /// # Errors
    /// If the value is not a text, or has a control character.
    pub fn path(&self) -> Result<PathBuf, Reported> {
        let text = self.text()?;
        if text.contains(char::is_control) {
            return Err(
                self.error("is a path with a control character; rename the file, or correct the path")
            );
        }
        Ok(self.source.folder.join(text))
    }

    /// `true` or `false`, without quotation marks.
    ///
    /// # Errors
    /// If the value is anything else.
    pub fn boolean(&self) -> Result<bool, Reported> {
        const EXPECTED: &str = "`true` or `false`";
        let scalar = self.scalar(EXPECTED)?;
        match scalar.text.as_str() {
            "true" if scalar.plain => Ok(true),
            "false" if scalar.plain => Ok(false),
            _ => Err(self.error(format!("is neither; write {EXPECTED}, unquoted"))),
        }
    }

    /// A whole number that is not negative; `expected` describes it in the error.
    ///
    /// # Errors
    /// If the value is not a number, or does not fit `T`.
    pub fn number<T: FromStr>(&self, expected: &str) -> Result<T, Reported> {
        let text = self.scalar(expected)?.text.as_str();
        let number = is_decimal(text).then(|| text.parse().ok()).flatten();
        number.ok_or_else(|| self.error(format!("is not a valid number; write {expected}")))
    }

    /// A number between 0 and 1, both excluded; `expected` describes it in the error.
    ///
    /// # Errors
    /// If the value is not a valid number.
    pub fn fraction(&self, expected: &str) -> Result<f64, Reported> {
        let text = self.scalar(expected)?.text.as_str();
        let is_plain_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let fraction = is_plain_decimal.then(|| text.parse().ok()).flatten();
        let fraction = fraction.filter(|fraction: &f64| *fraction > 0.0 && *fraction < 1.0);
        fraction.ok_or_else(|| self.error(format!("is not such a fraction; write {expected}")))
    }

    /// One of a few words.
    ///
    /// # Errors
    /// If the value is not one of `words`.
    pub fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Reported> {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let choice = match names.as_slice() {
            [head @ .., last] if !head.is_empty() => format!("`{}` or `{last}`", head.join("`, `")),
            names => format!("`{}`", names.concat()),
        };
        let text = self.scalar(&choice)?.text.as_str();
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| self.error(format!("is not allowed; write {choice}")))
    }

    /// A duration with a unit, as humantime reads it.
    ///
    /// # Errors
    /// If the value is not a duration, or has no unit.
    pub fn duration(&self) -> Result<Duration, Reported> {
        let text = self.scalar("a duration such as `30s`")?.text.as_str();
        humantime::parse_duration(text).map_err(|error| {
            let text = match error {
                humantime::DurationError::UnknownUnit { unit, .. } if unit.is_empty() => {
                    "is a duration without a unit; add one, as in `30s` or `5m`"
                }
                humantime::DurationError::NumberOverflow => "is too long; write a shorter duration",
                _ => "is not a duration; write it as in `30s`, `5m` or `1m 30s`",
            };
            self.error(text)
        })
    }
}

/// The fields of a mapping, read by name.
pub struct Fields<'a> {
    /// The mapping itself.
    pub at: &'a Cursor<'a>,
    entries: &'a [(Key, Node)],
    /// The known names that unknown fields resemble. Reporting such a field as missing, too, would report
    /// one mistake twice.
    misspelt: Vec<String>,
}

impl<'a> Fields<'a> {
    /// The field, if it is present.
    pub fn get(&self, name: &str) -> Option<Cursor<'a>> {
        let (key, node) = self.entries.iter().find(|(key, _)| key.name.as_str() == name)?;
        Some(self.at.entry(key, node))
    }

    /// The fields of these names that are present, in the order of the file.
    pub fn present(&self, names: &[&str]) -> impl Iterator<Item = (&'a str, Cursor<'a>)> {
        self.entries
            .iter()
            .filter(|(key, _)| names.contains(&key.name.as_str()))
            .map(|(key, node)| (key.name.as_str(), self.at.entry(key, node)))
    }

    /// Reads the field if it is present.
    ///
    /// # Errors
    /// The error of `read`. Also if the field is present under a misspelt name, which has already been
    /// reported.
    pub fn optional<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Cursor<'a>) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        match self.get(name) {
            Some(at) => read(&at).map(Some),
            None if self.is_misspelt(name) => Err(Reported),
            None => Ok(None),
        }
    }

    /// Reads the field; `fix` says what to add if it is missing.
    ///
    /// # Errors
    /// As [`Self::optional`], and if the field is missing.
    pub fn required<T>(
        &self,
        name: &str,
        fix: &str,
        read: impl FnOnce(&Cursor<'a>) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        self.optional(name, read)?.ok_or_else(|| self.at.missing(name, fix))
    }

    /// Whether an unknown field was reported whose name resembles this one.
    pub fn is_misspelt(&self, name: &str) -> bool {
        self.misspelt.iter().any(|misspelt| misspelt == name)
    }
}

/// Field names look like this; secrets rarely do.
fn looks_like_a_field_name(name: &str) -> bool {
    name.len() <= 24 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// A leading zero is refused, because some readers of YAML take it for octal.
fn is_decimal(text: &str) -> bool {
    text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()))
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Scalar(_) => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}
