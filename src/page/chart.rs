//! The charts, as SVG: uptime bars, latency by phase, sparklines, waterfalls.
//!
//! Colours are classes of the style sheet, never inline styles. Failures are also hatched, so that no chart
//! depends on colour alone, and the numbers of each chart are also text: in titles, in a label, or in a table
//! next to it.

use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};

use super::{Reader, say};
use crate::format;
use crate::partner_api::failure::Reason;
use crate::report::Phases;
use crate::state::history::{MAX_RECENT_PROBES, MAX_SLOTS};
use crate::status::{PastProbeView, SlotView, common_scale};

const BAR: f64 = 8.0;
const HEIGHT: f64 = 100.0;

/// The fill patterns of failures and of announced maintenance. Each chart has its own, with its own IDs.
fn patterns(id: &str) -> Markup {
    html! {
        defs {
            pattern id={ (id) "-failed" } width="6" height="6" patternUnits="userSpaceOnUse"
                patternTransform="rotate(45)" {
                rect.failed width="6" height="6" {}
                rect.hatch width="2" height="6" {}
            }
            pattern id={ (id) "-maintenance" } width="6" height="6" patternUnits="userSpaceOnUse" {
                rect.maintenance width="6" height="6" {}
                circle.hatch cx="3" cy="3" r="1.2" {}
            }
        }
    }
}

fn fill(id: &str, pattern: &str) -> String {
    format!("url(#{id}-{pattern})")
}

#[expect(clippy::cast_precision_loss, reason = "positions and counts in a chart are small")]
const fn float(number: usize) -> f64 {
    number as f64
}

/// Rounded to a tenth, which is precise enough to draw.
fn rounded(number: f64) -> String {
    let tenths = (number * 10.0).round() / 10.0;
    tenths.to_string()
}

/// The last 24 hours, one bar per quarter of an hour: green for probes that succeeded, hatched for those that
/// failed.
pub(super) fn uptime(day: &[SlotView], label: &str, reader: Reader) -> Markup {
    let width = float(MAX_SLOTS) * BAR;
    html! {
        svg.uptime viewBox={ "0 0 " (width) " 40" } preserveAspectRatio="none" role="img" aria-label=(label) {
            (patterns("uptime"))
            rect.empty width=(width) height="40" {}
            @for slot in day { (uptime_bar(slot, reader)) }
        }
    }
}

fn uptime_bar(slot: &SlotView, reader: Reader) -> Markup {
    let total = f64::from(slot.succeeded + slot.failed + slot.maintenance).max(1.0);
    let share = |count: u32| 40.0 * f64::from(count) / total;
    let x = float(MAX_SLOTS.saturating_sub(slot.age + 1)) * BAR;
    // A minimum height, so that even one failure is visible.
    let failed = if slot.failed > 0 { share(slot.failed).max(6.0) } else { 0.0 };
    let maintenance = share(slot.maintenance).min(40.0 - failed);
    let width = BAR - 1.0;
    html! {
        g {
            title {
                (say!(reader, "slot-succeeded", time = format::time_of_day(slot.start), number = slot.succeeded))
                // The reason is that of the failures, never that of the maintenance.
                @if slot.failed > 0 {
                    ", " (say!(reader, "slot-failed", number = slot.failed))
                    @if let Some(reason) = slot.reason { " " (say!(reader, "slot-reason", reason = reason.into_str())) }
                }
                @if slot.maintenance > 0 { ", " (say!(reader, "slot-maintenance", number = slot.maintenance)) }
            }
            rect.succeeded x=(x) y=(rounded(failed + maintenance)) width=(width)
                height=(rounded(40.0 - failed - maintenance)) {}
            @if maintenance > 0.0 {
                rect x=(x) y=(rounded(failed)) width=(width) height=(rounded(maintenance))
                    fill=(fill("uptime", "maintenance")) {}
            }
            @if failed > 0.0 {
                rect x=(x) y="0" width=(width) height=(rounded(failed)) fill=(fill("uptime", "failed")) {}
            }
        }
    }
}

/// One column of a latency chart.
struct Column {
    x: f64,
    phases: Phases,
    /// The pattern of its mark, if the probe did not succeed.
    mark: Option<&'static str>,
    title: String,
}

/// The average latency of the health probes in each quarter of an hour of the last 24 hours.
pub(super) fn latency_of_the_day(day: &[SlotView], reader: Reader) -> Markup {
    let column = |slot: &SlotView| {
        let phases = slot.phases?;
        let x = float(MAX_SLOTS.saturating_sub(slot.age + 1)) * BAR;
        let title = say!(
            reader,
            "on-average",
            time = format::time_of_day(slot.start),
            durations = durations(&phases, reader)
        );
        Some(Column { x, phases, mark: None, title })
    };
    plot("day", &day.iter().filter_map(column).collect::<Vec<_>>(), float(MAX_SLOTS) * BAR, reader)
}

/// What the next chart shows.
pub(super) fn caption_of_recent(probes: usize, reader: Reader) -> String {
    say!(reader, "last-probes", number = probes)
}

/// The latency of the last probes, oldest on the left; `history` is newest first.
pub(super) fn latency_of_recent_probes(history: &[PastProbeView], reader: Reader) -> Markup {
    let column = |(age, past): (usize, &PastProbeView)| Column {
        x: float(MAX_RECENT_PROBES.saturating_sub(age + 1)) * BAR,
        phases: past.phases,
        mark: past.reason.map(|reason| if reason == Reason::Maintenance { "maintenance" } else { "failed" }),
        title: format!(
            "{} UTC, {}, {}",
            format::time_of_day(past.finished),
            outcome(past, reader),
            durations(&past.phases, reader)
        ),
    };
    plot(
        "last",
        &history.iter().enumerate().map(column).collect::<Vec<_>>(),
        float(MAX_RECENT_PROBES) * BAR,
        reader,
    )
}

/// The result of a probe, in one word.
pub(super) fn outcome(past: &PastProbeView, reader: Reader) -> String {
    past.reason.map_or_else(|| say!(reader, "succeeded"), |reason| reason.to_string())
}

fn durations(phases: &Phases, reader: Reader) -> String {
    let mut text = reader.latency(phases.total());
    for (place, (phase, duration)) in phases.iter().filter(|(_, duration)| !duration.is_zero()).enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{} {phase} {}",
            if place == 0 { say!(reader, "colon") } else { ",".to_owned() },
            reader.latency(duration)
        );
    }
    text
}

fn plot(id: &str, columns: &[Column], width: f64, reader: Reader) -> Markup {
    let totals = || columns.iter().map(|column| column.phases.total());
    let Some(top) = top_of_scale(common_scale(totals())) else {
        return html! { p.faint { (say!(reader, "no-measurements")) } };
    };
    let highest = totals().max().unwrap_or_default();
    let label = say!(reader, "latency-up-to", latency = reader.latency(highest));
    html! {
        figure.plot {
            span.top { (reader.latency(top)) }
            svg viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
                (patterns(id))
                line.grid x1="0" x2=(width) y1="0.5" y2="0.5" {}
                line.grid x1="0" x2=(width) y1=(HEIGHT / 2.0) y2=(HEIGHT / 2.0) {}
                line.axis x1="0" x2=(width) y1=(HEIGHT - 0.5) y2=(HEIGHT - 0.5) {}
                @for column in columns { (stacked(id, column, top)) }
            }
        }
    }
}

fn stacked(id: &str, column: &Column, top: Duration) -> Markup {
    let mut y = HEIGHT;
    let parts: Vec<_> = column
        .phases
        .iter()
        .map(|(phase, duration)| {
            let height = HEIGHT * duration.as_secs_f64() / top.as_secs_f64();
            let below = y;
            y -= height;
            (phase, y.max(0.0), below - y.max(0.0))
        })
        .filter(|(_, _, height)| *height >= 0.05)
        .collect();
    html! {
        g {
            title { (column.title) }
            @for (phase, y, height) in parts {
                rect.(phase.into_str()) x=(column.x) y=(rounded(y)) width=(BAR - 1.0) height=(rounded(height)) {}
            }
            // The column is higher than the chart.
            @if column.phases.total() > top { path.cut d={ "M" (column.x) " 12l" (BAR - 1.0) " -5" } {} }
            @if let Some(mark) = column.mark {
                rect x=(column.x) y="0" width=(BAR - 1.0) height="8" fill=(fill(id, mark)) {}
            }
        }
    }
}

/// The smallest of 1, 2, 5, 10, 20, 50 … ms that is not below `highest`; `None` if that is zero.
fn top_of_scale(highest: Duration) -> Option<Duration> {
    let steps = (0..8).flat_map(|power| [1, 2, 5].map(|step| step * 10_u64.pow(power)));
    let mut tops = steps.map(Duration::from_millis);
    if highest.is_zero() { None } else { tops.find(|top| *top >= highest) }
}

/// The durations of a key's last probes, oldest on the left, and which of them failed; `history` is newest
/// first. It always has only two paths, because a page has a hundred sparklines.
pub(super) fn sparkline<'a>(
    history: impl ExactSizeIterator<Item = &'a PastProbeView> + Clone,
    reader: Reader,
) -> Markup {
    if history.len() == 0 {
        return super::parts::nothing();
    }
    let scale = common_scale(history.clone().map(|past| past.duration)).as_secs_f64().max(f64::EPSILON);
    let failures = history.clone().filter(|past| !past.up).count();
    let label = say!(reader, "sparkline", number = history.len(), failures = failures);
    let (mut succeeded, mut failed) = (String::new(), String::new());
    for (age, past) in history.enumerate() {
        let x = MAX_RECENT_PROBES.saturating_sub(age + 1) * 3 + 1;
        let height = (18.0 * past.duration.as_secs_f64() / scale).clamp(2.0, 18.0);
        let path = if past.up { &mut succeeded } else { &mut failed };
        let _ = write!(path, "M{x} 20v-{}", rounded(if past.up { height } else { 20.0 }));
    }
    html! {
        svg.sparkline viewBox="0 0 150 20" role="img" aria-label=(label) {
            title { (label) }
            @if !succeeded.is_empty() { path.succeeded d=(succeeded) {} }
            @if !failed.is_empty() { path.failed d=(failed) stroke-dasharray="3 1" {} }
        }
    }
}

/// The phases of one probe on a time scale. A probe that is longer than the scale is cut, with a mark.
pub(super) fn waterfall(phases: &Phases, scale: Duration, reader: Reader) -> Markup {
    const WIDTH: f64 = 200.0;
    let unit = WIDTH / scale.as_secs_f64().max(f64::EPSILON);
    let mut x = 0.0;
    let parts: Vec<_> = phases
        .iter()
        .filter(|(_, duration)| !duration.is_zero())
        .map(|(phase, duration)| {
            let start = x;
            x += duration.as_secs_f64() * unit;
            (phase, start, x.min(WIDTH) - start)
        })
        .filter(|(_, start, _)| *start < WIDTH)
        .collect();
    let label = durations(phases, reader);
    html! {
        svg.waterfall viewBox={ "0 0 " (WIDTH) " 12" } preserveAspectRatio="none" role="img" aria-label=(label) {
            title { (label) }
            @for (phase, x, width) in parts {
                rect.(phase.into_str()) x=(rounded(x)) y="1" width=(rounded(width.max(0.5))) height="10" {}
            }
            @if phases.total() > scale { path.cut d="M192 0l3 12M196 0l3 12" {} }
        }
    }
}

/// The colours of the phases.
pub(super) fn legend(reader: Reader) -> Markup {
    html! {
        ul.legend aria-label=(say!(reader, "phases")) {
            @for (phase, _) in Phases::default().iter() { li { span.swatch.(phase.into_str()) {} (phase) } }
        }
    }
}

/// The patterns of the results.
pub(super) fn legend_of_outcomes(reader: Reader) -> Markup {
    html! {
        ul.legend aria-label=(say!(reader, "results")) {
            li { svg.sample viewBox="0 0 12 12" aria-hidden="true" { rect.succeeded width="12" height="12" {} } (say!(reader, "succeeded")) }
            @for (pattern, name) in [("failed", say!(reader, "has-failed")), ("maintenance", say!(reader, "api-state-maintenance"))] {
                li {
                    svg.sample viewBox="0 0 12 12" aria-hidden="true" {
                        // The patterns of the uptime chart.
                        rect width="12" height="12" fill=(fill("uptime", pattern)) {}
                    }
                    (name)
                }
            }
        }
    }
}

/// The time axis of the charts of 24 hours.
pub(super) fn hours(reader: Reader) -> Markup {
    html! {
        div.hours { span { (say!(reader, "day-ago")) } span { (say!(reader, "now")) " " (super::parts::clock(reader.now, reader)) } }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn the_reason_of_a_quarter_is_that_of_its_failures_not_of_its_maintenance() {
        let slot = SlotView {
            start: SystemTime::UNIX_EPOCH,
            age: 0,
            succeeded: 1,
            failed: 2,
            maintenance: 3,
            reason: Some(Reason::Edge),
            phases: None,
        };
        let bar = uptime_bar(&slot, Reader::english()).into_string();
        assert!(
            bar.contains("1 succeeded, 2 failed (first reason: edge), 3 in announced maintenance<"),
            "{bar}"
        );
        let bar = uptime_bar(&SlotView { failed: 0, reason: None, ..slot }, Reader::english()).into_string();
        assert!(bar.contains("1 succeeded, 3 in announced maintenance<"), "{bar}");
    }
}
