//! Counts the probes of all keys that fail for a reason that is not the key's own, and decides when a log line is
//! due: an outage with 300 keys must not write 300 lines. Pure: it logs nothing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::time::{Duration, Instant};

use crate::partner_api::failure::{Failure, Reason};

/// The names of partner, key and probe.
pub(super) type ProbeId = (Arc<str>, Arc<str>, Arc<str>);

/// The failing probes, by the reason of their failure episode.
#[derive(Debug, Default)]
pub(crate) struct Outages(BTreeMap<Reason, Outage>);

#[derive(Debug)]
struct Outage {
    failing: HashSet<ProbeId>,
    since: Instant,
    /// The most probes that failed at the same time.
    peak: usize,
    /// The number of failing probes at which the next line is due.
    next: usize,
    /// Whether [`Change::Subsided`] was told.
    has_subsided: bool,
}

/// A change that the log tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// So many probes fail: 1, 10, 100, …
    Grew { failing: usize },
    /// Nine of ten probes no longer fail. It may be that the others always do.
    Subsided { failing: usize, lasted: Duration, peak: usize },
    /// No probe fails for this reason any more.
    Ended { lasted: Duration, peak: usize },
}

/// Whether the failure is counted here. The others are about one key, and each of them has a log line of its own.
pub(super) const fn is_shared(failure: &Failure) -> bool {
    match failure.reason {
        Reason::Dns
        | Reason::Connect
        | Reason::Tls
        | Reason::Timeout
        | Reason::Io
        | Reason::Redirect
        | Reason::Edge
        | Reason::UnexpectedStatus
        | Reason::UnexpectedBody
        | Reason::Secret
        | Reason::Maintenance
        | Reason::ApiError => true,
        // The log-in host can fail for all accounts.
        Reason::Login => failure.underlying.is_some(),
        Reason::Token | Reason::Forbidden | Reason::RateLimited | Reason::Credential => false,
    }
}

/// Whether the cause of `earlier` can last while a probe fails for the reason `present`. A failed log-in, for example,
/// leaves open whether the API still refuses what it refused before.
fn may_last(earlier: Reason, present: Reason) -> bool {
    earlier == present || (earlier.is_refusal() && !present.is_refusal())
}

impl Outages {
    /// The probe fails for this reason.
    pub(super) fn begin(&mut self, probe: ProbeId, reason: Reason, now: Instant) -> Option<Change> {
        let outage = self.0.entry(reason).or_insert_with(|| Outage::new(now));
        outage.failing.insert(probe);
        outage.grown(now)
    }

    /// The probe succeeded, or began to fail for the reason `present`. Returns the changes of the outages that it no
    /// longer belongs to.
    pub(super) fn end(
        &mut self,
        probe: &ProbeId,
        present: Option<Reason>,
        now: Instant,
    ) -> Vec<(Reason, Change)> {
        let mut changes = Vec::new();
        for (&reason, outage) in &mut self.0 {
            let lasts = present.is_some_and(|present| may_last(reason, present));
            if !lasts && outage.failing.remove(probe) {
                changes.extend(outage.shrunk(now).map(|change| (reason, change)));
            }
        }
        self.0.retain(|_, outage| !outage.failing.is_empty());
        changes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets the probes that are no longer configured, without a line.
    pub(crate) fn retain(&mut self, is_configured: impl Fn(&ProbeId) -> bool) {
        for outage in self.0.values_mut() {
            outage.failing.retain(&is_configured);
        }
        self.0.retain(|_, outage| !outage.failing.is_empty());
    }
}

impl Outage {
    fn new(since: Instant) -> Self {
        Self { failing: HashSet::new(), since, peak: 0, next: 1, has_subsided: false }
    }

    fn grown(&mut self, now: Instant) -> Option<Change> {
        let failing = self.failing.len();
        self.peak = self.peak.max(failing);
        if failing < self.next {
            return None;
        }
        if self.has_subsided {
            // The end of the last outage was told, so this is the next one.
            (self.since, self.peak, self.has_subsided) = (now, failing, false);
        }
        self.next = self.next.saturating_mul(10);
        Some(Change::Grew { failing })
    }

    fn shrunk(&mut self, now: Instant) -> Option<Change> {
        let (failing, peak) = (self.failing.len(), self.peak);
        let lasted = now.saturating_duration_since(self.since);
        if failing == 0 {
            return Some(Change::Ended { lasted, peak });
        }
        // The next outage is told again, although some probes fail all the time: the next line is due at the greatest
        // power of ten below a hundred times their number. So a factor of ten lies between both directions, and a
        // number that goes up and down writes no lines.
        self.next = self.next.min(10_usize.pow((100 * failing - 1).ilog10()));
        if self.has_subsided || failing > peak / 10 {
            return None;
        }
        self.has_subsided = true;
        Some(Change::Subsided { failing, lasted, peak })
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    fn probe(number: usize) -> ProbeId {
        ("acme".into(), number.to_string().into(), "key_info".into())
    }

    /// The lines of the probes with these numbers that begin to fail.
    fn begin(outages: &mut Outages, numbers: std::ops::Range<usize>) -> Vec<Change> {
        let now = Instant::now();
        numbers.filter_map(|number| outages.begin(probe(number), Reason::Timeout, now)).collect()
    }

    fn end(outages: &mut Outages, numbers: std::ops::Range<usize>) -> Vec<Change> {
        let now = Instant::now();
        numbers.flat_map(|number| outages.end(&probe(number), None, now)).map(|(_, change)| change).collect()
    }

    const fn grew(failing: usize) -> Change {
        Change::Grew { failing }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_told_as_it_begins_grows_tenfold_and_ends() {
        let mut outages = Outages::default();
        assert_eq!(begin(&mut outages, 0..600), [grew(1), grew(10), grew(100)]);
        let lasted = Duration::from_secs(70);
        tokio::time::advance(lasted).await;
        let lines = end(&mut outages, 0..600);
        let subsided = Change::Subsided { failing: 60, lasted, peak: 600 };
        assert_eq!(lines, [subsided, Change::Ended { lasted, peak: 600 }]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_failing_probe_is_told_twice() {
        let mut outages = Outages::default();
        assert_eq!(begin(&mut outages, 0..1), [grew(1)]);
        assert_eq!(end(&mut outages, 0..1), [Change::Ended { lasted: Duration::ZERO, peak: 1 }]);
        assert_eq!(begin(&mut outages, 0..1), [grew(1)], "the next one is told again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_always_fails_does_not_hide_the_next_outage() {
        let mut outages = Outages::default();
        begin(&mut outages, 0..1);
        for _ in 0..2 {
            assert_eq!(begin(&mut outages, 1..300), [grew(10), grew(100)]);
            tokio::time::advance(Duration::from_secs(9)).await;
            let subsided = Change::Subsided { failing: 30, lasted: Duration::from_secs(9), peak: 300 };
            assert_eq!(end(&mut outages, 1..300), [subsided]);
            tokio::time::advance(Duration::from_hours(1)).await;
        }
    }

    #[test]
    fn a_failure_that_many_keys_can_share_is_counted_and_one_of_a_single_key_is_not() {
        for &reason in Reason::VARIANTS {
            let is_own = matches!(
                reason,
                Reason::Token | Reason::Forbidden | Reason::RateLimited | Reason::Login | Reason::Credential
            );
            assert_eq!(is_shared(&Failure::new(reason, "")), !is_own, "{reason}");
        }
        let login = |underlying| Failure { underlying, ..Failure::new(Reason::Login, "") };
        assert!(is_shared(&login(Some(Reason::Maintenance))), "the log-in host fails for all accounts");
        assert!(!is_shared(&login(None)), "the account was refused");
    }

    #[test]
    fn there_is_an_outage_while_a_probe_fails() {
        let mut outages = Outages::default();
        assert!(outages.is_empty());
        begin(&mut outages, 0..1);
        assert!(!outages.is_empty());
        end(&mut outages, 0..1);
        assert!(outages.is_empty());
    }

    #[test]
    fn reasons_are_counted_apart() {
        let mut outages = Outages::default();
        let now = Instant::now();
        assert_eq!(outages.begin(probe(1), Reason::Timeout, now), Some(grew(1)));
        assert_eq!(outages.begin(probe(2), Reason::Connect, now), Some(grew(1)));
        let ended = Change::Ended { lasted: Duration::ZERO, peak: 1 };
        assert_eq!(outages.end(&probe(2), None, now), [(Reason::Connect, ended)]);
    }

    #[test]
    fn a_refusal_is_not_over_because_of_a_failure_that_is_not_about_it() {
        let now = Instant::now();
        let (ended, begun) = (Change::Ended { lasted: Duration::ZERO, peak: 1 }, Some(grew(1)));
        for hiding in [Reason::Maintenance, Reason::Timeout, Reason::Edge, Reason::Login] {
            let mut outages = Outages::default();
            assert_eq!(outages.begin(probe(1), Reason::Secret, now), begun);
            assert_eq!(outages.end(&probe(1), Some(hiding), now), [], "{hiding}");
            assert_eq!(outages.begin(probe(1), hiding, now), begun);
            assert_eq!(outages.end(&probe(1), Some(Reason::Secret), now), [(hiding, ended)]);
            assert_eq!(outages.begin(probe(1), Reason::Secret, now), None, "it has lasted all the time");
            assert_eq!(outages.end(&probe(1), None, now), [(Reason::Secret, ended)]);
        }
        let mut outages = Outages::default();
        outages.begin(probe(1), Reason::Secret, now);
        let other = outages.end(&probe(1), Some(Reason::Token), now);
        assert_eq!(other, [(Reason::Secret, ended)], "another refusal replaces it");
    }

    #[test]
    fn a_probe_that_is_no_longer_configured_is_no_longer_counted() {
        let mut outages = Outages::default();
        begin(&mut outages, 0..9);
        outages.retain(|(_, key, _)| &**key == "0");
        assert_eq!(begin(&mut outages, 1..9), [], "nine fail");
        assert_eq!(begin(&mut outages, 9..10), [grew(10)]);
        outages.retain(|_| false);
        assert_eq!(begin(&mut outages, 0..1), [grew(1)]);
    }
}
