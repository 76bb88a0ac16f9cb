//! The state of an API Cabinet account.

use std::sync::Arc;

use serde_json::Value;

use crate::error_codes::{LOG_IN_REFUSED, WRONG_PASSWORD};
use crate::refusal::Refusal;
use crate::spec::{FirmSpec, LoginSpec};

pub(crate) struct AccountState {
    pub(crate) spec: LoginSpec,
    /// The names of the account's keys, and the IDs of their firms.
    keys: Vec<(Arc<str>, Vec<u64>)>,
    pub(crate) attempts: Attempts,
}

/// The log-in attempts of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// All log-ins, accepted or refused.
    pub total: u64,
    /// Log-ins refused because of a wrong password or a locked account.
    pub refused: u64,
    /// Consecutive log-ins with a wrong password. A correct password sets it to zero.
    pub consecutive_wrong_passwords: u32,
    /// Whether the account is locked. Then all log-ins are refused, even with the correct password.
    pub locked: bool,
}

impl AccountState {
    pub(crate) fn new(spec: LoginSpec) -> Self {
        Self {
            spec: LoginSpec { firms: Vec::new(), ..spec },
            keys: Vec::new(),
            attempts: Attempts::default(),
        }
    }

    /// Adds a key and its firms. Log-ins to these firms return tokens of this key.
    pub(crate) fn add_key(&mut self, name: Arc<str>, firms: &[FirmSpec]) {
        self.keys.push((name, firms.iter().map(|firm| firm.id).collect()));
        for firm in firms {
            if self.spec.firms.iter().all(|known| known.id != firm.id) {
                self.spec.firms.push(firm.clone());
            }
        }
    }

    /// Removes the other keys and their firms. Returns whether a key is left.
    pub(crate) fn retain_keys(&mut self, is_kept: impl Fn(&str) -> bool) -> bool {
        self.keys.retain(|(name, _)| is_kept(name));
        let keys = &self.keys;
        self.spec.firms.retain(|firm| keys.iter().any(|(_, firms)| firms.contains(&firm.id)));
        !keys.is_empty()
    }

    pub(crate) fn has_key(&self, name: &str) -> bool {
        self.keys.iter().any(|(known, _)| &**known == name)
    }

    /// The key of the firm. The first key of the account if there is no such firm.
    pub(crate) fn key_of(&self, firm: Option<u64>) -> Option<&Arc<str>> {
        let of_firm = self.keys.iter().find(|(_, firms)| firm.is_some_and(|firm| firms.contains(&firm)));
        of_firm.or(self.keys.first()).map(|(name, _)| name)
    }

    /// Counts the attempt and checks the password.
    pub(crate) fn check_password(&mut self, password: &str) -> Result<(), Refusal> {
        let attempts = &mut self.attempts;
        attempts.total += 1;
        if attempts.locked {
            attempts.refused += 1;
            return Err(self.refusal(LOG_IN_REFUSED));
        }
        if password == self.spec.password {
            attempts.consecutive_wrong_passwords = 0;
            return Ok(());
        }
        attempts.refused += 1;
        attempts.consecutive_wrong_passwords += 1;
        attempts.locked = attempts.consecutive_wrong_passwords >= self.spec.lock_after;
        Err(self.refusal(WRONG_PASSWORD))
    }

    fn refusal(&self, code: &'static str) -> Refusal {
        Refusal::new(code).form(self.spec.refusal_form)
    }

    /// Returns the firm for the log-in, or `None` if the client must choose one.
    pub(crate) fn choose_firm(&self, requested: Option<&Value>) -> Result<Option<&FirmSpec>, Refusal> {
        let requested = requested.filter(|requested| !requested.is_null());
        match (requested, self.spec.firms.as_slice()) {
            (None, [only]) => Ok(Some(only)),
            (None, [_, _, ..]) => Ok(None),
            // The account has no firm.
            (None, []) => Err(self.refusal(LOG_IN_REFUSED)),
            (Some(requested), firms) => {
                let firm = firms.iter().find(|firm| *requested == firm.id || *requested == firm.label);
                firm.map(Some).ok_or_else(|| self.refusal(LOG_IN_REFUSED))
            }
        }
    }
}
