//! Counts of calls.

use std::collections::HashMap;

/// Counts of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Since the start.
    pub calls: u64,
    /// Begun, and their answers not yet delivered.
    pub in_flight: usize,
    /// The most that were ever in flight at once.
    pub max_in_flight: usize,
}

/// Counts of calls, also by route.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) counts: Counts,
    in_flight_by_route: HashMap<String, usize>,
}

impl Traffic {
    pub(crate) fn begin(&mut self, route: &str) {
        let counts = &mut self.counts;
        counts.calls += 1;
        counts.in_flight += 1;
        counts.max_in_flight = counts.max_in_flight.max(counts.in_flight);
        *self.in_flight_by_route.entry(route.to_owned()).or_default() += 1;
    }

    pub(crate) fn end(&mut self, route: &str) {
        self.counts.in_flight = self.counts.in_flight.saturating_sub(1);
        if let Some(in_flight) = self.in_flight_by_route.get_mut(route) {
            *in_flight -= 1;
            if *in_flight == 0 {
                self.in_flight_by_route.remove(route);
            }
        }
    }

    /// Calls in flight to that route, the one that asks included.
    pub(crate) fn in_flight(&self, route: &str) -> usize {
        self.in_flight_by_route.get(route).copied().unwrap_or_default()
    }
}
