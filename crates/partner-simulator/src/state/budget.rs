//! The request budget of a token, and the headers that report it.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::Instant;

use crate::clock::{Clock, since_epoch};
use crate::spec::{Limits, RateHeaders, RetryAfter};

const TOTAL: HeaderName = HeaderName::from_static("x-rate-limit-total");
const REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-rate-limit-reset");

/// A token's budget. Windows do not slide: a new window starts with the first request after the previous window has
/// ended.
pub(crate) struct Budget {
    limits: Limits,
    used: u32,
    window_end: Option<Instant>,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, used: 0, window_end: None }
    }

    /// Spends the cost of a request. If too little remains, it spends nothing and returns `false`.
    pub(crate) fn try_spend(&mut self, cost: u32) -> bool {
        let is_enough = cost <= self.remaining();
        if is_enough {
            self.spend(cost);
        }
        is_enough
    }

    /// Spends requests of other traffic, at most as many as remain.
    pub(crate) fn spend(&mut self, cost: u32) {
        if self.is_window_over() {
            self.used = 0;
            self.window_end = Some(Instant::now() + self.limits.window);
        }
        self.used = self.used.saturating_add(cost).min(self.limits.total);
    }

    /// The requests that remain in the window.
    pub(crate) fn remaining(&self) -> u32 {
        if self.is_window_over() { self.limits.total } else { self.limits.total - self.used }
    }

    fn is_window_over(&self) -> bool {
        self.window_end.is_none_or(|end| end <= Instant::now())
    }

    /// The header of a refused request that says when to try again.
    pub(crate) fn retry_after(&self, clock: &Clock) -> Option<(HeaderName, HeaderValue)> {
        let end = self.window_end?;
        let wait = end.saturating_duration_since(Instant::now()).as_secs_f64().ceil();
        let text = match self.limits.retry_after {
            RetryAfter::Absent => return None,
            RetryAfter::Seconds => wait.to_string(),
            // A date has no fractions of a second. The next second is after the end.
            RetryAfter::Date => httpdate::fmt_http_date(clock.shown_at(end) + Duration::from_secs(1)),
        };
        Some((header::RETRY_AFTER, HeaderValue::from_str(&text).ok()?))
    }

    /// The response headers that report the budget.
    pub(crate) fn headers(&self, clock: &Clock) -> HeaderMap {
        let window_end = self.window_end.unwrap_or(Instant::now() + self.limits.window);
        let reset = since_epoch(clock.shown_at(window_end));
        let reset = match self.limits.headers {
            RateHeaders::Seconds => Some(format!("{}.{:06}", reset.as_secs(), reset.subsec_micros())),
            RateHeaders::Milliseconds => Some(reset.as_millis().to_string()),
            RateHeaders::WithoutReset => None,
            RateHeaders::Garbage => {
                let garbage = [(TOTAL, "vingt"), (REMAINING, "-"), (RESET, "bientot")];
                return garbage
                    .map(|(name, value)| (name, HeaderValue::from_static(value)))
                    .into_iter()
                    .collect();
            }
            RateHeaders::Absent => return HeaderMap::new(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(TOTAL, self.limits.total.into());
        headers.insert(REMAINING, self.remaining().into());
        if let Some(reset) = reset.and_then(|reset| HeaderValue::from_str(&reset).ok()) {
            headers.insert(RESET, reset);
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_window_starts_with_the_first_request_after_the_previous_window() {
        let mut budget = Budget::new(Limits { total: 2, ..Limits::default() });
        assert!(budget.try_spend(1));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(budget.try_spend(1));
        assert!(!budget.try_spend(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(budget.try_spend(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_costs_more_than_remains_spends_nothing() {
        let mut budget = Budget::new(Limits { total: 5, ..Limits::default() });
        assert!(budget.try_spend(3));
        assert!(!budget.try_spend(3));
        assert_eq!(budget.remaining(), 2);
    }
}
