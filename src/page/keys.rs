//! The list of keys: one compact line each.

use std::time::SystemTime;

use maud::{Markup, html};

use super::parts::{budget, head, labels, last, nothing, relative_moment, state_of};
use super::{Listing, chart, filter, link};
use crate::format;
use crate::status::{ApiView, Filter, KeyDetail, KeyView, Standing};

const COLUMNS: [&str; 7] = ["Key", "State", "Labels", "Recent probes", "Last run", "Budget", "Token expires"];

/// The keys as a table.
pub(super) fn table(keys: &[KeyDetail], api: &ApiView, now: SystemTime) -> Markup {
    html! {
        @if !keys.is_empty() {
            table.keys {
                (head(&COLUMNS))
                tbody { @for key in keys { (row(key, api, now)) } }
            }
        }
    }
}

fn row(detail: &KeyDetail, api: &ApiView, now: SystemTime) -> Markup {
    let key = &detail.key;
    let link = link("key", &[("partner", &key.partner), ("key", &key.key)]);
    html! {
        tr.key {
            th scope="row" { a.name href=(link) { (key.key) } " " span.partner { (key.partner) } }
            td {
                (state_of(key))
                @if let Some(note) = note(key, api) { " " span.note { (note) } }
            }
            td.minor { span.clip { (labels(key)) } }
            td.minor { (chart::sparkline(detail.history.iter())) }
            td.minor { @match key.displayed_probe() { Some(probe) => (last(probe)), None => (nothing()) } }
            td.minor { (budget(key.rate_limit.as_ref())) }
            td.minor {
                @match key.token_expiry { Some(expiry) => (relative_moment(expiry, now)), None => span.faint { "never" } }
            }
        }
    }
}

/// What is wrong, or what the key waits for; `None` for a key that works.
fn note<'a>(key: &'a KeyView, api: &ApiView) -> Option<&'a str> {
    // During an outage all keys have the same problem: each of them stays one line.
    let fails_like_api = key.verdict.blame.is_some()
        && key.verdict.blame == api.verdict.blame
        && key.displayed_probe().and_then(|probe| probe.reason) == api.probe.reason;
    match key.standing {
        Standing::Working => None,
        Standing::Affected if fails_like_api => Some("Same problem as the API."),
        Standing::NeedsSomeone | Standing::Affected | Standing::Waiting => Some(&key.verdict.summary),
    }
}

/// What the list shows.
pub(super) fn summary(listing: &Listing) -> String {
    // The keys above have a list of their own in the first view.
    let total = listing.total - if listing.is_first_view() { listing.attention.len() } else { 0 };
    let keys = format::count(total, "key", "keys");
    match listing.pages {
        0 if listing.filter == Filter::default() => {
            "No key is configured: only the API is monitored.".to_owned()
        }
        0 => "No key matches the filter.".to_owned(),
        1 => format!("{keys}, the most severe problems first."),
        pages => format!("{keys}, the most severe problems first: page {} of {pages}.", listing.page),
    }
}

pub(super) fn pager(listing: &Listing) -> Markup {
    // The other page begins at its list too.
    let to = |page| format!("{}#keys", filter::place(&listing.filter, page));
    html! {
        @if listing.pages > 1 {
            nav.pager aria-label="Pages" {
                @if listing.page > 1 { a href=(to(listing.page - 1)) rel="prev" { "← Previous" } }
                span { "Page " (listing.page) " of " (listing.pages) }
                @if listing.page < listing.pages { a href=(to(listing.page + 1)) rel="next" { "Next →" } }
            }
        }
    }
}
