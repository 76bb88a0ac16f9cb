//! The request budgets of all tokens. Two keys with the same token share one budget.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::budget_guard::BudgetGuard;
use crate::state::TokenUse;
use crate::store::{CredentialId, Fingerprint};

#[derive(Debug, Default)]
pub(crate) struct Budgets(Mutex<HashMap<Fingerprint, TokenBudget>>);

/// The budget of one token, shared by the keys that use it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenBudget {
    guard: Arc<Mutex<BudgetGuard>>,
    /// By the configured probes of all its keys.
    pub used: TokenUse,
}

impl Budgets {
    pub(super) fn of(&self, token: &CredentialId) -> TokenBudget {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.entry(token.fingerprint.clone()).or_default().clone()
    }

    /// Removes the budgets of tokens that no key uses any more.
    pub(crate) fn remove_unused(&self) {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.retain(|_, budget| Arc::strong_count(&budget.guard) > 1);
    }
}

impl TokenBudget {
    pub(super) fn lock(&self) -> MutexGuard<'_, BudgetGuard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
