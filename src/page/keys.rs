//! The list of keys: one compact line each.

use maud::{Markup, html};

use super::parts::{budget, head, labels, last, nothing, relative_moment, state_of};
use super::{Listing, Reader, chart, filter, say};
use crate::status::{ApiView, Filter, KeyDetail, KeyView, Standing};

/// The keys as a table.
pub(super) fn table(keys: &[KeyDetail], api: &ApiView, reader: Reader) -> Markup {
    html! {
        @if !keys.is_empty() {
            table.keys {
                (head(&[
                    say!(reader, "key"),
                    say!(reader, "state"),
                    say!(reader, "labels"),
                    say!(reader, "recent-probes"),
                    say!(reader, "last-run"),
                    say!(reader, "budget"),
                    say!(reader, "token-expires"),
                ]))
                tbody { @for key in keys { (row(key, api, reader)) } }
            }
        }
    }
}

fn row(detail: &KeyDetail, api: &ApiView, reader: Reader) -> Markup {
    let key = &detail.key;
    let link = reader.link("key", &[("partner", &key.partner), ("key", &key.key)]);
    html! {
        tr.key {
            th scope="row" { a.name href=(link) { (key.key) } " " span.partner { (key.partner) } }
            td {
                (state_of(key, reader))
                @if let Some(note) = note(key, api, reader) { " " span.note { (note) } }
            }
            td.minor { span.clip { (labels(key)) } }
            td.minor { (chart::sparkline(detail.history.iter(), reader)) }
            td.minor { @match key.displayed_probe() { Some(probe) => (last(probe, reader)), None => (nothing()) } }
            td.minor { (budget(key.rate_limit.as_ref(), reader)) }
            td.minor {
                @match key.token_expiry { Some(expiry) => (relative_moment(expiry, reader)), None => span.faint { (say!(reader, "never")) } }
            }
        }
    }
}

/// What is wrong, or what the key waits for; `None` for a key that works.
fn note(key: &KeyView, api: &ApiView, reader: Reader) -> Option<String> {
    // During an outage all keys have the same problem: each of them stays one line.
    let fails_like_api = key.verdict.blame.is_some()
        && key.verdict.blame == api.verdict.blame
        && key.displayed_probe().and_then(|probe| probe.reason) == api.probe.reason;
    match key.standing {
        Standing::Working => None,
        Standing::Affected if fails_like_api => Some(say!(reader, "same-problem")),
        Standing::NeedsSomeone | Standing::Affected | Standing::Waiting => Some(key.verdict.summary.clone()),
    }
}

/// What the list shows.
pub(super) fn summary(listing: &Listing, reader: Reader) -> String {
    // The keys above have a list of their own in the first view.
    let total = listing.total - if listing.is_first_view() { listing.attention.len() } else { 0 };
    match listing.pages {
        0 if listing.filter == Filter::default() => {
            say!(reader, "no-key-only-api")
        }
        0 => say!(reader, "no-match"),
        1 => say!(reader, "listed", keys = total),
        pages => say!(reader, "listed-on-pages", keys = total, page = listing.page, pages = pages),
    }
}

pub(super) fn pager(listing: &Listing, reader: Reader) -> Markup {
    // The other page begins at its list too.
    let to = |page| format!("{}#keys", filter::place(&listing.filter, page, reader));
    html! {
        @if listing.pages > 1 {
            nav.pager aria-label=(say!(reader, "pages")) {
                @if listing.page > 1 { a href=(to(listing.page - 1)) rel="prev" { (say!(reader, "previous")) } }
                span { (say!(reader, "page-of", page = listing.page, pages = listing.pages)) }
                @if listing.page < listing.pages { a href=(to(listing.page + 1)) rel="next" { (say!(reader, "next")) } }
            }
        }
    }
}
