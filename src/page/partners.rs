//! The partners, with the states of their secrets and keys.

use maud::{Markup, html};

use super::parts::{Tone, badge, head, relative_moment};
use super::{Reader, say, words};
use crate::status::PartnerView;

/// The number of partners on the page; a filter finds the others.
const PARTNERS_SHOWN: usize = 20;

pub(super) fn section(partners: &[PartnerView], reader: Reader) -> Markup {
    html! {
        section #partners.card data-live aria-labelledby="partners-title" {
            h2 #partners-title { (say!(reader, "partners", number = partners.len())) }
            @if !partners.is_empty() {
                div.scroll #partners-table tabindex="0" role="region" aria-labelledby="partners-title" {
                    table.cards {
                        (head(&[
                            say!(reader, "partner"),
                            say!(reader, "secret"),
                            say!(reader, "since"),
                            say!(reader, "keys"),
                            say!(reader, "states"),
                        ]))
                        tbody { @for partner in partners.iter().take(PARTNERS_SHOWN) { (row(partner, reader)) } }
                    }
                }
            }
            @if partners.len() > PARTNERS_SHOWN {
                p.faint { (say!(reader, "partners-shown", number = PARTNERS_SHOWN)) }
            }
        }
    }
}

fn row(view: &PartnerView, reader: Reader) -> Markup {
    html! {
        tr {
            th scope="row" data-label=(say!(reader, "partner")) {
                a href=(reader.link("", &[("partner", &view.partner)])) { (view.partner) }
            }
            td data-label=(say!(reader, "secret")) { (badge(Tone::of_secret(view.secret_state), &words::secret_state(view.secret_state, reader))) }
            td data-label=(say!(reader, "since")) { (relative_moment(view.since, reader)) }
            td data-label=(say!(reader, "keys")) {
                (view.keys)
                @if view.failing_keys > 0 { ", " span.reason { (say!(reader, "keys-failing", number = view.failing_keys)) } }
            }
            td data-label=(say!(reader, "states")) {
                @for (state, count) in &view.key_states {
                    span.tally { (count) " " (badge(Tone::of_key(*state), &words::key_state(*state, reader))) } " "
                }
            }
        }
    }
}
