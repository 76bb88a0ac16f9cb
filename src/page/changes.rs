//! What changed lately: a key that was revoked and works again leaves a trace here.

use std::time::SystemTime;

use maud::{Markup, html};

use super::link;
use super::parts::{Tone, ago, badge};
use crate::key_state::{KeyState, SecretState};
use crate::status::ChangeView;

/// The number of changes on the page; the JSON has more.
const CHANGES_SHOWN: usize = 12;

pub(super) fn section(changes: &[ChangeView], now: SystemTime) -> Markup {
    html! {
        section #changes.card data-live aria-labelledby="changes-title" {
            h2 #changes-title { "What changed lately" }
            @if changes.is_empty() {
                p.faint { "Nothing changed since this exporter began to watch." }
            } @else {
                ol.changes { @for change in changes.iter().take(CHANGES_SHOWN) { (entry(change, now)) } }
            }
        }
    }
}

fn entry(change: &ChangeView, now: SystemTime) -> Markup {
    html! {
        li {
            (subject(change)) " " span.when { (ago(change.at, now)) } br;
            span.tally { (badge(tone(change, change.from), change.from)) " → " (badge(tone(change, change.to), change.to)) }
            @if let Some(code) = &change.code { " " code { (code) } }
        }
    }
}

fn subject(change: &ChangeView) -> Markup {
    html! {
        @match (&change.partner, &change.key) {
            (Some(partner), Some(key)) => {
                a.name href=(link("key", &[("partner", partner), ("key", key)])) { (key) } " "
                span.partner { (partner) }
            }
            (Some(partner), None) => a.name href=(link("", &[("partner", partner)])) { "secret of " (partner) },
            (None, _) => strong { "API" },
        }
    }
}

fn tone(change: &ChangeView, state: &str) -> Tone {
    match (&change.partner, &change.key) {
        (Some(_), Some(_)) => state.parse().map_or(Tone::Unknown, |state: KeyState| Tone::of_key(state)),
        (Some(_), None) => state.parse().map_or(Tone::Unknown, |state: SecretState| Tone::of_secret(state)),
        (None, _) => state.parse().map_or(Tone::Unknown, Tone::of_api),
    }
}
