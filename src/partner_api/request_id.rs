//! The id MyUnisoft's support asks for.

use std::fmt;

use http::HeaderMap;

/// Every response of the API carries it.
const HEADER: &str = "request-id";
/// The forms seen have 8 to 36 characters; whatever is much longer is not an id.
const LONGEST: usize = 128;

/// A request's id, as the API gave it: printable, short, fit for a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Takes an id only if it can be one: outside text never gets into a label or a log unchecked.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.into()))
    }

    /// The id in a response's header.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(HEADER)?.to_str().ok()?)
    }

    /// The id itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
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
    fn the_three_forms_seen_are_ids() {
        for id in ["req-44b440f90368471d", "req-06376c5d-24dd-41a1-bdcd-67873b91abf2", "req-9k4i"] {
            assert_eq!(RequestId::parse(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn text_that_could_harm_a_log_or_a_label_is_no_id() {
        for text in ["", "two words", "line\nbreak", "é", &"a".repeat(129)] {
            assert_eq!(RequestId::parse(text), None, "{text:?}");
        }
    }
}
