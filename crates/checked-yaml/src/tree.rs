//! Parses YAML text into a tree that knows its lines and keeps every scalar as it is written.
//!
//! The tree is built from the parser's events and not through serde: a token such as `0123` must stay
//! those four characters, every error must have its line, and no error may quote the file, which can
//! hold secrets.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StrInput};
use secrecy::zeroize::Zeroizing;

/// The maximum number of nodes that aliases may copy: far more than a person writes, and far fewer than
/// would fill the memory.
const MAX_COPIED_NODES: usize = 100_000;

/// One node of the tree. It has no `Debug` implementation because its content may be secret.
#[derive(Clone)]
pub struct Node {
    /// The line, from 1.
    pub(crate) line: usize,
    pub(crate) value: Value,
}

#[derive(Clone)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone)]
pub(crate) struct Scalar {
    /// Wiped from memory when dropped, because it may be a secret.
    pub(crate) text: Zeroizing<String>,
    /// Whether it is written without quotation marks. Only then do `true`, `12` and `null` have a meaning.
    pub(crate) plain: bool,
}

/// The name of a field.
#[derive(Clone)]
pub struct Key {
    /// The line, from 1.
    pub line: usize,
    /// The name as it is written.
    pub name: Zeroizing<String>,
}

impl Node {
    /// Whether the value is missing or null.
    pub(crate) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(Scalar { text, plain: true }) => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => false,
        }
    }

    /// Whether it is null or a mapping without fields.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_null() || matches!(&self.value, Value::Map(entries) if entries.is_empty())
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| 1 + node.size()).sum(),
        }
    }
}

/// Why a text is not valid YAML. The messages are constants, so they cannot contain parts of the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ParseError {
    pub(crate) line: usize,
    pub(crate) text: &'static str,
}

/// Parses the single document of a text. Returns `None` if there are only comments.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, ParseError> {
    let mut builder =
        Builder { parser: Parser::new_from_str(text), anchors: HashMap::new(), copied: 0, line: 1 };
    let mut root = None;
    while let Some(event) = builder.next()? {
        match event {
            Event::DocumentStart(..) if root.is_some() => {
                return Err(builder.error("a second document starts here; keep one document per file"));
            }
            event if event.is_node() => root = Some(builder.node(event)?),
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            _ => return Err(builder.error(NOT_YAML)),
        }
    }
    Ok(root)
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    copied: usize,
    /// The line where the last event started.
    line: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<Event<'a>>, ParseError> {
        let next = self.parser.next_event().transpose().map_err(|error| parse_error(&error))?;
        Ok(next.map(|(event, span)| {
            self.line = span.start.line();
            event
        }))
    }

    fn error(&self, text: &'static str) -> ParseError {
        ParseError { line: self.line, text }
    }

    /// Builds the node that starts with this event. The parser's own limit on nesting bounds the recursion.
    fn node(&mut self, event: Event<'a>) -> Result<Node, ParseError> {
        let line = self.line;
        let (value, anchor) = match event {
            Event::Alias(anchor) => return self.copy(anchor),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.as_deref().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                self.no_tag(tag.is_some() && !is_text)?;
                let plain = style == ScalarStyle::Plain && !is_text;
                (Value::Scalar(Scalar { text: Zeroizing::new(text.into_owned()), plain }), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.no_tag(tag.is_some())?;
                (Value::List(self.items()?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.no_tag(tag.is_some())?;
                (Value::Map(self.entries()?), anchor)
            }
            _ => return Err(self.error(NOT_YAML)),
        };
        let node = Node { line, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self) -> Result<Vec<Node>, ParseError> {
        let mut items = Vec::new();
        while let Some(event) = self.next()? {
            match event {
                Event::SequenceEnd => break,
                event if event.is_node() => items.push(self.node(event)?),
                _ => return Err(self.error(NOT_YAML)),
            }
        }
        Ok(items)
    }

    fn entries(&mut self) -> Result<Vec<(Key, Node)>, ParseError> {
        let mut entries = Vec::new();
        let mut key = None;
        while let Some(event) = self.next()? {
            match event {
                Event::MappingEnd => break,
                event if event.is_node() => match key.take() {
                    None => key = Some(self.key(event)?),
                    Some(key) => entries.push((key, self.node(event)?)),
                },
                _ => return Err(self.error(NOT_YAML)),
            }
        }
        Ok(entries)
    }

    fn key(&mut self, event: Event<'a>) -> Result<Key, ParseError> {
        let Node { line, value } = self.node(event)?;
        match value {
            Value::Scalar(Scalar { text, .. }) => Ok(Key { line, name: text }),
            Value::List(_) | Value::Map(_) => {
                Err(ParseError { line, text: "a list or a mapping is used as a field name; write a name" })
            }
        }
    }

    fn copy(&mut self, anchor: usize) -> Result<Node, ParseError> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.error("an alias is used inside the node that it refers to; write the value out"));
        };
        self.copied = self.copied.saturating_add(node.size());
        if self.copied > MAX_COPIED_NODES {
            return Err(self.error("the aliases expand to too many values; write the values out"));
        }
        Ok(node.clone())
    }

    fn no_tag(&self, has_tag: bool) -> Result<(), ParseError> {
        let text = "YAML tags are not supported; remove the word that starts with `!`";
        if has_tag { Err(self.error(text)) } else { Ok(()) }
    }
}

const NOT_YAML: &str =
    "is not valid YAML; look for a missing quotation mark, colon, bracket or indentation here or just above";

/// Maps the parser's error to a message of our own, because some of the parser's messages quote the text.
fn parse_error(error: &ScanError) -> ParseError {
    let text = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => "a tab is used for indentation; indent with spaces",
        ErrorKind::UnclosedQuotedScalar => "a quotation mark is not closed; close it",
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::MisplacedFlowCollectionEnd
        | ErrorKind::MismatchedFlowCollectionEnd { .. }
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator => {
            "a `[` or `{` is not closed by its `]` or `}`, or a comma is missing; close it"
        }
        ErrorKind::UnknownAnchor => {
            "an alias (`*…`) has no anchor; quote the value if it starts with an asterisk"
        }
        ErrorKind::MissingAnchorOrAliasName | ErrorKind::UnexpectedCharacter { .. } => {
            "a value starts with a character that is special in YAML; quote the value"
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            "a colon is not allowed here; quote the value, or fix the indentation"
        }
        ErrorKind::RecursionLimitExceeded => "is nested too deeply; reduce the nesting",
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => {
            "a backslash in double quotation marks starts no valid escape; use single quotation marks"
        }
        _ => NOT_YAML,
    };
    ParseError { line: error.marker().line(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(node: &Node) -> (&str, bool) {
        match &node.value {
            Value::Scalar(scalar) => (&scalar.text, scalar.plain),
            _ => panic!("not a scalar"),
        }
    }

    fn map(node: &Node) -> &[(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            _ => panic!("not a mapping"),
        }
    }

    fn tree(text: &str) -> Node {
        parse(text).expect("valid").expect("not empty")
    }

    #[test]
    fn scalars_keep_the_text_as_written() {
        let root = tree("a: 0123\nb: 1e5\nc: '0x10'\nd: yes\ne: !!str 12\n");
        let scalars: Vec<_> = map(&root).iter().map(|(_, node)| scalar(node)).collect();
        assert_eq!(scalars, [("0123", true), ("1e5", true), ("0x10", false), ("yes", true), ("12", false)]);
    }

    #[test]
    fn nodes_and_keys_know_their_lines() {
        let root = tree("# a comment\na:\n  - 1\n\n  - b: 2\n");
        let (key, list) = &map(&root)[0];
        let Value::List(items) = &list.value else { panic!("not a list") };
        assert_eq!((key.line, items[0].line, items[1].line), (2, 3, 5));
        assert_eq!(map(&items[1])[0].0.line, 5);
    }

    #[test]
    fn a_document_of_comments_only_has_no_tree() {
        for text in ["", "# nothing\n", "\n\n", "---\n"] {
            assert!(parse(text).expect("valid").is_none_or(|node| node.is_null()), "{text:?}");
        }
    }

    #[test]
    fn only_plain_scalars_are_null() {
        let root = tree("a:\nb: ~\nc: null\nd: 'null'\ne: ''\n");
        let nulls: Vec<_> = map(&root).iter().map(|(_, node)| node.is_null()).collect();
        assert_eq!(nulls, [true, true, true, false, false]);
    }

    #[test]
    fn an_alias_copies_its_anchor() {
        let root = tree("a: &x {b: 1}\nc: *x\n");
        assert_eq!(scalar(&map(&map(&root)[1].1)[0].1), ("1", true));
    }

    #[test]
    fn aliases_that_expand_exponentially_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            text = format!("{text}a{level}: &a{level} [{below}]\n");
        }
        let error = parse(&text).map(|_| ()).expect_err("too many copies");
        assert_eq!(error.text, "the aliases expand to too many values; write the values out");
    }

    #[test]
    fn deep_nesting_is_refused_before_the_stack_overflows() {
        for text in ["[".repeat(10_000), "- ".repeat(10_000), "{a: ".repeat(10_000)] {
            let error = parse(&text).map(|_| ()).expect_err("too deep");
            assert_eq!(error.text, "is nested too deeply; reduce the nesting");
        }
    }
}
