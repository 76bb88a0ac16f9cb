//! Remembers on which routes the API sends request IDs.
//!
//! Every response of the API has a request ID, but a proxy in front of the exporter may remove it. So the ID is
//! expected only where it was seen.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};

/// How long a route is expected to send a request ID after the last one.
const EXPECTED_FOR: Duration = Duration::from_hours(24);

/// Until when each route is expected to send a request ID, by its path. It is shared by all keys: they reach the same
/// API.
#[derive(Debug, Default)]
pub(super) struct RequestIdHistory(Mutex<HashMap<Box<str>, Instant>>);

impl RequestIdHistory {
    pub(super) fn is_expected(&self, path: &str, now: Instant) -> bool {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied();
        until.is_some_and(|until| now < until)
    }

    pub(super) fn record(&self, path: &str, now: Instant) {
        self.record_earlier(path, Duration::ZERO, now);
    }

    /// Records a request ID that came before this process started.
    pub(super) fn record_earlier(&self, path: &str, age: Duration, now: Instant) {
        let Some(left) = EXPECTED_FOR.checked_sub(age) else { return };
        let mut by_path = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = by_path.get_mut(path) {
            *until = (now + left).max(*until);
        } else {
            by_path.insert(path.into(), now + left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_expected_for_a_day_on_the_route_that_sent_one() {
        let (history, now) = (RequestIdHistory::default(), Instant::now());
        assert!(!history.is_expected("/a", now));
        history.record("/a", now);
        assert!(history.is_expected("/a", now + EXPECTED_FOR.saturating_sub(Duration::from_secs(1))));
        assert!(!history.is_expected("/a", now + EXPECTED_FOR));
        assert!(!history.is_expected("/b", now));
        history.record_earlier("/a", EXPECTED_FOR, now);
        history.record_earlier("/b", Duration::from_hours(23), now);
        history.record_earlier("/c", Duration::from_hours(25), now);
        assert!(history.is_expected("/b", now + Duration::from_mins(59)));
        assert!(!history.is_expected("/b", now + Duration::from_hours(1)));
        assert!(!history.is_expected("/c", now));
        assert!(history.is_expected("/a", now + Duration::from_hours(23)), "the later time counts");
    }
}
