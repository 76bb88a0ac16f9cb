//! What the store holds, in memory and in its file.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fingerprint::Fingerprint;
use crate::key_state::{KeyState, PersistedKeyState, PersistedSecretState, PersistedState, SecretState};
use crate::password_fingerprint::PasswordFingerprint;

/// Someone comments a key out and puts it back a week later: its memory waits that long for it.
const RETENTION: Duration = Duration::from_hours(30 * 24);

/// The form of the file. A file of another version is set aside, not guessed at.
const VERSION: u32 = 1;

/// One thing to remember.
#[derive(Clone, Debug)]
pub enum StateUpdate {
    /// A key's memory.
    Key {
        /// Whose key it is.
        partner: Arc<str>,
        /// The key.
        key: Arc<str>,
        /// Of the token that the memory is about.
        fingerprint: Fingerprint,
        /// The memory.
        persisted: PersistedKeyState,
    },
    /// The memory of a partner's secret.
    Secret {
        /// The partner.
        partner: Arc<str>,
        /// Of the secret that the memory is about.
        fingerprint: Fingerprint,
        /// The memory.
        persisted: PersistedSecretState,
    },
    /// An account's refused log-ins; `None` once it was let in.
    Login {
        /// Where one logs in.
        auth_url: String,
        /// The account.
        mail: String,
        /// How often it was refused.
        refused: Option<RefusedLogins>,
    },
}

/// An account's refused log-ins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLogins {
    /// How often in a row the same password was refused.
    pub times: u32,
    /// When last.
    #[serde(with = "crate::rfc3339")]
    pub last: SystemTime,
    /// Of the refused password.
    pub password: PasswordFingerprint,
}

/// Everything remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    keys: BTreeMap<(Arc<str>, Arc<str>), StoredState<KeyState>>,
    secrets: BTreeMap<Arc<str>, StoredState<SecretState>>,
    /// An account that was let in is noted with `None`: nothing of it is written, but what an older
    /// file says of its refusals is over.
    logins: BTreeMap<(String, String), Option<RefusedLogins>>,
}

/// A memory, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredState<S> {
    fingerprint: Fingerprint,
    #[serde(flatten)]
    persisted: PersistedState<S>,
    /// Since when it is no longer configured.
    #[serde(default, with = "crate::rfc3339::option", skip_serializing_if = "Option::is_none")]
    left: Option<SystemTime>,
}

impl Content {
    /// Enters a record. Whether there is something to write for it.
    pub(super) fn apply(&mut self, record: StateUpdate) -> bool {
        match record {
            StateUpdate::Key { partner, key, fingerprint, persisted } => {
                self.keys.insert((partner, key), StoredState { fingerprint, persisted, left: None });
            }
            StateUpdate::Secret { partner, fingerprint, persisted } => {
                self.secrets.insert(partner, StoredState { fingerprint, persisted, left: None });
            }
            StateUpdate::Login { auth_url, mail, refused } => {
                let is_refused = refused.is_some();
                let before = self.logins.insert((auth_url, mail), refused);
                return is_refused || before.is_some_and(|before| before.is_some());
            }
        }
        true
    }

    /// Takes over what an older file remembers, beneath what this process learnt before it could be
    /// read. Who left the configuration meanwhile is marked at the next [`Self::update_configured`].
    pub(super) fn merge_older(&mut self, older: Self) {
        merge_older(&mut self.keys, older.keys);
        merge_older(&mut self.secrets, older.secrets);
        for (account, refused) in older.logins {
            self.logins.entry(account).or_insert(refused);
        }
    }

    pub(super) fn key(
        &self,
        partner: &str,
        key: &str,
        fingerprint: &Fingerprint,
    ) -> Option<PersistedKeyState> {
        let stored = self.keys.get(&(partner.into(), key.into()))?;
        (stored.fingerprint == *fingerprint).then_some(stored.persisted)
    }

    pub(super) fn secret(&self, partner: &str, fingerprint: &Fingerprint) -> Option<PersistedSecretState> {
        let stored = self.secrets.get(partner)?;
        (stored.fingerprint == *fingerprint).then_some(stored.persisted)
    }

    pub(super) fn refused_logins(&self, auth_url: &str, mail: &str) -> Option<RefusedLogins> {
        self.logins.get(&(auth_url.to_owned(), mail.to_owned())).cloned().flatten()
    }

    /// Marks who is no longer configured, and forgets who left long ago. Whether anything changed.
    pub(super) fn update_configured(&mut self, configured: &[(Arc<str>, Arc<str>)], now: SystemTime) -> bool {
        let keys: std::collections::BTreeSet<_> = configured.iter().collect();
        let partners: std::collections::BTreeSet<_> = configured.iter().map(|(partner, _)| partner).collect();
        let before = (self.keys.len(), self.secrets.len(), self.logins.len());
        let mut marked = false;
        self.keys.retain(|name, stored| stored.keep(keys.contains(name), now, &mut marked));
        self.secrets.retain(|name, stored| stored.keep(partners.contains(name), now, &mut marked));
        self.logins.retain(|_, refused| refused.as_ref().is_none_or(|refused| is_recent(refused.last, now)));
        marked || before != (self.keys.len(), self.secrets.len(), self.logins.len())
    }

    /// The file's text: JSON that a person can read.
    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let keys = self.keys.iter().map(|((partner, key), stored)| KeyRecord {
            partner: Arc::clone(partner),
            key: Arc::clone(key),
            stored: stored.clone(),
        });
        let secrets = self
            .secrets
            .iter()
            .map(|(partner, stored)| SecretRecord { partner: Arc::clone(partner), stored: stored.clone() });
        let logins = self.logins.iter().filter_map(|((auth_url, mail), refused)| {
            let (auth_url, mail) = (auth_url.clone(), mail.clone());
            Some(LoginRecord { auth_url, mail, refused: refused.clone()? })
        });
        let file = File {
            version: VERSION,
            keys: keys.collect(),
            secrets: secrets.collect(),
            logins: logins.collect(),
        };
        serde_json::to_vec_pretty(&file)
    }

    /// Reads the file's text: what it remembers, and what is wrong with records that can't be read.
    ///
    /// # Errors
    /// Where it is not the file at all.
    pub(super) fn from_json(text: &[u8]) -> Result<(Self, Vec<String>), String> {
        let file: RawFile<'_> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if file.version != VERSION {
            return Err(format!(
                "it has version {}, and this exporter writes version {VERSION}",
                file.version
            ));
        }
        let mut damage = Vec::new();
        let keys = parse_records::<KeyRecord>("keys", &file.keys, &mut damage);
        let secrets = parse_records::<SecretRecord>("secrets", &file.secrets, &mut damage);
        let logins = parse_records::<LoginRecord>("logins", &file.logins, &mut damage);
        let content = Self {
            keys: keys.map(|line| ((line.partner, line.key), line.stored)).collect(),
            secrets: secrets.map(|line| (line.partner, line.stored)).collect(),
            logins: logins.map(|line| ((line.auth_url, line.mail), Some(line.refused))).collect(),
        };
        Ok((content, damage))
    }
}

/// The younger memory wins, but that the same token was active once is a fact that stays.
fn merge_older<K: Ord, S>(younger: &mut BTreeMap<K, StoredState<S>>, older: BTreeMap<K, StoredState<S>>) {
    for (name, old) in older {
        match younger.entry(name) {
            Entry::Vacant(free) => drop(free.insert(old)),
            Entry::Occupied(mut taken) if taken.get().fingerprint == old.fingerprint => {
                taken.get_mut().persisted.has_been_active |= old.persisted.has_been_active;
            }
            Entry::Occupied(_) => {}
        }
    }
}

impl<S> StoredState<S> {
    fn keep(&mut self, is_configured: bool, now: SystemTime, marked: &mut bool) -> bool {
        match (is_configured, self.left) {
            (true, None) => true,
            (true, Some(_)) => {
                self.left = None;
                *marked = true;
                true
            }
            (false, None) => {
                self.left = Some(now);
                *marked = true;
                true
            }
            (false, Some(left)) => is_recent(left, now),
        }
    }
}

/// A time in the future, of a clock that was set back, is recent too.
fn is_recent(time: SystemTime, now: SystemTime) -> bool {
    now.duration_since(time).is_ok_and(|age| age < RETENTION) || time > now
}

/// Reads each record by itself: one that is damaged takes no other with it.
fn parse_records<'a, T: Deserialize<'a> + 'a>(
    list: &str,
    records: &[&'a RawValue],
    damage: &mut Vec<String>,
) -> std::vec::IntoIter<T> {
    let mut read = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        match serde_json::from_str(record.get()) {
            Ok(record) => read.push(record),
            Err(cause) => damage.push(format!("{list}[{index}]: {cause}")),
        }
    }
    read.into_iter()
}

/// The file as it is read: its records are looked into one by one.
#[derive(Deserialize)]
struct RawFile<'a> {
    version: u32,
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
    #[serde(borrow)]
    secrets: Vec<&'a RawValue>,
    #[serde(borrow)]
    logins: Vec<&'a RawValue>,
}

/// The file as it is written.
#[derive(Serialize)]
struct File {
    version: u32,
    keys: Vec<KeyRecord>,
    secrets: Vec<SecretRecord>,
    logins: Vec<LoginRecord>,
}

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
        with("t", memory_of(KeyState::Active, 1, true))
    }

    #[test]
    fn what_is_written_is_read_again() {
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
    fn a_memory_of_another_token_does_not_count() {
        assert_eq!(with_a_key().key("acme", "dupont", &fingerprint("another")), None);
    }

    fn memory_of(state: KeyState, day: u32, has_been_active: bool) -> PersistedKeyState {
        PersistedKeyState { state, since: at(day), has_been_active }
    }

    fn with(token: &str, persisted: PersistedKeyState) -> Content {
        let mut content = Content::default();
        let (partner, key) = ("acme".into(), "dupont".into());
        content.apply(StateUpdate::Key { partner, key, fingerprint: fingerprint(token), persisted });
        content
    }

    #[test]
    fn what_is_taken_over_late_yields_to_what_was_learnt_meanwhile() {
        let mut content = with("t", memory_of(KeyState::NotFound, 5, false));
        content.merge_older(with("t", memory_of(KeyState::Active, 1, true)));
        let known = content.key("acme", "dupont", &fingerprint("t")).unwrap();
        assert_eq!(known, memory_of(KeyState::NotFound, 5, true), "that it was active once stays known");
        content.merge_older(with("t", memory_of(KeyState::Unknown, 1, false)));
        assert_eq!(content.key("acme", "dupont", &fingerprint("t")), Some(known));
    }

    #[test]
    fn that_another_token_was_active_says_nothing_about_this_one() {
        let mut content = with("new", memory_of(KeyState::NotFound, 5, false));
        content.merge_older(with("old", memory_of(KeyState::Active, 1, true)));
        let known = content.key("acme", "dupont", &fingerprint("new")).unwrap();
        assert_eq!(known, memory_of(KeyState::NotFound, 5, false));
    }

    #[test]
    fn refusals_are_taken_over_late_except_of_an_account_that_was_let_in_or_refused_meanwhile() {
        let refused =
            |times| RefusedLogins { times, last: at(1), password: PasswordFingerprint::of(&"p".into()) };
        let login = |mail: &str, refused| StateUpdate::Login {
            auth_url: "https://auth".to_owned(),
            mail: mail.to_owned(),
            refused,
        };
        let (mut content, mut older) = (Content::default(), Content::default());
        for mail in ["untouched", "let in", "refused"] {
            assert!(older.apply(login(mail, Some(refused(2)))));
        }
        assert!(!content.apply(login("let in", None)), "nothing to write");
        assert!(content.apply(login("refused", Some(refused(1)))));
        content.merge_older(older);
        let times = |mail| content.refused_logins("https://auth", mail).map(|refused| refused.times);
        assert_eq!(["untouched", "let in", "refused"].map(times), [Some(2), None, Some(1)]);
        let again = Content::from_json(&content.to_json().unwrap()).unwrap().0;
        assert_eq!(again.logins.len(), 2);
        assert!(content.apply(login("refused", None)), "the file must forget it");
    }

    #[test]
    fn a_key_that_left_is_remembered_for_thirty_days() {
        let mut content = with_a_key();
        assert!(content.update_configured(&[], at(10)));
        assert!(!content.update_configured(&[], at(39)));
        assert!(content.key("acme", "dupont", &fingerprint("t")).is_some());
        assert!(content.update_configured(&[], at(40)));
        assert!(content.key("acme", "dupont", &fingerprint("t")).is_none());
    }

    #[test]
    fn a_key_that_comes_back_stays() {
        let mut content = with_a_key();
        let configured = [("acme".into(), "dupont".into())];
        content.update_configured(&[], at(10));
        assert!(content.update_configured(&configured, at(20)));
        assert!(!content.update_configured(&configured, at(90)));
        assert!(content.key("acme", "dupont", &fingerprint("t")).is_some());
    }

    #[test]
    fn whatever_is_not_the_file_is_refused_and_harms_nothing() {
        let other_version = br#"{"version":9,"keys":[],"secrets":[],"logins":[]}"#;
        let torn = &with_a_key().to_json().unwrap()[..50];
        for text in [&b""[..], b"null", b"[]", b"{}", b"\xff\xfe", other_version, torn] {
            assert!(Content::from_json(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_record_that_can_t_be_read_takes_no_other_with_it_and_is_named() {
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
