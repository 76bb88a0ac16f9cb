//! Request counts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

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

impl Counts {
    pub(crate) fn begin(&mut self) {
        self.calls += 1;
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
    }

    pub(crate) fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

/// The requests of all clients, and those that the limit on simultaneous requests counts together.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) counts: Counts,
    in_flight_by_group: HashMap<String, usize>,
}

impl Traffic {
    pub(crate) fn begin(&mut self, group: Option<String>) {
        self.counts.begin();
        if let Some(group) = group {
            *self.in_flight_by_group.entry(group).or_default() += 1;
        }
    }

    pub(crate) fn end(&mut self, group: Option<String>) {
        self.counts.end();
        if let Some(Entry::Occupied(mut in_flight)) = group.map(|group| self.in_flight_by_group.entry(group))
        {
            *in_flight.get_mut() -= 1;
            if *in_flight.get() == 0 {
                in_flight.remove();
            }
        }
    }

    /// Requests of this group in flight, including the current one.
    pub(crate) fn simultaneous(&self, group: Option<String>) -> usize {
        group.and_then(|group| self.in_flight_by_group.get(&group)).copied().unwrap_or_default()
    }
}
