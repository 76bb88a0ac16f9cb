//! Escapes label values for the Prometheus text format.

use std::borrow::Cow;

/// Escapes the value of a label. Names come from configuration files and may contain any printable character.
pub(crate) fn escape(value: &str) -> Cow<'_, str> {
    // Byte by byte, which is faster than by character: each of them is one byte, and no part of another character.
    if !value.bytes().any(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_characters_that_end_a_label_value_are_escaped() {
        assert_eq!(escape("Société d'Études <script>"), "Société d'Études <script>");
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
