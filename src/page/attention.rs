//! Who needs someone now: each with state, since when, why, what to do, and the request ID to quote.

use maud::{Markup, html};

use super::parts::{Tone, badge, copyable, labels, since, state_of, verdict};
use super::{Reader, say, words};
use crate::diagnosis::Blame;
use crate::key_state::SecretState;
use crate::status::{KeyDetail, PartnerView};

/// A secret that worked comes first, because all keys of its partner depend on it. A secret that never worked comes
/// last: nobody lost anything.
pub(super) fn entries(partners: &[&PartnerView], keys: &[KeyDetail], reader: Reader) -> Markup {
    let is_new = |partner: &&&PartnerView| partner.secret_state == SecretState::Pending;
    html! {
        ol.attention {
            @for partner in partners.iter().filter(|partner| !is_new(partner)) { (of_partner(partner, reader)) }
            @for key in keys { (of_key(key, reader)) }
            @for partner in partners.iter().filter(is_new) { (of_partner(partner, reader)) }
        }
    }
}

fn of_partner(view: &PartnerView, reader: Reader) -> Markup {
    // Then its state says nothing about the problem.
    let is_unreadable = view.verdict.blame == Some(Blame::Exporter);
    html! {
        li.entry.partner-entry {
            p.who {
                @if is_unreadable { (badge(Tone::Warning, &say!(reader, "unreadable"))) }
                @else { (badge(Tone::of_secret(view.secret_state), &words::secret_state(view.secret_state, reader))) }
                " "
                a.name href=(reader.link("", &[("partner", &view.partner)])) { (say!(reader, "secret-of", partner = view.partner.to_string())) } " "
                @if !is_unreadable { (since(view.since, reader)) }
                @if let Some(id) = &view.request_id { " " span.quote { (say!(reader, "request-id")) " " (copyable(id, reader)) } }
            }
            (verdict(&view.verdict, reader))
        }
    }
}

fn of_key(detail: &KeyDetail, reader: Reader) -> Markup {
    let key = &detail.key;
    let page = reader.link("key", &[("partner", &key.partner), ("key", &key.key)]);
    let failure = key.displayed_probe().and_then(|probe| probe.error.as_ref());
    html! {
        li.entry.key {
            p.who {
                (state_of(key, reader)) " "
                a.name href=(page) { (key.key) } " " span.partner { (key.partner) } " "
                @if let Some(start) = key.problem_since { (since(start, reader)) }
                @if let Some(id) = key.request_id() { " " span.quote { (say!(reader, "request-id")) " " (copyable(id, reader)) } }
            }
            (verdict(&key.verdict, reader))
            p.more {
                (labels(key))
                @if let Some(failure) = failure {
                    span.reason { (failure.reason) }
                    @if let Some(code) = &failure.code { " " code { (code) } }
                }
            }
        }
    }
}
