//! The API on the overview page: its availability, its last day, and the latency of its health route. It is folded
//! while the API is up.

use std::time::Duration;

use maud::{Markup, html};

use super::parts::{Tone, badge, certificate_expiry, last, nothing, relative_moment};
use super::{Reader, chart, say, words};
use crate::format;
use crate::state::HealthState;
use crate::status::{ApiView, Availability};

const DAY: Duration = Duration::from_hours(24);

pub(super) fn details(api: &ApiView, reader: Reader) -> Markup {
    html! {
        details #api.card open[api.state != HealthState::Up] {
            summary #api-summary data-live { h2 { "API " (badge(Tone::of_api(api.state), &words::api_state(api.state, reader))) } }
            div #api-content data-live {
                (facts(api, reader))
                h3 { (say!(reader, "uptime")) }
                (chart::legend_of_outcomes(reader))
                (chart::uptime(&api.day, &uptime_label(&api.availability, reader), reader))
                (chart::hours(reader))
                h3 { (say!(reader, "latency-by-phase")) }
                (chart::legend(reader))
                div.plots {
                    div { p.caption { (chart::caption_of_recent(api.history.len(), reader)) } (chart::latency_of_recent_probes(&api.history, reader)) }
                    div { p.caption { (say!(reader, "averages")) } (chart::latency_of_the_day(&api.day, reader)) }
                }
            }
        }
    }
}

fn uptime_label(availability: &Availability, reader: Reader) -> String {
    let Availability { succeeded, failed, maintenance, .. } = *availability;
    say!(reader, "uptime-label", succeeded = succeeded, failed = failed, maintenance = maintenance)
}

fn facts(api: &ApiView, reader: Reader) -> Markup {
    let availability = &api.availability;
    html! {
        dl.facts {
            div {
                dt { (window(availability, reader)) }
                dd {
                    @match availability.ratio { Some(ratio) => (reader.percent(ratio)), None => (nothing()) }
                    " " span.faint {
                        (say!(reader, "objective", ratio = reader.number(format::configured_percent(availability.objective))))
                    }
                }
            }
            div { dt { (say!(reader, "error-budget")) } dd { (error_budget(availability, reader)) } }
            div { dt { (say!(reader, "last-probe")) } dd { (last(&api.probe, reader)) } }
            div { dt { (say!(reader, "certificate-expires")) } dd { (certificate_expiry(api, reader)) } }
            div { dt { (say!(reader, "exporter-started")) } dd { (relative_moment(api.monitored_since, reader)) } }
            div.wide { dt { "URL" } dd { code { (api.url) } } }
        }
    }
}

/// How long the availability has been measured, at most a day.
fn window(availability: &Availability, reader: Reader) -> String {
    match availability.window {
        window if window.is_zero() => say!(reader, "availability-unknown"),
        window if window >= DAY => say!(reader, "availability-of-a-day"),
        window => say!(reader, "availability-of", window = reader.span(window)),
    }
}

/// How many probes failed, and how many may fail.
fn error_budget(availability: &Availability, reader: Reader) -> Markup {
    let Some(left) = availability.error_budget_remaining_ratio else { return nothing() };
    let counted = availability.succeeded + availability.failed;
    let (failed, allowed) = (availability.failed, one_in(availability.objective));
    html! {
        @if left <= 0.0 {
            strong.reason { (say!(reader, "used-up")) }
        } @else {
            (say!(reader, "left", ratio = reader.percent(left))) " "
            meter min="0" max="1" low="0.25" value=(left.clamp(0.0, 1.0)) aria-label=(say!(reader, "error-budget-left")) {}
        }
        br;
        span.faint { (say!(reader, "budget-failed", failed = failed, counted = counted, allowed = allowed)) }
    }
}

/// One of how many probes may fail.
fn one_in(objective: f64) -> String {
    let probes = (1.0 / (1.0 - objective).max(f64::EPSILON)).round();
    probes.to_string()
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
        let text = error_budget(&availability(930, 70, DAY), Reader::english()).into_string();
        assert!(
            text.contains("used up") && text.contains("70 of 1000 probes failed; 1 in 1000 may fail."),
            "{text}"
        );
        let text = error_budget(&availability(1_999, 1, DAY), Reader::english()).into_string();
        assert!(text.contains("50 % left") && text.contains("1 of 2000 probes failed"), "{text}");
    }

    #[test]
    fn the_window_is_never_longer_than_what_was_measured() {
        let (minutes, reader) = (Duration::from_mins(6), Reader::english());
        assert_eq!(window(&availability(1, 0, minutes), reader), "Availability, last 6 min");
        assert_eq!(window(&availability(1, 0, DAY), reader), "Availability, last 24 hours");
        assert_eq!(window(&availability(0, 0, Duration::ZERO), reader), "Availability, no probe yet");
    }
}
