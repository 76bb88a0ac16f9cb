//! The refused log-ins of accounts, as the state file holds them.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_with::serde_as;

use crate::partner_api::Firm;
use crate::partner_api::login::LoginRefusal;
use crate::password_fingerprint::PasswordFingerprint;
use crate::rfc3339::Rfc3339;

/// What is persisted about the log-ins of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    /// The last event of the journal that is included; 0 if there is none.
    #[serde(default)]
    pub journal: u64,
    /// The passwords that were refused.
    pub passwords: Vec<PasswordRecord>,
}

/// The refusals of one password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PasswordRecord {
    pub password: PasswordFingerprint,
    /// The refusal of the account as a whole: no firm is tried any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<RefusalRecord>,
    pub firms: Vec<FirmRecord>,
}

/// The refusals of one firm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FirmRecord {
    /// `None` for a log-in without a firm.
    pub firm: Option<Firm>,
    /// The refusal is the firm's own: since then, the password was accepted for another firm.
    pub is_own: bool,
    #[serde(flatten)]
    pub refusal: RefusalRecord,
}

#[serde_as]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusalRecord {
    /// How many refusals in a row.
    pub times: u32,
    /// The time of the last refusal.
    #[serde_as(as = "Rfc3339")]
    pub last: SystemTime,
    pub refusal: LoginRefusal,
}

/// The record of an account in the state file. Earlier versions had one refused password per account.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum StoredAccount {
    Current(AccountRecord),
    Earlier(EarlierRecord),
}

#[serde_as]
#[derive(Deserialize)]
pub(super) struct EarlierRecord {
    times: u32,
    #[serde_as(as = "Rfc3339")]
    last: SystemTime,
    password: PasswordFingerprint,
}

/// The log-ins of one account in the file.
#[derive(Serialize, Deserialize)]
pub(super) struct LoginRecord<A> {
    pub(super) auth_url: String,
    pub(super) mail: String,
    #[serde(flatten)]
    pub(super) account: A,
}

impl LoginRecord<StoredAccount> {
    pub(super) fn into_parts(self) -> ((String, String), AccountRecord) {
        ((self.auth_url, self.mail), self.account.into_record())
    }
}

impl AccountRecord {
    /// Whether nothing needs to be written for the account.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The time of the last refusal.
    pub(super) fn last_refusal(&self) -> Option<SystemTime> {
        let of_password = |record: &PasswordRecord| {
            let firms = record.firms.iter().map(|firm| firm.refusal.last);
            firms.chain(record.account.as_ref().map(|account| account.last)).max()
        };
        self.passwords.iter().filter_map(of_password).max()
    }
}

impl StoredAccount {
    /// An earlier version did not record the firm, so its refusals are read as those of the account.
    pub(super) fn into_record(self) -> AccountRecord {
        match self {
            Self::Current(record) => record,
            Self::Earlier(EarlierRecord { times, last, password }) => {
                let account = RefusalRecord { times, last, refusal: LoginRefusal::Credentials };
                let record = PasswordRecord { password, account: Some(account), firms: Vec::new() };
                AccountRecord { journal: 0, passwords: vec![record] }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_earlier_version_is_a_refusal_of_the_account() {
        let text = r#"{"times":2,"last":"2026-01-01T00:00:00Z","password":{"salt":[7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7],"hash":[1]}}"#;
        let record = serde_json::from_str::<StoredAccount>(text).unwrap().into_record();
        let [PasswordRecord { account: Some(account), firms, .. }] = &record.passwords[..] else {
            panic!("{record:?}")
        };
        assert_eq!((account.times, firms.len()), (2, 0));
        let again = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<StoredAccount>(&again).unwrap().into_record(), record);
    }
}
