//! The format of version 1: the state of a key or partner is stored under its name.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_with::serde_as;

use super::fingerprint::Fingerprint;
use super::logins::{LoginRecord, StoredAccount};
use super::records::{Records, Stored, Used, parse_records};
use crate::key_state::{PersistedKeyState, PersistedSecretState};
use crate::rfc3339::Rfc3339;

/// The content of such a file.
pub(super) struct Content {
    pub(super) keys: Records<(Arc<str>, Arc<str>), PersistedKeyState>,
    pub(super) secrets: Records<Arc<str>, PersistedSecretState>,
    pub(super) logins: Vec<LoginRecord<StoredAccount>>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
    #[serde(borrow)]
    secrets: Vec<&'a RawValue>,
    #[serde(borrow)]
    logins: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct KeyRecord {
    partner: Arc<str>,
    key: Arc<str>,
    #[serde(flatten)]
    state: State<PersistedKeyState>,
}

#[derive(Deserialize)]
struct SecretRecord {
    partner: Arc<str>,
    #[serde(flatten)]
    state: State<PersistedSecretState>,
}

#[serde_as]
#[derive(Deserialize)]
struct State<S> {
    fingerprint: Fingerprint,
    #[serde(flatten)]
    persisted: S,
    /// When it was removed from the configuration.
    #[serde(default)]
    #[serde_as(as = "Option<Rfc3339>")]
    left: Option<SystemTime>,
}

impl<S> State<S> {
    fn into_parts(self) -> (Fingerprint, Stored<S>) {
        (self.fingerprint, Stored { persisted: self.persisted, unused_since: self.left })
    }
}

impl Content {
    /// Adds one message to `damage` per record that cannot be read.
    pub(super) fn from_json(text: &[u8], damage: &mut Vec<String>) -> serde_json::Result<Self> {
        let file: File<'_> = serde_json::from_slice(text)?;
        let mut keys: Vec<KeyRecord> = parse_records("keys", &file.keys, damage);
        let secrets: Vec<SecretRecord> = parse_records("secrets", &file.secrets, damage);
        for record in &mut keys {
            record.state.persisted.complete_version_1();
        }
        let key_name = |record: &KeyRecord| (Arc::clone(&record.partner), Arc::clone(&record.key));
        let used =
            |state: &State<PersistedKeyState>| Used::of_version_1(state.fingerprint.clone(), state.persisted);
        let owners: Vec<_> = keys.iter().map(|record| (key_name(record), used(&record.state))).collect();
        let keys = Records::from_parts(owners, keys.into_iter().map(|record| record.state.into_parts()));
        let used = |state: &State<PersistedSecretState>| {
            Used::of_version_1(state.fingerprint.clone(), state.persisted)
        };
        let owners: Vec<_> =
            secrets.iter().map(|record| (Arc::clone(&record.partner), used(&record.state))).collect();
        let secrets =
            Records::from_parts(owners, secrets.into_iter().map(|record| record.state.into_parts()));
        Ok(Self { keys, secrets, logins: parse_records("logins", &file.logins, damage) })
    }
}
