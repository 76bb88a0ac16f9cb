//! The banner of the demo: nothing on the page is real, and what happens next.

use maud::{Markup, html};

use crate::format;

/// What the demo says about its scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// The present second of the scenario.
    pub now: u64,
    /// The next event.
    pub next: Moment,
    /// How many seconds of the scenario pass in one second.
    pub speed: u32,
}

/// One event of the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub second: u64,
    /// What will happen.
    pub text: &'static str,
}

pub(super) fn banner(announcement: &Announcement) -> Markup {
    let Announcement { now, next, speed } = announcement;
    let wait = next.second.saturating_sub(*now) / u64::from(*speed);
    html! {
        aside #demo.demo data-live aria-label="Demo" {
            p {
                strong { "Demo: the API and its keys are simulated." } " It is " (format::clock(*now)) ". "
                strong { "At " (format::clock(next.second)) ", " (next.text) } " (in " (wait) " s)."
            }
        }
    }
}
