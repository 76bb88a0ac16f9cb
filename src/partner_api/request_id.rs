//! The request ID: MyUnisoft's support asks for it.

use std::fmt;

use http::{HeaderMap, HeaderName};

/// Every response of the API has this header.
static HEADER: HeaderName = HeaderName::from_static("request-id");
/// Longer texts are not request IDs. The IDs seen have 8 to 40 characters.
const MAX_LEN: usize = 128;

/// The ID that the API gave to a request: short, printable ASCII, safe in a label and in a log line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(Box<str>);

impl RequestId {
    /// Returns `None` if `text` is empty, too long, or has other characters: external text is always
    /// checked before it reaches a label or a log line.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= MAX_LEN && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.into()))
    }

    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        // A proxy may join several lines, or add parameters: the API's own ID is the first.
        let text = headers.get(&HEADER)?.to_str().ok()?;
        let end = text.bytes().position(|byte| matches!(byte, b',' | b';')).unwrap_or(text.len());
        Self::parse(text.get(..end)?.trim_ascii())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_the_api_are_accepted() {
        for id in ["req-44b440f90368471d", "req-06376c5d-24dd-41a1-bdcd-67873b91abf2", "req-9k4i"] {
            assert_eq!(RequestId::parse(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn a_request_id_is_printed_as_it_is() {
        assert_eq!(RequestId::parse("req-9k4i").unwrap().to_string(), "req-9k4i");
    }

    #[test]
    fn a_request_id_of_the_greatest_length_is_accepted() {
        assert!(RequestId::parse(&"a".repeat(MAX_LEN)).is_some());
    }

    #[test]
    fn the_first_of_several_ids_is_the_api_s() {
        for value in ["req-1, gw-2", "req-1; trace=2", " req-1 "] {
            let headers = [("request-id".parse().unwrap(), value.parse().unwrap())].into_iter().collect();
            assert_eq!(RequestId::from_headers(&headers).unwrap().as_str(), "req-1", "{value}");
        }
    }

    #[test]
    fn text_that_is_unsafe_in_a_log_or_a_label_is_refused() {
        for text in ["", "two words", "line\nbreak", "é", &"a".repeat(129)] {
            assert_eq!(RequestId::parse(text), None, "{text:?}");
        }
    }
}
