//! A token bucket: each request takes one token, and tokens are added at a constant rate.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};

use crate::config::RateLimit;

/// One bucket for all clients together, as in exporter-toolkit.
pub(super) struct RateLimiter {
    /// The time in which an empty bucket becomes full.
    capacity: Duration,
    limit: RateLimit,
    /// The time at which the bucket is full. It may be in the past.
    full_at: Mutex<Instant>,
}

impl RateLimiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        let capacity = limit.interval.saturating_mul(limit.burst);
        Self { capacity, limit, full_at: Mutex::new(Instant::now()) }
    }

    /// Takes a token. Returns false if there is none.
    pub(super) fn try_acquire(&self) -> bool {
        let now = Instant::now();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let later = (*full_at).max(now).checked_add(self.limit.interval);
        let fits = later.filter(|later| later.saturating_duration_since(now) <= self.capacity);
        if let Some(later) = fits {
            *full_at = later;
        }
        fits.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_allowed_at_once_and_then_one_request_per_interval() {
        let bucket = RateLimiter::new(RateLimit { interval: Duration::from_secs(1), burst: 3 });
        let takes = |bucket: &RateLimiter| (0..5).filter(|_| bucket.try_acquire()).count();
        assert_eq!(takes(&bucket), 3);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(takes(&bucket), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(takes(&bucket), 1);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(takes(&bucket), 3, "unused tokens are kept up to the burst");
    }

    #[test]
    fn an_interval_that_overflows_the_clock_refuses_every_request_without_a_panic() {
        let bucket = RateLimiter::new(RateLimit { interval: Duration::MAX, burst: u32::MAX });
        assert!(!bucket.try_acquire());
    }
}
