//! The content of the store, and its format in the file: JSON.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_with::serde_as;

use super::fingerprint::Fingerprint;
use crate::key_state::{KeyState, PersistedKeyState, PersistedSecretState, PersistedState, SecretState};
use crate::password_fingerprint::PasswordFingerprint;
use crate::rfc3339::Rfc3339;

/// How long the state of a key or secret is kept after its removal from the configuration, because
/// someone may comment a key out and put it back a week later. Refused log-ins are kept as long after
/// the last refusal.
const RETENTION: Duration = Duration::from_hours(30 * 24);

/// The version of the file's format. A file of another version counts as damaged; its format is not guessed.
const VERSION: u32 = 1;

/// One change to persist.
#[derive(Clone, Debug)]
pub(crate) enum StateUpdate {
    /// The state of a key.
    Key {
        partner: Arc<str>,
        key: Arc<str>,
        /// Of the token that the state belongs to.
        fingerprint: Fingerprint,
        persisted: PersistedKeyState,
    },
    /// The state of a partner's secret.
    Secret {
        partner: Arc<str>,
        /// Of the secret that the state belongs to.
        fingerprint: Fingerprint,
        persisted: PersistedSecretState,
    },
    /// The refused log-ins of an account.
    Login {
        /// The URL of the log-in route.
        auth_url: String,
        /// The account, in lower case.
        mail: String,
        /// `None` after a successful log-in.
        refused: Option<RefusedLogins>,
    },
}

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

/// The whole persisted state.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    keys: BTreeMap<(Arc<str>, Arc<str>), StoredState<KeyState>>,
    secrets: BTreeMap<Arc<str>, StoredState<SecretState>>,
    /// `None` for an account that logged in: nothing is written for it, but refusals from an older file no
    /// longer count.
    logins: BTreeMap<(String, String), Option<RefusedLogins>>,
}

/// A persisted state, and the fingerprint of the token, account or secret that it belongs to.
#[serde_as]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredState<S> {
    fingerprint: Fingerprint,
    #[serde(flatten)]
    persisted: PersistedState<S>,
    /// When it was removed from the configuration.
    #[serde(default, rename = "left", skip_serializing_if = "Option::is_none")]
    #[serde_as(as = "Option<Rfc3339>")]
    removed: Option<SystemTime>,
}

impl Content {
    /// Applies an update. Returns whether the file has to be written for it.
    pub(super) fn apply(&mut self, update: StateUpdate) -> bool {
        match update {
            StateUpdate::Key { partner, key, fingerprint, persisted } => {
                self.keys.insert((partner, key), StoredState { fingerprint, persisted, removed: None });
            }
            StateUpdate::Secret { partner, fingerprint, persisted } => {
                self.secrets.insert(partner, StoredState { fingerprint, persisted, removed: None });
            }
            StateUpdate::Login { auth_url, mail, refused } => {
                let is_refused = refused.is_some();
                let before = self.logins.insert((auth_url, mail), refused);
                return is_refused || before.is_some_and(|before| before.is_some());
            }
        }
        true
    }

    /// Merges the content of a file that could be read only now: it is older than what this process
    /// knows. Keys and partners that are no longer configured are marked at the next
    /// [`Self::update_configured`].
    pub(super) fn merge_older(&mut self, older: Self) {
        merge_older(&mut self.keys, older.keys);
        merge_older(&mut self.secrets, older.secrets);
        for (account, refused) in older.logins {
            self.logins.entry(account).or_insert(refused);
        }
    }

    pub(super) fn key(&self, partner: &str, key: &str, token: &Fingerprint) -> Option<PersistedKeyState> {
        let stored = self.keys.get(&(partner.into(), key.into()))?;
        (stored.fingerprint == *token).then_some(stored.persisted)
    }

    pub(super) fn secret(&self, partner: &str, fingerprint: &Fingerprint) -> Option<PersistedSecretState> {
        let stored = self.secrets.get(partner)?;
        (stored.fingerprint == *fingerprint).then_some(stored.persisted)
    }

    pub(super) fn refused_logins(&self, auth_url: &str, mail: &str) -> Option<RefusedLogins> {
        self.logins.get(&(auth_url.to_owned(), mail.to_owned())).cloned().flatten()
    }

    /// Marks keys and partners that are no longer configured, and deletes those that were removed long ago.
    /// Returns whether anything changed.
    pub(super) fn update_configured(&mut self, configured: &[(Arc<str>, Arc<str>)], now: SystemTime) -> bool {
        let keys: BTreeSet<_> = configured.iter().collect();
        let partners: BTreeSet<_> = configured.iter().map(|(partner, _)| partner).collect();
        let before = (self.keys.len(), self.secrets.len(), self.logins.len());
        let mut marked = false;
        self.keys.retain(|name, stored| stored.keep(keys.contains(name), now, &mut marked));
        self.secrets.retain(|name, stored| stored.keep(partners.contains(name), now, &mut marked));
        self.logins.retain(|_, refused| refused.as_ref().is_none_or(|refused| is_recent(refused.last, now)));
        marked || before != (self.keys.len(), self.secrets.len(), self.logins.len())
    }

    /// The file's text: indented JSON, so that a person can read it.
    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let keys = self.keys.iter().map(|((partner, key), stored)| {
            let (partner, key) = (Arc::clone(partner), Arc::clone(key));
            KeyRecord { partner, key, stored: stored.clone() }
        });
        let secrets = self.secrets.iter().map(|(partner, stored)| {
            let (partner, stored) = (Arc::clone(partner), stored.clone());
            SecretRecord { partner, stored }
        });
        let logins = self.logins.iter().filter_map(|((auth_url, mail), refused)| {
            let (auth_url, mail) = (auth_url.clone(), mail.clone());
            Some(LoginRecord { auth_url, mail, refused: refused.clone()? })
        });
        let (keys, secrets, logins) = (keys.collect(), secrets.collect(), logins.collect());
        serde_json::to_vec_pretty(&File { version: VERSION, keys, secrets, logins })
    }

    /// Reads the file's text. Returns its content, and one message per record that cannot be read.
    ///
    /// # Errors
    /// If the text is not JSON of this format, or has another version.
    pub(super) fn from_json(text: &[u8]) -> Result<(Self, Vec<String>), String> {
        let file: UnparsedFile<'_> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if file.version != VERSION {
            return Err(format!(
                "it has version {}, and this exporter writes version {VERSION}",
                file.version
            ));
        }
        let mut damage = Vec::new();
        let keys: Vec<KeyRecord> = parse_records("keys", &file.keys, &mut damage);
        let secrets: Vec<SecretRecord> = parse_records("secrets", &file.secrets, &mut damage);
        let logins: Vec<LoginRecord> = parse_records("logins", &file.logins, &mut damage);
        let content = Self {
            keys: keys.into_iter().map(|record| ((record.partner, record.key), record.stored)).collect(),
            secrets: secrets.into_iter().map(|record| (record.partner, record.stored)).collect(),
            logins: logins.into_iter().map(|it| ((it.auth_url, it.mail), Some(it.refused))).collect(),
        };
        Ok((content, damage))
    }
}

/// The newer state wins, but `has_been_active` of the same token or secret stays true.
fn merge_older<K: Ord, S>(newer: &mut BTreeMap<K, StoredState<S>>, older: BTreeMap<K, StoredState<S>>) {
    for (name, old) in older {
        match newer.entry(name) {
            Entry::Vacant(entry) => drop(entry.insert(old)),
            Entry::Occupied(mut entry) if entry.get().fingerprint == old.fingerprint => {
                entry.get_mut().persisted.has_been_active |= old.persisted.has_been_active;
            }
            Entry::Occupied(_) => {}
        }
    }
}

impl<S> StoredState<S> {
    /// Whether to keep this state. Sets `marked` if the removal date changed.
    fn keep(&mut self, is_configured: bool, now: SystemTime, marked: &mut bool) -> bool {
        let removed = if is_configured { None } else { self.removed.or(Some(now)) };
        *marked |= removed != self.removed;
        self.removed = removed;
        removed.is_none_or(|removed| is_recent(removed, now))
    }
}

/// A time in the future counts as recent too: the clock was set back.
fn is_recent(time: SystemTime, now: SystemTime) -> bool {
    now.duration_since(time).unwrap_or_default() < RETENTION
}

/// Parses each record separately, so that a damaged record does not affect the others.
fn parse_records<'a, T: Deserialize<'a>>(
    list: &str,
    records: &[&'a RawValue],
    damage: &mut Vec<String>,
) -> Vec<T> {
    let parse = |(index, record): (usize, &&'a RawValue)| {
        let parsed = serde_json::from_str(record.get());
        parsed.map_err(|cause| damage.push(format!("{list}[{index}]: {cause}"))).ok()
    };
    records.iter().enumerate().filter_map(parse).collect()
}

/// The file, with records that are typed for writing and unparsed for reading.
#[derive(Serialize, Deserialize)]
struct File<K, S, L> {
    version: u32,
    keys: Vec<K>,
    secrets: Vec<S>,
    logins: Vec<L>,
}

type UnparsedFile<'a> = File<&'a RawValue, &'a RawValue, &'a RawValue>;

#[derive(Serialize, Deserialize)]
struct KeyRecord {
    partner: Arc<str>,
    key: Arc<str>,
    #[serde(flatten)]
    stored: StoredState<KeyState>,
}

#[derive(Serialize, Deserialize)]
struct SecretRecord {
    partner: Arc<str>,
    #[serde(flatten)]
    stored: StoredState<SecretState>,
}

#[derive(Serialize, Deserialize)]
struct LoginRecord {
    auth_url: String,
    mail: String,
    #[serde(flatten)]
    refused: RefusedLogins,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn at(days: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * days
    }

    fn fingerprint(token: &str) -> Fingerprint {
        Fingerprint::of_token("acme", "dupont", &token.into())
    }

    fn with_a_key() -> Content {
        with("t", state_of(KeyState::Active, 1, true))
    }

    #[test]
    fn written_content_is_read_back() {
        let mut content = with_a_key();
        let secret =
            PersistedSecretState { state: SecretState::Rejected, since: at(2), has_been_active: true };
        content.apply(StateUpdate::Secret {
            partner: "acme".into(),
            fingerprint: fingerprint("s"),
            persisted: secret,
        });
        let refused =
            RefusedLogins { times: 2, last: at(3), password: PasswordFingerprint::of(&"wrong".into()) };
        let (auth_url, mail) = ("https://auth".to_owned(), "api@durand.example".to_owned());
        content.apply(StateUpdate::Login { auth_url, mail, refused: Some(refused.clone()) });
        let again = Content::from_json(&content.to_json().unwrap()).unwrap().0;
        assert_eq!(again.key("acme", "dupont", &fingerprint("t")).unwrap().state, KeyState::Active);
        assert_eq!(again.secret("acme", &fingerprint("s")), Some(secret));
        assert_eq!(again.refused_logins("https://auth", "api@durand.example"), Some(refused));
    }

    #[test]
    fn the_state_of_another_token_is_not_returned() {
        assert_eq!(with_a_key().key("acme", "dupont", &fingerprint("another")), None);
    }

    fn state_of(state: KeyState, day: u32, has_been_active: bool) -> PersistedKeyState {
        PersistedKeyState { state, since: at(day), has_been_active }
    }

    fn with(token: &str, persisted: PersistedKeyState) -> Content {
        let mut content = Content::default();
        let (partner, key) = ("acme".into(), "dupont".into());
        content.apply(StateUpdate::Key { partner, key, fingerprint: fingerprint(token), persisted });
        content
    }

    #[test]
    fn an_older_file_does_not_replace_a_newer_state() {
        let mut content = with("t", state_of(KeyState::NotFound, 5, false));
        content.merge_older(with("t", state_of(KeyState::Active, 1, true)));
        let known = content.key("acme", "dupont", &fingerprint("t")).unwrap();
        assert_eq!(known, state_of(KeyState::NotFound, 5, true), "has_been_active stays true");
        content.merge_older(with("t", state_of(KeyState::Unknown, 1, false)));
        assert_eq!(content.key("acme", "dupont", &fingerprint("t")), Some(known));
    }

    #[test]
    fn an_earlier_active_token_does_not_mark_another_token_as_active() {
        let mut content = with("new", state_of(KeyState::NotFound, 5, false));
        content.merge_older(with("old", state_of(KeyState::Active, 1, true)));
        let known = content.key("acme", "dupont", &fingerprint("new")).unwrap();
        assert_eq!(known, state_of(KeyState::NotFound, 5, false));
    }

    #[test]
    fn refusals_in_an_older_file_count_unless_the_account_logged_in_or_was_refused_since() {
        let refused =
            |times| RefusedLogins { times, last: at(1), password: PasswordFingerprint::of(&"p".into()) };
        let login = |mail: &str, refused| StateUpdate::Login {
            auth_url: "https://auth".to_owned(),
            mail: mail.to_owned(),
            refused,
        };
        let (mut content, mut older) = (Content::default(), Content::default());
        for mail in ["untouched", "logged in", "refused"] {
            assert!(older.apply(login(mail, Some(refused(2)))));
        }
        assert!(!content.apply(login("logged in", None)), "nothing to write");
        assert!(content.apply(login("refused", Some(refused(1)))));
        content.merge_older(older);
        let times = |mail| content.refused_logins("https://auth", mail).map(|refused| refused.times);
        assert_eq!(["untouched", "logged in", "refused"].map(times), [Some(2), None, Some(1)]);
        let again = Content::from_json(&content.to_json().unwrap()).unwrap().0;
        assert_eq!(again.logins.len(), 2);
        assert!(content.apply(login("refused", None)), "the refusal must be removed from the file");
    }

    #[test]
    fn the_state_of_a_removed_key_is_kept_for_thirty_days() {
        let mut content = with_a_key();
        assert!(content.update_configured(&[], at(10)));
        assert!(!content.update_configured(&[], at(39)));
        assert!(content.key("acme", "dupont", &fingerprint("t")).is_some());
        assert!(content.update_configured(&[], at(40)));
        assert!(content.key("acme", "dupont", &fingerprint("t")).is_none());
    }

    #[test]
    fn a_key_that_is_configured_again_is_kept() {
        let mut content = with_a_key();
        let configured = [("acme".into(), "dupont".into())];
        content.update_configured(&[], at(10));
        assert!(content.update_configured(&configured, at(20)));
        assert!(!content.update_configured(&configured, at(90)));
        assert!(content.key("acme", "dupont", &fingerprint("t")).is_some());
    }

    #[test]
    fn text_of_another_form_or_version_is_an_error() {
        let other_version = br#"{"version":9,"keys":[],"secrets":[],"logins":[]}"#;
        let torn = &with_a_key().to_json().unwrap()[..50];
        for text in [&b""[..], b"null", b"[]", b"{}", b"\xff\xfe", other_version, torn] {
            assert!(Content::from_json(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn an_unreadable_record_is_named_and_does_not_affect_the_others() {
        let text = String::from_utf8(with_a_key().to_json().unwrap()).unwrap();
        let (_, good) = text.split_once("\"keys\": [").unwrap();
        let wrong = r#"{"partner":"a","key":"b","fingerprint":"f","state":"fine",
            "since":"2026-01-01T00:00:00Z","has_been_active":true}"#;
        let (content, damage) =
            Content::from_json(format!(r#"{{"version":1,"keys":[{wrong},{good}"#).as_bytes()).unwrap();
        assert_eq!(content.key("acme", "dupont", &fingerprint("t")).unwrap().state, KeyState::Active);
        assert!(
            damage.len() == 1 && damage[0].contains("keys[0]") && damage[0].contains("fine"),
            "{damage:?}"
        );
    }
}
