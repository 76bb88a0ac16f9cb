//! The API on the overview page: its availability, its last day, and the latency of its health route. It is folded
//! while the API is up.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};

use super::chart;
use super::parts::{Tone, badge, certificate_expiry, elapsed, last, nothing};
use crate::format;
use crate::state::HealthState;
use crate::status::{ApiView, Availability};

const DAY: Duration = Duration::from_hours(24);

pub(super) fn details(api: &ApiView, now: SystemTime) -> Markup {
    html! {
        details #api.card open[api.state != HealthState::Up] {
            summary #api-summary data-live { h2 { "API " (badge(Tone::of_api(api.state), api.state.into_str())) } }
            div #api-content data-live {
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
                dt { "Availability, " (window(availability)) }
                dd {
                    @match availability.ratio { Some(ratio) => (format::percent(ratio)), None => (nothing()) }
                    " " span.faint { "objective " (format::configured_percent(availability.objective)) }
                }
            }
            div { dt { "Error budget" } dd { (error_budget(availability)) } }
            div { dt { "Last probe" } dd { (last(&api.probe)) } }
            div { dt { "Certificate expires" } dd { (certificate_expiry(api, now)) } }
            div { dt { "Exporter started" } dd { (elapsed(api.monitored_since, now)) " ago" } }
            div.wide { dt { "URL" } dd { code { (api.url) } } }
        }
    }
}

/// How long the availability has been measured, at most a day.
fn window(availability: &Availability) -> String {
    match availability.window {
        window if window.is_zero() => "no probe yet".to_owned(),
        window if window >= DAY => "last 24 hours".to_owned(),
        window => format!("last {}", format::span(window)),
    }
}

/// How many probes failed, and how many may fail.
fn error_budget(availability: &Availability) -> Markup {
    let Some(left) = availability.error_budget_remaining_ratio else { return nothing() };
    let counted = availability.succeeded + availability.failed;
    let failed = format!("{} of {counted} probes failed", availability.failed);
    let allowed = format!("{} may fail", one_in(availability.objective));
    html! {
        @if left <= 0.0 {
            strong.reason { "used up" }
        } @else {
            (format::percent(left)) " left "
            meter min="0" max="1" low="0.25" value=(left.clamp(0.0, 1.0)) aria-label="Error budget left" {}
        }
        br;
        span.faint { (failed) "; " (allowed) "." }
    }
}

/// The share of probes that may fail: `1 in 1000`.
fn one_in(objective: f64) -> String {
    let probes = (1.0 / (1.0 - objective).max(f64::EPSILON)).round();
    format!("1 in {probes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn availability(succeeded: u64, failed: u64, window: Duration) -> Availability {
        Availability {
            window,
            objective: 0.999,
            succeeded,
            failed,
            maintenance: 0,
            ratio: None,
            error_budget_remaining_ratio: Some(if failed > 1 { -68.0 } else { 0.5 }),
        }
    }

    #[test]
    fn the_error_budget_is_a_plain_sentence() {
        let text = error_budget(&availability(930, 70, DAY)).into_string();
        assert!(
            text.contains("used up") && text.contains("70 of 1000 probes failed; 1 in 1000 may fail."),
            "{text}"
        );
        let text = error_budget(&availability(1_999, 1, DAY)).into_string();
        assert!(text.contains("50 % left") && text.contains("1 of 2000 probes failed"), "{text}");
    }

    #[test]
    fn the_window_is_never_longer_than_what_was_measured() {
        let minutes = Duration::from_mins(6);
        assert_eq!(window(&availability(1, 0, minutes)), "last 6 min");
        assert_eq!(window(&availability(1, 0, DAY)), "last 24 hours");
        assert_eq!(window(&availability(0, 0, Duration::ZERO)), "no probe yet");
    }
}
