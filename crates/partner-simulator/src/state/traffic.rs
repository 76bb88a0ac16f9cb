//! Request counts.

use std::collections::HashMap;

/// The number of requests of one key, or of all clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests since the start.
    pub calls: u64,
    /// Requests whose response is not complete yet.
    pub in_flight: usize,
    /// The highest number of simultaneous requests so far.
    pub max_in_flight: usize,
}

/// Request counts, also by route.
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

    /// Requests in flight to this route, including the current one.
    pub(crate) fn in_flight(&self, route: &str) -> usize {
        self.in_flight_by_route.get(route).copied().unwrap_or_default()
    }
}
