//! The initial settings of an API Cabinet account.

use std::time::Duration;

use http::StatusCode;

use crate::refusal::Refusal;

/// A firm in a log-in response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmSpec {
    /// The numeric ID. It is also the schema in tokens.
    pub id: u64,
    pub label: String,
    /// The societies that the `society-id` header may name.
    pub societies: Vec<u64>,
}

/// An API Cabinet account.
#[derive(Clone, Debug)]
pub struct LoginSpec {
    /// The e-mail address. It is unique in the simulator.
    pub mail: String,
    pub password: String,
    /// The firms of the account. If there are several, a log-in must name one.
    pub firms: Vec<FirmSpec>,
    /// The lifetime of a token. The API's documentation says four hours.
    pub lifetime: Duration,
    /// The time zone of `expiresIn`, in minutes east of UTC. The API's documentation does not name the zone.
    pub offset_minutes: i32,
    /// How requests with an expired token are refused.
    pub expired: Refusal,
    /// How many consecutive refusals lock the account.
    pub lock_after: u32,
    /// The HTTP status of a `firm-selection` response. It is not documented.
    pub selection_status: StatusCode,
    /// Whether a log-in revokes the earlier tokens. The API's documentation does not say.
    pub one_token: bool,
}

impl LoginSpec {
    /// An account without a firm.
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

    /// Adds a firm.
    #[must_use]
    pub fn firm(mut self, id: u64, label: &str) -> Self {
        self.firms.push(FirmSpec { id, label: label.to_owned(), societies: Vec::new() });
        self
    }

    /// Adds a society to the firm added last.
    #[must_use]
    pub fn society(mut self, id: u64) -> Self {
        if let Some(firm) = self.firms.last_mut() {
            firm.societies.push(id);
        }
        self
    }

    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the time zone of `expiresIn`, in minutes east of UTC.
    #[must_use]
    pub fn offset_minutes(mut self, minutes: i32) -> Self {
        self.offset_minutes = minutes;
        self
    }

    /// Sets how many consecutive refusals lock the account.
    #[must_use]
    pub fn lock_after(mut self, refusals: u32) -> Self {
        self.lock_after = refusals;
        self
    }
}
