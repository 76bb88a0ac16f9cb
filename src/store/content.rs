//! The content of the store, and its format in the file: JSON.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::contradictions::{ContradictionsRecord, NamedContradiction, Settled};
use super::fingerprint::{CredentialId, Fingerprint};
use super::logins::{AccountRecord, LoginRecord, StoredAccount};
use super::records::{Records, Stored, Used, is_recent, parse_records};
use super::rendered::Rendered;
use super::request_ids::{RequestIdRecord, RequestIdTimes};
use super::version_1;
use crate::key_state::{PersistedKeyState, PersistedSecretState};

/// The version of the file's format. A file of an earlier version is read, too; a file of another version counts
/// as damaged, and its format is not guessed.
const VERSION: u32 = 2;

/// One change to persist.
#[derive(Clone, Debug)]
pub(crate) enum StateUpdate {
    /// The state of a key.
    Key {
        partner: Arc<str>,
        key: Arc<str>,
        /// Of the token that the state belongs to.
        id: CredentialId,
        persisted: PersistedKeyState,
    },
    /// The state of a partner's secret.
    Secret {
        partner: Arc<str>,
        /// Of the secret that the state belongs to.
        id: CredentialId,
        persisted: PersistedSecretState,
    },
    /// The refused log-ins of an account.
    Login {
        /// The URL of the log-in route.
        auth_url: String,
        /// The account, in lower case.
        mail: String,
        account: AccountRecord,
    },
}

/// The names of a partner and of one of its keys.
type KeyName = (Arc<str>, Arc<str>);

/// The whole persisted state.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    keys: Records<KeyName, PersistedKeyState>,
    secrets: Records<Arc<str>, PersistedSecretState>,
    /// An empty record is not written, but it says that refusals from an older file no longer count.
    logins: BTreeMap<(String, String), AccountRecord>,
    /// The patterns of `key_files`, and how many files each one matched last.
    key_files: BTreeMap<String, usize>,
    key_contradictions: Settled<KeyName>,
    secret_contradictions: Settled<Arc<str>>,
    request_ids: RequestIdTimes,
}

impl Content {
    /// Applies an update. Returns whether the file has to be written for it.
    pub(super) fn apply(&mut self, update: StateUpdate) -> bool {
        match update {
            // Written even if it is known already: the caller waits until it is on disk.
            StateUpdate::Key { partner, key, id, persisted } => {
                self.keys.set((partner, key), &id, persisted);
                true
            }
            StateUpdate::Secret { partner, id, persisted } => {
                self.secrets.set(partner, &id, persisted);
                true
            }
            StateUpdate::Login { auth_url, mail, account } => {
                // An unchanged record is not written: each log-in of the account waits for the disk.
                let is_empty = account.is_empty();
                let before = self.logins.insert((auth_url, mail), account.clone());
                before.map_or(!is_empty, |before| before != account)
            }
        }
    }

    /// Merges the content of a file that could be read only now: it is older than what this process
    /// knows. Keys and partners that are no longer configured are removed at the next
    /// [`Self::update_configured`].
    pub(super) fn merge_older(&mut self, older: Self) {
        self.keys.merge_older(older.keys);
        self.secrets.merge_older(older.secrets);
        for (name, account) in older.logins {
            self.logins.entry(name).or_insert(account);
        }
        for (pattern, files) in older.key_files {
            self.key_files.entry(pattern).or_insert(files);
        }
        self.key_contradictions.merge_older(older.key_contradictions);
        self.secret_contradictions.merge_older(older.secret_contradictions);
        self.request_ids.merge_older(older.request_ids);
    }

    /// Records that a key uses this token now; see [`Records::adopt`].
    pub(super) fn adopt_key(
        &mut self,
        key: KeyName,
        token: &CredentialId,
        new: PersistedKeyState,
    ) -> (PersistedKeyState, bool) {
        if !self.keys.uses(&key, token) {
            self.key_contradictions.adopt(key.clone(), &token.fingerprint);
        }
        self.keys.adopt(key, token, new)
    }

    /// Records that a partner uses this secret now; see [`Records::adopt`].
    pub(super) fn adopt_secret(
        &mut self,
        partner: Arc<str>,
        secret: &CredentialId,
        new: PersistedSecretState,
    ) -> (PersistedSecretState, bool) {
        if !self.secrets.uses(&partner, secret) {
            self.secret_contradictions.adopt(Arc::clone(&partner), &secret.fingerprint);
        }
        self.secrets.adopt(partner, secret, new)
    }

    /// The settled contradictions between the probes of a key with this token.
    pub(super) fn key_contradictions(&self, key: &KeyName, token: &CredentialId) -> &[NamedContradiction] {
        self.key_contradictions.get(key, &token.fingerprint)
    }

    /// Returns whether anything changed.
    pub(super) fn set_key_contradictions(
        &mut self,
        key: KeyName,
        token: &CredentialId,
        settled: Vec<NamedContradiction>,
    ) -> bool {
        self.key_contradictions.set(key, &token.fingerprint, settled)
    }

    /// The settled contradictions between the keys of a partner about this secret.
    pub(super) fn secret_contradictions(
        &self,
        partner: &Arc<str>,
        secret: &CredentialId,
    ) -> &[NamedContradiction] {
        self.secret_contradictions.get(partner, &secret.fingerprint)
    }

    /// Returns whether anything changed.
    pub(super) fn set_secret_contradictions(
        &mut self,
        partner: Arc<str>,
        secret: &CredentialId,
        settled: Vec<NamedContradiction>,
    ) -> bool {
        self.secret_contradictions.set(partner, &secret.fingerprint, settled)
    }

    pub(super) const fn keys_mut(&mut self) -> &mut Records<KeyName, PersistedKeyState> {
        &mut self.keys
    }

    pub(super) const fn request_ids(&self) -> &RequestIdTimes {
        &self.request_ids
    }

    pub(super) const fn request_ids_mut(&mut self) -> &mut RequestIdTimes {
        &mut self.request_ids
    }

    /// How many files the pattern matched last.
    pub(super) fn key_files(&self, pattern: &str) -> usize {
        self.key_files.get(pattern).copied().unwrap_or_default()
    }

    /// Sets the patterns of the present configuration. Returns whether anything changed.
    pub(super) fn set_key_files(&mut self, patterns: BTreeMap<String, usize>) -> bool {
        let is_changed = self.key_files != patterns;
        self.key_files = patterns;
        is_changed
    }

    pub(super) fn key(&self, key: &KeyName, token: &CredentialId) -> Option<PersistedKeyState> {
        self.keys.get(key, token)
    }

    pub(super) fn last_key(&self, key: &KeyName, api: &str) -> Option<PersistedKeyState> {
        self.keys.last(key, api)
    }

    pub(super) fn last_secret(&self, partner: &Arc<str>, api: &str) -> Option<PersistedSecretState> {
        self.secrets.last(partner, api)
    }

    pub(super) fn secret(&self, partner: &Arc<str>, id: &CredentialId) -> Option<PersistedSecretState> {
        self.secrets.get(partner, id)
    }

    pub(super) fn account(&self, auth_url: &str, mail: &str) -> Option<AccountRecord> {
        self.logins.get(&(auth_url.to_owned(), mail.to_owned())).cloned()
    }

    /// Removes the names of keys and partners that are no longer configured, and the states that were removed
    /// long ago. Returns whether anything changed.
    pub(super) fn update_configured(&mut self, configured: &[KeyName], now: SystemTime) -> bool {
        let configured_keys: BTreeSet<_> = configured.iter().collect();
        let partners: BTreeSet<_> = configured.iter().map(|(partner, _)| partner).collect();
        let logins = self.logins.len();
        self.logins.retain(|_, account| account.last_refusal().is_none_or(|last| is_recent(last, now)));
        let keys_changed = self.keys.update_configured(&configured_keys, now);
        let secrets_changed = self.secrets.update_configured(&partners, now);
        let (keys, secrets) = (&self.keys, &self.secrets);
        self.key_contradictions.update_configured(&configured_keys, |it| keys.knows(it));
        self.secret_contradictions.update_configured(&partners, |it| secrets.knows(it));
        let request_ids_changed = self.request_ids.remove_old(now);
        keys_changed || secrets_changed || request_ids_changed || logins != self.logins.len()
    }

    #[cfg(test)]
    pub(super) fn to_json(&self, rendered: &mut Rendered) -> serde_json::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.write_json(&mut text, rendered)?;
        Ok(text)
    }

    /// Writes the file's text piece by piece: that of a large fleet has megabytes. It is indented JSON, so that a person can
    /// read it. `rendered` is what was written last.
    pub(super) fn write_json(&self, out: impl io::Write, rendered: &mut Rendered) -> serde_json::Result<()> {
        let key = |(partner, key): &KeyName, used: &Used<_>| {
            let (partner, key, used) = (Arc::clone(partner), Arc::clone(key), used.clone());
            KeyRecord { partner, key, used }
        };
        let partner = |partner: &Arc<str>, used: &Used<_>| {
            let (partner, used) = (Arc::clone(partner), used.clone());
            PartnerRecord { partner, used }
        };
        let logins = self.logins.iter().filter(|(_, account)| !account.is_empty());
        let logins = logins.map(|((auth_url, mail), account)| {
            let (auth_url, mail) = (auth_url.clone(), mail.clone());
            LoginRecord { auth_url, mail, account: account.clone() }
        });
        let key_files = self.key_files.iter().map(|(pattern, files)| {
            let pattern = pattern.clone();
            KeyFilesRecord { pattern, files: *files }
        });
        let of_keys = self
            .key_contradictions
            .records(|(partner, key): &KeyName| (Arc::clone(partner), Some(Arc::clone(key))));
        let of_secrets = self.secret_contradictions.records(|partner: &Arc<str>| (Arc::clone(partner), None));
        let file = File {
            version: VERSION,
            keys: rendered.keys.of(self.keys.owners(), key)?,
            tokens: rendered.tokens.of(self.keys.states(), StateRecord::new)?,
            partners: rendered.partners.of(self.secrets.owners(), partner)?,
            secrets: rendered.secrets.of(self.secrets.states(), StateRecord::new)?,
            logins: logins.collect::<Vec<_>>(),
            key_files: key_files.collect::<Vec<_>>(),
            key_contradictions: of_keys.collect::<Vec<_>>(),
            secret_contradictions: of_secrets.collect::<Vec<_>>(),
            request_ids: self.request_ids.records().collect::<Vec<_>>(),
        };
        serde_json::to_writer_pretty(out, &file)
    }

    /// Reads the file's text. Returns its content, and one message per record that cannot be read.
    ///
    /// # Errors
    /// If the text is not JSON of this format, or has another version.
    pub(super) fn from_json(text: &[u8]) -> Result<(Self, Vec<String>), String> {
        let Header { version } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let mut damage = Vec::new();
        let content = match version {
            1 => version_1::Content::from_json(text, &mut damage).map(Self::from_version_1),
            VERSION => Self::from_current_json(text, &mut damage),
            _ => {
                return Err(format!("it has version {version}, and this exporter writes version {VERSION}"));
            }
        };
        Ok((content.map_err(|error| error.to_string())?, damage))
    }

    fn from_version_1(content: version_1::Content) -> Self {
        let logins = content.logins.into_iter().map(LoginRecord::into_parts).collect();
        Self { keys: content.keys, secrets: content.secrets, logins, ..Self::default() }
    }

    fn from_current_json(text: &[u8], damage: &mut Vec<String>) -> serde_json::Result<Self> {
        let file: UnparsedFile<'_> = serde_json::from_slice(text)?;
        let keys: Vec<KeyRecord> = parse_records("keys", &file.keys, damage);
        let tokens: Vec<StateRecord<_>> = parse_records("tokens", &file.tokens, damage);
        let partners: Vec<PartnerRecord> = parse_records("partners", &file.partners, damage);
        let secrets: Vec<StateRecord<_>> = parse_records("secrets", &file.secrets, damage);
        let logins: Vec<LoginRecord<StoredAccount>> = parse_records("logins", &file.logins, damage);
        let key_files: Vec<KeyFilesRecord> = parse_records("key_files", &file.key_files, damage);
        let mut key_contradictions = Settled::default();
        for mut record in parse_records("key_contradictions", &file.key_contradictions, damage) {
            let ContradictionsRecord { partner, key, .. } = &mut record;
            key_contradictions.add(partner.take().zip(key.take()), record);
        }
        let mut secret_contradictions = Settled::default();
        for mut record in parse_records("secret_contradictions", &file.secret_contradictions, damage) {
            let ContradictionsRecord { partner, .. } = &mut record;
            secret_contradictions.add(partner.take(), record);
        }
        let request_ids: Vec<RequestIdRecord> = parse_records("request_ids", &file.request_ids, damage);
        Ok(Self {
            keys: Records::from_parts(
                keys.into_iter().map(|record| ((record.partner, record.key), record.used)),
                tokens.into_iter().map(StateRecord::into_parts),
            ),
            secrets: Records::from_parts(
                partners.into_iter().map(|record| (record.partner, record.used)),
                secrets.into_iter().map(StateRecord::into_parts),
            ),
            logins: logins.into_iter().map(LoginRecord::into_parts).collect(),
            key_files: key_files.into_iter().map(|it| (it.pattern, it.files)).collect(),
            key_contradictions,
            secret_contradictions,
            request_ids: request_ids.into_iter().collect(),
        })
    }
}

/// The part of the file that is read first.
#[derive(Deserialize)]
struct Header {
    version: u32,
}

/// The file, with records that are typed for writing and unparsed for reading.
#[derive(Serialize, Deserialize)]
struct File<K, T, P, S, L, F, C, R> {
    version: u32,
    /// Which token each key uses.
    keys: Vec<K>,
    tokens: Vec<T>,
    /// Which secret each partner uses.
    partners: Vec<P>,
    secrets: Vec<S>,
    logins: Vec<L>,
    /// Files of earlier exporters do not have it.
    #[serde(default = "Vec::new")]
    key_files: Vec<F>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    key_contradictions: Vec<C>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    secret_contradictions: Vec<C>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    request_ids: Vec<R>,
}

type Raw<'a> = &'a RawValue;
type UnparsedFile<'a> = File<Raw<'a>, Raw<'a>, Raw<'a>, Raw<'a>, Raw<'a>, Raw<'a>, Raw<'a>, Raw<'a>>;

/// How many files a pattern of `key_files` matched last.
#[derive(Serialize, Deserialize)]
struct KeyFilesRecord {
    pattern: String,
    files: usize,
}

#[derive(Serialize, Deserialize)]
struct KeyRecord {
    partner: Arc<str>,
    key: Arc<str>,
    #[serde(flatten)]
    used: Used<PersistedKeyState>,
}

#[derive(Serialize, Deserialize)]
struct PartnerRecord {
    partner: Arc<str>,
    #[serde(flatten)]
    used: Used<PersistedSecretState>,
}

/// The state of one token or secret.
#[derive(Serialize, Deserialize)]
struct StateRecord<S> {
    fingerprint: Fingerprint,
    #[serde(flatten)]
    stored: Stored<S>,
}

impl<S: Copy> StateRecord<S> {
    fn new(fingerprint: &Fingerprint, stored: &Stored<S>) -> Self {
        Self { fingerprint: fingerprint.clone(), stored: *stored }
    }

    fn into_parts(self) -> (Fingerprint, Stored<S>) {
        (self.fingerprint, self.stored)
    }
}
