//! The moments of one probe, stamped from inside the HTTP client's hooks.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use strum::VariantArray as _;

use tokio::time::{Duration, Instant};

use crate::partner_api::request_id::RequestId;
use crate::report::{Phase, Phases};

tokio::task_local! {
    /// The probe that this task is in. The client connects in the task that asked (it keeps no pool),
    /// so its hooks find the right probe here.
    static CURRENT: Arc<PhaseTimer>;
}

/// The stamps of one probe.
#[derive(Debug)]
pub(super) struct PhaseTimer {
    start: Instant,
    marks: Mutex<Marks>,
    /// What the headers told, kept for a body that then never ends.
    head: Mutex<(Option<u16>, Option<RequestId>)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    resolved: Option<Instant>,
    tls_started: Option<Instant>,
    connected: Option<Instant>,
    headers: Option<Instant>,
    finished: Option<Instant>,
    certificate_expiry: Option<SystemTime>,
}

impl PhaseTimer {
    /// Starts the clock. Without a name to look up, the resolve phase is over at once.
    pub(super) fn start(looks_up_a_name: bool) -> Self {
        let start = Instant::now();
        let resolved = (!looks_up_a_name).then_some(start);
        Self { start, marks: Mutex::new(Marks { resolved, ..Marks::default() }), head: Mutex::default() }
    }

    /// Runs `future` as this probe's.
    pub(super) fn scope<F: Future>(self: Arc<Self>, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    /// The headers have come.
    pub(super) fn headers(&self, status: u16, request_id: Option<RequestId>) {
        self.marks().headers = Some(Instant::now());
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = (Some(status), request_id);
    }

    /// Stops the clock; tells the phases and the one it ended in.
    pub(super) fn finish(&self) -> (Phases, Phase) {
        self.marks().finished = Some(Instant::now());
        self.phases()
    }

    /// The phases up to the finish, and the last one reached.
    pub(super) fn phases(&self) -> (Phases, Phase) {
        let marks = *self.marks();
        phases(self.start, &marks, marks.finished.unwrap_or_else(Instant::now))
    }

    /// The status and request-id, if the headers came.
    pub(super) fn head(&self) -> (Option<u16>, Option<RequestId>) {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn certificate_expiry(&self) -> Option<SystemTime> {
        self.marks().certificate_expiry
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name is resolved.
pub(super) fn resolved() {
    mark(|marks, now| marks.resolved = marks.resolved.or(Some(now)));
}

/// A TLS handshake begins. Through an `https` proxy there are two: the last is the API's.
pub(super) fn tls_started() {
    mark(|marks, now| marks.tls_started = Some(now));
}

/// The connection is ready for a request.
pub(super) fn connected() {
    mark(|marks, now| marks.connected = Some(now));
}

/// The server showed its certificates, of which the first to end ends at `expiry`.
pub(super) fn certificates_shown(expiry: SystemTime) {
    mark(|marks, _| marks.certificate_expiry = Some(expiry));
}

fn mark(set: impl FnOnce(&mut Marks, Instant)) {
    // Outside a probe there is nothing to stamp: the warm-up shakes hands with itself.
    let _ = CURRENT.try_with(|timer| set(&mut timer.marks(), Instant::now()));
}

/// Cuts the time from `start` to `end` at the marks. The phase that was under way at the end gets what
/// is left, so the five always add up to the whole.
fn phases(start: Instant, marks: &Marks, end: Instant) -> (Phases, Phase) {
    let cuts = [marks.resolved, marks.tls_started.or(marks.connected), marks.connected, marks.headers, None];
    let mut durations = [Duration::ZERO; 5];
    let mut from = start;
    let mut reached = Phase::Resolve;
    for ((cut, duration), &phase) in cuts.into_iter().zip(&mut durations).zip(Phase::VARIANTS) {
        reached = phase;
        *duration = cut.unwrap_or(end).saturating_duration_since(from);
        match cut {
            Some(cut) => from = cut,
            None => break,
        }
    }
    (Phases::new(durations), reached)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(phases: Phases) -> Vec<u128> {
        phases.iter().map(|(_, duration)| duration.as_millis()).collect()
    }

    fn cut(marks: [Option<u64>; 4], end: u64) -> (Vec<u128>, Phase, u128) {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let [resolved, tls_started, connected, headers] = marks.map(|mark| mark.map(at));
        let marks = Marks { resolved, tls_started, connected, headers, ..Marks::default() };
        let (phases, reached) = phases(start, &marks, at(end));
        (ms(phases), reached, phases.total().as_millis())
    }

    #[test]
    fn a_whole_probe_is_cut_into_five_phases_that_add_up() {
        let (phases, reached, total) = cut([Some(3), Some(10), Some(30), Some(100)], 104);
        assert_eq!((phases, reached, total), (vec![3, 7, 20, 70, 4], Phase::Transfer, 104));
    }

    #[test]
    fn plain_http_spends_nothing_on_tls() {
        let (phases, reached, _) = cut([Some(0), None, Some(5), Some(9)], 9);
        assert_eq!((phases, reached), (vec![0, 5, 0, 4, 0], Phase::Transfer));
    }

    #[test]
    fn the_phase_that_was_under_way_gets_the_rest() {
        assert_eq!(cut([None, None, None, None], 50), (vec![50, 0, 0, 0, 0], Phase::Resolve, 50));
        assert_eq!(cut([Some(5), None, None, None], 50), (vec![5, 45, 0, 0, 0], Phase::Connect, 50));
        assert_eq!(cut([Some(5), Some(10), None, None], 50), (vec![5, 5, 40, 0, 0], Phase::Tls, 50));
        assert_eq!(
            cut([Some(5), Some(10), Some(20), None], 50),
            (vec![5, 5, 10, 30, 0], Phase::Processing, 50)
        );
    }

    #[tokio::test]
    async fn a_mark_outside_a_probe_is_lost_and_harms_nothing() {
        resolved();
        let timer = Arc::new(PhaseTimer::start(true));
        Arc::clone(&timer).scope(async { resolved() }).await;
        assert_eq!(timer.phases().1, Phase::Connect);
    }
}
