//! Label values in the Prometheus text format.

use std::borrow::Cow;

/// Escapes a label's value: names come from configuration files and may hold anything printable.
pub(crate) fn escape(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_value_is_escaped_and_the_rest_is_left() {
        assert_eq!(escape("Société d'Études <script>"), "Société d'Études <script>");
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
