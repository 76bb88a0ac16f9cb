//! The names that the operator gives: to partners, keys and canaries.

use checked_yaml::{Cursor, Reported};

/// Long enough for a company's name, short enough for a label value.
const MAX_LENGTH: usize = 128;

/// A name that is safe as a label value, in a file and in a URL.
pub(super) fn name<'a>(at: &Cursor<'a>) -> Result<&'a str, Reported> {
    let name = at.text()?;
    error_in(name).map_or(Ok(name), |text| Err(at.error(text)))
}

/// What keeps a text from being a name.
pub(super) fn error_in(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is an empty name; give it at least one character");
    }
    if name.chars().count() > MAX_LENGTH {
        return Some("is a name of more than 128 characters; shorten it");
    }
    if name.contains(char::is_control) {
        return Some("is a name with a control character (a tab or line break, say); remove it");
    }
    if name.trim() != name {
        return Some("is a name with a blank at its beginning or end; remove the blank");
    }
    None
}
