//! The API on the overview page: its state in one sentence, its availability, its last 24 hours.

use std::time::SystemTime;

use maud::{Markup, html};

use super::chart;
use super::parts::{Tone, badge, certificate_expiry, copyable, elapsed, last, nothing, verdict};
use crate::format;
use crate::rfc3339;
use crate::state::HealthState;
use crate::status::{ApiView, Availability, Overview};

/// The card at the top of the page.
pub(super) fn card(status: &Overview, now: SystemTime) -> Markup {
    let api = &status.api;
    html! {
        section #api.card data-live aria-labelledby="api-title" {
            h2 #api-title { "API" }
            p #api-state.headline { (headline(api, now)) }
            @if api.verdict.blame.is_some() { (verdict(&api.verdict)) }
            @if let Some(id) = api.probe.request_id_to_quote().filter(|_| api.verdict.blame.is_some()) {
                p { "Request ID to quote: " (copyable(id)) }
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
                div { p.caption { (chart::caption_of_recent(api.history.len())) } (chart::latency_of_recent_probes(&api.history)) }
                div { p.caption { "15-minute averages, last 24 hours" } (chart::latency_of_the_day(&api.day)) }
            }
        }
    }
}

/// The state of the API, in one sentence.
fn headline(api: &ApiView, now: SystemTime) -> Markup {
    let (tone, text) = match api.state {
        HealthState::Up => (Tone::Good, "The API has been up"),
        HealthState::Down => (Tone::Bad, "The API has been down"),
        HealthState::Maintenance => (Tone::Warning, "The API has been in announced maintenance"),
        HealthState::Unknown => (Tone::Unknown, "The API has not been probed yet"),
    };
    let span = format::span(now.duration_since(api.since).unwrap_or_default());
    html! {
        (badge(tone, api.state.into_str())) " " (text)
        @if api.state != HealthState::Unknown {
            " since " time datetime=(rfc3339::seconds(api.since)) { (format::utc_time(api.since)) }
            " (" (span) ")"
        }
        "."
    }
}

/// How many keys have a problem, with a link to the list.
fn headline_of_keys(status: &Overview) -> Markup {
    let all = status.key_states.values().sum();
    html! {
        @if all > 0 {
            p.headline {
                @if status.failing_keys > 0 {
                    (badge(Tone::Bad, "failing")) " "
                    a href="#keys" { (status.failing_keys) " of " (format::count(all, "key", "keys")) } "."
                } @else {
                    (badge(Tone::Good, "ok")) " No key is failing: " a href="#keys" { (format::count(all, "key", "keys")) } "."
                }
            }
        }
    }
}

fn uptime_label(availability: &Availability) -> String {
    let Availability { succeeded, failed, maintenance, .. } = availability;
    format!("{succeeded} probes succeeded, {failed} failed, {maintenance} were in announced maintenance")
}

fn facts(api: &ApiView, now: SystemTime) -> Markup {
    let availability = &api.availability;
    html! {
        dl.facts {
            div {
                dt { "Availability, 24 h" }
                dd {
                    @match availability.ratio { Some(ratio) => (format::percent(ratio)), None => (nothing()) }
                    " " span.faint { "objective " (format::configured_percent(availability.objective)) }
                }
            }
            div {
                dt { "Error budget left" }
                dd {
                    @match availability.error_budget_remaining_ratio {
                        Some(left) if left < 0.0 => { "none: " (format::times(1.0 - left)) " the budget was used" }
                        Some(left) => {
                            (format::percent(left)) " "
                            meter min="0" max="1" low="0.25" value=(left.clamp(0.0, 1.0)) aria-label="Error budget left" {}
                        }
                        None => (nothing()),
                    }
                }
            }
            div { dt { "Last probe" } dd { (last(&api.probe)) } }
            div { dt { "Certificate expires" } dd { (certificate_expiry(api, now)) } }
            div { dt { "Monitored" } dd { "for " (elapsed(api.monitored_since, now)) } }
            div.wide { dt { "URL" } dd { code { (api.url) } } }
        }
    }
}
