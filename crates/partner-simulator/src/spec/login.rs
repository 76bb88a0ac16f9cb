//! What API Cabinet accounts are like when they come into being.

use std::time::Duration;

use http::StatusCode;

use crate::refusal::Refusal;

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
