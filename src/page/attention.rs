//! Who needs someone now: each with state, since when, why, what to do, and the request ID to quote.

use std::time::SystemTime;

use maud::{Markup, html};

use super::link;
use super::parts::{Tone, badge, copyable, labels, since, state_of, verdict};
use crate::status::{KeyDetail, PartnerView};

pub(super) fn entries(partners: &[&PartnerView], keys: &[KeyDetail], now: SystemTime) -> Markup {
    html! {
        ol.attention {
            @for partner in partners { (of_partner(partner, now)) }
            @for key in keys { (of_key(key, now)) }
        }
    }
}

fn of_partner(view: &PartnerView, now: SystemTime) -> Markup {
    html! {
        li.entry.partner-entry {
            p.who {
                (badge(Tone::of_secret(view.secret_state), view.secret_state.into_str())) " "
                a.name href=(link("", &[("partner", &view.partner)])) { "The secret of " (view.partner) } " "
                (since(view.since, now))
                @if let Some(id) = &view.request_id { " " span.quote { "request ID " (copyable(id)) } }
            }
            (verdict(&view.verdict))
        }
    }
}

fn of_key(detail: &KeyDetail, now: SystemTime) -> Markup {
    let key = &detail.key;
    let page = link("key", &[("partner", &key.partner), ("key", &key.key)]);
    let failure = key.displayed_probe().and_then(|probe| probe.error.as_ref());
    html! {
        li.entry.key {
            p.who {
                (state_of(key)) " "
                a.name href=(page) { (key.key) } " " span.partner { (key.partner) } " "
                @if let Some(start) = key.problem_since { (since(start, now)) }
                @if let Some(id) = key.request_id() { " " span.quote { "request ID " (copyable(id)) } }
            }
            (verdict(&key.verdict))
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
