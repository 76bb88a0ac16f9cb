//! The headline: one sentence about the whole fleet. No filter applies to it.

use maud::{Markup, html};

use super::parts::{Tone, clock, copyable, sign, verdict};
use super::{Reader, say};
use crate::state::HealthState;
use crate::status::{ApiView, FleetView, Overview};

/// The card at the top of the page.
pub(super) fn card(status: &Overview, reader: Reader) -> Markup {
    let api = &status.api;
    html! {
        section #headline.card data-live aria-labelledby="headline-title" {
            h1 #headline-title.headline { (sign(tone(status))) " " (sentence(status, reader)) }
            @if api.verdict.blame.is_some() {
                (verdict(&api.verdict, reader))
                @if let Some(id) = api.probe.request_id_to_quote() {
                    p { (say!(reader, "request-id-to-quote")) " " (copyable(id, reader)) }
                }
            }
            ul.strip {
                li #api-state { (api_state(api, reader)) }
                @for text in fleet_counts(&status.fleet, reader) { li { (text) } }
                @if let Some(ratio) = api.availability.ratio {
                    @let window = reader.span(api.availability.window);
                    li { (say!(reader, "availability-in", ratio = reader.percent(ratio), window = window)) }
                }
            }
        }
    }
}

/// The sentence as text: it is also the title of the browser's tab.
pub(super) fn sentence(status: &Overview, reader: Reader) -> String {
    sentence_about(&status.fleet, status.api.state, reader)
}

fn sentence_about(fleet: &FleetView, state: HealthState, reader: Reader) -> String {
    let api = api_sentence(state, reader);
    match (needs(fleet, reader), state) {
        (Some(needs), HealthState::Up) => format!("{needs} {api}"),
        (Some(needs), HealthState::Down | HealthState::Maintenance | HealthState::Unknown) => {
            format!("{api} {needs}")
        }
        (None, _) if fleet.keys == 0 => format!("{api} {}", say!(reader, "no-key")),
        // Nobody knows yet whether these keys work.
        (None, _) if fleet.not_answered_yet > 0 => {
            format!("{api} {}", say!(reader, "not-answered-yet", keys = fleet.not_answered_yet))
        }
        (None, HealthState::Up) if fleet.working == fleet.keys => {
            format!("{} {api}", say!(reader, "all-keys-work", keys = fleet.keys))
        }
        (None, _) => format!("{api} {}", say!(reader, "no-key-needs")),
    }
}

/// Who needs someone; `None`: nobody.
fn needs(fleet: &FleetView, reader: Reader) -> Option<String> {
    match (fleet.needs_someone, fleet.partners_need_someone) {
        (0, 0) => None,
        (keys, 0) => Some(say!(reader, "needs-keys", keys = keys)),
        (0, partners) => Some(say!(reader, "needs-partners", partners = partners)),
        // In the order of the list below.
        (keys, partners) if fleet.has_lost_secret => {
            Some(say!(reader, "needs-both", partners = partners, keys = keys))
        }
        (keys, partners) => Some(say!(reader, "needs-keys-and-partners", partners = partners, keys = keys)),
    }
}

fn api_sentence(state: HealthState, reader: Reader) -> String {
    match state {
        HealthState::Up => say!(reader, "api-is-up"),
        HealthState::Down => say!(reader, "api-is-down"),
        HealthState::Maintenance => say!(reader, "api-is-in-maintenance"),
        HealthState::Unknown => say!(reader, "api-unprobed"),
    }
}

const fn tone(status: &Overview) -> Tone {
    let fleet = &status.fleet;
    match status.api.state {
        HealthState::Down => Tone::Bad,
        _ if fleet.needs_someone + fleet.partners_need_someone > 0 => Tone::Bad,
        HealthState::Maintenance => Tone::Warning,
        HealthState::Unknown => Tone::Unknown,
        HealthState::Up if fleet.affected > 0 => Tone::Warning,
        HealthState::Up if fleet.not_answered_yet > 0 => Tone::Unknown,
        HealthState::Up => Tone::Good,
    }
}

/// Since when the API is in its state. If no change was seen, it may have been in it before.
fn api_state(api: &ApiView, reader: Reader) -> Markup {
    if api.state == HealthState::Unknown {
        return html! { (say!(reader, "api-not-probed")) };
    }
    let (state, changed) = (api.state.into_str(), api.changed.to_string());
    html! {
        (say!(reader, "api-state", state = state, changed = changed, span = reader.since(api.since)))
        " " (clock(api.since, reader))
    }
}

/// The counts that are not zero.
fn fleet_counts(fleet: &FleetView, reader: Reader) -> Vec<String> {
    let some = |keys: usize, text: String| (keys > 0).then_some(text);
    [
        some(fleet.keys, say!(reader, "keys-working", working = fleet.working, keys = fleet.keys)),
        some(fleet.affected, say!(reader, "keys-affected", keys = fleet.affected)),
        some(fleet.waiting, say!(reader, "keys-waiting", keys = fleet.waiting)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of keys that need someone, are affected, wait and work, and of partners that need someone.
    fn fleet([needs_someone, affected, waiting, working, partners_need_someone]: [usize; 5]) -> FleetView {
        let keys = needs_someone + affected + waiting + working;
        FleetView {
            keys,
            needs_someone,
            affected,
            waiting,
            working,
            not_answered_yet: 0,
            partners_need_someone,
            has_lost_secret: partners_need_someone > 0,
        }
    }

    #[test]
    fn the_sentence_says_who_needs_someone_and_whether_the_api_is_up() {
        let (up, down) = (HealthState::Up, HealthState::Down);
        for (counts, api, expected) in [
            ([3, 0, 0, 297, 0], up, "3 keys need someone. The API is up."),
            ([1, 0, 0, 299, 0], up, "1 key needs someone. The API is up."),
            ([0, 40, 0, 1, 1], up, "1 partner needs someone. The API is up."),
            ([2, 40, 0, 1, 1], up, "1 partner and 2 keys need someone. The API is up."),
            ([0, 0, 0, 300, 0], up, "All 300 keys work. The API is up."),
            ([0, 0, 0, 1, 0], up, "The only key works. The API is up."),
            ([0, 0, 2, 300, 0], up, "The API is up. No key needs anyone."),
            ([0, 0, 0, 0, 0], up, "The API is up. No key is configured."),
            ([3, 297, 0, 0, 0], down, "The API is down. 3 keys need someone."),
            ([0, 300, 0, 0, 0], down, "The API is down. No key needs anyone."),
            (
                [0, 300, 0, 0, 0],
                HealthState::Maintenance,
                "The API is in announced maintenance. No key needs anyone.",
            ),
            ([0, 0, 9, 0, 0], HealthState::Unknown, "The API has not been probed yet. No key needs anyone."),
        ] {
            assert_eq!(sentence_about(&fleet(counts), api, Reader::english()), expected);
        }
    }

    #[test]
    fn the_sentence_never_says_that_a_key_works_which_is_only_remembered() {
        let remembered = |counts, not_answered_yet| FleetView { not_answered_yet, ..fleet(counts) };
        for (fleet, english, french) in [
            (
                remembered([0, 0, 0, 300, 0], 300),
                "The API is up. The API has not answered about 300 keys yet: their last known state is shown.",
                "L'API fonctionne. L'API n'a pas encore répondu au sujet de 300 clés\u{a0}: leur dernier état connu est affiché.",
            ),
            (
                remembered([0, 0, 2, 298, 0], 1),
                "The API is up. The API has not answered about 1 key yet: its last known state is shown.",
                "L'API fonctionne. L'API n'a pas encore répondu au sujet de 1 clé\u{a0}: son dernier état connu est affiché.",
            ),
            (
                remembered([1, 0, 0, 299, 0], 9),
                "1 key needs someone. The API is up.",
                "1 clé est à traiter. L'API fonctionne.",
            ),
        ] {
            assert_eq!(sentence_about(&fleet, HealthState::Up, Reader::english()), english);
            assert_eq!(sentence_about(&fleet, HealthState::Up, Reader::french()), french);
        }
    }
}
