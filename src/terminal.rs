//! The status in a terminal: a table of probes, each with its waterfall, and then what is the matter. Pure.
//!
//! Nothing is told by colour alone: the phases of a waterfall are characters of their own, and a state is
//! a word. What comes from the configuration or the network can't move the cursor.

use std::fmt::Write as _;
use std::time::Duration;
use strum::VariantArray as _;

use crate::diagnosis::Verdict;
use crate::format::{self, harmless};
use crate::key_state::KeyState;
use crate::report::{Phase, Phases};
use crate::state::HealthState;
use crate::status::{ApiView, KeyDetail, Overview, PastProbeView, ProbeView, common_scale};

/// How wide a waterfall is, in characters.
const WATERFALL: usize = 24;
/// A name is cut at this length, lest one makes all others' columns too wide.
const MAX_NAME: usize = 40;

/// Whether colours are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours(pub bool);

#[derive(Clone, Copy, Default)]
enum Ink {
    Good,
    Bad,
    Waiting,
    Faint,
    #[default]
    Bold,
}

impl Colours {
    fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Waiting => "33",
            Ink::Faint => "2",
            Ink::Bold => "1",
        };
        if self.0 && !text.trim().is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A line of the table.
#[derive(Default)]
struct Row {
    name: String,
    state: String,
    ink: Ink,
    probe: String,
    result: String,
    succeeded: Option<bool>,
    duration: String,
    phases: Option<Phases>,
    /// Drawn once all phases are known, for all have one scale.
    waterfall: String,
    request_id: String,
}

/// All of it, to be printed.
#[must_use]
pub fn table(overview: &Overview, keys: &[KeyDetail], colours: Colours) -> String {
    let mut rows = vec![api_row(&overview.api)];
    rows.extend(keys.iter().flat_map(key_rows));
    let scale = common_scale(rows.iter().filter_map(|row| row.phases).map(|phases| phases.total()));
    for row in &mut rows {
        row.waterfall = row.phases.map(|phases| waterfall(&phases, scale)).unwrap_or_default();
    }
    let mut text = String::new();
    write_rows(&mut text, &rows, colours);
    let _ = writeln!(text, "\n{}\n", colours.paint(Ink::Faint, &legend()));
    write_trouble(&mut text, overview, keys, colours);
    let _ = writeln!(text, "{}", summary(&overview.api, keys));
    text
}

/// What every sign of a waterfall means.
fn legend() -> String {
    let signs: Vec<_> = Phase::VARIANTS.iter().map(|phase| format!("{} {phase}", sign(*phase))).collect();
    format!("Phases: {}  > far longer", signs.join("  "))
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

fn api_row(api: &ApiView) -> Row {
    let ink = match api.state {
        HealthState::Up => Ink::Good,
        HealthState::Maintenance | HealthState::Unknown => Ink::Waiting,
        HealthState::Down => Ink::Bad,
    };
    Row { name: "API".to_owned(), state: api.state.to_string(), ..row(ink, &api.probe, &api.history) }
}

fn key_rows(detail: &KeyDetail) -> Vec<Row> {
    let key = &detail.key;
    let ink = match key.state {
        KeyState::Active => Ink::Good,
        KeyState::Pending | KeyState::Unknown => Ink::Waiting,
        _ => Ink::Bad,
    };
    let mut rows: Vec<_> = key.probes.iter().map(|probe| row(ink, probe, &detail.history)).collect();
    if rows.is_empty() {
        rows.push(Row { result: "no probe is configured".to_owned(), ink, ..Row::default() });
    }
    // The name stands once.
    if let Some(first) = rows.first_mut() {
        (first.name, first.state) = (cut(&full_name(detail)), key.state.to_string());
    }
    rows
}

fn full_name(detail: &KeyDetail) -> String {
    harmless(&format!("{}/{}", detail.key.partner, detail.key.key)).into_owned()
}

/// A name as wide as a column may be.
fn cut(name: &str) -> String {
    if name.chars().count() <= MAX_NAME {
        return name.to_owned();
    }
    name.chars().take(MAX_NAME - 1).chain(['…']).collect()
}

fn row(ink: Ink, probe: &ProbeView, history: &[PastProbeView]) -> Row {
    let status = probe.http_status_code.map(|code| code.to_string());
    let what = match (probe.reason, probe.up, probe.last_skip) {
        (Some(reason), ..) => reason.to_string(),
        (None, Some(true), _) => "ok".to_owned(),
        (None, _, Some(skip)) => format!("left out: {skip}"),
        (None, ..) => "not run".to_owned(),
    };
    let result = [status.unwrap_or_default(), what].join(" ");
    Row {
        ink,
        probe: harmless(&probe.probe).into_owned(),
        result: result.trim().to_owned(),
        succeeded: probe.up,
        duration: probe.last_duration.map(format::latency).unwrap_or_default(),
        phases: last_phases(probe, history),
        request_id: probe.request_id.as_deref().map(harmless).unwrap_or_default().into_owned(),
        ..Row::default()
    }
}

fn last_phases(probe: &ProbeView, history: &[PastProbeView]) -> Option<Phases> {
    history.iter().find(|past| past.probe == probe.probe).map(|past| past.phases)
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
    for (phase, took) in phases.iter() {
        passed += took.as_secs_f64();
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

fn write_rows(text: &mut String, rows: &[Row], colours: Colours) {
    const TITLES: [&str; 7] = ["KEY", "STATE", "PROBE", "RESULT", "TIME", "PHASES", "REQUEST-ID"];
    let cells = |row: &Row| {
        [&row.name, &row.state, &row.probe, &row.result, &row.duration, &row.waterfall, &row.request_id]
            .map(Clone::clone)
    };
    let mut widths = TITLES.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(cells(row)) {
            *width = (*width).max(cell.chars().count());
        }
    }
    write_cells(text, &TITLES.map(str::to_owned), &widths, |_, title| colours.paint(Ink::Bold, title));
    for row in rows {
        write_cells(text, &cells(row), &widths, |column, cell| match (column, row.succeeded) {
            (1, _) => colours.paint(row.ink, cell),
            (3, Some(true)) => colours.paint(Ink::Good, cell),
            (3, Some(false)) => colours.paint(Ink::Bad, cell),
            (3, None) => colours.paint(Ink::Waiting, cell),
            _ => cell.to_owned(),
        });
    }
}

/// Pads before it paints: what paints takes no room.
fn write_cells(
    text: &mut String,
    cells: &[String; 7],
    widths: &[usize; 7],
    paint: impl Fn(usize, &str) -> String,
) {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let padding = " ".repeat(width - cell.chars().count().min(*width));
        let _ = write!(line, "{}{padding}  ", paint(column, cell));
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

/// What is the matter with the API and with each key that something is the matter with.
fn write_trouble(text: &mut String, overview: &Overview, keys: &[KeyDetail], colours: Colours) {
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
    let blame = colours.paint(Ink::Bad, &blame);
    let _ = writeln!(text, "{}: {blame}: {}", colours.paint(Ink::Bold, name), harmless(&verdict.summary));
    if let Some(action) = verdict.action {
        let _ = writeln!(text, "  Next: {action}");
    }
}

/// The figures and the request-id of a failed probe.
fn write_error(text: &mut String, probe: &ProbeView, history: &[PastProbeView]) {
    let Some(error) = &probe.error else { return };
    let code = error.code.as_deref().map(|code| format!(" {code}")).unwrap_or_default();
    let line = format!("{}: {}{code}: {}", probe.probe, error.reason, error.detail);
    let _ = writeln!(text, "  {}", harmless(&line));
    if let Some(phases) = last_phases(probe, history).filter(|phases| !phases.total().is_zero()) {
        let phases: Vec<_> =
            phases.iter().map(|(phase, took)| format!("{phase} {}", format::latency(took))).collect();
        let _ = writeln!(text, "    {}", phases.join(", "));
    }
    if let Some(id) = &error.request_id {
        let _ = writeln!(text, "    request-id: {}", harmless(id));
    }
}

fn summary(api: &ApiView, keys: &[KeyDetail]) -> String {
    let troubled = keys.iter().filter(|detail| detail.key.verdict.blame.is_some()).count();
    let keys = match (keys.len(), troubled) {
        (0, _) => "no key is configured".to_owned(),
        (all, 0) => format!("{}, nothing is the matter", format::count(all, "key", "keys")),
        (all, troubled) => {
            format!("{}, {troubled} with something the matter", format::count(all, "key", "keys"))
        }
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
    fn a_waterfall_has_a_sign_for_each_phase_on_a_common_scale() {
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
    fn colours_are_left_out_where_they_are_not_wanted() {
        assert_eq!(Colours(false).paint(Ink::Bad, "x"), "x");
        assert_eq!(Colours(true).paint(Ink::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}
