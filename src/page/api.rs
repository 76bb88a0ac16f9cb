//! What the first page tells of the API: one sentence, its availability, its last day.

use std::time::SystemTime;

use maud::{Markup, html};

use super::chart;
use super::parts::{Tone, badge, copyable, last, moment, nothing, verdict};
use crate::format;
use crate::rfc3339;
use crate::state::HealthState;
use crate::status::{ApiView, Availability, Overview};

/// The card at the top of the page.
pub(super) fn card(status: &Overview, now: SystemTime) -> Markup {
    let api = &status.api;
    html! {
        section #api.card data-live aria-labelledby="api-title" {
            h2 #api-title.headline { (headline(api, now)) }
            @if api.verdict.blame.is_some() { (verdict(&api.verdict)) }
            @if let Some(id) = api.probe.request_id_to_quote().filter(|_| api.verdict.blame.is_some()) {
                p { "Request-id to quote: " (copyable(id)) }
            }
            (headline_of_keys(status))
            (facts(api, now))
            h3 { "Uptime, last 24 hours" }
            (chart::legend_of_outcomes())
            (chart::uptime(&api.day, &uptime_label(&api.availability)))
            (chart::hours(now))
            h3 { "Latency by phase" }
            (chart::legend())
            div.plots {
                div { p.caption { "Last " (format::count(api.history.len(), "probe", "probes")) } (chart::latency_of_the_last(&api.history)) }
                div { p.caption { "Means of quarter hours, last 24 hours" } (chart::latency_of_the_day(&api.day)) }
            }
        }
    }
}

/// The one sentence.
fn headline(api: &ApiView, now: SystemTime) -> Markup {
    let (tone, word, text) = match api.state {
        HealthState::Up => (Tone::Good, "up", "The API has been up"),
        HealthState::Down => (Tone::Bad, "down", "The API has been down"),
        HealthState::Maintenance => {
            (Tone::Warning, "maintenance", "The API has been in announced maintenance")
        }
        HealthState::Unknown => (Tone::Unknown, "unknown", "The API has not been asked yet"),
    };
    let span = format::span(now.duration_since(api.since).unwrap_or_default());
    html! {
        (badge(tone, word)) " " (text)
        @if api.state != HealthState::Unknown {
            " since " time datetime=(rfc3339::seconds(api.since)) { (format::moment(api.since)) }
            " (" (span) ")"
        }
        "."
    }
}

/// Whether anything is the matter with a key, and where to read what.
fn headline_of_keys(status: &Overview) -> Markup {
    let all = status.key_states.values().sum::<usize>();
    html! {
        @if all > 0 {
            p.headline {
                @if status.failing_keys > 0 {
                    (badge(Tone::Bad, "failing")) " "
                    a href="#keys" { (status.failing_keys) " of " (format::count(all, "key", "keys")) } "."
                } @else {
                    (badge(Tone::Good, "ok")) " No key fails: " a href="#keys" { (format::count(all, "key", "keys")) } "."
                }
            }
        }
    }
}

fn uptime_label(availability: &Availability) -> String {
    let Availability { succeeded, failed, maintenance, .. } = availability;
    format!("{succeeded} probes succeeded, {failed} failed, {maintenance} met announced maintenance")
}

fn facts(api: &ApiView, now: SystemTime) -> Markup {
    let availability = &api.availability;
    let probe = &api.probe;
    html! {
        dl.facts {
            div {
                dt { "Availability, 24 h" }
                dd {
                    @match availability.ratio { Some(ratio) => (format::percent(ratio)), None => (nothing()) }
                    " " span.faint { "objective " (format::whole_percent(availability.objective)) }
                }
            }
            div {
                dt { "Error budget left" }
                dd {
                    @match availability.error_budget_remaining_ratio {
                        Some(left) if left < 0.0 => { "none: spent " (format::times(1.0 - left)) " over" }
                        Some(left) => {
                            (format::percent(left)) " "
                            meter min="0" max="1" low="0.25" value=(left.clamp(0.0, 1.0)) aria-label="Error budget left" {}
                        }
                        None => (nothing()),
                    }
                }
            }
            div { dt { "Last probe" } dd { (last(probe)) } }
            div {
                dt { "Certificate ends" }
                dd {
                    @match api.certificate_expiry {
                        Some(end) => { (format::day(end)) " " span.faint { (moment(end, now)) } }
                        None => (nothing()),
                    }
                }
            }
            div { dt { "Watched" } dd { "since " (moment(api.monitored_since, now)) } }
            div.wide { dt { "URL" } dd { code { (api.url) } } }
        }
    }
}
