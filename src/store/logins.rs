//! The refused log-ins, as they are persisted.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_with::serde_as;

use crate::password_fingerprint::PasswordFingerprint;
use crate::rfc3339::Rfc3339;

/// An account's refused log-ins.
#[serde_as]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedLogins {
    /// How many times in a row the same password was refused.
    pub times: u32,
    /// The time of the last refusal.
    #[serde_as(as = "Rfc3339")]
    pub last: SystemTime,
    /// Of the refused password.
    pub password: PasswordFingerprint,
}

#[derive(Serialize, Deserialize)]
pub(super) struct LoginRecord {
    pub(super) auth_url: String,
    pub(super) mail: String,
    #[serde(flatten)]
    pub(super) refused: RefusedLogins,
}
