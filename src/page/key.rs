//! The page of one key: the verdict, its life (the changes of its state), then its probes.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};

use super::parts::{
    Tone, ago, badge, budget, certificate_expiry, clock, copyable, error, head, labels, last, nothing,
    relative_moment, state_of, verdict,
};
use super::{Frame, Reader, chart, mail, say, words};
use crate::format;
use crate::key_state::SecretState;
use crate::rfc3339;
use crate::status::{ApiView, KeyDetail, KeyView, PastProbeView, ProbeView, TransitionView, common_scale};

/// The page. `secret` is the state of the partner's secret: no key works without it.
pub(crate) fn key(
    frame: Frame,
    detail: &KeyDetail,
    secret: SecretState,
    api: &ApiView,
    now: SystemTime,
) -> Markup {
    let reader = frame.reader(now);
    let view = &detail.key;
    let content = html! {
        nav.trail aria-label=(say!(reader, "trail")) {
            a href=(reader.link("", &[])) { (say!(reader, "all-keys")) } " / "
            a href=(reader.link("", &[("partner", &view.partner)])) { (view.partner) }
        }
        (state(view, secret, api, reader))
        (mail::to_the_customer(view, reader))
        (life(&detail.state_changes, reader))
        (probes(&view.probes, reader))
        (history(&detail.history, reader))
        p {
            a href=(reader.link("api/v1/status/key", &[("partner", &view.partner), ("key", &view.key)])) {
                (say!(reader, "key-as-json"))
            }
        }
    };
    let state = words::key_state(view.state, reader);
    let title = say!(
        reader,
        "key-title",
        key = view.key.to_string(),
        partner = view.partner.to_string(),
        state = state
    );
    let here = [("partner", &*view.partner), ("key", &*view.key)];
    frame.page(&title, &content, "key", &here)
}

fn state(view: &KeyView, secret: SecretState, api: &ApiView, reader: Reader) -> Markup {
    html! {
        section #state.card data-live aria-labelledby="key-title" {
            h1 #key-title.headline {
                (state_of(view, reader)) " " (view.key) " "
                span.partner { (say!(reader, "of-partner", partner = view.partner.to_string())) }
            }
            (verdict(&view.verdict, reader))
            @if let Some(id) = view.request_id().filter(|_| view.verdict.blame.is_some()) {
                p { (say!(reader, "request-id-to-quote")) " " (copyable(id, reader)) }
            }
            @if !view.labels.is_empty() { p { (labels(view)) } }
            dl.facts {
                div {
                    dt { @if view.state_seen { (say!(reader, "state-since")) } @else { (say!(reader, "state-since-at-least")) } }
                    dd { (exact(view.since, reader)) }
                }
                @if let Some(since) = view.broken_since {
                    div {
                        dt { @if view.problem_seen { (say!(reader, "broken-since")) } @else { (say!(reader, "broken-since-at-least")) } }
                        dd { (exact(since, reader)) }
                    }
                }
                div { dt { (say!(reader, "access")) } dd { (words::access(view.access, reader)) } }
                div { dt { (say!(reader, "partners-secret")) } dd { (badge(Tone::of_secret(secret), &words::secret_state(secret, reader))) } }
                div { dt { (say!(reader, "budget-left")) } dd { (budget(view.rate_limit.as_ref(), reader)) } }
                div { dt { (say!(reader, "budget-used")) } dd { (reader.percent(view.probes_budget_ratio)) } }
                div {
                    dt { (say!(reader, "token-expires")) }
                    dd { @match view.token_expiry { Some(expiry) => (exact(expiry, reader)), None => (say!(reader, "never")) } }
                }
                div { dt { (say!(reader, "api-certificate-expires")) } dd { (certificate_expiry(api, reader)) } }
                (identity(view, reader))
            }
        }
    }
}

/// A time, and how far away it is.
fn exact(time: SystemTime, reader: Reader) -> Markup {
    html! { (clock(time, reader)) " " span.faint { (relative_moment(time, reader)) } }
}

fn identity(view: &KeyView, reader: Reader) -> Markup {
    let version = view.version.zip(view.latest_version);
    let facts = [
        (say!(reader, "schema"), view.schema_id.clone()),
        (say!(reader, "third-party"), view.third_party_id.clone()),
        (say!(reader, "society"), view.society_id.clone()),
        (
            say!(reader, "version"),
            version.map(|(version, latest)| say!(reader, "version-of", version = version, latest = latest)),
        ),
        (say!(reader, "routes"), view.routes.map(|routes| routes.to_string())),
    ];
    html! {
        @for (name, value) in facts {
            @if let Some(value) = value { div { dt { (name) } dd { (value) } } }
        }
    }
}

fn probes(probes: &[ProbeView], reader: Reader) -> Markup {
    html! {
        section #probes.card data-live aria-labelledby="probes-title" {
            h2 #probes-title { (say!(reader, "probes")) }
            @if probes.is_empty() { p { (say!(reader, "no-probe")) } } @else {
                table.cards {
                    (head(&[
                        say!(reader, "probe"),
                        say!(reader, "last-run"),
                        say!(reader, "when"),
                        say!(reader, "interval"),
                        say!(reader, "runs"),
                        say!(reader, "failed"),
                        say!(reader, "runs-skipped"),
                        say!(reader, "episode"),
                    ]))
                    tbody { @for probe in probes { (probe_row(probe, reader)) } }
                }
            }
        }
    }
}

fn probe_row(probe: &ProbeView, reader: Reader) -> Markup {
    let (tone, word) = match probe.up {
        Some(true) => (Tone::Good, say!(reader, "ok")),
        Some(false) => (Tone::Bad, say!(reader, "has-failed")),
        None => (Tone::Unknown, say!(reader, "not-run")),
    };
    html! {
        tr {
            th scope="row" data-label=(say!(reader, "probe")) { (probe.probe) }
            td data-label=(say!(reader, "last-run")) {
                (badge(tone, &word))
                @if probe.up.is_some() { " " (last(probe, reader)) }
                @if let Some(reason) = probe.reason { ": " span.reason { (reason) } }
            }
            td data-label=(say!(reader, "when")) { @match probe.last { Some(last) => (relative_moment(last, reader)), None => (nothing()) } }
            td data-label=(say!(reader, "interval")) { (reader.span(probe.interval)) }
            td data-label=(say!(reader, "runs")) { (probe.total) }
            td data-label=(say!(reader, "failed")) { (counted(probe.failures.iter())) }
            td data-label=(say!(reader, "runs-skipped")) { (counted(probe.skipped.iter())) }
            td data-label=(say!(reader, "episode")) {
                @match &probe.error {
                    Some(view) => {
                        p { (error(view, reader)) }
                        p lang="en" { (view.detail) }
                        @if let Some(id) = &view.request_id { p { (copyable(id, reader)) } }
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

fn history(history: &[PastProbeView], reader: Reader) -> Markup {
    let scale = common_scale(history.iter().map(|past| past.duration));
    html! {
        section #history.card data-live aria-labelledby="history-title" {
            h2 #history-title { (say!(reader, "recent-probes")) }
            @if history.is_empty() { p.faint { (say!(reader, "no-probe-ran")) } } @else {
                (chart::legend(reader))
                table.cards.waterfalls {
                    (head(&[
                        say!(reader, "when"),
                        say!(reader, "probe"),
                        say!(reader, "result"),
                        say!(reader, "duration"),
                        say!(reader, "phases"),
                        say!(reader, "request-id-title"),
                    ]))
                    tbody { @for past in history { (past_row(past, scale, reader)) } }
                }
            }
        }
    }
}

fn past_row(past: &PastProbeView, scale: Duration, reader: Reader) -> Markup {
    let tone = if past.up { Tone::Good } else { Tone::Bad };
    html! {
        tr {
            td data-label=(say!(reader, "when")) {
                time datetime=(rfc3339::millis(past.finished)) title=(reader.time(past.finished)) {
                    (format::time_of_day(past.finished))
                }
                " " span.faint { (reader.relative(past.finished)) }
            }
            td data-label=(say!(reader, "probe")) { (past.probe) }
            td data-label=(say!(reader, "result")) {
                (badge(tone, &chart::outcome(past, reader)))
                @if let Some(status) = past.http_status_code { " " (status) }
                @if let Some(code) = past.code { " " code { (code) } }
            }
            td data-label=(say!(reader, "duration")) { (reader.latency(past.duration)) }
            td data-label=(say!(reader, "phases")) { (chart::waterfall(&past.phases, scale, reader)) }
            td data-label=(say!(reader, "request-id-title")) { @match &past.request_id { Some(id) => (copyable(id, reader)), None => (nothing()) } }
        }
    }
}

fn life(changes: &[TransitionView], reader: Reader) -> Markup {
    html! {
        section #life.card data-live aria-labelledby="life-title" {
            h2 #life-title { (say!(reader, "life")) }
            @if changes.is_empty() {
                p.faint { (say!(reader, "life-empty")) }
            } @else {
                ol.changes {
                    @for change in changes {
                        li {
                            span.when { (ago(change.at, reader)) } " "
                            @if change.from != change.to {
                                (badge(Tone::of_key(change.from), &words::key_state(change.from, reader))) " → "
                            }
                            (badge(Tone::of_key(change.to), &words::key_state(change.to, reader)))
                            @if let Some(code) = &change.code { " " code { (code) } }
                            @if let Some(id) = &change.request_id { " " (copyable(id, reader)) }
                        }
                    }
                }
            }
        }
    }
}
