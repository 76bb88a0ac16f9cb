//! A handle to one account.

use std::sync::Arc;

use crate::shared::Shared;
use crate::state::account::Attempts;

/// One account. The handle of one that was removed does nothing.
#[derive(Clone)]
pub struct Account {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mail: String,
}

impl Account {
    /// How often it was tried.
    #[must_use]
    pub fn attempts(&self) -> Attempts {
        self.shared.lock().accounts.get(&self.mail).map(|account| account.attempts).unwrap_or_default()
    }

    /// Somebody at MyUnisoft unlocked it.
    pub fn unlock(&self) {
        if let Some(account) = self.shared.lock().accounts.get_mut(&self.mail) {
            account.attempts.locked = false;
            account.attempts.refused_in_a_row = 0;
        }
    }
}
