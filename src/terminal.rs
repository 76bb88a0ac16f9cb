//! Prints the status in a terminal: a table of the probes, each with its waterfall, and then the problems.
//!
//! Nothing depends on colour alone: each phase of a waterfall has its own character, and each state is a word.
//! Texts from the configuration or the network cannot control the terminal.

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

/// The width of a waterfall, in characters.
const WATERFALL: usize = 24;
/// A longer name is cut in the table, so that it does not make the column too wide.
const MAX_NAME: u16 = 40;

/// Whether the output may contain colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colours(pub bool);

/// Escape codes of texts outside the table.
const BOLD: &str = "1";
const FAINT: &str = "2";
const RED: &str = "31";

/// Colours of cells.
const GOOD: Color = Color::DarkGreen;
const WAITING: Color = Color::DarkYellow;
const BAD: Color = Color::DarkRed;

impl Colours {
    fn paint(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A cell of the table, which adds the escape codes after it has measured the text.
    fn cell(self, colour: Color, text: &str) -> Cell {
        if self.0 && !text.is_empty() { Cell::new(text).fg(colour) } else { Cell::new(text) }
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

/// The whole output.
pub(crate) fn table(overview: &Overview, keys: &[KeyDetail], colours: Colours) -> String {
    let mut lines = vec![api_line(&overview.api)];
    lines.extend(keys.iter().flat_map(key_lines));
    let mut text = probe_table(&lines, colours);
    let _ = writeln!(text, "\n\n{}\n", colours.paint(FAINT, &legend()));
    write_problems(&mut text, overview, keys, colours);
    if let Some(shard) = &overview.exporter.shard {
        let _ = writeln!(text, "{shard}");
    }
    let _ = writeln!(text, "{}", summary(&overview.api, keys));
    text
}

fn probe_table(lines: &[Line<'_>], colours: Colours) -> String {
    let scale = common_scale(lines.iter().filter_map(|line| line.phases).map(|phases| phases.total()));
    let mut table = Table::new();
    table.load_style(presets::NOTHING).enforce_styling().style_text_only();
    let titles = ["KEY", "STATE", "PROBE", "RESULT", "TIME", "PHASES", "REQUEST-ID"];
    let bold = |title| Cell::new(title).add_attribute(Attribute::Bold);
    table.set_header(titles.map(|title| if colours.0 { bold(title) } else { Cell::new(title) }));
    table.add_rows(lines.iter().map(|line| row(line, scale, colours)));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(MAX_NAME + 2)));
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

fn key_lines(detail: &KeyDetail) -> impl Iterator<Item = Line<'_>> {
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
    let line = move |index| {
        let first = index == 0;
        let probe = detail.key.probes.get(index);
        let phases = probe.and_then(|probe| last_phases(probe, &detail.history));
        let name = if first { full_name(detail) } else { String::new() };
        let state = if first { detail.key.state.into_str() } else { "" };
        Line { name, state, state_colour, probe, phases }
    };
    (0..detail.key.probes.len().max(1)).map(line)
}

fn full_name(detail: &KeyDetail) -> String {
    harmless(&format!("{}/{}", detail.key.partner, detail.key.key)).into_owned()
}

fn row(line: &Line<'_>, scale: Duration, colours: Colours) -> Row {
    let probe = line.probe;
    let mut row = Row::from([
        Cell::new(&line.name),
        colours.cell(line.state_colour, line.state),
        Cell::new(probe.map(|probe| harmless(&probe.probe)).unwrap_or_default()),
        result(probe, colours),
        Cell::new(probe.and_then(|probe| probe.last_duration).map(format::latency).unwrap_or_default()),
        Cell::new(line.phases.map(|phases| waterfall(&phases, scale)).unwrap_or_default()),
        Cell::new(probe.and_then(|probe| probe.request_id.as_deref()).map(harmless).unwrap_or_default()),
    ]);
    // A name that is too long is cut, not wrapped.
    row.max_height(1);
    row
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
fn write_problems(text: &mut String, overview: &Overview, keys: &[KeyDetail], colours: Colours) {
    let api = &overview.api;
    if api.verdict.blame.is_some() {
        write_verdict(text, "API", &api.verdict, colours);
        write_error(text, &api.probe, &api.history);
        text.push('\n');
    }
    for detail in keys.iter().filter(|detail| detail.key.verdict.blame.is_some()) {
        write_verdict(text, &full_name(detail), &detail.key.verdict, colours);
        for probe in &detail.key.probes {
            write_error(text, probe, &detail.history);
        }
        text.push('\n');
    }
}

fn write_verdict(text: &mut String, name: &str, verdict: &Verdict, colours: Colours) {
    let blame = verdict.blame.map(|blame| blame.to_string()).unwrap_or_default();
    let blame = colours.paint(RED, &blame);
    let _ = writeln!(text, "{}: {blame}: {}", colours.paint(BOLD, name), harmless(&verdict.summary));
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

fn summary(api: &ApiView, keys: &[KeyDetail]) -> String {
    let with_problem = keys.iter().filter(|detail| detail.key.verdict.blame.is_some()).count();
    let all = format::count(keys.len(), "key", "keys");
    let keys = match (keys.len(), with_problem) {
        (0, _) => "no key is configured".to_owned(),
        (_, 0) => format!("{all}, none with a problem"),
        (_, with_problem) => format!("{all}, {with_problem} with a problem"),
    };
    format!("API {}; {keys}.", api.state)
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
    fn text_is_coloured_only_on_request() {
        assert_eq!(Colours(false).paint(RED, "x"), "x");
        assert_eq!(Colours(true).paint(RED, "x"), "\x1b[31mx\x1b[0m");
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
        let plain = probe_table(&lines, Colours(false));
        let cut = format!("{}…", "n".repeat(39));
        let expected = format!(
            "{:<42}STATE    PROBE  RESULT                  TIME  PHASES  REQUEST-ID\n\
             acme/株式会社{}active          no probe is configured\n\
             {cut}  revoked         no probe is configured",
            "KEY",
            " ".repeat(42 - "acme/".len() - 2 * 4),
        );
        assert_eq!(plain, expected);
        let coloured = probe_table(&lines, Colours(true));
        assert!(coloured.contains("\x1b[38;5;1mrevoked\x1b[39m"), "{coloured:?}");
    }
}
