//! The overview page: the API, the partners, and the keys, the most severe problems first.

use std::time::SystemTime;
use strum::VariantArray as _;

use maud::{Markup, html};

use super::parts::{
    Tone, badge, budget, copyable, error, head, last, nothing, relative_moment, state_of, verdict,
};
use super::{Frame, api, chart, link};
use crate::format;
use crate::key_state::KeyState;
use crate::status::{ApiView, Filter, KeyDetail, Overview, PartnerView, Selection, StatusSource};

/// The number of partners on the page; a filter finds the others.
const PARTNERS_SHOWN: usize = 20;

/// The number of keys on one page: it stays below one megabyte even if every key has a problem.
const KEYS_SHOWN: usize = 100;

const KEY_COLUMNS: [&str; 8] =
    ["Key", "State", "Recent probes", "Last run", "Budget", "What is wrong", "Request ID", "Token expires"];

/// The keys of one page.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub filter: Filter,
    /// The keys on this page.
    pub keys: Vec<KeyDetail>,
    /// The number of keys on all pages.
    pub total: usize,
    /// The number of this page, from 1.
    pub page: usize,
    /// The number of pages.
    pub pages: usize,
}

impl Listing {
    /// The keys of `selection` on the page with this number, or on the last page if the number is too large.
    pub(crate) fn new(source: &StatusSource<'_>, selection: &Selection, filter: Filter, page: usize) -> Self {
        let total = selection.keys.len();
        let pages = total.div_ceil(KEYS_SHOWN);
        let page = page.clamp(1, pages.max(1));
        let shown = selection.keys.iter().skip((page - 1) * KEYS_SHOWN).take(KEYS_SHOWN);
        let keys = shown.map(|key| KeyDetail::new(source, key)).collect();
        Self { filter, keys, total, page, pages }
    }
}

pub(crate) fn overview(frame: Frame, status: &Overview, listing: &Listing) -> Markup {
    let now = status.now;
    let title = match status.failing_keys {
        0 => format!("API {}", status.api.state),
        failing => format!("API {}, {} failing", status.api.state, format::count(failing, "key", "keys")),
    };
    let content = html! {
        h1.unseen { "Status of MyUnisoft's Partner API, the partners and the keys" }
        @if let Some(shard) = &status.exporter.shard { p.faint #shard data-live { (shard) } }
        (reload_failure(status))
        (api::card(status, now))
        (partners(&status.partners, now))
        (keys(status, listing, now))
    };
    frame.page(&title, &content)
}

/// The previous configuration runs on, so this is the only place where a browser shows it. The section is always there,
/// because a refresh replaces the sections that exist.
fn reload_failure(status: &Overview) -> Markup {
    html! {
        section #reload.(status.exporter.reload_failure.as_ref().map_or("", |_| "card")) data-live {
            @if let Some(failure) = &status.exporter.reload_failure {
                p { strong { "The configuration was not reloaded" } " (" (relative_moment(failure.at, status.now)) "). The previous one stays in effect:" }
                pre { (failure.error) }
            }
        }
    }
}

fn partners(partners: &[PartnerView], now: SystemTime) -> Markup {
    html! {
        section #partners.card data-live aria-labelledby="partners-title" {
            h2 #partners-title { "Partners (" (partners.len()) ")" }
            @if !partners.is_empty() {
                div.scroll #partners-table tabindex="0" role="region" aria-labelledby="partners-title" {
                    table.cards {
                        (head(&["Partner", "Secret", "Since", "Keys", "States"]))
                        tbody { @for partner in partners.iter().take(PARTNERS_SHOWN) { (partner_row(partner, now)) } }
                    }
                }
            }
            @if partners.len() > PARTNERS_SHOWN {
                p.faint { "The " (PARTNERS_SHOWN) " partners with the most severe problems are shown. Filter by name to see others." }
            }
        }
    }
}

fn partner_row(view: &PartnerView, now: SystemTime) -> Markup {
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

fn keys(status: &Overview, listing: &Listing, now: SystemTime) -> Markup {
    html! {
        section #keys.card aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            (filter_form(&listing.filter))
            div #listing data-live {
                (states(status, &listing.filter))
                p.faint role="status" { (summary(listing)) }
                @if !listing.keys.is_empty() {
                    table.cards.keys {
                        (head(&KEY_COLUMNS))
                        tbody { @for key in &listing.keys { (row(key, &status.api, now)) } }
                    }
                }
                (pager(listing))
            }
        }
    }
}

fn filter_form(filter: &Filter) -> Markup {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    html! {
        form.filter action=(link("", &[])) method="get" role="search" aria-label="Filter the keys" {
            label { "State"
                select #filter-state name="state" {
                    option value="" { "any" }
                    @for state in KeyState::VARIANTS {
                        option value=(state) selected[filter.state == Some(*state)] { (state) }
                    }
                }
            }
            label { "Partner" input #filter-partner type="search" name="partner" value=(text(&filter.partner)); }
            label { "Key" input #filter-name type="search" name="name" value=(text(&filter.name)); }
            button type="submit" { "Filter" }
            a href=(link("", &[])) { "Clear" }
        }
    }
}

/// The number of keys in each state, as links that filter by it.
fn states(status: &Overview, filter: &Filter) -> Markup {
    let link = |state: &str| place(filter, state, 1);
    html! {
        nav.states aria-label="Keys by state" {
            a href=(link("")) aria-current=[filter.state.is_none().then_some("true")] {
                (status.key_states.values().sum::<usize>()) " in total"
            }
            @for (state, count) in &status.key_states {
                a href=(link(state.into_str())) aria-current=[(filter.state == Some(*state)).then_some("true")] {
                    (count) " " (badge(Tone::of_key(*state), state.into_str()))
                }
            }
        }
    }
}

/// A link to the same list, filtered by another state or on another page.
fn place(filter: &Filter, state: &str, page: usize) -> String {
    let page = if page > 1 { page.to_string() } else { String::new() };
    let partner = filter.partner.as_deref().unwrap_or_default();
    let name = filter.name.as_deref().unwrap_or_default();
    link("", &[("state", state), ("partner", partner), ("name", name), ("page", &page)])
}

fn summary(listing: &Listing) -> String {
    let keys = format::count(listing.total, "key", "keys");
    match listing.pages {
        0 if listing.filter == Filter::default() => {
            "No key is configured: only the API is monitored.".to_owned()
        }
        0 => "No key matches the filter.".to_owned(),
        1 => format!("{keys}, the most severe problems first."),
        pages => format!("{keys}, the most severe problems first: page {} of {pages}.", listing.page),
    }
}

fn row(detail: &KeyDetail, api: &ApiView, now: SystemTime) -> Markup {
    let key = &detail.key;
    let probe = key.displayed_probe();
    let error_view = probe.and_then(|probe| probe.error.as_ref());
    // During an outage all keys have the same problem: the row of each key is short.
    let fails_like_api = key.verdict.blame.is_some()
        && key.verdict.blame == api.verdict.blame
        && probe.and_then(|probe| probe.reason) == api.probe.reason;
    let link = link("key", &[("partner", &key.partner), ("key", &key.key)]);
    html! {
        tr {
            th scope="row" data-label="Key" {
                a href=(link) { (key.key) } " " span.partner { (key.partner) }
            }
            td data-label="State" {
                (state_of(key)) " " span.faint { (relative_moment(key.since, now)) }
            }
            td data-label="Recent probes" { (chart::sparkline(detail.history.iter())) }
            td data-label="Last run" { @match probe { Some(probe) => (last(probe)), None => (nothing()) } }
            td data-label="Budget" { (budget(key.rate_limit.as_ref())) }
            td data-label="What is wrong" {
                @if fails_like_api {
                    p.verdict { "Same problem as the API: " (key.verdict.summary) }
                } @else {
                    @if key.verdict.blame.is_some() { (verdict(&key.verdict)) } @else { (key.verdict.summary) }
                    @if let Some(view) = error_view { p { (error(view, now)) } }
                }
            }
            td data-label="Request ID" { @match key.request_id() { Some(id) => (copyable(id)), None => (nothing()) } }
            td data-label="Token expires" {
                @match key.token_expiry { Some(expiry) => (relative_moment(expiry, now)), None => span.faint { "never" } }
            }
        }
    }
}

fn pager(listing: &Listing) -> Markup {
    let state = listing.filter.state.map_or("", |state| state.into_str());
    let to = |page| place(&listing.filter, state, page);
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
