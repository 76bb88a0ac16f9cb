//! The overview page: who needs someone, what changed lately, then partners, API and all keys.

use maud::{Markup, html};

use super::{Frame, api, attention, changes, filter, headline, keys, notices, partners};
use crate::status::{Filter, KeyDetail, Overview, PartnerView, Selection, Standing, StatusSource};

/// The number of keys on one page: it stays below one megabyte even if every key has a problem.
const KEYS_SHOWN: usize = 100;

/// How many keys that need someone the page shows in full if no filter is set: what changed lately must not be far
/// below them.
const ATTENTION_SHOWN: usize = 10;

/// The keys of one page.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub filter: Filter,
    /// The keys on this page that are shown in full.
    pub attention: Vec<KeyDetail>,
    /// The other keys on this page.
    pub others: Vec<KeyDetail>,
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
        let mut attention: Vec<_> = shown.map(|key| KeyDetail::new(source, key)).collect();
        let needing = attention.partition_point(|detail| detail.key.standing == Standing::NeedsSomeone);
        let is_first_view = filter == Filter::default() && page == 1;
        let others = attention.split_off(if is_first_view { needing.min(ATTENTION_SHOWN) } else { needing });
        Self { filter, attention, others, total, page, pages }
    }

    /// Whether this is the view that everybody sees first: no filter, and the first page.
    pub(super) fn is_first_view(&self) -> bool {
        self.filter == Filter::default() && self.page == 1
    }
}

pub(crate) fn overview(frame: Frame, status: &Overview, listing: &Listing) -> Markup {
    let content = html! {
        (headline::card(status, status.now))
        (notices::section(status))
        (filter::bar(status, &listing.filter))
        @if listing.is_first_view() {
            div.columns {
                (needing(status, listing))
                (changes::section(&status.recent_changes, status.now))
            }
            (partners::section(&status.partners, status.now))
            (api::details(&status.api, status.now))
            (all_others(status, listing))
        } @else {
            (matching(status, listing))
            (changes::section(&status.recent_changes, status.now))
            (partners::section(&status.partners, status.now))
            (api::details(&status.api, status.now))
        }
    };
    frame.page(&headline::sentence(status), &content)
}

/// Who needs someone, in the first view.
fn needing(status: &Overview, listing: &Listing) -> Markup {
    let partners = partners_needing(status, &listing.filter);
    let (shown, all) = (listing.attention.len(), status.fleet.needs_someone);
    html! {
        section #attention.card data-live aria-labelledby="attention-title" {
            h2 #attention-title { "Needs someone now" }
            @if partners.is_empty() && listing.attention.is_empty() {
                p.faint { "Nobody: no key and no secret has a problem of its own." }
            } @else {
                (attention::entries(&partners, &listing.attention, status.now))
            }
            @if all > shown {
                @let filter = Filter { standing: Some(Standing::NeedsSomeone), ..Filter::default() };
                p { a href=(filter::place(&filter, 1)) { "All " (all) " keys that need someone" } }
            }
        }
    }
}

/// All other keys, in the first view.
fn all_others(status: &Overview, listing: &Listing) -> Markup {
    html! {
        section #keys.card data-live aria-labelledby="keys-title" {
            h2 #keys-title { @if listing.attention.is_empty() { "Keys" } @else { "All other keys" } }
            p.faint role="status" { (keys::summary(listing)) }
            (keys::table(&listing.others, &status.api, status.now))
            (keys::pager(listing))
        }
    }
}

/// The keys that a filter selects, or another page of the list.
fn matching(status: &Overview, listing: &Listing) -> Markup {
    let partners = if listing.page == 1 { partners_needing(status, &listing.filter) } else { Vec::new() };
    html! {
        section #keys.card data-live aria-labelledby="keys-title" {
            h2 #keys-title.unseen { "Keys" }
            p.faint role="status" { (keys::summary(listing)) }
            @if !partners.is_empty() || !listing.attention.is_empty() {
                (attention::entries(&partners, &listing.attention, status.now))
            }
            (keys::table(&listing.others, &status.api, status.now))
            (keys::pager(listing))
        }
    }
}

/// The partners whose secret needs someone, unless the filter is about keys.
fn partners_needing<'a>(status: &'a Overview, filter: &Filter) -> Vec<&'a PartnerView> {
    let is_about_keys = filter.state.is_some() || filter.name.is_some();
    let partners = status.partners.iter().filter(|partner| partner.verdict.blame.is_some());
    partners.take(if is_about_keys { 0 } else { ATTENTION_SHOWN }).collect()
}
