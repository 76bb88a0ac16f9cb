//! The history: the last probes, the last state changes, and the last day of the health route.
//!
//! It is bounded, and it never holds the body of a response. `history_file` keeps the day and the state changes on
//! disk; the last probes are in memory only.

use serde::{Deserialize, Serialize};
use serde_with::{DurationMicroSeconds, serde_as};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use strum::VariantArray as _;

use crate::partner_api::error::{DocumentedCode, ErrorCode};
use crate::partner_api::failure::Reason;
use crate::partner_api::request_id::RequestId;
use crate::report::{Phase, Phases, ProbeReport};

/// The number of probes in the history of a key, all its probes together.
pub(crate) const MAX_RECENT_PROBES: usize = 50;
/// The number of state changes in the history of a key, of a secret, and of the API.
pub(crate) const MAX_TRANSITIONS: usize = 20;
/// The length of a [`Slot`], in seconds.
const SLOT_SECONDS: u64 = 15 * 60;
/// The number of slots in the history: one day.
pub(crate) const MAX_SLOTS: usize = 96;

/// The last probes, oldest first. 10,000 keys have 50 probes each, so each of them is small.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentProbes {
    probes: VecDeque<Kept>,
    /// Why those that failed did so, oldest first. Most probes succeed.
    failures: VecDeque<PastFailure>,
    /// The names of the probes. A probe has the index of its name.
    names: Vec<Arc<str>>,
}

/// A [`PastProbe`] as it is kept.
#[derive(Clone, Copy, Debug)]
struct Kept {
    finished_ms: u64,
    phases_us: [u32; Phase::VARIANTS.len()],
    status: u16,
    name: u8,
    failed: bool,
}

/// Why a past probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PastFailure {
    pub reason: Reason,
    /// The API's error code, if it is a documented one.
    pub code: Option<DocumentedCode>,
    /// Only failures have one, because only those are quoted to the support.
    pub request_id: Option<RequestId>,
}

/// One probe that ran. Times are whole milliseconds and microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PastProbe {
    pub probe: Arc<str>,
    finished_ms: u64,
    phases_us: [u32; Phase::VARIANTS.len()],
    status: u16,
    /// `None` if it succeeded.
    pub failure: Option<Box<PastFailure>>,
}

/// A state change of a key, of a secret, or of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransitionRecord<S> {
    pub at: SystemTime,
    /// The last state before that says something: not that it is unknown, unless it never was known.
    pub from: S,
    /// The new state.
    pub to: S,
    /// Whether the process saw the state before, by an answer of the API; if not, the change may have happened earlier.
    pub seen: bool,
    /// The error code in the response that caused the change.
    pub code: Option<ErrorCode>,
    /// The request ID of the response that caused the change; `None` if the cause is a replaced token.
    pub request_id: Option<RequestId>,
}

/// The last state changes, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Transitions<S>(VecDeque<TransitionRecord<S>>);

/// The last 24 hours of the health route, in slots of a quarter of an hour by the wall clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Day {
    slots: VecDeque<Slot>,
    /// When the first of these probes ended. A slot may be older than its first probe.
    first: Option<SystemTime>,
}

/// The results of the health probes in a quarter of an hour.
#[serde_as]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// The number of slots between the Unix epoch and this one.
    number: u64,
    pub succeeded: u32,
    /// Does not count probes during announced maintenance.
    pub failed: u32,
    pub maintenance: u32,
    /// The reason of the first failure.
    pub reason: Option<Reason>,
    /// The sum of each phase over the probes that succeeded.
    #[serde_as(as = "[DurationMicroSeconds<u64>; Phase::VARIANTS.len()]")]
    phases: [Duration; Phase::VARIANTS.len()],
}

impl PastProbe {
    pub(crate) fn new(probe: Arc<str>, report: &ProbeReport) -> Self {
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
            failure: failure.map(|failure| {
                Box::new(PastFailure {
                    reason: failure.reason,
                    code: failure.code.as_ref().and_then(ErrorCode::documented),
                    request_id: report.request_id.clone(),
                })
            }),
        }
    }

    /// When the probe ended, to the millisecond.
    pub(crate) fn finished(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.finished_ms)
    }

    /// To the microsecond.
    pub(crate) fn phases(&self) -> Phases {
        Phases::new(self.phases_us.map(|micros| Duration::from_micros(micros.into())))
    }

    /// The HTTP status, if there was a response.
    pub(crate) fn status(&self) -> Option<u16> {
        (self.status != 0).then_some(self.status)
    }
}

impl RecentProbes {
    /// With room for all probes: memory that grows for an hour would look like a leak.
    pub(crate) fn with_room() -> Self {
        Self { probes: VecDeque::with_capacity(MAX_RECENT_PROBES), ..Self::default() }
    }

    /// Adds a probe. If the history is full, the oldest probe is removed.
    pub(crate) fn push(&mut self, past: PastProbe) {
        let PastProbe { probe, finished_ms, phases_us, status, failure } = past;
        self.probes.reserve_exact(MAX_RECENT_PROBES - self.probes.len());
        if self.probes.len() == MAX_RECENT_PROBES
            && self.probes.pop_front().is_some_and(|oldest| oldest.failed)
        {
            self.failures.pop_front();
        }
        let (name, failed) = (self.index_of(probe), failure.is_some());
        self.probes.push_back(Kept { finished_ms, phases_us, status, name, failed });
        self.failures.extend(failure.map(|failure| *failure));
    }

    /// The index of a name. A new name takes the first index that no probe has: there are fewer probes than indexes.
    fn index_of(&mut self, name: Arc<str>) -> u8 {
        if let Some((_, index)) = self.names.iter().zip(0..).find(|(known, _)| **known == name) {
            return index;
        }
        let is_free = |index: &u8| self.probes.iter().all(|kept| kept.name != *index);
        let index = (0..=u8::MAX).find(is_free).unwrap_or_default();
        if let Some(unused) = self.names.get_mut(usize::from(index)) {
            *unused = name;
        } else {
            self.names.reserve_exact(1);
            self.names.push(name);
        }
        index
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = PastProbe> + ExactSizeIterator {
        let mut failures = self.failures.iter().cloned();
        let probes = self.probes.iter().map(|&Kept { finished_ms, phases_us, status, name, failed }| {
            let probe = self.names.get(usize::from(name)).cloned().unwrap_or_default();
            let failure = if failed { failures.next().map(Box::new) } else { None };
            PastProbe { probe, finished_ms, phases_us, status, failure }
        });
        probes.collect::<Vec<_>>().into_iter()
    }
}

/// Adds an item to a history of at most `max` items. If it is full, the oldest item is removed.
fn push<T>(ring: &mut VecDeque<T>, item: T, max: usize) {
    if ring.len() == max {
        ring.pop_front();
    }
    // Most keys change their state once.
    ring.reserve_exact(1);
    ring.push_back(item);
}

impl<S> Default for Transitions<S> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<S> Transitions<S> {
    pub(crate) fn push(&mut self, transition: TransitionRecord<S>) {
        push(&mut self.0, transition, MAX_TRANSITIONS);
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &TransitionRecord<S>> + ExactSizeIterator {
        self.0.iter()
    }

    /// Whether a change at this time was seen. A time that was read from a file is a little less exact.
    pub(crate) fn saw_change_at(&self, time: SystemTime) -> bool {
        let is_then = |at: SystemTime| {
            let apart = at.duration_since(time).or_else(|_| time.duration_since(at));
            apart.is_ok_and(|apart| apart < Duration::from_millis(2))
        };
        self.0.iter().any(|transition| transition.seen && is_then(transition.at))
    }

    /// Adds an older transition, if there is room.
    pub(crate) fn push_older(&mut self, transition: TransitionRecord<S>) {
        if self.0.len() < MAX_TRANSITIONS {
            self.0.push_front(transition);
        }
    }
}

impl Day {
    /// The day as an earlier process recorded it. Slots that cannot be right are left out.
    pub(crate) fn restore(slots: Vec<Slot>, first: Option<SystemTime>, now: SystemTime) -> Self {
        let (last, mut day) = (number_at(now), Self { slots: VecDeque::new(), first });
        for slot in slots.into_iter().filter(|slot| slot.number <= last && slot.is_plausible()) {
            if day.slots.back().is_none_or(|last| last.number < slot.number) {
                push(&mut day.slots, slot, MAX_SLOTS);
            }
        }
        day
    }

    /// When the first probe of the last 24 hours ended, as far as they are known; `None` if there was none.
    pub(crate) fn first(&self, now: SystemTime) -> Option<SystemTime> {
        let oldest = self.slots(now).next()?.start();
        Some(self.first.map_or(oldest, |first| first.max(oldest)))
    }

    pub(crate) fn record(&mut self, report: &ProbeReport) {
        self.first.get_or_insert(report.finished);
        if let Some(slot) = self.slot(number_at(report.finished)) {
            slot.record(report);
        }
    }

    /// The slots that have a probe and are at most 24 hours old at `now`, oldest first.
    pub(crate) fn slots(&self, now: SystemTime) -> impl Iterator<Item = &Slot> {
        let oldest = number_at(now).saturating_sub(MAX_SLOTS as u64 - 1);
        self.slots.iter().filter(move |slot| slot.number >= oldest)
    }

    /// The slot with this number; if the next slot exists already, that one, because the report came late or
    /// the clock stepped back a little. Slots further in the future are removed: the clock was wrong when they
    /// were written.
    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        self.slots.retain(|slot| slot.number <= number + 1 && slot.number + MAX_SLOTS as u64 > number);
        if self.slots.back().is_none_or(|last| last.number < number) {
            push(&mut self.slots, Slot { number, ..Slot::default() }, MAX_SLOTS + 1);
        }
        self.slots.back_mut()
    }
}

/// The number of the slot that contains `time`.
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

    /// Whether the counts and sums fit a quarter of an hour: a damaged file must not make a sum overflow.
    fn is_plausible(&self) -> bool {
        let is_small = |count: u32| count < 1_000_000;
        let is_short = |sum: &Duration| *sum < Duration::from_hours(24 * 365);
        is_small(self.succeeded)
            && is_small(self.failed)
            && is_small(self.maintenance)
            && self.phases.iter().all(is_short)
    }

    pub(crate) fn start(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.number * SLOT_SECONDS)
    }

    /// The number of slots between this one and the one that contains `now`.
    pub(crate) fn age(&self, now: SystemTime) -> usize {
        usize::try_from(number_at(now).saturating_sub(self.number)).unwrap_or(usize::MAX)
    }

    /// The average phases of the probes that succeeded; `None` if there are none.
    pub(crate) fn mean_phases(&self) -> Option<Phases> {
        let succeeded = (self.succeeded > 0).then_some(self.succeeded)?;
        Some(Phases::new(self.phases.map(|sum| sum / succeeded)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partner_api::failure::Failure;
    use crate::test_support;

    const QUARTER: Duration = Duration::from_secs(SLOT_SECONDS);

    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + QUARTER * 1_900_000
    }

    fn report(finished: SystemTime, outcome: Result<(), Reason>) -> ProbeReport {
        let outcome = outcome.map_err(|reason| Failure::new(reason, ""));
        ProbeReport { request_id: RequestId::parse("req-1"), ..test_support::report(finished, outcome) }
    }

    fn day(times: &[SystemTime]) -> Day {
        let mut day = Day::default();
        for time in times {
            day.record(&report(*time, Ok(())));
        }
        day
    }

    #[test]
    fn a_past_probe_has_microseconds_and_only_a_failed_one_has_a_request_id() {
        let past = PastProbe::new("health".into(), &report(noon(), Ok(())));
        assert_eq!((past.finished(), past.status(), past.failure.clone()), (noon(), Some(200), None));
        assert_eq!(past.phases().total(), Duration::from_millis(15));
        let failed = PastProbe::new("health".into(), &report(noon(), Err(Reason::Timeout)));
        assert_eq!(failed.failure.unwrap().request_id.unwrap().as_str(), "req-1");
        assert!(size_of::<Kept>() <= 32, "{}", size_of::<Kept>());
    }

    #[test]
    fn the_oldest_probe_is_removed_from_a_full_history() {
        let mut recent = RecentProbes::default();
        for second in 0..60 {
            recent.push(PastProbe::new("p".into(), &report(noon() + Duration::from_secs(second), Ok(()))));
        }
        assert_eq!(recent.iter().len(), MAX_RECENT_PROBES);
        assert_eq!(recent.iter().next().unwrap().finished(), noon() + Duration::from_secs(10));
    }

    #[test]
    fn each_past_probe_keeps_its_own_failure() {
        let mut recent = RecentProbes::with_room();
        let failure = |second: u64| match second % 5 {
            0 => Some(Reason::Timeout),
            3 => Some(Reason::Connect),
            _ => None,
        };
        for second in 0..120 {
            let outcome = failure(second).map_or(Ok(()), Err);
            recent.push(PastProbe::new("p".into(), &report(noon() + Duration::from_secs(second), outcome)));
            for past in recent.iter().rev() {
                let second = past.finished().duration_since(noon()).unwrap().as_secs();
                assert_eq!(past.failure.map(|it| it.reason), failure(second), "second {second}");
            }
        }
        assert_eq!(recent.failures.len(), MAX_RECENT_PROBES * 2 / 5, "failures of older probes are kept");
    }

    #[test]
    fn each_past_probe_keeps_its_name_even_if_probes_are_renamed_again_and_again() {
        let mut recent = RecentProbes::with_room();
        for number in 0..1_000_u64 {
            // A probe that stays, and one that gets a new name each time.
            let name = if number % 3 == 0 { "stays".to_owned() } else { number.to_string() };
            recent.push(PastProbe::new(name.into(), &report(noon() + Duration::from_secs(number), Ok(()))));
            for past in recent.iter() {
                let second = past.finished().duration_since(noon()).unwrap().as_secs();
                let name = if second.is_multiple_of(3) { "stays".to_owned() } else { second.to_string() };
                assert_eq!(*past.probe, *name);
            }
        }
        assert!(recent.names.len() <= MAX_RECENT_PROBES + 1, "{}", recent.names.len());
    }

    #[test]
    fn the_last_day_is_stored_in_quarters_of_an_hour() {
        let times: Vec<_> = (0..200).map(|quarter| noon() + QUARTER * quarter).collect();
        let (day, now) = (day(&times), noon() + QUARTER * 199);
        assert_eq!(day.slots(now).count(), MAX_SLOTS);
        assert_eq!(day.slots(now).map(|slot| slot.age(now)).max(), Some(MAX_SLOTS - 1));
        assert_eq!(day.slots(now + QUARTER * 300).count(), 0, "older slots are not part of the last day");
    }

    #[test]
    fn maintenance_is_not_a_failure_and_failures_do_not_change_the_mean() {
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
    fn slots_that_a_wrong_clock_wrote_are_removed() {
        let mut day = day(&[noon(), noon() + QUARTER * 35_000]);
        assert_eq!(day.slots(noon() + QUARTER * 35_000).count(), 1);
        day.record(&report(noon() + QUARTER, Ok(())));
        assert_eq!(day.slots(noon() + QUARTER).map(Slot::start).collect::<Vec<_>>(), [noon() + QUARTER]);
    }

    #[test]
    fn a_small_step_back_of_the_clock_loses_no_slot() {
        let day = day(&[noon() - QUARTER, noon(), noon() - Duration::from_secs(1)]);
        let counts: Vec<_> = day.slots(noon()).map(|slot| slot.succeeded).collect();
        assert_eq!(counts, [1, 2]);
    }
}
