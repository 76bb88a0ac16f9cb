//! A bucket of tokens: each request takes one, and they come back with time.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};

use crate::config::RateLimit;

/// One bucket for all clients together, as the file format has it.
#[derive(Debug)]
pub(super) struct RateLimiter {
    /// How long the bucket takes to be full again from nothing.
    capacity: Duration,
    limit: RateLimit,
    /// When it will be, or was, full.
    full_at: Mutex<Instant>,
}

impl RateLimiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        let capacity = limit.interval.saturating_mul(limit.burst);
        Self { capacity, limit, full_at: Mutex::new(Instant::now()) }
    }

    /// Takes a token, if there is one.
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
    async fn as_many_as_the_burst_come_at_once_and_then_one_an_interval() {
        let bucket = RateLimiter::new(RateLimit { interval: Duration::from_secs(1), burst: 3 });
        let takes = |bucket: &RateLimiter| (0..5).filter(|_| bucket.try_acquire()).count();
        assert_eq!(takes(&bucket), 3);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(takes(&bucket), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(takes(&bucket), 1);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(takes(&bucket), 3, "no more than the burst are saved up");
    }

    #[test]
    fn an_interval_beyond_the_clock_lets_nobody_in_and_does_not_panic() {
        let bucket = RateLimiter::new(RateLimit { interval: Duration::MAX, burst: u32::MAX });
        assert!(!bucket.try_acquire());
    }
}
