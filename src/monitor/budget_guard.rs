//! The budget guard: probes never use requests that the customer's production traffic needs.

use tokio::time::Instant;

use crate::partner_api::budget::Budget;

/// The known request budget of one key. The values of a response are valid until the budget is reset.
/// After that, nothing is known and the next probe may be sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BudgetGuard {
    remaining: Option<(u32, Instant)>,
    exhausted_until: Option<Instant>,
}

impl BudgetGuard {
    /// Until when no probe may be sent, because it would use one of the last `keep_free` requests, or the budget is
    /// exhausted.
    pub(super) fn blocked_until(&self, keep_free: u32, now: Instant) -> Option<Instant> {
        let low = self.remaining.filter(|(left, _)| *left < keep_free).map(|(_, until)| until);
        low.max(self.exhausted_until).filter(|until| now < *until)
    }

    /// Records the budget of a response received at `now`; `refused` if the response was that the budget is
    /// exhausted.
    pub(super) fn update(&mut self, budget: &Budget, refused: bool, now: Instant) {
        let until = now + budget.holds_for;
        if let Some(remaining) = budget.remaining {
            self.remaining = Some((remaining, until));
        }
        if refused {
            self.exhausted_until = Some(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Duration;

    use super::*;

    fn budget(remaining: Option<u32>, seconds: u64) -> Budget {
        Budget { total: Some(20), remaining, reset: None, holds_for: Duration::from_secs(seconds) }
    }

    fn blocks(guard: &BudgetGuard, keep_free: u32, now: Instant) -> bool {
        guard.blocked_until(keep_free, now).is_some()
    }

    #[test]
    fn an_unknown_budget_does_not_block() {
        assert_eq!(BudgetGuard::default().blocked_until(5, Instant::now()), None);
    }

    #[test]
    fn a_budget_below_keep_free_blocks_until_the_reset() {
        let now = Instant::now();
        let mut budget_guard = BudgetGuard::default();
        budget_guard.update(&budget(Some(4), 10), false, now);
        assert!(blocks(&budget_guard, 5, now + Duration::from_millis(9_999)));
        assert!(!blocks(&budget_guard, 5, now + Duration::from_secs(10)), "a new window");
        assert!(!blocks(&budget_guard, 4, now), "4 is not below 4");
    }

    #[test]
    fn a_refusal_blocks_until_the_reset_even_if_keep_free_is_zero() {
        let now = Instant::now();
        let mut budget_guard = BudgetGuard::default();
        budget_guard.update(&budget(None, 30), true, now);
        assert!(blocks(&budget_guard, 0, now + Duration::from_secs(29)));
        assert!(!blocks(&budget_guard, 0, now + Duration::from_secs(30)));
    }

    #[test]
    fn a_response_without_remaining_requests_keeps_the_known_value() {
        let now = Instant::now();
        let mut budget_guard = BudgetGuard::default();
        budget_guard.update(&budget(Some(0), 10), false, now);
        budget_guard.update(&budget(None, 60), false, now);
        assert!(blocks(&budget_guard, 1, now + Duration::from_secs(9)));
        assert!(!blocks(&budget_guard, 1, now + Duration::from_secs(11)));
    }
}
