//! The page of one key: the verdict, its life (the changes of its state), then its probes.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};

use super::parts::{
    Tone, ago, badge, budget, certificate_expiry, clock, copyable, error, head, labels, last, nothing,
    relative_moment, state_of, verdict,
};
use super::{Frame, chart, link};
use crate::format;
use crate::key_state::SecretState;
use crate::rfc3339;
use crate::status::{ApiView, KeyDetail, KeyView, PastProbeView, ProbeView, TransitionView, common_scale};

const PROBE_COLUMNS: [&str; 8] =
    ["Probe", "Last run", "When", "Interval", "Runs", "Failed", "Skipped", "Failure episode"];

/// The page. `secret` is the state of the partner's secret: no key works without it.
pub(crate) fn key(
    frame: Frame,
    detail: &KeyDetail,
    secret: SecretState,
    api: &ApiView,
    now: SystemTime,
) -> Markup {
    let view = &detail.key;
    let content = html! {
        nav.trail aria-label="Trail" {
            a href=(link("", &[])) { "All keys" } " / "
            a href=(link("", &[("partner", &view.partner)])) { (view.partner) }
        }
        (state(view, secret, api, now))
        (life(&detail.state_changes, now))
        (probes(&view.probes, now))
        (history(&detail.history, now))
        p {
            a href=(link("api/v1/status/key", &[("partner", &view.partner), ("key", &view.key)])) {
                "This key as JSON"
            }
        }
    };
    frame.page(&format!("{} of {}: {}", view.key, view.partner, view.state), &content)
}

fn state(view: &KeyView, secret: SecretState, api: &ApiView, now: SystemTime) -> Markup {
    html! {
        section #state.card data-live aria-labelledby="key-title" {
            h1 #key-title.headline {
                (state_of(view)) " " (view.key) " "
                span.partner { "of " (view.partner) }
            }
            (verdict(&view.verdict))
            @if let Some(id) = view.request_id().filter(|_| view.verdict.blame.is_some()) {
                p { "Request ID to quote: " (copyable(id)) }
            }
            @if !view.labels.is_empty() { p { (labels(view)) } }
            dl.facts {
                div { dt { "State since" } dd { (exact(view.since, now)) } }
                @if let Some(since) = view.broken_since { div { dt { "Broken since" } dd { (exact(since, now)) } } }
                div { dt { "Access" } dd { (view.access) } }
                div { dt { "Partner's secret" } dd { (badge(Tone::of_secret(secret), secret.into_str())) } }
                div { dt { "Request budget left" } dd { (budget(view.rate_limit.as_ref())) } }
                div {
                    dt { "Token expires" }
                    dd { @match view.token_expiry { Some(expiry) => (exact(expiry, now)), None => "never" } }
                }
                div { dt { "API's certificate expires" } dd { (certificate_expiry(api, now)) } }
                (identity(view))
            }
        }
    }
}

/// A time, and how far away it is.
fn exact(time: SystemTime, now: SystemTime) -> Markup {
    html! { (clock(time, now)) " " span.faint { (relative_moment(time, now)) } }
}

fn identity(view: &KeyView) -> Markup {
    let version = view.version.zip(view.latest_version);
    let facts = [
        ("Schema", view.schema_id.clone()),
        ("Third party", view.third_party_id.clone()),
        ("Society", view.society_id.clone()),
        ("Version", version.map(|(version, latest)| format!("{version} (newest: {latest})"))),
        ("Routes", view.routes.map(|routes| routes.to_string())),
    ];
    html! {
        @for (name, value) in facts {
            @if let Some(value) = value { div { dt { (name) } dd { (value) } } }
        }
    }
}

fn probes(probes: &[ProbeView], now: SystemTime) -> Markup {
    html! {
        section #probes.card data-live aria-labelledby="probes-title" {
            h2 #probes-title { "Probes" }
            @if probes.is_empty() { p { "No probe is configured for this key." } } @else {
                table.cards {
                    (head(&PROBE_COLUMNS))
                    tbody { @for probe in probes { (probe_row(probe, now)) } }
                }
            }
        }
    }
}

fn probe_row(probe: &ProbeView, now: SystemTime) -> Markup {
    let (tone, word) = match probe.up {
        Some(true) => (Tone::Good, "ok"),
        Some(false) => (Tone::Bad, "failed"),
        None => (Tone::Unknown, "not run"),
    };
    html! {
        tr {
            th scope="row" data-label="Probe" { (probe.probe) }
            td data-label="Last run" {
                (badge(tone, word))
                @if probe.up.is_some() { " " (last(probe)) }
                @if let Some(reason) = probe.reason { ": " span.reason { (reason) } }
            }
            td data-label="When" { @match probe.last { Some(last) => (relative_moment(last, now)), None => (nothing()) } }
            td data-label="Interval" { (format::span(probe.interval)) }
            td data-label="Runs" { (probe.total) }
            td data-label="Failed" { (counted(probe.failures.iter())) }
            td data-label="Skipped" { (counted(probe.skipped.iter())) }
            td data-label="Failure episode" {
                @match &probe.error {
                    Some(view) => {
                        p { (error(view, now)) }
                        p { (view.detail) }
                        @if let Some(id) = &view.request_id { p { (copyable(id)) } }
                    }
                    None => (nothing()),
                }
            }
        }
    }
}

/// Counts by reason, as text.
fn counted<'a, R: std::fmt::Display + 'a>(counts: impl ExactSizeIterator<Item = (&'a R, &'a u64)>) -> Markup {
    html! {
        @if counts.len() == 0 { "0" }
        @for (place, (reason, count)) in counts.enumerate() {
            @if place > 0 { ", " }
            (count) " " (reason)
        }
    }
}

fn history(history: &[PastProbeView], now: SystemTime) -> Markup {
    let scale = common_scale(history.iter().map(|past| past.duration));
    html! {
        section #history.card data-live aria-labelledby="history-title" {
            h2 #history-title { "Recent probes" }
            @if history.is_empty() { p.faint { "No probe ran yet." } } @else {
                (chart::legend())
                table.cards.waterfalls {
                    (head(&["When", "Probe", "Result", "Duration", "Phases", "Request ID"]))
                    tbody { @for past in history { (past_row(past, scale, now)) } }
                }
            }
        }
    }
}

fn past_row(past: &PastProbeView, scale: Duration, now: SystemTime) -> Markup {
    let tone = if past.up { Tone::Good } else { Tone::Bad };
    html! {
        tr {
            td data-label="When" {
                time datetime=(rfc3339::millis(past.finished)) title=(format::utc_time(past.finished)) {
                    (format::time_of_day(past.finished))
                }
                " " span.faint { (format::relative_time(past.finished, now)) }
            }
            td data-label="Probe" { (past.probe) }
            td data-label="Result" {
                (badge(tone, &chart::outcome(past)))
                @if let Some(status) = past.http_status_code { " " (status) }
                @if let Some(code) = past.code { " " code { (code) } }
            }
            td data-label="Duration" { (format::latency(past.duration)) }
            td data-label="Phases" { (chart::waterfall(&past.phases, scale)) }
            td data-label="Request ID" { @match &past.request_id { Some(id) => (copyable(id)), None => (nothing()) } }
        }
    }
}

fn life(changes: &[TransitionView], now: SystemTime) -> Markup {
    html! {
        section #life.card data-live aria-labelledby="life-title" {
            h2 #life-title { "Life of the key" }
            @if changes.is_empty() {
                p.faint { "Its state has not changed since this exporter began to watch it." }
            } @else {
                ol.changes {
                    @for change in changes {
                        li {
                            span.when { (ago(change.at, now)) } " "
                            @if change.from != change.to {
                                (badge(Tone::of_key(change.from), change.from.into_str())) " → "
                            }
                            (badge(Tone::of_key(change.to), change.to.into_str()))
                            @if let Some(code) = &change.code { " " code { (code) } }
                            @if let Some(id) = &change.request_id { " " (copyable(id)) }
                        }
                    }
                }
            }
        }
    }
}
