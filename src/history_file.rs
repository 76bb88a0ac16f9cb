//! The history on disk: the last day of the health route, and the last state changes. So a restart empties neither
//! the availability nor "what changed lately".
//!
//! A file of its own beside the state file, because it changes with each health probe and is not needed to judge a
//! key: it is not synchronized to the disk, and a damaged one is ignored. Only the exporter that holds the lock of the
//! storage directory writes it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_with::serde_as;
use tokio::task::spawn_blocking;
use tokio::time::{Duration, sleep, timeout};
use tracing::warn;

use crate::file_threads::FileThreads;
use crate::key_state::{KeyState, SecretState};
use crate::partner_api::error::ErrorCode;
use crate::partner_api::request_id::RequestId;
use crate::rfc3339::Rfc3339;
use crate::state::history::{Day, Slot, TransitionRecord, Transitions};
use crate::state::{HealthState, MonitoredKey, MonitoredPartner, SharedState};
use crate::store::{read_regular_file, remove_temporary_files, require_own_directory};

const FILE_NAME: &str = "history.json";
/// The prefix of the temporary file's name while it is being written.
const TEMPORARY_PREFIX: &str = "history.new-";
const VERSION: u32 = 1;
const INTERVAL: Duration = Duration::from_secs(15);
/// How long start and stop wait for the disk.
const TIMEOUT: Duration = Duration::from_secs(2);
/// In bytes. A full file has about 200 kB.
const MAX_SIZE: u64 = 1 << 20;
/// The number of state changes of keys in the file, the newest ones.
const MAX_KEY_CHANGES: usize = 500;
/// If the exporter was away for longer, nobody knows whether the API was up all the time.
const MAX_GAP: Duration = Duration::from_mins(15);

/// The file in one storage directory.
#[derive(Debug)]
pub(crate) struct HistoryFile {
    directory: PathBuf,
    /// What an earlier process wrote, until it is restored.
    before: Option<Document>,
}

#[serde_as]
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// The base URL of the API.
    api: String,
    #[serde_as(as = "Rfc3339")]
    written: SystemTime,
    api_state: HealthState,
    #[serde_as(as = "Rfc3339")]
    api_since: SystemTime,
    /// When the first probe of the day ended.
    #[serde_as(as = "Option<Rfc3339>")]
    first: Option<SystemTime>,
    day: Vec<Slot>,
    api_changes: Vec<Change<HealthState>>,
    secret_changes: Vec<Change<SecretState>>,
    key_changes: Vec<Change<KeyState>>,
}

/// A state change, with the names of what it is about.
#[serde_as]
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Change<S> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde_as(as = "Rfc3339")]
    at: SystemTime,
    from: S,
    to: S,
    /// As in [`TransitionRecord`].
    #[serde(default)]
    seen: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl HistoryFile {
    /// Reads the file. A disk that does not respond, or a damaged file, must not stop the start.
    pub(crate) fn read(directory: &Path) -> Self {
        let directory = directory.to_owned();
        let read_from = directory.clone();
        let before = match FileThreads::new(1, 1).wait(TIMEOUT, move || read(&read_from)) {
            Ok(Ok(document)) => Some(document),
            Ok(Err(cause)) if cause.kind() == io::ErrorKind::NotFound => None,
            Ok(Err(cause)) => ignored(&cause),
            Err(cause) => ignored(&cause),
        };
        Self { directory, before }
    }

    /// Restores what the file says about the configured API, partners and keys.
    pub(crate) fn restore(&mut self, shared_state: &SharedState, now: SystemTime) {
        if let Some(document) = self.before.take() {
            document.restore(shared_state, now);
        }
    }

    /// Keeps the file up to date for ever.
    pub(crate) fn record(&self, shared_state: Arc<SharedState>) -> impl Future<Output = ()> + use<> {
        let directory = self.directory.clone();
        async move {
            let cleaned = directory.clone();
            let _ = spawn_blocking(move || remove_temporary_files(&cleaned, TEMPORARY_PREFIX)).await;
            loop {
                sleep(INTERVAL).await;
                save(&directory, &shared_state).await;
            }
        }
    }

    /// Writes the file once, before the exporter stops.
    pub(crate) async fn write_last(&self, shared_state: &SharedState) {
        let _ = timeout(TIMEOUT, save(&self.directory, shared_state)).await;
    }
}

/// If the file cannot be written, a restart loses the history. The store reports what is wrong with the directory.
async fn save(directory: &Path, shared_state: &SharedState) {
    let (document, directory) = (Document::of(shared_state, SystemTime::now()), directory.to_owned());
    let _ = spawn_blocking(move || write(&directory, &document)).await;
}

fn ignored(cause: &dyn std::fmt::Display) -> Option<Document> {
    warn!(%cause, file = FILE_NAME, "the history cannot be read; it starts anew");
    None
}

fn read(directory: &Path) -> io::Result<Document> {
    require_own_directory(directory)?;
    let document: Document =
        serde_json::from_slice(&read_regular_file(&directory.join(FILE_NAME), MAX_SIZE)?)?;
    if document.version != VERSION {
        return Err(io::Error::other(format!("it has the version {}", document.version)));
    }
    Ok(document)
}

/// Replaces the file, so that a link in its place is not followed.
fn write(directory: &Path, document: &Document) -> io::Result<()> {
    require_own_directory(directory)?;
    let mut file = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(directory)?;
    file.write_all(&serde_json::to_vec(document)?)?;
    file.persist(directory.join(FILE_NAME))?;
    Ok(())
}

impl Document {
    fn of(shared_state: &SharedState, now: SystemTime) -> Self {
        let inventory = shared_state.inventory();
        let health = shared_state.health();
        let (api_state, api_since) = (health.state, health.since);
        let (first, day) = (health.day.first(now), health.day.slots(now).copied().collect());
        let api_changes = changes(&health.transitions, None, None);
        drop(health);
        let of_partner =
            |partner: &Arc<MonitoredPartner>| changes(&partner.transitions(), Some(&partner.name), None);
        let secret_changes = inventory.partners.iter().flat_map(of_partner).collect();
        let of_key = |key: &Arc<MonitoredKey>| {
            // A first verdict is no change. In a large fleet, there are many at once.
            let mut changes = changes(&key.status().transitions, Some(&key.partner.name), Some(&key.name));
            changes.retain(|change| change.from != KeyState::Unknown);
            changes
        };
        let mut key_changes: Vec<_> = inventory.keys.iter().flat_map(of_key).collect();
        key_changes.sort_by_key(|change| Reverse(change.at));
        key_changes.truncate(MAX_KEY_CHANGES);
        key_changes.reverse();
        Self {
            version: VERSION,
            api: inventory.settings.api.base_url.to_string(),
            written: now,
            api_state,
            api_since,
            first,
            day,
            api_changes,
            secret_changes,
            key_changes,
        }
    }

    fn restore(self, shared_state: &SharedState, now: SystemTime) {
        let inventory = shared_state.inventory();
        if self.api == inventory.settings.api.base_url.as_str() {
            let mut health = shared_state.health();
            health.day = Day::restore(self.day, self.first.filter(|first| *first <= now), now);
            let is_recent = now.duration_since(self.written).is_ok_and(|gap| gap <= MAX_GAP);
            let is_known = self.api_state != HealthState::Unknown && self.api_since <= now;
            let is_first = health.state == HealthState::Unknown;
            health.before_start =
                (is_recent && is_known && is_first).then_some((self.api_state, self.api_since));
            restore(&mut health.transitions, self.api_changes, now);
        }
        let mut by_partner = grouped(self.secret_changes, |change| change.partner.clone());
        for partner in &inventory.partners {
            let changes = by_partner.remove(&Some(partner.name.to_string())).unwrap_or_default();
            restore(&mut partner.transitions(), changes, now);
        }
        let mut by_key = grouped(self.key_changes, |change| (change.partner.clone(), change.key.clone()));
        for key in &inventory.keys {
            let name = (Some(key.partner.name.to_string()), Some(key.name.to_string()));
            let changes = by_key.remove(&name).unwrap_or_default();
            restore(&mut key.status().transitions, changes, now);
        }
    }
}

fn grouped<S, K: std::hash::Hash + Eq>(
    changes: Vec<Change<S>>,
    name: impl Fn(&Change<S>) -> K,
) -> HashMap<K, Vec<Change<S>>> {
    let mut groups = HashMap::<K, Vec<Change<S>>>::new();
    for change in changes {
        groups.entry(name(&change)).or_default().push(change);
    }
    groups
}

fn changes<S: Copy>(
    transitions: &Transitions<S>,
    partner: Option<&Arc<str>>,
    key: Option<&Arc<str>>,
) -> Vec<Change<S>> {
    let change = |transition: &TransitionRecord<S>| Change {
        partner: partner.map(ToString::to_string),
        key: key.map(ToString::to_string),
        at: transition.at,
        from: transition.from,
        to: transition.to,
        seen: transition.seen,
        code: transition.code.as_ref().map(ErrorCode::to_string),
        request_id: transition.request_id.as_ref().map(RequestId::to_string),
    };
    transitions.iter().map(change).collect()
}

/// Adds the changes of an earlier process. Changes in the future are left out: the clock was wrong.
fn restore<S: Copy>(transitions: &mut Transitions<S>, changes: Vec<Change<S>>, now: SystemTime) {
    for change in changes.into_iter().rev().filter(|change| change.at <= now) {
        transitions.push_older(TransitionRecord {
            at: change.at,
            from: change.from,
            to: change.to,
            seen: change.seen,
            code: change.code.as_deref().and_then(ErrorCode::parse),
            request_id: change.request_id.as_deref().and_then(RequestId::parse),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::key_state::{PersistedKeyState, PersistedSecretState};
    use crate::partner_api::Access;
    use crate::partner_api::failure::{Failure, Reason};
    use crate::state::{Inventory, KeyStatus, TransitionCause};
    use crate::test_support::{at, report};

    const NOW: u64 = 1_900_000_000;

    /// One partner with one key, as after a start.
    fn started() -> SharedState {
        let secret = PersistedSecretState { state: SecretState::Active, ..PersistedSecretState::new(at(1)) };
        let partner = Arc::new(MonitoredPartner::new("acme".into(), secret));
        let persisted = PersistedKeyState { state: KeyState::Active, ..PersistedKeyState::new(at(1)) };
        let status = KeyStatus::new(persisted, []);
        let key = MonitoredKey::new(Arc::clone(&partner), "dupont".into(), Access::Firm, status);
        let shared_state = SharedState::default();
        let (partners, keys) = (vec![partner], vec![Arc::new(key)]);
        shared_state.set_inventory(Inventory { partners, keys, ..Inventory::default() });
        shared_state
    }

    /// The same after a day: the API failed once, the key was revoked and replaced, the secret was refused.
    fn lived() -> SharedState {
        let shared_state = started();
        let failure = || Failure::new(Reason::Timeout, "");
        for (seconds, outcome) in [(600, Ok(())), (300, Err(failure())), (60, Ok(()))] {
            shared_state.health().record(&report(at(NOW - seconds), outcome));
        }
        let inventory = shared_state.inventory();
        for (seconds, state) in [(500, KeyState::Revoked), (200, KeyState::Unknown), (100, KeyState::Active)]
        {
            let persisted = PersistedKeyState { state, ..PersistedKeyState::new(at(NOW - seconds)) };
            let cause =
                TransitionCause { request_id: RequestId::parse("req-1"), ..TransitionCause::default() };
            inventory.keys[0].status().set_persisted(persisted, Some(cause));
        }
        let state = SecretState::Rejected;
        let secret = PersistedSecretState { state, ..PersistedSecretState::new(at(NOW - 50)) };
        inventory.partners[0].set_secret(secret, RequestId::parse("req-2"));
        shared_state
    }

    fn restarted(directory: &Path) -> SharedState {
        let shared_state = started();
        HistoryFile::read(directory).restore(&shared_state, at(NOW));
        shared_state
    }

    #[test]
    fn the_day_and_the_state_changes_outlive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let before = lived();
        write(directory.path(), &Document::of(&before, at(NOW))).unwrap();
        let after = restarted(directory.path());
        assert_eq!(Document::of(&after, at(NOW)).day, Document::of(&before, at(NOW)).day);
        assert_eq!(after.health().day.first(at(NOW)), Some(at(NOW - 600)));
        let inventory = after.inventory();
        let status = inventory.keys[0].status();
        let changes: Vec<_> = status.transitions.iter().map(|change| (change.from, change.to)).collect();
        let (active, revoked, unknown) = (KeyState::Active, KeyState::Revoked, KeyState::Unknown);
        assert_eq!(changes, [(active, revoked), (revoked, unknown), (revoked, active)]);
        assert_eq!(status.transitions.iter().next().unwrap().request_id, RequestId::parse("req-1"));
        assert_eq!(inventory.partners[0].transitions().iter().len(), 1);
        // The API has been up since the probe of a minute ago, also if the first probe after the start says so.
        after.health().record(&report(at(NOW + 15), Ok(())));
        let health = after.health();
        assert_eq!((health.state, health.since), (HealthState::Up, at(NOW - 60)));
        assert_eq!(health.transitions.iter().len(), 2);
    }

    #[test]
    fn after_a_long_gap_nobody_claims_that_the_api_was_up_in_between() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &Document::of(&lived(), at(NOW - 1_000))).unwrap();
        let after = restarted(directory.path());
        after.health().record(&report(at(NOW + 15), Ok(())));
        assert_eq!(after.health().since, at(NOW + 15));
    }

    #[test]
    fn the_day_of_another_api_is_not_restored() {
        let directory = tempfile::tempdir().unwrap();
        let document =
            Document { api: "https://other.example/".to_owned(), ..Document::of(&lived(), at(NOW)) };
        write(directory.path(), &document).unwrap();
        let after = restarted(directory.path());
        assert_eq!(after.health().day.slots(at(NOW)).count(), 0);
    }

    #[test]
    fn a_damaged_file_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &Document::of(&lived(), at(NOW))).unwrap();
        let file = directory.path().join(FILE_NAME);
        let valid = fs::read_to_string(&file).unwrap();
        let huge = valid.replace("\"succeeded\":", "\"succeeded\":429496729");
        let texts = [String::new(), "{".to_owned(), valid.replace("\"version\":1", "\"version\":9"), huge];
        for text in texts.into_iter().chain([valid.get(..valid.len() / 2).unwrap().to_owned()]) {
            fs::write(&file, &text).unwrap();
            let after = restarted(directory.path());
            after.health().record(&report(at(NOW + 15), Ok(())));
            assert_eq!(after.health().day.slots(at(NOW + 15)).count(), 1, "{text}");
        }
        fs::remove_file(&file).unwrap();
        symlink("/etc/hostname", &file).unwrap();
        restarted(directory.path());
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        restarted(directory.path());
    }

    #[test]
    fn the_file_of_a_large_fleet_is_small() {
        let shared_state = started();
        let partner = Arc::clone(&shared_state.inventory().partners[0]);
        let key = |number: u32| {
            let persisted = PersistedKeyState { state: KeyState::Active, ..PersistedKeyState::new(at(1)) };
            let mut status = KeyStatus::new(persisted, []);
            let state = KeyState::Revoked;
            let revoked = PersistedKeyState { state, ..PersistedKeyState::new(at(NOW - u64::from(number))) };
            status.set_persisted(revoked, None);
            let name = format!("key-{number}").into();
            Arc::new(MonitoredKey::new(Arc::clone(&partner), name, Access::Firm, status))
        };
        let (partners, keys) = (vec![Arc::clone(&partner)], (0..10_000).map(key).collect());
        shared_state.set_inventory(Inventory { partners, keys, ..Inventory::default() });
        let document = Document::of(&shared_state, at(NOW));
        assert!(serde_json::to_vec(&document).unwrap().len() < 200_000);
        assert_eq!(document.key_changes.last().unwrap().key.as_deref(), Some("key-0"), "the newest is kept");
    }
}
