//! Prints the status in a terminal: how many keys fail, a table, and then the problems.
//!
//! There are two forms: every key in full, or only those that fail, so that a large fleet fits on a screen.
//!
//! Nothing depends on colour alone: each phase of a waterfall has its own character, and each state is a word.
//! Texts from the configuration or the network cannot control the terminal.

mod failing;
mod screen;

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, Row, Table, Width, presets};
use strum::VariantArray as _;

use crate::diagnosis::Verdict;
use crate::format::{self, harmless};
use crate::key_state::KeyState;
use crate::report::{Phase, Phases};
use crate::state::HealthState;
use crate::status::{ApiView, KeyDetail, Overview, PastProbeView, ProbeView, common_scale};

pub(crate) use failing::failing;
use screen::{BOLD, FAINT, RED};
pub(crate) use screen::{Colours, Screen};

/// The width of a waterfall, in characters.
const WATERFALL: usize = 24;
/// A longer name is cut in the table, so that it does not make the column too wide.
const MAX_NAME: u16 = 40;
/// The same in a narrow terminal.
const MAX_NAME_NARROW: u16 = 24;

/// Colours of cells.
const GOOD: Color = Color::DarkGreen;
const WAITING: Color = Color::DarkYellow;
const BAD: Color = Color::DarkRed;

/// What the probes of all keys found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Results<'a> {
    pub overview: &'a Overview,
    /// The keys to show.
    pub keys: &'a [KeyDetail],
    /// The number of keys that were probed.
    pub probed: usize,
    /// How many of them have a probe that failed or did not run.
    pub failing: usize,
}

impl Results<'_> {
    /// The first line: how many keys fail, what the API does, and which part of the keys this is.
    fn summary(&self) -> String {
        let api = &self.overview.api;
        let keys = match (self.probed, self.failing) {
            (0, _) => "No key is configured".to_owned(),
            (probed, failing) => {
                let verb = if failing == 1 { "fails" } else { "fail" };
                format!("{failing} of {} {verb}", format::count(probed, "key", "keys"))
            }
        };
        let latency = api.probe.last_duration.filter(|_| api.state == HealthState::Up);
        let latency = latency.map(|latency| format!(", {}", format::latency(latency))).unwrap_or_default();
        let shard = self.overview.exporter.shard.map(|shard| format!(" {shard}.")).unwrap_or_default();
        format!("{keys}; API {}{latency}.{shard}", api.state)
    }
}

/// One line of the table.
struct Line<'a> {
    /// The name of the key, and its state; empty if the line above is about the same key.
    name: String,
    state: &'static str,
    state_colour: Color,
    /// `None` if no probe is configured for the key.
    probe: Option<&'a ProbeView>,
    /// The phases of the probe's last run.
    phases: Option<Phases>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Key,
    State,
    Probe,
    Result,
    Code,
    Time,
    Phases,
    RequestId,
}

impl Column {
    const fn title(self) -> &'static str {
        match self {
            Self::Key => "KEY",
            Self::State => "STATE",
            Self::Probe => "PROBE",
            Self::Result => "RESULT",
            Self::Code => "CODE",
            Self::Time => "TIME",
            Self::Phases => "PHASES",
            Self::RequestId => "REQUEST-ID",
        }
    }

    fn cell(self, line: &Line<'_>, scale: Duration, colours: Colours) -> Cell {
        let probe = line.probe;
        match self {
            Self::Key => Cell::new(&line.name),
            Self::State => colours.cell(line.state_colour, line.state),
            Self::Probe => Cell::new(probe.map(|probe| harmless(&probe.probe)).unwrap_or_default()),
            Self::Result => result(probe, colours),
            Self::Code => {
                let code = probe.and_then(|probe| probe.error.as_ref()?.code.as_deref());
                Cell::new(code.map(harmless).unwrap_or_default())
            }
            Self::Time => Cell::new(
                probe.and_then(|probe| probe.last_duration).map(format::latency).unwrap_or_default(),
            ),
            Self::Phases => {
                Cell::new(line.phases.map(|phases| waterfall(&phases, scale)).unwrap_or_default())
            }
            Self::RequestId => {
                Cell::new(probe.and_then(ProbeView::request_id_to_quote).map(harmless).unwrap_or_default())
            }
        }
    }
}

/// The columns of the whole table.
const COLUMNS: [Column; 7] = [
    Column::Key,
    Column::State,
    Column::Probe,
    Column::Result,
    Column::Time,
    Column::Phases,
    Column::RequestId,
];

/// Every key in `results` with all its probes, and an explanation of each problem.
pub(crate) fn full(results: &Results<'_>, screen: Screen) -> String {
    let colours = screen.colours;
    let mut lines = vec![api_line(&results.overview.api)];
    lines.extend(results.keys.iter().flat_map(key_lines));
    let mut text = format!("{}\n\n", colours.paint(BOLD, &results.summary()));
    // The request IDs of failed probes are repeated in the explanations.
    let (table, columns) = probe_table(&lines, &COLUMNS, &[Column::Phases, Column::RequestId], screen);
    let _ = writeln!(text, "{table}");
    if columns.contains(&Column::Phases) {
        let _ = writeln!(text, "\n{}", colours.paint(FAINT, &legend()));
    }
    let mut problems = String::new();
    write_problems(&mut problems, results, colours);
    text.push_str(&screen.wrapped(&problems));
    text
}

/// A table of these columns. In a terminal that is too narrow, it has no `droppable` columns, the first ones first.
/// Returns the columns that it has.
fn probe_table(
    lines: &[Line<'_>],
    columns: &[Column],
    droppable: &[Column],
    screen: Screen,
) -> (String, Vec<Column>) {
    let fits = |columns: &[Column], max_name| {
        let plain = table(lines, columns, Colours(false), max_name);
        screen.width.is_none_or(|width| plain.lines().all(|line| line.chars().count() <= width))
    };
    let mut columns = columns.to_vec();
    let mut droppable = droppable.iter();
    let mut max_name = MAX_NAME;
    while !fits(&columns, max_name) {
        if let Some(dropped) = droppable.next() {
            columns.retain(|column| column != dropped);
        } else {
            max_name = MAX_NAME_NARROW;
            break;
        }
    }
    (table(lines, &columns, screen.colours, max_name), columns)
}

fn table(lines: &[Line<'_>], columns: &[Column], colours: Colours, max_name: u16) -> String {
    let scale = common_scale(lines.iter().filter_map(|line| line.phases).map(|phases| phases.total()));
    let mut table = Table::new();
    table.load_style(presets::NOTHING).enforce_styling().style_text_only();
    let bold = |title| Cell::new(title).add_attribute(Attribute::Bold);
    let titles = columns.iter().map(|column| column.title());
    table.set_header(titles.map(|title| if colours.0 { bold(title) } else { Cell::new(title) }));
    table.add_rows(lines.iter().map(|line| {
        let mut row = Row::from(columns.iter().map(|column| column.cell(line, scale, colours)));
        // A name that is too long is cut, not wrapped.
        row.max_height(1);
        row
    }));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(max_name + 2)));
    }
    table.trim_fmt()
}

fn api_line(api: &ApiView) -> Line<'_> {
    Line {
        name: "API".to_owned(),
        state: api.state.into_str(),
        state_colour: match api.state {
            HealthState::Up => GOOD,
            HealthState::Maintenance | HealthState::Unknown => WAITING,
            HealthState::Down => BAD,
        },
        probe: Some(&api.probe),
        phases: last_phases(&api.probe, &api.history),
    }
}

/// All probes of a key.
fn key_lines(detail: &KeyDetail) -> impl Iterator<Item = Line<'_>> {
    let probes = &detail.key.probes;
    (0..probes.len().max(1)).map(move |index| line(detail, probes.get(index), index == 0))
}

/// One probe of a key. `is_first`: whether the line above is about another key.
fn line<'a>(detail: &'a KeyDetail, probe: Option<&'a ProbeView>, is_first: bool) -> Line<'a> {
    let state_colour = match detail.key.state {
        KeyState::Active => GOOD,
        KeyState::Pending | KeyState::Unknown => WAITING,
        KeyState::NotFound
        | KeyState::Revoked
        | KeyState::Disconnected
        | KeyState::FolderNotFound
        | KeyState::Invalid
        | KeyState::Forbidden => BAD,
    };
    Line {
        name: if is_first { full_name(detail) } else { String::new() },
        state: if is_first { detail.key.state.into_str() } else { "" },
        state_colour,
        probe,
        phases: probe.and_then(|probe| last_phases(probe, &detail.history)),
    }
}

fn full_name(detail: &KeyDetail) -> String {
    harmless(&format!("{}/{}", detail.key.partner, detail.key.key)).into_owned()
}

/// The HTTP status and the result of the probe's last run.
fn result(probe: Option<&ProbeView>, colours: Colours) -> Cell {
    let Some(probe) = probe else { return colours.cell(WAITING, "no probe is configured") };
    let (colour, word) = match (probe.reason, probe.up, probe.last_skip) {
        (Some(reason), ..) => (BAD, reason.to_string()),
        (None, Some(true), _) => (GOOD, "ok".to_owned()),
        (None, _, Some(skip)) => (WAITING, format!("skipped: {skip}")),
        (None, ..) => (WAITING, "not run".to_owned()),
    };
    let status = probe.http_status_code.map(|status| format!("{status} ")).unwrap_or_default();
    colours.cell(colour, &(status + &word))
}

fn last_phases(probe: &ProbeView, history: &[PastProbeView]) -> Option<Phases> {
    history.iter().find(|past| past.probe == probe.probe).map(|past| past.phases)
}

/// What the characters of a waterfall mean.
fn legend() -> String {
    let signs: Vec<_> = Phase::VARIANTS.iter().map(|phase| format!("{} {phase}", sign(*phase))).collect();
    format!("Phases: {}  > much longer", signs.join("  "))
}

const fn sign(phase: Phase) -> char {
    match phase {
        Phase::Resolve => '.',
        Phase::Connect => '-',
        Phase::Tls => '=',
        Phase::Processing => '#',
        Phase::Transfer => '+',
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of a line of characters"
)]
fn waterfall(phases: &Phases, scale: Duration) -> String {
    let mut text = String::new();
    let (mut passed, mut drawn) = (0.0, 0);
    for (phase, duration) in phases.iter() {
        passed += duration.as_secs_f64();
        let end = (WATERFALL as f64 * passed / scale.as_secs_f64().max(f64::EPSILON)).round() as usize;
        let end = end.min(WATERFALL);
        text.extend(std::iter::repeat_n(sign(phase), end.saturating_sub(drawn)));
        drawn = drawn.max(end);
    }
    if phases.total() > scale {
        text.pop();
        text.push('>');
    }
    text
}

/// What is wrong with the API, and with each key that has a problem.
fn write_problems(text: &mut String, results: &Results<'_>, colours: Colours) {
    let api = &results.overview.api;
    if api.verdict.blame.is_some() {
        text.push('\n');
        write_verdict(text, "API", &api.verdict, colours);
        write_error(text, &api.probe, &api.history);
    }
    for detail in results.keys.iter().filter(|detail| detail.key.verdict.blame.is_some()) {
        text.push('\n');
        write_verdict(text, &full_name(detail), &detail.key.verdict, colours);
        for probe in &detail.key.probes {
            write_error(text, probe, &detail.history);
        }
    }
}

fn write_verdict(text: &mut String, name: &str, verdict: &Verdict, colours: Colours) {
    write_summary(text, name, verdict, colours);
    write_action(text, verdict);
}

fn write_summary(text: &mut String, name: &str, verdict: &Verdict, colours: Colours) {
    let blame = verdict.blame.map(|blame| blame.to_string()).unwrap_or_default();
    let blame = colours.paint(RED, &blame);
    let _ = writeln!(text, "{}: {blame}: {}", colours.paint(BOLD, name), harmless(&verdict.summary));
}

fn write_action(text: &mut String, verdict: &Verdict) {
    if let Some(action) = &verdict.action {
        let _ = writeln!(text, "  What to do: {action}");
    }
}

/// The failure episode of a probe, with the phases of its last run and the request ID.
fn write_error(text: &mut String, probe: &ProbeView, history: &[PastProbeView]) {
    let Some(error) = &probe.error else { return };
    let code = error.code.as_deref().map(|code| format!(" {code}")).unwrap_or_default();
    let line = format!("{}: {}{code}: {}", probe.probe, error.reason, error.detail);
    let _ = writeln!(text, "  {}", harmless(&line));
    if let Some(phases) = last_phases(probe, history).filter(|phases| !phases.total().is_zero()) {
        let phases: Vec<_> =
            phases.iter().map(|(phase, duration)| format!("{phase} {}", format::latency(duration))).collect();
        let _ = writeln!(text, "    {}", phases.join(", "));
    }
    if let Some(id) = &error.request_id {
        let _ = writeln!(text, "    request-id: {}", harmless(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(millis: [u64; 5]) -> Phases {
        Phases::new(millis.map(Duration::from_millis))
    }

    #[test]
    fn a_waterfall_has_a_character_for_each_phase_on_a_common_scale() {
        let whole = phases([0, 10, 20, 60, 10]);
        let drawn = waterfall(&whole, whole.total());
        assert_eq!(drawn.chars().count(), WATERFALL);
        assert_eq!(drawn, "--=====###############++");
        let half = waterfall(&whole, whole.total() * 2);
        assert_eq!(half.chars().count(), WATERFALL / 2);
        let cut = waterfall(&whole, whole.total() / 2);
        assert_eq!(cut, "-----=========#########>", "longer than the scale");
        assert_eq!(waterfall(&phases([0; 5]), Duration::ZERO), "");
    }

    #[test]
    fn columns_are_aligned_and_long_names_are_cut() {
        let line = |name: &str, state| Line {
            name: name.to_owned(),
            state,
            state_colour: BAD,
            probe: None,
            phases: None,
        };
        let lines = [line("acme/株式会社", "active"), line(&"n".repeat(50), "revoked")];
        let plain = table(&lines, &COLUMNS, Colours(false), MAX_NAME);
        let cut = format!("{}…", "n".repeat(39));
        let expected = format!(
            "{:<42}STATE    PROBE  RESULT                  TIME  PHASES  REQUEST-ID\n\
             acme/株式会社{}active          no probe is configured\n\
             {cut}  revoked         no probe is configured",
            "KEY",
            " ".repeat(42 - "acme/".len() - 2 * 4),
        );
        assert_eq!(plain, expected);
        let coloured = table(&lines, &COLUMNS, Colours(true), MAX_NAME);
        assert!(coloured.contains("\x1b[38;5;1mrevoked\x1b[39m"), "{coloured:?}");
    }

    #[test]
    fn a_table_that_is_wider_than_the_terminal_loses_columns_and_then_cuts_names() {
        let line = Line {
            name: "n".repeat(50),
            state: "folder_not_found",
            state_colour: BAD,
            probe: None,
            phases: None,
        };
        let shown = |width| {
            let screen = Screen { width: Some(width), ..Screen::without_terminal() };
            probe_table(std::slice::from_ref(&line), &COLUMNS, &[Column::Phases, Column::RequestId], screen)
        };
        assert_eq!(shown(130).1, COLUMNS);
        let (table, columns) = shown(100);
        assert!(!columns.contains(&Column::Phases) && !table.contains("PHASES"), "{table}");
        let (table, _) = shown(80);
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(table.contains(&format!("{}…", "n".repeat(23))), "{table}");
    }
}
