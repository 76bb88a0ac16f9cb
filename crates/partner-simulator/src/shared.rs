//! The data that the server's tasks and the handles share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::options::{Concurrency, SimulatorOptions};
use crate::state::State;

/// The data that the server's tasks and the handles share.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) concurrency: Concurrency,
    pub(crate) costs: BTreeMap<String, u32>,
    /// The number of requests so far. Request IDs are derived from it.
    requests: AtomicU64,
    connections: AtomicU64,
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(options: &SimulatorOptions, clock: Clock) -> Self {
        Self {
            clock,
            concurrency: options.concurrency,
            costs: options.costs.iter().cloned().collect(),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            state: Mutex::new(State::new(options, clock)),
        }
    }

    /// The lock is never held across an await. A test that panics while it holds the lock does not break the others.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_request_number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}
