//! The banner of the demo: nothing on the page is real, and what happens next.

use maud::{Markup, html};

use super::{Reader, say};
use crate::format;
use crate::language::Language;

/// What the demo says about its scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announcement {
    /// The present second of the scenario.
    pub now: u64,
    /// The next event.
    pub next: Moment,
    /// How many seconds of the scenario pass in one second.
    pub speed: u32,
}

/// One event of the scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub second: u64,
    /// What will happen.
    pub text: fn(Language) -> String,
}

pub(super) fn banner(announcement: &Announcement, reader: Reader) -> Markup {
    let Announcement { now, next, speed } = announcement;
    let wait = next.second.saturating_sub(*now) / u64::from(*speed);
    let event = (next.text)(reader.language);
    html! {
        aside #demo.demo data-live aria-label=(say!(reader, "demo")) {
            p {
                strong { (say!(reader, "demo-simulated")) } " "
                (say!(reader, "demo-now", time = format::clock(*now))) " "
                strong { (say!(reader, "demo-next", time = format::clock(next.second), event = event, wait = wait)) }
            }
        }
    }
}
