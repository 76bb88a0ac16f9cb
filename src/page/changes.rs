//! What changed lately: a key that was revoked and works again leaves a trace here.

use maud::{Markup, html};

use super::parts::{Tone, ago, badge};
use super::{Reader, say, words};
use crate::key_state::{KeyState, SecretState};
use crate::state::HealthState;
use crate::status::ChangeView;

/// The number of changes on the page; the JSON has more.
const CHANGES_SHOWN: usize = 12;

pub(super) fn section(changes: &[ChangeView], reader: Reader) -> Markup {
    html! {
        section #changes.card data-live aria-labelledby="changes-title" {
            h2 #changes-title { (say!(reader, "changed-lately")) }
            @if changes.is_empty() {
                p.faint { (say!(reader, "nothing-changed")) }
            } @else {
                ol.changes { @for change in changes.iter().take(CHANGES_SHOWN) { (entry(change, reader)) } }
            }
        }
    }
}

fn entry(change: &ChangeView, reader: Reader) -> Markup {
    html! {
        li {
            (subject(change, reader)) " " span.when { (ago(change.at, reader)) } br;
            span.tally { (state(change, change.from, reader)) " → " (state(change, change.to, reader)) }
            @if let Some(code) = &change.code { " " code { (code) } }
        }
    }
}

fn subject(change: &ChangeView, reader: Reader) -> Markup {
    html! {
        @match (&change.partner, &change.key) {
            (Some(partner), Some(key)) => {
                a.name href=(reader.link("key", &[("partner", partner), ("key", key)])) { (key) } " "
                span.partner { (partner) }
            }
            (Some(partner), None) => a.name href=(reader.link("", &[("partner", partner)])) { (say!(reader, "secret-of", partner = partner.to_string())) },
            (None, _) => strong { "API" },
        }
    }
}

fn state(change: &ChangeView, state: &str, reader: Reader) -> Markup {
    match (&change.partner, &change.key) {
        (Some(_), Some(_)) => state.parse().map_or_else(
            |_| badge(Tone::Unknown, state),
            |state: KeyState| badge(Tone::of_key(state), &words::key_state(state, reader)),
        ),
        (Some(_), None) => state.parse().map_or_else(
            |_| badge(Tone::Unknown, state),
            |state: SecretState| badge(Tone::of_secret(state), &words::secret_state(state, reader)),
        ),
        (None, _) => state.parse().map_or_else(
            |_| badge(Tone::Unknown, state),
            |state: HealthState| badge(Tone::of_api(state), &words::api_state(state, reader)),
        ),
    }
}
