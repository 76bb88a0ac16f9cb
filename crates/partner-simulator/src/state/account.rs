//! An API Cabinet account, and how often it was tried.

use std::sync::Arc;

use serde_json::Value;

use crate::error_codes::{ACCOUNT_LOCKED, UNKNOWN_FIRM, WRONG_PASSWORD};
use crate::refusal::Refusal;
use crate::spec::login::{FirmSpec, LoginSpec};

/// An account, and how often it was tried.
pub(crate) struct AccountState {
    pub(crate) spec: LoginSpec,
    pub(crate) key: Arc<str>,
    pub(crate) attempts: Attempts,
}

/// How often an account was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Log-ins of any outcome.
    pub total: u64,
    /// Those refused for their password, or because the account was locked.
    pub refused: u64,
    /// Refused since the last right password.
    pub refused_in_a_row: u32,
    /// Whether the account was locked for it; then no password helps any more.
    pub locked: bool,
}

impl AccountState {
    pub(crate) fn new(spec: LoginSpec, key: Arc<str>) -> Self {
        Self { spec, key, attempts: Attempts::default() }
    }

    /// Counts the attempt and judges its password.
    pub(crate) fn check_password(&mut self, password: &str) -> Result<(), Refusal> {
        let attempts = &mut self.attempts;
        attempts.total += 1;
        if attempts.locked {
            attempts.refused += 1;
            return Err(Refusal::new(ACCOUNT_LOCKED));
        }
        if password == self.spec.password {
            attempts.refused_in_a_row = 0;
            return Ok(());
        }
        attempts.refused += 1;
        attempts.refused_in_a_row += 1;
        attempts.locked = attempts.refused_in_a_row >= self.spec.lock_after;
        Err(Refusal::new(WRONG_PASSWORD))
    }

    /// The firm that the log-in is for; `None` where it has to choose one.
    pub(crate) fn choose_firm(&self, wanted: Option<&Value>) -> Result<Option<&FirmSpec>, Refusal> {
        match (wanted, self.spec.firms.as_slice()) {
            (None | Some(Value::Null), [only]) => Ok(Some(only)),
            (None | Some(Value::Null), [_, _, ..]) => Ok(None),
            (wanted, firms) => firms
                .iter()
                .find(|firm| wanted.is_some_and(|wanted| *wanted == firm.id || *wanted == firm.label))
                .map(Some)
                .ok_or(Refusal::new(UNKNOWN_FIRM)),
        }
    }
}
