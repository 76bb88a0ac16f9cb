//! The overview page: who needs someone, what changed lately, then partners, API and all keys.

use maud::{Markup, html};

use super::{Frame, Reader, api, attention, changes, filter, headline, keys, notices, partners, say};
use crate::format;
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
    let reader = frame.reader(status.now);
    let partners = partners_needing(status, listing);
    let content = html! {
        (headline::card(status, reader))
        @if let Some(shard) = &status.exporter.shard { p.faint #shard data-live { (say!(reader, "shard", ordinal = shard.ordinal, total = shard.total, keys = reader.number(format::grouped(shard.keys)), fleet = reader.number(format::grouped(shard.fleet_keys)))) } }
        (notices::section(status, reader))
        (filter::bar(status, &listing.filter, reader))
        @if listing.is_first_view() {
            div.columns.stacked[!attention::is_short(&partners, &listing.attention)] {
                (needing(status, listing, &partners, reader))
                (changes::section(&status.recent_changes, reader))
            }
            (partners::section(&status.partners, reader))
            (api::details(&status.api, reader))
            (all_others(status, listing, reader))
        } @else {
            (matching(status, listing, &partners, reader))
            (changes::section(&status.recent_changes, reader))
            (partners::section(&status.partners, reader))
            (api::details(&status.api, reader))
        }
    };
    let filter = &listing.filter;
    let here = [
        ("state", filter.state.map_or("", |state| state.into_str())),
        ("standing", filter.standing.map_or("", |standing| standing.into_str())),
        ("partner", filter.partner.as_deref().unwrap_or_default()),
        ("name", filter.name.as_deref().unwrap_or_default()),
    ];
    frame.page(&headline::sentence(status, reader), &content, "", &here)
}

/// Who needs someone, in the first view.
fn needing(status: &Overview, listing: &Listing, partners: &[&PartnerView], reader: Reader) -> Markup {
    let (shown, all) = (listing.attention.len(), status.fleet.needs_someone);
    html! {
        section #attention.card data-live aria-labelledby="attention-title" {
            h2 #attention-title { (say!(reader, "needs-someone-now")) }
            @if partners.is_empty() && listing.attention.is_empty() {
                p.faint { (say!(reader, "nobody")) }
            } @else {
                (attention::entries(partners, &listing.attention, reader))
            }
            @if all > shown {
                @let filter = Filter { standing: Some(Standing::NeedsSomeone), ..Filter::default() };
                p { a href=(filter::place(&filter, 1, reader)) { (say!(reader, "all-needing", number = all)) } }
            }
        }
    }
}

/// All other keys, in the first view.
fn all_others(status: &Overview, listing: &Listing, reader: Reader) -> Markup {
    html! {
        section #keys.card data-live aria-labelledby="keys-title" {
            h2 #keys-title { @if listing.attention.is_empty() { (say!(reader, "keys")) } @else { (say!(reader, "all-other-keys")) } }
            p.faint role="status" { (keys::summary(listing, reader)) }
            (keys::table(&listing.others, &status.api, reader))
            (keys::pager(listing, reader))
        }
    }
}

/// The keys that a filter selects, or another page of the list.
fn matching(status: &Overview, listing: &Listing, partners: &[&PartnerView], reader: Reader) -> Markup {
    html! {
        section #keys.card data-live aria-labelledby="keys-title" {
            h2 #keys-title.unseen { (say!(reader, "keys")) }
            p.faint role="status" { (keys::summary(listing, reader)) }
            @if !partners.is_empty() || !listing.attention.is_empty() {
                (attention::entries(partners, &listing.attention, reader))
            }
            (keys::table(&listing.others, &status.api, reader))
            (keys::pager(listing, reader))
        }
    }
}

/// The partners whose secret needs someone, on the first page, unless the filter is about keys.
fn partners_needing<'a>(status: &'a Overview, listing: &Listing) -> Vec<&'a PartnerView> {
    let filter = &listing.filter;
    let is_about_others = filter.state.is_some() || filter.name.is_some() || listing.page > 1;
    let partners = status.partners.iter().filter(|partner| partner.verdict.blame.is_some());
    partners.take(if is_about_others { 0 } else { ATTENTION_SHOWN }).collect()
}
