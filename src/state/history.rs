//! What was: the last probes, the moves of a state, and the last day of the health route.
//!
//! All of it is bounded, lives in memory alone, and holds nothing of an answer but its figures.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use strum::VariantArray as _;

use crate::key_state::KeyState;
use crate::partner_api::error::{Code, ErrorCode};
use crate::partner_api::failure::Reason;
use crate::partner_api::request_id::RequestId;
use crate::report::{Phase, Phases, ProbeReport};

/// How many of its last probes a key remembers, all its probes together.
pub const MAX_RECENT_PROBES: usize = 50;
/// How many moves of its state a key remembers.
pub const MAX_TRANSITIONS: usize = 20;
/// How long a [`Slot`] lasts, in seconds.
const SLOT_SECONDS: u64 = 15 * 60;
/// How many slots are kept: a day.
pub const MAX_SLOTS: usize = 96;

/// The last probes, oldest first.
#[derive(Clone, Debug, Default)]
pub struct RecentProbes(VecDeque<PastProbe>);

/// One probe that ran. Ten thousand keys remember fifty each, so it is kept small: milliseconds and
/// microseconds in whole numbers, and a request-id only where one may be asked for, which is of failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastProbe {
    /// The probe's name.
    pub probe: Arc<str>,
    finished_ms: u64,
    phases_us: [u32; Phase::VARIANTS.len()],
    status: u16,
    /// Why it failed; `None`: it succeeded.
    pub reason: Option<Reason>,
    /// The API's code, where it is a documented one.
    pub code: Option<Code>,
    /// The failure's request-id.
    pub request_id: Option<RequestId>,
}

/// A move of a key's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitionRecord {
    /// When.
    pub at: SystemTime,
    /// The state that was entered.
    pub to: KeyState,
    /// The code of the answer that said so.
    pub code: Option<ErrorCode>,
    /// The id of the answer that said so; a replaced token has none.
    pub request_id: Option<RequestId>,
}

/// The last moves of a key's state, oldest first.
#[derive(Clone, Debug, Default)]
pub struct TransitionHistory(VecDeque<TransitionRecord>);

/// The health route's last day, in slots of a quarter of an hour of the wall clock.
#[derive(Clone, Debug, Default)]
pub struct Day(VecDeque<Slot>);

/// A quarter of an hour of the health route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Its number since the epoch.
    number: u64,
    /// Probes that succeeded.
    pub succeeded: u32,
    /// Probes that failed, announced maintenance apart.
    pub failed: u32,
    /// Probes that were answered with announced maintenance.
    pub maintenance: u32,
    /// Why a probe first failed.
    pub reason: Option<Reason>,
    /// Of the probes that succeeded, each phase's sum.
    phases: [Duration; Phase::VARIANTS.len()],
}

impl PastProbe {
    /// What is kept of a report.
    #[must_use]
    pub fn of(probe: Arc<str>, report: &ProbeReport) -> Self {
        let mut phases_us = [0; Phase::VARIANTS.len()];
        for (kept, (_, took)) in phases_us.iter_mut().zip(report.phases.iter()) {
            *kept = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        }
        let since = report.finished.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let failure = report.outcome.as_ref().err();
        Self {
            probe,
            finished_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            phases_us,
            status: report.status.unwrap_or_default(),
            reason: failure.map(|failure| failure.reason),
            code: failure.and_then(|failure| failure.code.as_ref()?.documented()),
            request_id: failure.and_then(|_| report.request_id.clone()),
        }
    }

    /// When it ended, to the millisecond.
    #[must_use]
    pub fn finished(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.finished_ms)
    }

    /// Where its time went, to the microsecond.
    #[must_use]
    pub fn phases(&self) -> Phases {
        Phases::new(self.phases_us.map(|micros| Duration::from_micros(micros.into())))
    }

    /// The HTTP status, if an answer came.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        (self.status != 0).then_some(self.status)
    }
}

impl RecentProbes {
    /// Enters a probe; the oldest makes room for it.
    pub fn push(&mut self, past: PastProbe) {
        push(&mut self.0, past, MAX_RECENT_PROBES);
    }

    /// Oldest first.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &PastProbe> + ExactSizeIterator {
        self.0.iter()
    }
}

impl TransitionHistory {
    /// Enters a move; the oldest makes room for it.
    pub fn push(&mut self, entered: TransitionRecord) {
        if self.0.len() == MAX_TRANSITIONS {
            self.0.pop_front();
        }
        self.0.push_back(entered);
    }

    /// Oldest first.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &TransitionRecord> {
        self.0.iter()
    }
}

/// Takes its whole room at once: memory that grows for an hour would look like a leak.
fn push<T>(ring: &mut VecDeque<T>, item: T, most: usize) {
    if ring.capacity() < most {
        ring.reserve_exact(most - ring.len());
    }
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(item);
}

impl Day {
    /// Enters a health probe.
    pub fn record(&mut self, report: &ProbeReport) {
        let since = report.finished.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if let Some(slot) = self.slot(since.as_secs() / SLOT_SECONDS) {
            slot.record(report);
        }
    }

    /// The slots that had a probe, oldest first, none older than a day before `now`.
    pub fn slots(&self, now: SystemTime) -> impl Iterator<Item = &Slot> {
        let oldest = number_at(now).saturating_sub(MAX_SLOTS as u64 - 1);
        self.0.iter().filter(move |slot| slot.number >= oldest)
    }

    /// The slot of this number. One that the clock has just left takes a straggler of the one before;
    /// but where the clock was set back, what lies in its future was written by a wrong clock.
    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        self.0.retain(|slot| slot.number <= number + 1 && slot.number + MAX_SLOTS as u64 > number);
        if self.0.back().is_none_or(|last| last.number < number) {
            push(&mut self.0, Slot { number, ..Slot::default() }, MAX_SLOTS + 1);
        }
        self.0.back_mut()
    }
}

/// The number of the slot that `time` lies in.
fn number_at(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / SLOT_SECONDS
}

impl Slot {
    fn record(&mut self, report: &ProbeReport) {
        match report.outcome.as_ref().map_err(|failure| failure.reason) {
            Ok(()) => {
                self.succeeded += 1;
                for (sum, (_, took)) in self.phases.iter_mut().zip(report.phases.iter()) {
                    *sum += took;
                }
            }
            Err(Reason::Maintenance) => self.maintenance += 1,
            Err(reason) => {
                self.failed += 1;
                self.reason.get_or_insert(reason);
            }
        }
    }

    /// When it began.
    #[must_use]
    pub fn start(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.number * SLOT_SECONDS)
    }

    /// How many slots it lies before the one that holds `now`.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> usize {
        usize::try_from(number_at(now).saturating_sub(self.number)).unwrap_or(usize::MAX)
    }

    /// What the phases of a probe that succeeded took on average.
    #[must_use]
    pub fn mean_phases(&self) -> Option<Phases> {
        let succeeded = (self.succeeded > 0).then_some(self.succeeded)?;
        Some(Phases::new(self.phases.map(|sum| sum / succeeded)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partner_api::failure::Failure;

    const QUARTER: Duration = Duration::from_secs(SLOT_SECONDS);

    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + QUARTER * 1_900_000
    }

    fn report(finished: SystemTime, outcome: Result<(), Reason>) -> ProbeReport {
        ProbeReport {
            finished,
            phases: Phases::new([1, 2, 3, 4, 5].map(Duration::from_millis)),
            status: Some(200),
            request_id: RequestId::parse("req-1"),
            answer: None,
            outcome: outcome.map_err(|reason| Failure::new(reason, "")),
            certificate_expiry: None,
        }
    }

    fn day(times: &[SystemTime]) -> Day {
        let mut day = Day::default();
        for time in times {
            day.record(&report(*time, Ok(())));
        }
        day
    }

    #[test]
    fn a_probe_is_kept_to_the_microsecond_and_its_request_id_only_if_it_failed() {
        let past = PastProbe::of("health".into(), &report(noon(), Ok(())));
        assert_eq!((past.finished(), past.status(), past.request_id.clone()), (noon(), Some(200), None));
        assert_eq!(past.phases().total(), Duration::from_millis(15));
        let failed = PastProbe::of("health".into(), &report(noon(), Err(Reason::Timeout)));
        assert_eq!(failed.request_id.unwrap().as_str(), "req-1");
        assert!(size_of::<PastProbe>() <= 72, "{}", size_of::<PastProbe>());
    }

    #[test]
    fn the_oldest_probe_makes_room() {
        let mut recent = RecentProbes::default();
        for second in 0..60 {
            recent.push(PastProbe::of("p".into(), &report(noon() + Duration::from_secs(second), Ok(()))));
        }
        assert_eq!(recent.iter().len(), MAX_RECENT_PROBES);
        assert_eq!(recent.iter().next().unwrap().finished(), noon() + Duration::from_secs(10));
    }

    #[test]
    fn a_day_is_kept_in_quarters_of_an_hour() {
        let times: Vec<_> = (0..200).map(|quarter| noon() + QUARTER * quarter).collect();
        let (day, now) = (day(&times), noon() + QUARTER * 199);
        assert_eq!(day.slots(now).count(), MAX_SLOTS);
        assert_eq!(day.slots(now).map(|slot| slot.age(now)).max(), Some(MAX_SLOTS - 1));
        assert_eq!(day.slots(now + QUARTER * 300).count(), 0, "what is older is not the last day");
    }

    #[test]
    fn maintenance_is_no_failure_and_failures_take_no_part_in_the_mean() {
        let mut day = day(&[noon(), noon()]);
        day.record(&report(noon(), Err(Reason::Maintenance)));
        day.record(&report(noon(), Err(Reason::Connect)));
        day.record(&report(noon(), Err(Reason::Timeout)));
        let slot = *day.slots(noon()).next().unwrap();
        assert_eq!((slot.succeeded, slot.failed, slot.maintenance), (2, 2, 1));
        assert_eq!(slot.reason, Some(Reason::Connect));
        assert_eq!(slot.mean_phases().unwrap().total(), Duration::from_millis(15));
    }

    #[test]
    fn a_clock_that_was_wrong_for_a_while_leaves_nothing_behind() {
        let mut day = day(&[noon(), noon() + QUARTER * 35_000]);
        assert_eq!(day.slots(noon() + QUARTER * 35_000).count(), 1);
        day.record(&report(noon() + QUARTER, Ok(())));
        assert_eq!(day.slots(noon() + QUARTER).map(Slot::start).collect::<Vec<_>>(), [noon() + QUARTER]);
    }

    #[test]
    fn a_clock_that_steps_back_a_little_loses_nothing() {
        let day = day(&[noon() - QUARTER, noon(), noon() - Duration::from_secs(1)]);
        let counts: Vec<_> = day.slots(noon()).map(|slot| slot.succeeded).collect();
        assert_eq!(counts, [1, 2]);
    }
}
