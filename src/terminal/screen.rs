//! The terminal that the output goes to: its size and its colours.

use std::io::{self, IsTerminal as _};

use comfy_table::{Cell, Color};

/// Escape codes of texts outside the table.
pub(super) const BOLD: &str = "1";
pub(super) const FAINT: &str = "2";
pub(super) const RED: &str = "31";

/// The number of lines if it is not known.
const USUAL_HEIGHT: usize = 24;

/// Whether the output may contain colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colours(pub bool);

impl Colours {
    pub(super) fn paint(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A cell of the table, which adds the escape codes after it has measured the text.
    pub(super) fn cell(self, colour: Color, text: &str) -> Cell {
        if self.0 && !text.is_empty() { Cell::new(text).fg(colour) } else { Cell::new(text) }
    }
}

/// Where the output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    pub colours: Colours,
    /// In characters. `None`: a line may have any length, because a program may read it.
    pub width: Option<usize>,
    /// In lines.
    pub height: usize,
}

impl Screen {
    /// A file or a pipe.
    pub(crate) const fn without_terminal() -> Self {
        Self { colours: Colours(false), width: None, height: USUAL_HEIGHT }
    }

    /// The terminal of standard output, if it is one. Colours are used unless the terminal has none or `NO_COLOR` is
    /// set (no-color.org).
    pub(crate) fn of_standard_output() -> Self {
        if !io::stdout().is_terminal() {
            return Self::without_terminal();
        }
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let known = |length: u16| (length > 0).then(|| usize::from(length));
        Self {
            colours: Colours(!is_dumb && !is_set("NO_COLOR")),
            width: size.and_then(|size| known(size.ws_col)),
            height: size.and_then(|size| known(size.ws_row)).unwrap_or(USUAL_HEIGHT),
        }
    }

    /// The text with its long lines wrapped between words. The rest of a line is indented by two more blanks.
    pub(super) fn wrapped(self, text: &str) -> String {
        let Some(width) = self.width else { return text.to_owned() };
        let mut wrapped = String::new();
        for line in text.lines() {
            wrap(line, width, &mut wrapped);
        }
        wrapped
    }
}

fn wrap(line: &str, width: usize, wrapped: &mut String) {
    let indent = line.len() - line.trim_start_matches(' ').len();
    wrapped.push_str(&" ".repeat(indent));
    let mut column = indent;
    for (index, word) in line.split_whitespace().enumerate() {
        let length = visible_length(word);
        if index > 0 && column + 1 + length > width {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent + 2));
            column = indent + 2;
        } else if index > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped.push('\n');
}

/// The number of characters without the escape codes of colours.
fn visible_length(word: &str) -> usize {
    let mut parts = word.split('\x1b');
    let before_first_code = parts.next().map_or(0, |text| text.chars().count());
    let after_code = |part: &str| part.split_once('m').map_or(0, |(_, text)| text.chars().count());
    before_first_code + parts.map(after_code).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_coloured_only_on_request() {
        assert_eq!(Colours(false).paint(RED, "x"), "x");
        assert_eq!(Colours(true).paint(RED, "x"), "\x1b[31mx\x1b[0m");
    }

    #[test]
    fn long_lines_are_wrapped_between_words_and_only_in_a_terminal() {
        let text = "\x1b[1mone\x1b[0m two three\n\n  four five\n";
        assert_eq!(Screen::without_terminal().wrapped(text), text);
        let narrow = Screen { width: Some(8), ..Screen::without_terminal() };
        assert_eq!(narrow.wrapped(text), "\x1b[1mone\x1b[0m two\n  three\n\n  four\n    five\n");
        let very_narrow = Screen { width: Some(1), ..Screen::without_terminal() };
        assert_eq!(very_narrow.wrapped("ab cd\n"), "ab\n  cd\n");
    }
}
