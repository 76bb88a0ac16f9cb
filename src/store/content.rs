//! The content of the store, and its format in the file: JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fingerprint::{CredentialId, Fingerprint};
use super::logins::{AccountRecord, LoginRecord, StoredAccount};
use super::records::{Records, Stored, Used, is_recent, parse_records};
use super::rendered::Rendered;
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

    pub(super) const fn keys(&mut self) -> &mut Records<KeyName, PersistedKeyState> {
        &mut self.keys
    }

    pub(super) const fn secrets(&mut self) -> &mut Records<Arc<str>, PersistedSecretState> {
        &mut self.secrets
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
        let keys: BTreeSet<_> = configured.iter().collect();
        let partners: BTreeSet<_> = configured.iter().map(|(partner, _)| partner).collect();
        let logins = self.logins.len();
        self.logins.retain(|_, account| account.last_refusal().is_none_or(|last| is_recent(last, now)));
        let keys_changed = self.keys.update_configured(&keys, now);
        self.secrets.update_configured(&partners, now) || keys_changed || logins != self.logins.len()
    }

    /// The file's text: indented JSON, so that a person can read it. `rendered` is what was written last.
    pub(super) fn to_json(&self, rendered: &mut Rendered) -> serde_json::Result<Vec<u8>> {
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
        serde_json::to_vec_pretty(&File {
            version: VERSION,
            keys: rendered.keys.of(self.keys.owners(), key)?,
            tokens: rendered.tokens.of(self.keys.states(), StateRecord::new)?,
            partners: rendered.partners.of(self.secrets.owners(), partner)?,
            secrets: rendered.secrets.of(self.secrets.states(), StateRecord::new)?,
            logins: logins.collect::<Vec<_>>(),
            key_files: key_files.collect::<Vec<_>>(),
        })
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
        Self { keys: content.keys, secrets: content.secrets, logins, key_files: BTreeMap::new() }
    }

    fn from_current_json(text: &[u8], damage: &mut Vec<String>) -> serde_json::Result<Self> {
        let file: UnparsedFile<'_> = serde_json::from_slice(text)?;
        let keys: Vec<KeyRecord> = parse_records("keys", &file.keys, damage);
        let tokens: Vec<StateRecord<_>> = parse_records("tokens", &file.tokens, damage);
        let partners: Vec<PartnerRecord> = parse_records("partners", &file.partners, damage);
        let secrets: Vec<StateRecord<_>> = parse_records("secrets", &file.secrets, damage);
        let logins: Vec<LoginRecord<StoredAccount>> = parse_records("logins", &file.logins, damage);
        let key_files: Vec<KeyFilesRecord> = parse_records("key_files", &file.key_files, damage);
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
struct File<K, T, P, S, L, F> {
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
}

type UnparsedFile<'a> =
    File<&'a RawValue, &'a RawValue, &'a RawValue, &'a RawValue, &'a RawValue, &'a RawValue>;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_state::{KeyHistory, KeyState, SecretState};
    use crate::partner_api::login::LoginRefusal;
    use crate::password_fingerprint::PasswordFingerprint;
    use crate::store::logins::{FirmRecord, PasswordRecord, RefusalRecord};

    const DAY: std::time::Duration = std::time::Duration::from_hours(24);

    fn at(days: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * days
    }

    fn id(token: &str) -> CredentialId {
        CredentialId::of_token(&"api".into(), "acme", "dupont", &token.into())
    }

    fn with_a_key() -> Content {
        with("t", state_of(KeyState::Active, 1, true))
    }

    fn state_of(state: KeyState, day: u32, has_been_active: bool) -> PersistedKeyState {
        PersistedKeyState {
            state,
            has_been_active,
            history: KeyHistory { has_worked: has_been_active, broken_since: None },
            ..PersistedKeyState::new(at(day))
        }
    }

    fn with(token: &str, persisted: PersistedKeyState) -> Content {
        let mut content = Content::default();
        let (partner, key) = ("acme".into(), "dupont".into());
        content.apply(StateUpdate::Key { partner, key, id: id(token), persisted });
        content
    }

    /// A key that worked, and was revoked on day 2.
    fn broken() -> PersistedKeyState {
        let history = KeyHistory { has_worked: true, broken_since: Some(at(2)) };
        PersistedKeyState { history, ..state_of(KeyState::Revoked, 2, true) }
    }

    fn known(content: &Content, token: &str) -> Option<PersistedKeyState> {
        content.key(&("acme".into(), "dupont".into()), &id(token))
    }

    /// Records that a key uses a token.
    fn adopt(content: &mut Content, key: &str, token: &str) -> PersistedKeyState {
        let new = PersistedKeyState::new(at(50));
        content.keys().adopt(("acme".into(), key.into()), &id(token), new).0
    }

    #[test]
    fn written_content_is_read_back() {
        let mut content = with("t", broken());
        let secret =
            PersistedSecretState { state: SecretState::Rejected, since: at(2), has_been_active: true };
        content.apply(StateUpdate::Secret { partner: "acme".into(), id: id("s"), persisted: secret });
        let account = refused(2);
        let (auth_url, mail) = ("https://auth".to_owned(), "api@durand.example".to_owned());
        content.apply(StateUpdate::Login { auth_url, mail, account: account.clone() });
        assert!(content.set_key_files([("keys.d/*.yml".to_owned(), 3)].into()));
        let (mut again, damage) =
            Content::from_json(&content.to_json(&mut Rendered::default()).unwrap()).unwrap();
        assert_eq!((known(&again, "t"), damage), (Some(broken()), Vec::new()));
        assert_eq!((again.key_files("keys.d/*.yml"), again.key_files("*")), (3, 0));
        assert!(!again.set_key_files([("keys.d/*.yml".to_owned(), 3)].into()));
        assert_eq!(again.secret(&"acme".into(), &id("s")), Some(secret));
        assert_eq!(again.account("https://auth", "api@durand.example"), Some(account));
        assert_eq!(
            adopt(&mut again, "dupont", "new").history.broken_since,
            Some(at(2)),
            "the name is read back"
        );
    }

    #[test]
    fn the_text_does_not_depend_on_what_was_written_before() {
        let mut rendered = Rendered::default();
        let mut content = with_a_key();
        let mut check = |content: &Content| {
            let text = String::from_utf8(content.to_json(&mut rendered).unwrap()).unwrap();
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(text.lines().count(), serde_json::to_string_pretty(&parsed).unwrap().lines().count());
            assert_eq!(text.as_bytes(), content.to_json(&mut Rendered::default()).unwrap());
            text
        };
        let first = check(&content);
        assert!(first.contains("\n  \"keys\": [\n    {\n      \"partner\": \"acme\",\n"), "{first}");
        adopt(&mut content, "martin", "another");
        assert_ne!(check(&content), first);
        let (partner, key) = ("acme".into(), "dupont".into());
        content.apply(StateUpdate::Key { partner, key, id: id("t"), persisted: broken() });
        assert!(check(&content).contains("revoked"));
        content.update_configured(&[("acme".into(), "martin".into())], at(60));
        content.update_configured(&[("acme".into(), "martin".into())], at(120));
        assert!(!check(&content).contains("dupont"));
    }

    #[test]
    fn the_state_of_another_token_is_not_returned() {
        assert_eq!(known(&with_a_key(), "another"), None);
    }

    #[test]
    fn a_token_keeps_its_state_under_another_name() {
        let mut content = with("t", state_of(KeyState::Revoked, 1, true));
        assert_eq!(adopt(&mut content, "renamed", "t").state, KeyState::Revoked);
        content.update_configured(&[("acme".into(), "renamed".into())], at(2));
        content.update_configured(&[("acme".into(), "renamed".into())], at(90));
        assert_eq!(known(&content, "t").unwrap().state, KeyState::Revoked, "it is in use");
    }

    #[test]
    fn a_token_that_returns_after_a_typo_continues_with_its_state() {
        let mut content = with_a_key();
        let typo = adopt(&mut content, "dupont", "typo");
        assert_eq!(
            (typo.state, typo.has_been_active, typo.history.has_worked),
            (KeyState::Unknown, false, true)
        );
        assert_eq!(adopt(&mut content, "dupont", "t"), state_of(KeyState::Active, 1, true));
    }

    #[test]
    fn a_key_that_is_removed_and_added_with_another_token_is_a_new_key() {
        let mut content = with("t", broken());
        content.update_configured(&[], at(3));
        assert_eq!(adopt(&mut content, "dupont", "new"), PersistedKeyState::new(at(50)));
        assert_eq!(
            adopt(&mut content, "again", "t").history.broken_since,
            Some(at(2)),
            "the token is the same"
        );
    }

    #[test]
    fn a_token_of_another_api_has_no_history() {
        let mut content = with("t", broken());
        let staging = CredentialId::of_token(&"staging".into(), "acme", "dupont", &"t".into());
        let new = PersistedKeyState::new(at(50));
        let (adopted, _) = content.keys().adopt(("acme".into(), "dupont".into()), &staging, new);
        assert_eq!(adopted, new);
        assert_eq!(adopt(&mut content, "dupont", "t"), broken());
    }

    #[test]
    fn two_keys_with_one_token_keep_their_own_states() {
        let mut content = with("t", broken());
        let active = state_of(KeyState::Active, 3, true);
        let (partner, key) = ("acme".into(), "martin".into());
        content.apply(StateUpdate::Key { partner, key, id: id("t"), persisted: active });
        let mut again = Content::from_json(&content.to_json(&mut Rendered::default()).unwrap()).unwrap().0;
        assert_eq!((adopt(&mut again, "dupont", "t"), adopt(&mut again, "martin", "t")), (broken(), active));
    }

    #[test]
    fn a_replacement_of_a_rejected_secret_stays_rejected_until_it_is_accepted() {
        let secret = |text: &str| CredentialId::of_secret(&"api".into(), "acme", &text.into());
        let rejected =
            PersistedSecretState { state: SecretState::Rejected, since: at(2), has_been_active: true };
        let mut content = Content::default();
        content.apply(StateUpdate::Secret { partner: "acme".into(), id: secret("s"), persisted: rejected });
        let new = PersistedSecretState::new(at(3));
        let (adopted, _) = content.secrets().adopt("acme".into(), &secret("typo"), new);
        assert_eq!((adopted.state, adopted.since), (SecretState::Rejected, at(2)));
    }

    #[test]
    fn adopting_the_same_token_again_writes_nothing() {
        let mut content = with_a_key();
        let new = PersistedKeyState::new(at(50));
        assert!(!content.keys().adopt(("acme".into(), "dupont".into()), &id("t"), new).1);
        assert!(content.keys().adopt(("acme".into(), "martin".into()), &id("t"), new).1);
    }

    #[test]
    fn an_older_file_does_not_replace_a_newer_state() {
        let mut content = with("t", state_of(KeyState::NotFound, 5, false));
        content.merge_older(with("t", state_of(KeyState::Active, 1, true)));
        let expected = PersistedKeyState { state: KeyState::NotFound, ..state_of(KeyState::Active, 5, true) };
        assert_eq!(known(&content, "t"), Some(expected), "has_been_active stays true");
        content.merge_older(with("t", state_of(KeyState::Unknown, 1, false)));
        assert_eq!(known(&content, "t"), Some(expected));
    }

    #[test]
    fn an_older_file_replaces_a_state_that_is_still_unknown() {
        let mut content = with("t", PersistedKeyState::new(at(5)));
        content.merge_older(with("t", broken()));
        assert_eq!(known(&content, "t"), Some(broken()));
    }

    #[test]
    fn a_token_in_an_older_file_marks_its_replacement_as_broken_and_not_as_active() {
        let mut content = with("new", state_of(KeyState::NotFound, 5, false));
        content.merge_older(with("old", broken()));
        let token = known(&content, "new").unwrap();
        assert_eq!((token.state, token.has_been_active), (KeyState::NotFound, false));
        assert_eq!(token.history, broken().history);
    }

    #[test]
    fn a_file_of_version_1_is_migrated() {
        let version_1 = CredentialId::of_token(&"api".into(), "acme", "dupont", &"t".into()).version_1;
        let fingerprint = serde_json::to_string(&version_1).unwrap();
        let text = format!(
            r#"{{"version":1,"keys":[{{"partner":"acme","key":"dupont","fingerprint":{fingerprint},
            "state":"revoked","since":"1970-01-03T00:00:00Z","has_been_active":true}}],"secrets":[],"logins":[]}}"#
        );
        let (mut content, damage) = Content::from_json(text.as_bytes()).unwrap();
        let expected = broken();
        assert_eq!((known(&content, "t"), damage), (Some(expected), Vec::new()));
        assert_eq!(adopt(&mut content, "dupont", "t"), expected);
        content.update_configured(&[("acme".into(), "dupont".into())], at(3));
        let mut again = Content::from_json(&content.to_json(&mut Rendered::default()).unwrap()).unwrap().0;
        assert_eq!(adopt(&mut again, "dupont", "t"), expected);
        let replaced = adopt(&mut Content::from_json(text.as_bytes()).unwrap().0, "dupont", "new");
        assert_eq!((replaced.state, replaced.history.broken_since), (KeyState::Unknown, Some(at(2))));
    }

    /// The record of an account whose password was refused so many times.
    fn refused(times: u32) -> AccountRecord {
        let refusal = RefusalRecord { times, last: at(3), refusal: LoginRefusal::Credentials };
        let firm = FirmRecord { firm: None, is_own: false, refusal: refusal.clone() };
        let password = PasswordFingerprint::with_salt([7; 16], &"wrong".into());
        let password = PasswordRecord { password, account: Some(refusal), firms: vec![firm] };
        AccountRecord { journal: 5, passwords: vec![password] }
    }

    #[test]
    fn refused_log_ins_in_a_file_of_an_earlier_version_are_read_as_the_account_s() {
        let text = br#"{"version":1,"keys":[],"secrets":[],"logins":[{"auth_url":"https://auth",
            "mail":"api@durand.example","times":2,"last":"2026-01-01T00:00:00Z",
            "password":{"salt":[7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7],"hash":[1]}}]}"#;
        let (content, damage) = Content::from_json(text).unwrap();
        assert_eq!(damage, [""; 0]);
        let account = content.account("https://auth", "api@durand.example").unwrap();
        assert_eq!(account.passwords[0].account.as_ref().unwrap().times, 2);
    }

    #[test]
    fn refusals_in_an_older_file_count_unless_the_account_logged_in_or_was_refused_since() {
        let login = |mail: &str, account| StateUpdate::Login {
            auth_url: "https://auth".to_owned(),
            mail: mail.to_owned(),
            account,
        };
        let (mut content, mut older) = (Content::default(), Content::default());
        for mail in ["untouched", "logged in", "refused"] {
            assert!(older.apply(login(mail, refused(2))));
        }
        assert!(!content.apply(login("logged in", AccountRecord::default())), "nothing to write");
        assert!(content.apply(login("refused", refused(1))));
        content.merge_older(older);
        let account = |mail| content.account("https://auth", mail).unwrap();
        let expected = [refused(2), AccountRecord::default(), refused(1)];
        assert_eq!(["untouched", "logged in", "refused"].map(account), expected);
        let again = Content::from_json(&content.to_json(&mut Rendered::default()).unwrap()).unwrap().0;
        assert_eq!(again.logins.len(), 2);
        assert!(
            content.apply(login("refused", AccountRecord::default())),
            "the refusal must be removed from the file"
        );
    }

    #[test]
    fn the_state_of_a_removed_key_is_kept_for_thirty_days() {
        let mut content = with_a_key();
        assert!(content.update_configured(&[], at(10)));
        assert!(!content.update_configured(&[], at(39)));
        assert!(known(&content, "t").is_some());
        assert!(content.update_configured(&[], at(40)));
        assert!(known(&content, "t").is_none());
    }

    #[test]
    fn a_key_that_is_configured_again_is_kept() {
        let mut content = with_a_key();
        let configured = [("acme".into(), "dupont".into())];
        content.update_configured(&[], at(10));
        adopt(&mut content, "dupont", "t");
        assert!(!content.update_configured(&configured, at(90)));
        assert!(known(&content, "t").is_some());
    }

    #[test]
    fn text_of_another_form_or_version_is_an_error() {
        let other_version = br#"{"version":9,"keys":[],"secrets":[],"logins":[]}"#;
        let torn = &with_a_key().to_json(&mut Rendered::default()).unwrap()[..50];
        for text in [&b""[..], b"null", b"[]", b"{}", b"\xff\xfe", other_version, torn] {
            assert!(Content::from_json(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn an_unreadable_record_is_named_and_does_not_affect_the_others() {
        let text = String::from_utf8(with_a_key().to_json(&mut Rendered::default()).unwrap()).unwrap();
        let (before, good) = text.split_once("\"tokens\": [").unwrap();
        let wrong =
            r#"{"fingerprint":"f","state":"fine","since":"2026-01-01T00:00:00Z","has_been_active":true}"#;
        let text = format!("{before}\"tokens\": [{wrong},{good}");
        let (content, damage) = Content::from_json(text.as_bytes()).unwrap();
        assert_eq!(known(&content, "t").unwrap().state, KeyState::Active);
        assert!(
            damage.len() == 1 && damage[0].contains("tokens[0]") && damage[0].contains("fine"),
            "{damage:?}"
        );
    }
}
