//! YAML text → a tree that knows its lines and keeps every scalar as it was spelt.
//!
//! Built from the parser's events and not through serde: a token such as `0123` must stay those four
//! characters, every problem must be told with its line, and nothing may quote the file, which can hold
//! secrets.

use std::collections::HashMap;

use secrecy::zeroize::Zeroizing;
use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

/// The most nodes that aliases may copy: far more than anybody writes, far fewer than fill the memory.
const MOST_COPIES: usize = 100_000;

/// One node of the tree, without `Debug`: what it holds may be secret.
#[derive(Clone)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone)]
pub(super) struct Scalar {
    /// Wiped when dropped: it may be a secret.
    pub(super) text: Zeroizing<String>,
    /// Whether it stands without quotation marks, so that `true`, `12` and `null` have a meaning.
    pub(super) plain: bool,
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) line: usize,
    pub(super) name: Zeroizing<String>,
}

impl Node {
    /// Whether nothing stands where a value could.
    pub(super) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(Scalar { text, plain: true }) => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => false,
        }
    }

    /// Whether it is null, or a mapping without a field.
    pub(super) fn says_nothing(&self) -> bool {
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

/// Why a text is no tree. The words are fixed: nothing of the text is in them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) text: &'static str,
}

/// Reads the one document of a text; none when there is nothing but comments.
pub(super) fn parse(text: &str) -> Result<Option<Node>, Fault> {
    let mut builder =
        Builder { parser: Parser::new_from_str(text), anchors: HashMap::new(), copied: 0, line: 1 };
    let mut root = None;
    while let Some(event) = builder.next()? {
        match event {
            Event::DocumentStart(..) if root.is_some() => {
                return Err(builder.fault("a second document begins here; keep one document to a file"));
            }
            event if event.is_node() => root = Some(builder.node(event)?),
            _ => {}
        }
    }
    Ok(root)
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    copied: usize,
    /// Where the last event began.
    line: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<Event<'a>>, Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(Some(event))
            }
            Some(Err(error)) => Err(fault(&error)),
            None => Ok(None),
        }
    }

    fn fault(&self, text: &'static str) -> Fault {
        Fault { line: self.line, text }
    }

    /// The node that begins with this event. It calls itself no deeper than the parser's own limit on
    /// nesting lets it.
    fn node(&mut self, event: Event<'a>) -> Result<Node, Fault> {
        let line = self.line;
        let (value, anchor) = match event {
            Event::Alias(anchor) => return self.copy(anchor),
            Event::Scalar(text, style, anchor, tag) => {
                let tagged = self.text_tag(tag.as_deref())?;
                let plain = style == ScalarStyle::Plain && !tagged;
                (Value::Scalar(Scalar { text: Zeroizing::new(text.into_owned()), plain }), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.no_tag(tag.as_deref())?;
                (Value::List(self.items()?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.no_tag(tag.as_deref())?;
                (Value::Map(self.entries()?), anchor)
            }
            _ => return Err(self.fault(NOT_YAML)),
        };
        let node = Node { line, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        while let Some(event) = self.next()? {
            match event {
                Event::SequenceEnd => break,
                event if event.is_node() => items.push(self.node(event)?),
                _ => {}
            }
        }
        Ok(items)
    }

    fn entries(&mut self) -> Result<Vec<(Key, Node)>, Fault> {
        let mut entries = Vec::new();
        let mut key = None;
        while let Some(event) = self.next()? {
            match event {
                Event::MappingEnd => break,
                event if event.is_node() => match key.take() {
                    None => key = Some(self.key(event)?),
                    Some(key) => entries.push((key, self.node(event)?)),
                },
                _ => {}
            }
        }
        Ok(entries)
    }

    fn key(&mut self, event: Event<'a>) -> Result<Key, Fault> {
        let Node { line, value } = self.node(event)?;
        match value {
            Value::Scalar(Scalar { text, .. }) => Ok(Key { line, name: text }),
            Value::List(_) | Value::Map(_) => Err(Fault {
                line,
                text: "a list or a mapping stands where a field's name should; give the field a name",
            }),
        }
    }

    fn copy(&mut self, anchor: usize) -> Result<Node, Fault> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.fault("an alias stands inside the very node it means; write the value out"));
        };
        self.copied = self.copied.saturating_add(node.size());
        if self.copied > MOST_COPIES {
            return Err(self.fault("aliases repeat too much; write the values out"));
        }
        Ok(node.clone())
    }

    fn text_tag(&self, tag: Option<&Tag>) -> Result<bool, Fault> {
        match tag {
            Some(tag) if tag.is_yaml_core_schema_tag("str") => Ok(true),
            tag => self.no_tag(tag).map(|()| false),
        }
    }

    fn no_tag(&self, tag: Option<&Tag>) -> Result<(), Fault> {
        match tag {
            None => Ok(()),
            Some(_) => {
                Err(self.fault("a YAML tag has no meaning here; remove the word that begins with `!`"))
            }
        }
    }
}

const NOT_YAML: &str =
    "is not valid YAML; look for a missing quotation mark, colon, bracket or indent here or just above";

/// The parser's own words are not used: some of them quote the text.
fn fault(error: &ScanError) -> Fault {
    let text = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => "a tab stands where YAML wants blanks; indent with blanks",
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
            "an alias (`*…`) means no anchor; quote the value if it is to begin with an asterisk"
        }
        ErrorKind::MissingAnchorOrAliasName | ErrorKind::UnexpectedCharacter { .. } => {
            "a value begins with a character that has a meaning in YAML; quote the value"
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            "a colon stands where none may; quote the value, or mend the indent"
        }
        ErrorKind::RecursionLimitExceeded => "is nested too deeply; no configuration needs that",
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => {
            "a backslash in double quotation marks begins no escape; use single quotation marks"
        }
        _ => NOT_YAML,
    };
    Fault { line: error.marker().line(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(node: &Node) -> (&str, bool) {
        match &node.value {
            Value::Scalar(scalar) => (&scalar.text, scalar.plain),
            _ => panic!("no scalar"),
        }
    }

    fn map(node: &Node) -> &[(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            _ => panic!("no map"),
        }
    }

    fn tree(text: &str) -> Node {
        parse(text).expect("valid").expect("not empty")
    }

    #[test]
    fn scalars_keep_their_spelling() {
        let root = tree("a: 0123\nb: 1e5\nc: '0x10'\nd: yes\ne: !!str 12\n");
        let scalars: Vec<_> = map(&root).iter().map(|(_, node)| scalar(node)).collect();
        assert_eq!(scalars, [("0123", true), ("1e5", true), ("0x10", false), ("yes", true), ("12", false)]);
    }

    #[test]
    fn nodes_and_keys_know_their_lines() {
        let root = tree("# a comment\na:\n  - 1\n\n  - b: 2\n");
        let (key, list) = &map(&root)[0];
        let Value::List(items) = &list.value else { panic!("no list") };
        assert_eq!((key.line, items[0].line, items[1].line), (2, 3, 5));
        assert_eq!(map(&items[1])[0].0.line, 5);
    }

    #[test]
    fn nothing_but_comments_is_no_tree() {
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
    fn an_alias_stands_for_its_anchor() {
        let root = tree("a: &x {b: 1}\nc: *x\n");
        assert_eq!(scalar(&map(&map(&root)[1].1)[0].1), ("1", true));
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            text = format!("{text}a{level}: &a{level} [{below}]\n");
        }
        let fault = parse(&text).map(|_| ()).expect_err("too much");
        assert_eq!(fault.text, "aliases repeat too much; write the values out");
    }

    #[test]
    fn deep_nesting_is_refused_before_the_stack_ends() {
        for text in ["[".repeat(10_000), "- ".repeat(10_000), "{a: ".repeat(10_000)] {
            let fault = parse(&text).map(|_| ()).expect_err("too deep");
            assert_eq!(fault.text, "is nested too deeply; no configuration needs that");
        }
    }
}
