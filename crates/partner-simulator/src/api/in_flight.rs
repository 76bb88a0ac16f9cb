//! Counting of requests in flight.

use std::sync::Arc;

use crate::shared::Shared;

/// Counts a request as in flight until its response is sent or the client gives up.
pub(crate) struct InFlightGuard {
    shared: Arc<Shared>,
    log_number: u64,
    key: Option<Arc<str>>,
    route: String,
}

impl InFlightGuard {
    /// The caller has already counted the request as in flight.
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
