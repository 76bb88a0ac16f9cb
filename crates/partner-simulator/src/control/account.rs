//! API Cabinet accounts: what they are like, how often they were tried, and a handle to change one.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use crate::error_codes::{ACCOUNT_LOCKED, UNKNOWN_FIRM, WRONG_PASSWORD};
use crate::refusal::Refusal;
use crate::state::World;

/// A firm, as a log-in answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmSpec {
    /// Its numeric id; also the schema in tokens.
    pub id: u64,
    /// Its name.
    pub label: String,
    /// The societies a `society-id` may name.
    pub societies: Vec<u64>,
}

/// An API Cabinet account.
#[derive(Clone, Debug)]
pub struct LoginSpec {
    /// The account, unique in the simulator.
    pub mail: String,
    /// Its password.
    pub password: String,
    /// The firms it reaches. With several, a log-in must name one.
    pub firms: Vec<FirmSpec>,
    /// How long a token lives: four hours, says the documentation.
    pub lifetime: Duration,
    /// The zone `expiresIn` is written in, as minutes east of UTC: the documentation doesn't name it.
    pub offset_minutes: i32,
    /// What a token gets that has ended.
    pub expired: Refusal,
    /// So many refusals one after the other lock the account.
    pub lock_after: u32,
    /// The status of `firm-selection`, which isn't documented.
    pub selection_status: StatusCode,
    /// Whether a log-in ends the tokens of those before it. The documentation doesn't say.
    pub one_token: bool,
}

impl LoginSpec {
    /// An account that reaches no firm yet.
    #[must_use]
    pub fn new(mail: &str, password: &str) -> Self {
        Self {
            mail: mail.to_owned(),
            password: password.to_owned(),
            firms: Vec::new(),
            lifetime: Duration::from_hours(4),
            offset_minutes: 0,
            expired: Refusal::new("ERR-FIRM-TOKEN-NOT-FOUND"),
            lock_after: 5,
            selection_status: StatusCode::OK,
            one_token: false,
        }
    }

    /// And this firm.
    #[must_use]
    pub fn firm(mut self, id: u64, label: &str) -> Self {
        self.firms.push(FirmSpec { id, label: label.to_owned(), societies: Vec::new() });
        self
    }

    /// And this society of the firm last named.
    #[must_use]
    pub fn society(mut self, id: u64) -> Self {
        if let Some(firm) = self.firms.last_mut() {
            firm.societies.push(id);
        }
        self
    }

    /// Tokens live that long.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// `expiresIn` is written in this zone.
    #[must_use]
    pub fn offset_minutes(mut self, minutes: i32) -> Self {
        self.offset_minutes = minutes;
        self
    }

    /// What a token gets that has ended.
    #[must_use]
    pub fn expired(mut self, refusal: Refusal) -> Self {
        self.expired = refusal;
        self
    }

    /// So many refusals one after the other lock the account.
    #[must_use]
    pub fn lock_after(mut self, refusals: u32) -> Self {
        self.lock_after = refusals;
        self
    }

    /// A log-in ends the tokens of those before it.
    #[must_use]
    pub fn one_token(mut self) -> Self {
        self.one_token = true;
        self
    }
}

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
    pub(crate) fn enter(&mut self, password: &str) -> Result<(), Refusal> {
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
    pub(crate) fn choose(&self, wanted: Option<&Value>) -> Result<Option<&FirmSpec>, Refusal> {
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

/// One account. The handle of one that was removed does nothing.
#[derive(Clone)]
pub struct Account {
    pub(crate) world: Arc<World>,
    pub(crate) mail: String,
}

impl Account {
    /// How often it was tried.
    #[must_use]
    pub fn attempts(&self) -> Attempts {
        self.world.lock().accounts.get(&self.mail).map(|account| account.attempts).unwrap_or_default()
    }

    /// Another password.
    pub fn set_password(&self, password: &str) {
        if let Some(account) = self.world.lock().accounts.get_mut(&self.mail) {
            password.clone_into(&mut account.spec.password);
        }
    }

    /// Somebody at MyUnisoft unlocked it.
    pub fn unlock(&self) {
        if let Some(account) = self.world.lock().accounts.get_mut(&self.mail) {
            account.attempts.locked = false;
            account.attempts.refused_in_a_row = 0;
        }
    }
}
