//! The headline: one sentence about the whole fleet. No filter applies to it.

use std::time::SystemTime;

use maud::{Markup, html};

use super::parts::{Tone, clock, copyable, sign, verdict};
use crate::format::{self, count};
use crate::state::HealthState;
use crate::status::{ApiView, FleetView, Overview};

/// The card at the top of the page.
pub(super) fn card(status: &Overview, now: SystemTime) -> Markup {
    let api = &status.api;
    html! {
        section #headline.card data-live aria-labelledby="headline-title" {
            h1 #headline-title.headline { (sign(tone(status))) " " (sentence(status)) }
            @if api.verdict.blame.is_some() {
                (verdict(&api.verdict))
                @if let Some(id) = api.probe.request_id_to_quote() {
                    p { "Request ID to quote: " (copyable(id)) }
                }
            }
            ul.strip {
                li #api-state { (api_state(api, now)) }
                @for text in fleet_counts(&status.fleet) { li { (text) } }
                @if let Some(ratio) = api.availability.ratio {
                    li { "availability " (format::percent(ratio)) " in the last " (format::span(api.availability.window)) }
                }
            }
        }
    }
}

/// The sentence as text: it is also the title of the browser's tab.
pub(super) fn sentence(status: &Overview) -> String {
    sentence_about(&status.fleet, status.api.state)
}

fn sentence_about(fleet: &FleetView, state: HealthState) -> String {
    let api = api_sentence(state);
    match (needs(fleet), state) {
        (Some(needs), HealthState::Up) => format!("{needs}. {api}"),
        (Some(needs), HealthState::Down | HealthState::Maintenance | HealthState::Unknown) => {
            format!("{api} {needs}.")
        }
        (None, _) if fleet.keys == 0 => format!("{api} No key is configured."),
        (None, HealthState::Up) if fleet.working == fleet.keys => {
            format!("{} {}. {api}", if fleet.keys == 1 { "The" } else { "All" }, works(fleet.keys))
        }
        (None, _) => format!("{api} No key needs anyone."),
    }
}

fn works(keys: usize) -> String {
    if keys == 1 { "only key works".to_owned() } else { format!("{keys} keys work") }
}

/// Who needs someone; `None`: nobody.
fn needs(fleet: &FleetView) -> Option<String> {
    let (keys, partners) = (fleet.needs_someone, fleet.partners_need_someone);
    let who = match (keys, partners) {
        (0, 0) => return None,
        (keys, 0) => count(keys, "key", "keys"),
        (0, partners) => count(partners, "partner", "partners"),
        (keys, partners) => {
            format!("{} and {}", count(partners, "partner", "partners"), count(keys, "key", "keys"))
        }
    };
    Some(format!("{who} {} someone", if keys + partners == 1 { "needs" } else { "need" }))
}

const fn api_sentence(state: HealthState) -> &'static str {
    match state {
        HealthState::Up => "The API is up.",
        HealthState::Down => "The API is down.",
        HealthState::Maintenance => "The API is in announced maintenance.",
        HealthState::Unknown => "The API has not been probed yet.",
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
        HealthState::Up => Tone::Good,
    }
}

/// Since when the API is in its state. If no change was seen, it may have been in it before.
fn api_state(api: &ApiView, now: SystemTime) -> Markup {
    let span = format::span(now.duration_since(api.since).unwrap_or_default());
    let word = match api.state {
        HealthState::Up => "API up",
        HealthState::Down => "API down",
        HealthState::Maintenance => "API in maintenance",
        HealthState::Unknown => return html! { "API not probed yet" },
    };
    html! {
        (word) @if api.changed { " for " } @else { " for at least " } (span)
        ", since " (clock(api.since, now))
    }
}

/// The counts that are not zero.
fn fleet_counts(fleet: &FleetView) -> Vec<String> {
    let keys = format!("{} of {} work", fleet.working, count(fleet.keys, "key", "keys"));
    let others = [
        (fleet.affected, "affected by another fault"),
        (fleet.waiting, "waiting for a verdict or for activation"),
    ];
    let others = others.iter().filter(|(keys, _)| *keys > 0).map(|(keys, text)| format!("{keys} {text}"));
    (fleet.keys > 0).then_some(keys).into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of keys that need someone, are affected, wait and work, and of partners that need someone.
    fn fleet([needs_someone, affected, waiting, working, partners_need_someone]: [usize; 5]) -> FleetView {
        let keys = needs_someone + affected + waiting + working;
        FleetView { keys, needs_someone, affected, waiting, working, partners_need_someone }
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
            assert_eq!(sentence_about(&fleet(counts), api), expected);
        }
    }
}
