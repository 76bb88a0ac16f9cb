//! Measures the phases of one probe. The transport records the times between the phases.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use strum::VariantArray as _;
use tokio::time::Instant;

use super::resolver::Span;
use crate::partner_api::request_id::RequestId;
use crate::report::{Phase, Phases};

#[derive(Debug)]
pub(super) struct PhaseTimer {
    times: Mutex<Times>,
}

/// What was recorded so far.
#[derive(Clone, Debug)]
pub(super) struct Times {
    /// When the first phase started.
    start: Instant,
    /// Whether the request uses an open connection, so that the first three phases do not happen.
    reused: bool,
    resolved: Option<Instant>,
    /// Whether the probe waited for a name look-up.
    looked_up: bool,
    tls_started: Option<Instant>,
    connected: Option<Instant>,
    headers: Option<Instant>,
    end: Option<Instant>,
    /// Status and request ID are recorded with the headers, and reported even if the body does not end.
    pub status: Option<u16>,
    pub request_id: Option<RequestId>,
    /// When the certificate chain of the server ends.
    pub certificate_expiry: Option<SystemTime>,
}

impl PhaseTimer {
    pub(super) fn start() -> Self {
        Self { times: Mutex::new(Times::start()) }
    }

    /// Records that the request uses an open connection.
    pub(super) fn record_reused_connection(&self) {
        let mut times = self.times();
        times.reused = true;
        (times.resolved, times.connected) = (Some(times.start), Some(times.start));
    }

    /// Starts again, because the open connection is dead: the phases are those of the new connection.
    pub(super) fn restart(&self) {
        *self.times() = Times::start();
    }

    /// Records the look-up of the host name. What its thread waited until it started, and this task until it ran, is not a
    /// part of it. If another probe started the look-up, only the part since the start of this probe counts.
    pub(super) fn record_resolved(&self, look_up: Span) {
        let mut times = self.times();
        // Clocks of other threads differ if time is paused for a test.
        let now = Instant::now().max(times.start);
        let [start, end] = [look_up.start, look_up.end].map(|at| at.clamp(times.start, now));
        (times.start, times.resolved, times.looked_up) = (start, Some(end), true);
    }

    /// Records that the addresses are known: the resolve phase does not happen.
    pub(super) fn record_nothing_to_resolve(&self) {
        let mut times = self.times();
        times.resolved = Some(times.start);
    }

    /// Records that the TLS handshake with the API starts.
    pub(super) fn record_tls_started(&self) {
        self.times().tls_started = Some(Instant::now());
    }

    /// Records that the connection is ready for a request.
    pub(super) fn record_connected(&self) {
        self.times().connected = Some(Instant::now());
    }

    pub(super) fn record_certificate_expiry(&self, expiry: SystemTime) {
        self.times().certificate_expiry = Some(expiry);
    }

    pub(super) fn record_headers(&self, status: u16, request_id: Option<RequestId>) {
        let mut times = self.times();
        (times.headers, times.status, times.request_id) = (Some(Instant::now()), Some(status), request_id);
    }

    /// Records that the response is complete. What follows is not a part of the probe.
    pub(super) fn record_end(&self) {
        self.times().end = Some(Instant::now());
    }

    /// The phases until the end or until now, and the last one reached.
    pub(super) fn phases(&self) -> (Phases, Phase) {
        let times = self.times();
        phases(&times, times.end.unwrap_or_else(Instant::now))
    }

    pub(super) fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    fn start() -> Self {
        Self {
            start: Instant::now(),
            reused: false,
            resolved: None,
            looked_up: false,
            tls_started: None,
            connected: None,
            headers: None,
            end: None,
            status: None,
            request_id: None,
            certificate_expiry: None,
        }
    }

    /// Whether a phase that was reached happened.
    const fn happened(&self, phase: Phase) -> bool {
        match phase {
            Phase::Resolve => self.looked_up || self.resolved.is_none(),
            Phase::Connect => !self.reused,
            Phase::Tls => self.tls_started.is_some(),
            Phase::Processing | Phase::Transfer => true,
        }
    }
}

/// Divides the time from the start to `end` into phases. The last phase reached gets the rest, so the durations always
/// add up to the whole.
fn phases(times: &Times, end: Instant) -> (Phases, Phase) {
    let phase_ends =
        [times.resolved, times.tls_started.or(times.connected), times.connected, times.headers, None];
    let mut durations = [None; 5];
    let mut from = times.start;
    let mut reached = Phase::Resolve;
    for ((phase_end, duration), &phase) in phase_ends.into_iter().zip(&mut durations).zip(Phase::VARIANTS) {
        reached = phase;
        let took = phase_end.unwrap_or(end).saturating_duration_since(from);
        *duration = times.happened(phase).then_some(took);
        match phase_end {
            Some(phase_end) => from = phase_end,
            None => break,
        }
    }
    (Phases::measured(durations), reached)
}

#[cfg(test)]
mod tests {
    use tokio::time::Duration;

    use super::*;

    fn ms(phases: Phases) -> Vec<u128> {
        phases.iter().map(|(_, duration)| duration.as_millis()).collect()
    }

    fn divide(times: [Option<u64>; 4], end: u64) -> (Vec<u128>, Phase, u128) {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let [resolved, tls_started, connected, headers] = times.map(|time| time.map(at));
        let times =
            Times { start, resolved, looked_up: true, tls_started, connected, headers, ..Times::start() };
        let (phases, reached) = phases(&times, at(end));
        (ms(phases), reached, phases.total().as_millis())
    }

    #[test]
    fn the_five_phases_add_up_to_the_probe() {
        let (phases, reached, total) = divide([Some(3), Some(10), Some(30), Some(100)], 104);
        assert_eq!((phases, reached, total), (vec![3, 7, 20, 70, 4], Phase::Transfer, 104));
    }

    #[test]
    fn plain_http_has_no_tls_phase() {
        let (phases, reached, _) = divide([Some(0), None, Some(5), Some(9)], 9);
        assert_eq!((phases, reached), (vec![0, 5, 0, 4, 0], Phase::Transfer));
    }

    #[test]
    fn a_phase_that_did_not_happen_has_no_sample() {
        let samples =
            |timer: &PhaseTimer| timer.phases().0.samples().map(|(phase, _)| phase).collect::<Vec<_>>();
        let timer = PhaseTimer::start();
        assert_eq!(samples(&timer), [Phase::Resolve]);
        timer.record_nothing_to_resolve();
        assert_eq!(samples(&timer), [Phase::Connect], "the addresses are known");
        timer.record_connected();
        timer.record_headers(200, None);
        assert_eq!(samples(&timer), [Phase::Connect, Phase::Processing, Phase::Transfer], "there is no TLS");
        timer.restart();
        timer.record_reused_connection();
        assert_eq!(samples(&timer), [Phase::Processing]);
        timer.restart();
        let now = Instant::now();
        timer.record_resolved(Span { start: now, end: now });
        timer.record_tls_started();
        timer.record_connected();
        assert_eq!(samples(&timer), [Phase::Resolve, Phase::Connect, Phase::Tls, Phase::Processing]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_resolve_phase_is_the_part_of_a_look_up_that_the_probe_needed() {
        let started = Instant::now();
        let at = |ms| started + Duration::from_millis(ms);
        for (start, end, resolve, total) in
            [(20, 50, 30, 90), (0, 50, 40, 100), (0, 5, 0, 100), (20, 900, 90, 90)]
        {
            let timer = PhaseTimer { times: Mutex::new(Times { start: at(10), ..Times::start() }) };
            tokio::time::advance(at(110).duration_since(Instant::now())).await;
            timer.record_resolved(Span { start: at(start), end: at(end) });
            timer.record_connected();
            let (phases, _) = timer.phases();
            assert_eq!((ms(phases)[0], phases.total().as_millis()), (resolve, total), "{start} to {end} ms");
        }
    }

    #[test]
    fn the_last_phase_reached_gets_the_rest() {
        assert_eq!(divide([None, None, None, None], 50), (vec![50, 0, 0, 0, 0], Phase::Resolve, 50));
        assert_eq!(divide([Some(5), None, None, None], 50), (vec![5, 45, 0, 0, 0], Phase::Connect, 50));
        assert_eq!(divide([Some(5), Some(10), None, None], 50), (vec![5, 5, 40, 0, 0], Phase::Tls, 50));
        assert_eq!(
            divide([Some(5), Some(10), Some(20), None], 50),
            (vec![5, 5, 10, 30, 0], Phase::Processing, 50)
        );
    }
}
