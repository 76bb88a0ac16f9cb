//! A call's place among those in flight.

use std::sync::Arc;

use crate::shared::Shared;

/// Holds a call's place among those in flight, until its answer is delivered or given up.
pub(crate) struct InFlightGuard {
    shared: Arc<Shared>,
    log_number: u64,
    key: Option<Arc<str>>,
    route: String,
}

impl InFlightGuard {
    /// Takes over a place that was counted already.
    pub(crate) fn new(shared: Arc<Shared>, log_number: u64, key: Option<Arc<str>>, route: String) -> Self {
        Self { shared, log_number, key, route }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn log_number(&self) -> u64 {
        self.log_number
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.traffic.end(&self.route);
        if let Some(key) = self.key.as_ref().and_then(|key| state.keys.get_mut(key)) {
            key.traffic.end(&self.route);
        }
    }
}
