//! The short form: the keys that fail, one line each, and each cause once. It fits on a screen.

use std::fmt::Write as _;

use super::screen::{BOLD, FAINT, Screen};
use super::{Column, Line, Results, full_name, line, probe_table, write_action, write_summary};
use crate::diagnosis::Verdict;
use crate::format;
use crate::status::KeyDetail;

const COLUMNS: [Column; 6] =
    [Column::Key, Column::State, Column::Probe, Column::Result, Column::Code, Column::RequestId];

/// The columns that a narrow terminal does without, the first ones first. The request ID stays, because support asks
/// for it.
const DROPPABLE: [Column; 3] = [Column::Probe, Column::Code, Column::Result];

/// The lines that are always there: the summary, the header of the table, the number of keys that are not shown, the
/// hint in two lines, the empty lines between them, and the prompt of the shell.
const OTHER_LINES: usize = 9;

/// How many keys the text of a cause names.
const NAMED_KEYS: usize = 3;

/// The keys in `results.keys`, of which each fails, and the causes. The most severe problems come first; what does not
/// fit on the screen is counted.
pub(crate) fn failing(results: &Results<'_>, screen: Screen) -> String {
    let colours = screen.colours;
    let mut text = format!("{}\n", colours.paint(BOLD, &results.summary()));
    let room = screen.height.saturating_sub(OTHER_LINES);
    let causes: Vec<_> = causes(results).iter().map(|cause| cause.texts(screen)).collect();
    let lines_of_causes: usize = causes.iter().map(|(summary, _)| summary.lines().count()).sum();
    let shown = results.keys.len().min(room.saturating_sub(lines_of_causes).max(room / 2));
    write_table(&mut text, results, shown, screen);
    write_causes(&mut text, &causes, room - shown);
    let _ = write!(text, "\n{}", screen.wrapped(&colours.paint(FAINT, hint(results))));
    text
}

fn write_table(text: &mut String, results: &Results<'_>, shown: usize, screen: Screen) {
    let lines: Vec<_> = results.keys.iter().take(shown).map(displayed_line).collect();
    if !lines.is_empty() {
        let (table, _) = probe_table(&lines, &COLUMNS, &DROPPABLE, screen);
        let _ = writeln!(text, "\n{table}");
    }
    let hidden = results.keys.len() - shown;
    if hidden > 0 {
        let _ = writeln!(text, "… and {}", format::count(hidden, "more key", "more keys"));
    }
}

/// The probe that the verdict is about.
fn displayed_line(detail: &KeyDetail) -> Line<'_> {
    line(detail, detail.key.displayed_probe(), true)
}

/// Writes the causes that fit into this number of lines, and how many do not. What is wrong comes before what to do: the
/// page and `--key` tell both.
fn write_causes(text: &mut String, causes: &[(String, String)], mut room: usize) {
    let mut take = |part: &str| {
        let left = room.checked_sub(part.lines().count());
        room = left.unwrap_or(room);
        left.is_some()
    };
    let fitting = causes.iter().take_while(|(summary, _)| take(summary)).count();
    let fitting: Vec<_> = causes.iter().take(fitting).collect();
    let actions: Vec<_> = fitting.iter().map(|(_, action)| take(action)).collect();
    if !fitting.is_empty() {
        text.push('\n');
    }
    for ((summary, action), has_room) in fitting.iter().zip(actions) {
        text.push_str(summary);
        if has_room {
            text.push_str(action);
        }
    }
    let hidden = causes.len() - fitting.len();
    if hidden > 0 {
        let _ = writeln!(text, "… and {}", format::count(hidden, "more cause", "more causes"));
    }
}

/// A verdict, and the names of what it is about.
struct Cause<'a> {
    verdict: &'a Verdict,
    names: Vec<String>,
}

impl Cause<'_> {
    /// What is wrong, and what to do.
    fn texts(&self, screen: Screen) -> (String, String) {
        let mut names = self.names.iter().take(NAMED_KEYS).map(String::as_str).collect::<Vec<_>>().join(", ");
        if self.names.len() > NAMED_KEYS {
            let _ = write!(names, " and {} more", self.names.len() - NAMED_KEYS);
        }
        let (mut summary, mut action) = (String::new(), String::new());
        write_summary(&mut summary, &names, self.verdict, screen.colours);
        write_action(&mut action, self.verdict);
        (screen.wrapped(&summary), screen.wrapped(&action))
    }
}

/// The problem of the API, and then the verdicts about the keys. Keys with the same verdict have one cause.
fn causes<'a>(results: &Results<'a>) -> Vec<Cause<'a>> {
    let api = &results.overview.api.verdict;
    let mut causes = Vec::new();
    if api.blame.is_some() {
        causes.push(Cause { verdict: api, names: vec!["API".to_owned()] });
    }
    for detail in results.keys {
        let verdict = &detail.key.verdict;
        match causes.iter_mut().find(|cause| cause.verdict == verdict) {
            Some(cause) => cause.names.push(full_name(detail)),
            None => causes.push(Cause { verdict, names: vec![full_name(detail)] }),
        }
    }
    causes
}

fn hint(results: &Results<'_>) -> &'static str {
    if results.keys.is_empty() {
        "--all shows every key."
    } else {
        "--key NAME shows one key in full, --failing --all every key that fails, --all every key."
    }
}
