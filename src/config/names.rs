//! Checks the names that the operator gives to partners, keys and canaries.

use checked_yaml::{Cursor, Reported};

/// In characters: enough for a company's name, and short enough for a label value.
const MAX_LENGTH: usize = 128;

/// Reads a name that is safe as a label value, in a file and in a URL.
pub(super) fn name<'a>(at: &Cursor<'a>) -> Result<&'a str, Reported> {
    let name = at.text()?;
    if looks_like_a_jwt(name) {
        return Err(at.error(
            "looks like a token, which would be shown on the page and in the metrics; choose a name for it, \
             and write the token to a file",
        ));
    }
    error_in(name).map_or(Ok(name), |text| Err(at.error(text)))
}

/// Why the text is not a valid name, if it is not.
pub(super) fn error_in(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is an empty name; write at least one character");
    }
    if name.chars().count() > MAX_LENGTH {
        return Some("is a name of more than 128 characters; shorten it");
    }
    if name.contains(char::is_control) {
        return Some("is a name with a control character, such as a tab or a line break; remove it");
    }
    if name.trim() != name {
        return Some("is a name with a space at the start or at the end; remove the space");
    }
    None
}

/// Whether the text has the three parts of a JWT, and its first part is an encoded JSON object.
pub(super) fn looks_like_a_jwt(text: &str) -> bool {
    let is_encoded = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.starts_with("eyJ") && text.split('.').count() == 3 && text.chars().all(|c| is_encoded(c) || c == '.')
}
