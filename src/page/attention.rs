//! Who needs someone now: each with state, since when, why, what to do, and the request ID to quote.

use maud::{Markup, html};

use super::parts::{Tone, badge, copyable, labels, since, state_of, summary};
use super::{Reader, say, words};
use crate::diagnosis::{Blame, Verdict};
use crate::status::{ErrorView, KeyDetail, KeyView, PartnerView};

/// Up to this number of entries, each one says everything: they fit on the first screen of a laptop. Of more entries,
/// each one shows the first sentence about what to do, and unfolds the rest.
const SHOWN_IN_FULL: usize = 3;

/// Whether each entry says everything, and there is room for something else beside them.
pub(super) fn is_short(partners: &[&PartnerView], keys: &[KeyDetail]) -> bool {
    partners.len() + keys.len() <= SHOWN_IN_FULL
}

/// A secret that is lost comes first, because all keys of its partner depend on it. One that never worked, or that still
/// serves, comes last: nobody has lost anything.
pub(super) fn entries(partners: &[&PartnerView], keys: &[KeyDetail], reader: Reader) -> Markup {
    let is_lost = |partner: &&&PartnerView| partner.is_lost();
    let is_full = is_short(partners, keys);
    html! {
        ol.attention {
            @for partner in partners.iter().filter(is_lost) { (of_partner(partner, is_full, reader)) }
            @for key in keys { (of_key(key, is_full, reader)) }
            @for partner in partners.iter().filter(|partner| !is_lost(partner)) { (of_partner(partner, is_full, reader)) }
        }
    }
}

fn of_partner(view: &PartnerView, is_full: bool, reader: Reader) -> Markup {
    // Then its state says nothing about the problem.
    let is_unreadable = view.verdict.blame == Some(Blame::Exporter);
    let page = reader.link("", &[("partner", &view.partner)]);
    html! {
        li.entry.partner-entry {
            p.who {
                @if is_unreadable { (badge(Tone::Warning, &say!(reader, "unreadable"))) }
                @else { (badge(Tone::of_secret(view.secret_state), &words::secret_state(view.secret_state, reader))) }
                " "
                a.name href=(page) { (say!(reader, "secret-of", partner = view.partner.to_string())) } " "
                @if !is_unreadable { (since(view.since, view.seen, reader)) }
                (quote(view.request_id.as_deref(), reader))
            }
            (why_and_what_to_do(&view.verdict, &page, is_full, reader))
        }
    }
}

fn of_key(detail: &KeyDetail, is_full: bool, reader: Reader) -> Markup {
    let key = &detail.key;
    let page = reader.link("key", &[("partner", &key.partner), ("key", &key.key)]);
    let failure = key.displayed_probe().and_then(|probe| probe.error.as_ref());
    html! {
        li.entry.key {
            p.who {
                (state_of(key, reader)) " "
                span.whose { a.name href=(page) { (key.key) } " " span.partner { (key.partner) } } " "
                @if let Some(start) = key.problem_since { (since(start, key.problem_seen, reader)) } " "
                @if !is_full { (more(key, failure)) }
                (quote(key.request_id(), reader))
            }
            (why_and_what_to_do(&key.verdict, &page, is_full, reader))
            @if is_full { p.more { (more(key, failure)) } }
        }
    }
}

/// What the API said, and the operator's labels.
fn more(key: &KeyView, failure: Option<&ErrorView>) -> Markup {
    html! {
        @if let Some(failure) = failure {
            @match &failure.code { Some(code) => code { (code) }, None => span.reason { (failure.reason) } } " "
        }
        @if !key.labels.is_empty() { span.labels { (labels(key)) } }
    }
}

/// The request ID to quote, if one is known.
fn quote(id: Option<&str>, reader: Reader) -> Markup {
    html! { @if let Some(id) = id { " " span.quote { (say!(reader, "request-id")) " " (copyable(id, reader)) } } }
}

/// Why, and what to do. `page`: a text that no other entry has.
fn why_and_what_to_do(verdict: &Verdict, page: &str, is_full: bool, reader: Reader) -> Markup {
    html! {
        div.what.beside[!is_full] {
            p.verdict { (summary(verdict, reader)) }
            @if let Some(action) = &verdict.action {
                @let (first, rest) = if is_full { (action.as_str(), "") } else { first_sentence(action) };
                @if rest.is_empty() {
                    p.action { (say!(reader, "what-to-do")) " " (first) }
                } @else {
                    details.action {
                        summary data-of=(page) { (say!(reader, "what-to-do")) " " (first) }
                        p { (rest) }
                    }
                }
            }
        }
    }
}

/// The first sentence of a text, up to a colon that explains it, and the rest.
fn first_sentence(text: &str) -> (&str, &str) {
    let is_open = |before: &str| before.matches('(').count() > before.matches(')').count();
    let ends = |(place, _): &(usize, char)| {
        let (before, rest) = text.split_at(*place);
        match rest.split_once(' ') {
            Some((".", next)) => next.starts_with(char::is_uppercase),
            Some((":", next)) => !next.is_empty() && !is_open(before),
            _ => false,
        }
    };
    text.char_indices().find(ends).map_or((text, ""), |(place, _)| {
        let (first, rest) = text.split_at(place + 1);
        (first, rest.trim_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_with_a_colon_or_with_a_full_stop_before_a_capital_letter() {
        for (text, expected) in [
            ("Wait. Then ask.", ("Wait.", "Then ask.")),
            ("Ask. Écrivez. Then wait.", ("Ask.", "Écrivez. Then wait.")),
            ("See rate_limit.keep_free, e.g. here.", ("See rate_limit.keep_free, e.g. here.", "")),
            (
                "Demandez au client\u{a0}: c'est clair. Puis",
                ("Demandez au client\u{a0}:", "c'est clair. Puis"),
            ),
            ("Disable it (key_info: {mode: off}).", ("Disable it (key_info: {mode: off}).", "")),
            ("", ("", "")),
        ] {
            assert_eq!(first_sentence(text), expected, "{text}");
        }
    }
}
