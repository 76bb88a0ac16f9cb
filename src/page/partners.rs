//! The partners, with the states of their secrets and keys.

use std::time::SystemTime;

use maud::{Markup, html};

use super::link;
use super::parts::{Tone, badge, head, relative_moment};
use crate::status::PartnerView;

/// The number of partners on the page; a filter finds the others.
const PARTNERS_SHOWN: usize = 20;

pub(super) fn section(partners: &[PartnerView], now: SystemTime) -> Markup {
    html! {
        section #partners.card data-live aria-labelledby="partners-title" {
            h2 #partners-title { "Partners (" (partners.len()) ")" }
            @if !partners.is_empty() {
                div.scroll #partners-table tabindex="0" role="region" aria-labelledby="partners-title" {
                    table.cards {
                        (head(&["Partner", "Secret", "Since", "Keys", "States"]))
                        tbody { @for partner in partners.iter().take(PARTNERS_SHOWN) { (row(partner, now)) } }
                    }
                }
            }
            @if partners.len() > PARTNERS_SHOWN {
                p.faint { "The " (PARTNERS_SHOWN) " partners with the most severe problems are shown. Filter by name to see others." }
            }
        }
    }
}

fn row(view: &PartnerView, now: SystemTime) -> Markup {
    html! {
        tr {
            th scope="row" data-label="Partner" {
                a href=(link("", &[("partner", &view.partner)])) { (view.partner) }
            }
            td data-label="Secret" { (badge(Tone::of_secret(view.secret_state), view.secret_state.into_str())) }
            td data-label="Since" { (relative_moment(view.since, now)) }
            td data-label="Keys" {
                (view.keys)
                @if view.failing_keys > 0 { ", " span.reason { (view.failing_keys) " failing" } }
            }
            td data-label="States" {
                @for (state, count) in &view.key_states {
                    span.tally { (count) " " (badge(Tone::of_key(*state), state.into_str())) } " "
                }
            }
        }
    }
}
