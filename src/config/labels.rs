//! Reads `labels:` of a partner or a key: what the operator wants to see beside a key, such as the customer's number.

use std::collections::BTreeMap;
use std::sync::Arc;

use checked_yaml::{Cursor, Reported, quoted};

use super::names;

/// Each label becomes a part of every page and of one series, so there are few.
const MAX_LABELS: usize = 10;
/// Of a name and of a value, in characters.
const MAX_LENGTH: usize = 100;

/// The operator's labels, by name.
pub(crate) type Labels = Arc<BTreeMap<Box<str>, Box<str>>>;

/// Reads the labels of one partner or key. A label that is not valid is reported and left out.
pub(super) fn labels(at: &Cursor<'_>) -> Result<Labels, Reported> {
    let mut labels = BTreeMap::new();
    let mut lines = BTreeMap::new();
    let mut result = Ok(());
    for (name, value_at) in at.entries()? {
        let line = name.line;
        let name = name.name.as_str();
        if let Some(first) = lines.insert(name, line) {
            let text = format!("the label {} is already at line {first}; remove one", quoted(name));
            result = Err(value_at.error(text));
            continue;
        }
        match label(name, &value_at) {
            Ok(value) => _ = labels.insert(name.into(), value.into()),
            Err(reported) => result = Err(reported),
        }
    }
    if lines.len() > MAX_LABELS {
        result = Err(at.error(too_many("", lines.len())));
    }
    result.map(|()| Arc::new(labels))
}

/// Checks the name of a label, and reads its value.
fn label<'a>(name: &str, at: &Cursor<'a>) -> Result<&'a str, Reported> {
    if let Some(text) = error_in_name(name) {
        return Err(at.error(text));
    }
    let value = at.text()?;
    if names::looks_like_a_jwt(value) {
        return Err(at.error(
            "looks like a token, which would be shown on the page and in the metrics; write another value, and the token \
             to a file",
        ));
    }
    if value.chars().count() > MAX_LENGTH {
        return Err(at.error("is a label of more than 100 characters; shorten it"));
    }
    if value.contains(char::is_control) {
        return Err(at.error("is a label with a control character, such as a line break; remove it"));
    }
    Ok(value)
}

/// Why the text is not the name of a label, if it is not.
fn error_in_name(name: &str) -> Option<&'static str> {
    let mut bytes = name.bytes();
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let starts_well = bytes.next().is_some_and(is_letter);
    if !starts_well || !bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit()) {
        return Some(
            "is not the name of a Prometheus label; use letters, digits and `_` only, and begin with no digit",
        );
    }
    if name.starts_with("__") {
        return Some("is a name that Prometheus reserves, because it begins with `__`; choose another one");
    }
    if name.len() > MAX_LENGTH {
        return Some("is a name of more than 100 characters; shorten it");
    }
    // A wrong indent must not show a secret.
    matches!(name, "token" | "secret" | "password").then_some(
        "is the name of a field with a secret, and labels are shown; correct the indent, or choose another name",
    )
}

/// The labels of a key: those of its partner, and its own, which replace the partner's of the same name.
///
/// # Errors
/// If there are too many.
pub(super) fn merged(partner: &Labels, own: &Labels) -> Result<Labels, String> {
    if own.is_empty() {
        return Ok(Arc::clone(partner));
    }
    let mut all = BTreeMap::clone(partner);
    all.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    if all.len() > MAX_LABELS {
        return Err(too_many("together with the labels of the partner, ", all.len()));
    }
    Ok(Arc::new(all))
}

fn too_many(of: &str, labels: usize) -> String {
    format!("{of}has {labels} labels; keep at most {MAX_LABELS}")
}
