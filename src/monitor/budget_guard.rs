//! What a key's budget allows: probes never take what the customer's production traffic needs.

use tokio::time::Instant;

use crate::partner_api::budget::Budget;

/// What is known of one key's budget right now. What an answer told holds until the budget starts
/// anew; then nothing is known, and the next probe may ask again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BudgetGuard {
    remaining: Option<(u32, Instant)>,
    spent_until: Option<Instant>,
}

impl BudgetGuard {
    /// Whether a probe would take from the last `keep_free` requests, or from a spent budget.
    pub(super) fn blocks(&self, keep_free: u32, now: Instant) -> bool {
        let low = self.remaining.is_some_and(|(left, until)| now < until && left < keep_free);
        low || self.spent_until.is_some_and(|until| now < until)
    }

    /// Enters what an answer received at `now` told; `refused` where the answer was that the budget is spent.
    pub(super) fn update(&mut self, budget: &Budget, refused: bool, now: Instant) {
        let until = now + budget.holds_for;
        if let Some(remaining) = budget.remaining {
            self.remaining = Some((remaining, until));
        }
        if refused {
            self.spent_until = Some(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Duration;

    use super::*;

    fn told(remaining: Option<u32>, seconds: u64) -> Budget {
        Budget { total: Some(20), remaining, reset: None, holds_for: Duration::from_secs(seconds) }
    }

    #[test]
    fn nothing_known_means_open() {
        assert!(!BudgetGuard::default().blocks(5, Instant::now()));
    }

    #[test]
    fn below_what_is_kept_free_it_is_closed_until_the_reset() {
        let now = Instant::now();
        let mut budget_guard = BudgetGuard::default();
        budget_guard.update(&told(Some(4), 10), false, now);
        assert!(budget_guard.blocks(5, now + Duration::from_millis(9_999)));
        assert!(!budget_guard.blocks(5, now + Duration::from_secs(10)), "a new window");
        assert!(!budget_guard.blocks(4, now), "four are not below four");
    }

    #[test]
    fn a_refusal_closes_it_until_the_reset_even_where_nothing_is_kept_free() {
        let now = Instant::now();
        let mut budget_guard = BudgetGuard::default();
        budget_guard.update(&told(None, 30), true, now);
        assert!(budget_guard.blocks(0, now + Duration::from_secs(29)));
        assert!(!budget_guard.blocks(0, now + Duration::from_secs(30)));
    }

    #[test]
    fn an_answer_that_tells_nothing_leaves_what_is_known() {
        let now = Instant::now();
        let mut budget_guard = BudgetGuard::default();
        budget_guard.update(&told(Some(0), 10), false, now);
        budget_guard.update(&told(None, 60), false, now);
        assert!(budget_guard.blocks(1, now + Duration::from_secs(9)));
        assert!(!budget_guard.blocks(1, now + Duration::from_secs(11)));
    }
}
