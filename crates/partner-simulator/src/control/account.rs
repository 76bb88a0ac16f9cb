//! The handle of an account.

use std::sync::Arc;

use crate::shared::Shared;
use crate::state::account::Attempts;

/// Reads and changes one account. The handle of a removed account does nothing.
#[derive(Clone)]
pub struct Account {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mail: String,
}

impl Account {
    pub fn attempts(&self) -> Attempts {
        self.shared.lock().accounts.get(&self.mail).map(|account| account.attempts).unwrap_or_default()
    }

    /// Unlocks the account, as MyUnisoft's support does.
    pub fn unlock(&self) {
        if let Some(account) = self.shared.lock().accounts.get_mut(&self.mail) {
            account.attempts.locked = false;
            account.attempts.refused_in_a_row = 0;
        }
    }
}
