//! The request budget of a token, and the headers that report it.

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::clock::{Clock, since_epoch};
use crate::spec::limits::{Limits, RateHeaders};

const TOTAL: HeaderName = HeaderName::from_static("x-rate-limit-total");
const REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-rate-limit-reset");

/// The used part of a token's budget. Windows do not slide: a new window starts with the first request after the
/// previous window has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    used: u32,
    window_end: Option<Instant>,
}

impl Budget {
    /// Spends the cost of a request. If too little remains, it spends nothing and returns `false`.
    pub(crate) fn try_spend(&mut self, cost: u32, limits: &Limits, now: Instant) -> bool {
        let remaining = self.remaining(limits, now);
        if remaining < cost {
            return false;
        }
        self.spend(cost, limits, now);
        true
    }

    /// Spends requests of other traffic, at most as many as remain.
    pub(crate) fn spend(&mut self, cost: u32, limits: &Limits, now: Instant) {
        if self.is_window_over(now) {
            *self = Self { used: 0, window_end: Some(now + limits.window) };
        }
        self.used = self.used.saturating_add(cost).min(limits.total);
    }

    /// The requests that remain in the window.
    pub(crate) fn remaining(&self, limits: &Limits, now: Instant) -> u32 {
        if self.is_window_over(now) { limits.total } else { limits.total.saturating_sub(self.used) }
    }

    fn is_window_over(&self, now: Instant) -> bool {
        self.window_end.is_none_or(|end| end <= now)
    }

    /// The response headers that report the budget.
    pub(crate) fn headers(&self, limits: &Limits, now: Instant, clock: &Clock) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if limits.headers == RateHeaders::Absent {
            return headers;
        }
        if limits.headers == RateHeaders::Garbage {
            headers.insert(TOTAL, HeaderValue::from_static("vingt"));
            headers.insert(REMAINING, HeaderValue::from_static("-"));
            headers.insert(RESET, HeaderValue::from_static("bientot"));
            return headers;
        }
        headers.insert(TOTAL, limits.total.into());
        headers.insert(REMAINING, self.remaining(limits, now).into());
        let end = since_epoch(clock.at(self.window_end.unwrap_or(now + limits.window)));
        let reset = match limits.headers {
            RateHeaders::Seconds => Some(format!("{}.{:06}", end.as_secs(), end.subsec_micros())),
            RateHeaders::Milliseconds => Some(end.as_millis().to_string()),
            RateHeaders::WithoutReset | RateHeaders::Garbage | RateHeaders::Absent => None,
        };
        if let Some(reset) = reset.and_then(|reset| HeaderValue::from_str(&reset).ok()) {
            headers.insert(RESET, reset);
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_window_starts_with_the_first_request_after_the_previous_window() {
        let limits = Limits { total: 2, ..Limits::default() };
        let mut budget = Budget::default();
        assert!(budget.try_spend(1, &limits, Instant::now()));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(budget.try_spend(1, &limits, Instant::now()));
        assert!(!budget.try_spend(1, &limits, Instant::now()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(budget.try_spend(2, &limits, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_costs_more_than_remains_spends_nothing() {
        let limits = Limits { total: 5, ..Limits::default() };
        let mut budget = Budget::default();
        assert!(budget.try_spend(3, &limits, Instant::now()));
        assert!(!budget.try_spend(3, &limits, Instant::now()));
        assert_eq!(budget.remaining(&limits, Instant::now()), 2);
    }
}
