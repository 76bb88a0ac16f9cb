//! The store with a real directory, in paused time.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::sleep;

use super::rendered::Rendered;
use super::*;
use crate::key_state::KeyState;

/// A storage directory that does not exist yet, in an existing parent.
struct Storage {
    parent: tempfile::TempDir,
    failures: Arc<AtomicU32>,
}

impl Storage {
    fn new() -> Self {
        Self { parent: tempfile::tempdir().unwrap(), failures: Arc::default() }
    }

    fn directory(&self) -> PathBuf {
        self.parent.path().join("data")
    }

    fn file(&self) -> PathBuf {
        self.directory().join("state.json")
    }

    fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Store, OpenError> {
        let failures = Arc::clone(&self.failures);
        Store::open(&self.directory(), move |written| {
            failures.fetch_add(u32::from(written.is_err()), Ordering::Relaxed);
        })
    }

    fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Creates the directory with the persisted state of another process.
    fn create_with(&self, updates: impl IntoIterator<Item = StateUpdate>) {
        fs::create_dir(self.directory()).unwrap();
        fs::write(self.file(), text_of(updates)).unwrap();
    }

    fn on_disk(&self) -> Content {
        Content::from_json(&fs::read(self.file()).unwrap()).unwrap().0
    }

    /// The entries of the directory with this prefix.
    fn named(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory()).unwrap().map(|entry| entry.unwrap());
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        named.map(|entry| entry.path()).collect()
    }
}

fn text_of(updates: impl IntoIterator<Item = StateUpdate>) -> Vec<u8> {
    let mut content = Content::default();
    for update in updates {
        content.apply(update);
    }
    content.to_json(&mut Rendered::default()).unwrap()
}

/// Of the token of a key.
fn id(key: &str) -> CredentialId {
    CredentialId::of_token(&"api".into(), "acme", key, &format!("token of {key}").into())
}

fn update(key: &str, state: KeyState, has_been_active: bool) -> StateUpdate {
    let new = PersistedKeyState::new(SystemTime::UNIX_EPOCH);
    let persisted = PersistedKeyState { state, has_been_active, ..new };
    StateUpdate::Key { partner: "acme".into(), key: key.into(), id: id(key), persisted }
}

fn active(key: &str) -> StateUpdate {
    update(key, KeyState::Active, true)
}

fn state_in(content: &Content, key: &str) -> Option<KeyState> {
    content.key(&("acme".into(), key.into()), &id(key)).map(|persisted| persisted.state)
}

impl Store {
    fn state(&self, key: &str) -> Option<KeyState> {
        state_in(&self.0.current.borrow().content, key)
    }
}

/// Slightly longer than the delay until the next attempt.
async fn next_attempt() {
    sleep(RETRY_DELAY + WRITE_INTERVAL).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_becomes_readable_late_does_not_replace_newer_states() {
    let storage = Storage::new();
    fs::write(storage.directory(), "a file in place of the directory").unwrap();
    let store = storage.open();
    assert_eq!(store.save(update("dupont", KeyState::NotFound, false)).await, Err(NotWritten));
    fs::remove_file(storage.directory()).unwrap();
    let account = AccountRecord { journal: 7, passwords: Vec::new() };
    let (auth_url, mail) = ("https://auth".to_owned(), "api@durand.example".to_owned());
    let login = StateUpdate::Login { auth_url, mail, account: account.clone() };
    storage.create_with([active("dupont"), active("martin"), login]);
    next_attempt().await;
    let dupont = store.key(&("acme".into(), "dupont".into()), &id("dupont")).unwrap();
    assert_eq!((dupont.state, dupont.has_been_active), (KeyState::NotFound, true));
    assert_eq!(store.state("martin"), Some(KeyState::Active));
    assert_eq!(store.account("https://auth", "api@durand.example"), Some(account));
    let on_disk = storage.on_disk();
    assert_eq!(state_in(&on_disk, "dupont"), Some(KeyState::NotFound));
    assert_eq!(state_in(&on_disk, "martin"), Some(KeyState::Active));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_becomes_readable_late_is_read_without_anything_to_write() {
    let storage = Storage::new();
    fs::write(storage.directory(), "").unwrap();
    let store = storage.open();
    sleep(WRITE_INTERVAL).await;
    assert_eq!(storage.failures(), 1, "the failure is counted immediately");
    fs::remove_file(storage.directory()).unwrap();
    storage.create_with([active("martin")]);
    next_attempt().await;
    assert_eq!(store.state("martin"), Some(KeyState::Active));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_file_is_neither_replaced_nor_reported_as_damaged() {
    let storage = Storage::new();
    fs::create_dir_all(storage.file().join("a directory in place of the file")).unwrap();
    let store = storage.open();
    assert_eq!(store.save(active("dupont")).await, Err(NotWritten));
    next_attempt().await;
    assert!(storage.failures() >= 2, "each attempt is counted");
    assert!(storage.file().is_dir() && storage.named("state.json.").is_empty());
    fs::remove_dir_all(storage.file()).unwrap();
    next_attempt().await;
    assert_eq!(state_in(&storage.on_disk(), "dupont"), Some(KeyState::Active));
}

#[test]
fn the_error_for_an_unreadable_file_names_the_file() {
    let storage = Storage::new();
    fs::create_dir_all(storage.file()).unwrap();
    let cause = StateFile::new(&storage.directory()).read_if_new().unwrap_err().to_string();
    assert!(cause.contains("cannot read") && cause.contains("state.json"), "{cause}");
    assert!(!cause.contains("damaged"), "{cause}");
}

fn make_pipe(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
}

#[test]
fn pipes_devices_directories_and_huge_files_are_not_read() {
    type Maker = fn(&Path);
    let makers: [(Maker, &str); 4] = [
        (|path| make_pipe(path), "not a regular file"),
        (|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(), "not a regular file"),
        (|path| fs::create_dir(path).unwrap(), "not a regular file"),
        (|path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap(), "larger than 268435456 bytes"),
    ];
    for (make, expected) in makers {
        let storage = Storage::new();
        fs::create_dir(storage.directory()).unwrap();
        make(&storage.file());
        let cause = StateFile::new(&storage.directory()).read_if_new().unwrap_err().to_string();
        assert!(cause.contains("cannot read") && cause.contains(expected), "{cause}");
    }
    for make in [|path: &Path| make_pipe(path), |path: &Path| fs::create_dir(path).unwrap()] {
        let storage = Storage::new();
        fs::create_dir(storage.directory()).unwrap();
        make(&storage.directory().join("lock"));
        let cause = StateFile::new(&storage.directory()).read_if_new().unwrap_err().to_string();
        assert!(cause.contains("lock is not a regular file"), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_that_cannot_be_renamed_is_not_replaced() {
    let storage = Storage::new();
    fs::create_dir(storage.directory()).unwrap();
    fs::write(storage.file(), "{\"version\":1,\"ke").unwrap();
    // Directories with every name that the damaged file could get in the next five minutes.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let taken =
        (now..now + 300).map(|second| storage.directory().join(format!("state.json.damaged-{second}")));
    let taken: Vec<_> = taken.collect();
    for name in &taken {
        fs::create_dir(name).unwrap();
    }
    let store = storage.open();
    assert_eq!(store.save(active("dupont")).await, Err(NotWritten));
    assert_eq!(fs::read_to_string(storage.file()).unwrap(), "{\"version\":1,\"ke");
    for name in &taken {
        fs::remove_dir(name).unwrap();
    }
    next_attempt().await;
    assert_eq!(state_in(&storage.on_disk(), "dupont"), Some(KeyState::Active));
    let kept = storage.named("state.json.damaged-");
    assert_eq!(fs::read_to_string(&kept[0]).unwrap(), "{\"version\":1,\"ke");
}

#[tokio::test(start_paused = true)]
async fn a_directory_mounted_over_the_storage_directory_is_read_before_it_is_replaced() {
    let storage = Storage::new();
    let store = storage.open();
    store.save(active("dupont")).await.unwrap();
    fs::rename(storage.directory(), storage.parent.path().join("hidden")).unwrap();
    storage.create_with([active("martin")]);
    store.save(active("petit")).await.unwrap();
    let on_disk = storage.on_disk();
    for key in ["dupont", "martin", "petit"] {
        assert_eq!(state_in(&on_disk, key), Some(KeyState::Active), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_directory_is_created_and_locked_again() {
    let storage = Storage::new();
    let store = storage.open();
    store.save(active("dupont")).await.unwrap();
    fs::remove_dir_all(storage.directory()).unwrap();
    store.save(active("martin")).await.unwrap();
    assert_eq!(state_in(&storage.on_disk(), "dupont"), Some(KeyState::Active));
    assert!(matches!(storage.try_open(), Err(OpenError::InUse(_))));
}

#[tokio::test(start_paused = true)]
async fn a_second_exporter_is_detected_after_the_directory_was_deleted() {
    let storage = Storage::new();
    let first = storage.open();
    first.save(active("dupont")).await.unwrap();
    fs::remove_dir_all(storage.directory()).unwrap();
    let second = storage.open();
    second.save(active("martin")).await.unwrap();
    assert_eq!(first.save(active("dupont")).await, Err(NotWritten));
    assert!(storage.failures() >= 1);
    assert_eq!(state_in(&storage.on_disk(), "dupont"), None, "the directory belongs to the second exporter");
    let cause = first.0.write().unwrap_err().to_string();
    assert!(cause.contains("another exporter uses"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn closing_writes_immediately_during_the_write_interval() {
    let storage = Storage::new();
    let store = storage.open();
    store.save(active("dupont")).await.unwrap();
    let (closed, other) = (Instant::now(), store.clone());
    let saving = tokio::spawn(async move { other.save(active("martin")).await });
    tokio::task::yield_now().await;
    store.close().await;
    assert_eq!(closed.elapsed(), Duration::ZERO);
    assert_eq!(state_in(&storage.on_disk(), "martin"), Some(KeyState::Active));
    assert_eq!(saving.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn closing_retries_immediately_after_a_failed_write() {
    let storage = Storage::new();
    fs::write(storage.directory(), "").unwrap();
    let store = storage.open();
    store.save(active("dupont")).await.unwrap_err();
    fs::remove_file(storage.directory()).unwrap();
    let closed = Instant::now();
    store.close().await;
    assert_eq!(closed.elapsed(), Duration::ZERO);
    assert_eq!(state_in(&storage.on_disk(), "dupont"), Some(KeyState::Active));
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_if_the_disk_fails() {
    let storage = Storage::new();
    fs::write(storage.directory(), "").unwrap();
    let store = storage.open();
    store.save(active("dupont")).await.unwrap_err();
    let (closed, before) = (Instant::now(), storage.failures());
    store.close().await;
    assert_eq!((closed.elapsed(), storage.failures()), (Duration::ZERO, before + 1));
}

#[tokio::test(start_paused = true)]
async fn closing_writes_nothing_if_everything_is_written() {
    let storage = Storage::new();
    let store = storage.open();
    store.save(active("dupont")).await.unwrap();
    fs::remove_file(storage.file()).unwrap();
    store.close().await;
    assert!(!storage.file().exists());
}

#[tokio::test(start_paused = true)]
async fn the_directory_is_unlocked_when_the_last_handle_is_dropped() {
    let storage = Storage::new();
    let store = storage.open();
    let other = store.clone();
    store.save(active("dupont")).await.unwrap();
    drop(store);
    assert!(matches!(storage.try_open(), Err(OpenError::InUse(_))), "there is one handle left");
    drop(other);
    assert_eq!(storage.open().state("dupont"), Some(KeyState::Active));
}

#[tokio::test]
async fn a_panic_while_writing_is_a_failed_write_and_writing_continues() {
    let panicking = run_blocking(|| -> io::Result<()> { panic!("while writing") });
    assert!(panicking.await.is_err());
    assert!(run_blocking(|| Ok(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_time_before_1970_can_be_written() {
    let storage = Storage::new();
    let store = storage.open();
    let mut early = active("dupont");
    if let StateUpdate::Key { persisted, .. } = &mut early {
        persisted.since = SystemTime::UNIX_EPOCH - WRITE_INTERVAL;
    }
    assert_eq!(store.save(early).await, Ok(()));
    assert_eq!(state_in(&storage.on_disk(), "dupont"), Some(KeyState::Active));
}

#[tokio::test(start_paused = true)]
async fn only_the_exporter_s_user_can_access_directory_and_files() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("new/and/deep");
    let store = Store::open(&directory, |_| {}).unwrap();
    store.save(active("dupont")).await.unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(directory.join("state.json")), 0o600);
    assert_eq!(mode(directory.join("lock")), 0o600, "a user who can open the lock file can hold the lock");
    for created in [parent.path().join("new"), parent.path().join("new/and"), directory] {
        assert_eq!(mode(created), 0o700);
    }
}

#[test]
fn a_link_in_the_storage_directory_is_not_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let storage = Storage::new();
    let elsewhere = storage.parent.path().join("file-of-another-service");
    for name in ["lock", "state.json"] {
        fs::create_dir(storage.directory()).unwrap();
        fs::write(&elsewhere, "{}").unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&elsewhere, storage.directory().join(name)).unwrap();
        let cause = StateFile::new(&storage.directory()).read_if_new().unwrap_err().to_string();
        assert!(cause.contains("is not a regular file"), "{cause}");
        assert_eq!(fs::metadata(&elsewhere).unwrap().permissions().mode() & 0o777, 0o644, "{name}");
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "{}");
        fs::remove_dir_all(storage.directory()).unwrap();
    }
    // A second name of the same file is not a link, but its mode stays, too.
    fs::create_dir(storage.directory()).unwrap();
    fs::hard_link(&elsewhere, storage.directory().join("lock")).unwrap();
    StateFile::new(&storage.directory()).read_if_new().unwrap();
    assert_eq!(fs::metadata(&elsewhere).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn an_own_lock_file_that_others_may_open_is_closed_to_them() {
    use std::os::unix::fs::PermissionsExt;
    let storage = Storage::new();
    fs::create_dir(storage.directory()).unwrap();
    let lock = storage.directory().join("lock");
    fs::write(&lock, "").unwrap();
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o664)).unwrap();
    StateFile::new(&storage.directory()).read_if_new().unwrap();
    assert_eq!(fs::metadata(&lock).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_has_the_persisted_state_and_changes_nothing_while_an_exporter_runs() {
    let storage = Storage::new();
    let store = storage.open();
    store.save(active("dupont")).await.unwrap();
    let before = fs::read(storage.file()).unwrap();
    let snapshot = Store::snapshot(&storage.directory()).unwrap();
    assert_eq!(snapshot.state("dupont"), Some(KeyState::Active));
    snapshot.save(update("dupont", KeyState::Revoked, true)).await.unwrap();
    assert_eq!(snapshot.state("dupont"), Some(KeyState::Revoked), "its own update is visible in it");
    snapshot.close().await;
    next_attempt().await;
    assert_eq!(fs::read(storage.file()).unwrap(), before);
    assert_eq!(store.state("dupont"), Some(KeyState::Active));
}

#[tokio::test]
async fn a_snapshot_of_a_missing_directory_is_empty_and_of_a_damaged_file_an_error() {
    let storage = Storage::new();
    assert_eq!(Store::snapshot(&storage.directory()).unwrap().state("dupont"), None);
    assert!(!storage.directory().exists());
    fs::create_dir(storage.directory()).unwrap();
    fs::write(storage.file(), "nonsense").unwrap();
    assert!(Store::snapshot(&storage.directory()).is_err());
    assert_eq!(fs::read_to_string(storage.file()).unwrap(), "nonsense");
}

/// Counts all writes from now on, including failed ones.
fn count_writes(store: &Store) -> Arc<AtomicU32> {
    let (mut written, writes) = (store.0.progress.subscribe(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&writes);
    tokio::spawn(async move {
        while written.changed().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    writes
}

/// Saves an update for each key concurrently, and returns each result.
async fn save_all(store: &Store, keys: impl Iterator<Item = String>) -> Vec<Result<(), NotWritten>> {
    let saves = keys.map(|key| {
        let store = store.clone();
        tokio::spawn(async move { store.save(active(&key)).await })
    });
    let saves: Vec<_> = saves.collect();
    let mut outcomes = Vec::new();
    for save in saves {
        outcomes.push(save.await.unwrap());
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn changes_within_one_second_are_one_write() {
    let storage = Storage::new();
    let store = storage.open();
    let (writes, started) = (count_writes(&store), Instant::now());
    store.save(active("first")).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO, "the first update does not wait");
    let mut saves = tokio::task::JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        saves.spawn(async move { store.save(active(&number.to_string())).await });
        sleep(Duration::from_millis(10)).await;
    }
    assert!(saves.join_all().await.iter().all(Result::is_ok));
    assert_eq!(started.elapsed().as_secs(), 1);
    sleep(WRITE_INTERVAL * 10).await;
    assert_eq!(writes.load(Ordering::Relaxed), 2);
    assert_eq!(state_in(&storage.on_disk(), "49"), Some(KeyState::Active));
}

#[tokio::test(start_paused = true)]
async fn all_updates_of_one_write_are_confirmed() {
    let storage = Storage::new();
    let store = storage.open();
    store.save(active("first")).await.unwrap();
    let (writes, keys) = (count_writes(&store), || (0..1_000).map(|number| format!("key{number}")));
    let outcomes = save_all(&store, keys()).await;
    assert!(outcomes.len() == 1_000 && outcomes.iter().all(Result::is_ok));
    tokio::task::yield_now().await;
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    let on_disk = storage.on_disk();
    assert!(keys().all(|key| state_in(&on_disk, &key).is_some()));
}

#[tokio::test(start_paused = true)]
async fn all_updates_of_a_failed_write_get_an_error_and_are_part_of_the_next_write() {
    let storage = Storage::new();
    let store = storage.open();
    store.save(active("first")).await.unwrap();
    fs::remove_dir_all(storage.directory()).unwrap();
    fs::write(storage.directory(), "a file in place of the directory").unwrap();
    let (writes, keys) = (count_writes(&store), || (0..10).map(|number| format!("key{number}")));
    let outcomes = save_all(&store, keys()).await;
    assert!(outcomes.iter().all(Result::is_err));
    assert_eq!(store.state("key0"), Some(KeyState::Active), "it is not written but already visible");
    sleep(RETRY_DELAY * 2 + WRITE_INTERVAL).await;
    let attempts = writes.load(Ordering::Relaxed);
    assert_eq!((attempts, storage.failures()), (3, 3), "one every five seconds");
    fs::remove_file(storage.directory()).unwrap();
    sleep(RETRY_DELAY * 3).await;
    assert_eq!(
        writes.load(Ordering::Relaxed),
        attempts + 1,
        "written once, then there is nothing left to write"
    );
    assert_eq!(storage.failures(), attempts);
    let on_disk = storage.on_disk();
    assert!(keys().all(|key| state_in(&on_disk, &key).is_some()));
    store.save(active("later")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_temporary_files_of_a_killed_process_are_removed() {
    let storage = Storage::new();
    storage.create_with([active("dupont")]);
    for name in ["state.json.new-x1Y2z3", "state.json.new-", "state.json.damaged-1", "notes.txt"] {
        fs::write(storage.directory().join(name), "half of").unwrap();
    }
    let store = storage.open();
    assert_eq!(store.state("dupont"), Some(KeyState::Active));
    store.save(active("martin")).await.unwrap();
    let mut left: Vec<_> =
        storage.named("").iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    left.sort();
    assert_eq!(left, ["lock", "notes.txt", "state.json", "state.json.damaged-1"]);
}

#[tokio::test(start_paused = true)]
async fn the_file_is_replaced_and_never_modified_in_place() {
    use std::io::Read;
    let storage = Storage::new();
    let store = storage.open();
    store.save(active("dupont")).await.unwrap();
    let before = fs::read(storage.file()).unwrap();
    let mut reading = fs::File::open(storage.file()).unwrap();
    store.save(active("martin")).await.unwrap();
    let mut read = Vec::new();
    reading.read_to_end(&mut read).unwrap();
    assert_eq!(read, before, "a reader of the old file reads all of it");
    assert_ne!(fs::read(storage.file()).unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_disk_is_reported_and_waiting_updates_get_an_error() {
    let storage = Storage::new();
    let store = storage.open();
    // Holding the writer's lock simulates a disk that does not respond.
    let shared = Arc::clone(&store.0);
    let (held, release) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let disk = std::thread::spawn(move || {
        let _file = shared.file.lock().unwrap();
        held.0.send(()).unwrap();
        let _ = release.1.recv();
    });
    held.1.recv().unwrap();
    let saving = tokio::spawn({
        let store = store.clone();
        async move { store.save(active("dupont")).await }
    });
    for failures in 1..=3 {
        while storage.failures() < failures {
            tokio::time::advance(WRITE_TIMEOUT / 2).await;
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(saving.await.unwrap(), Err(NotWritten));
    release.0.send(()).unwrap();
    disk.join().unwrap();
    store.close().await;
    assert!(fs::read_to_string(storage.file()).unwrap().contains("dupont"));
}

#[tokio::test(start_paused = true)]
async fn a_file_with_a_damaged_record_is_kept_and_the_other_records_are_used() {
    let storage = Storage::new();
    storage.create_with([active("dupont"), active("martin")]);
    let original = fs::read_to_string(storage.file()).unwrap().replacen("active", "fine", 1);
    fs::write(storage.file(), &original).unwrap();
    let store = storage.open();
    // The record of the key is damaged, and that of its token is not.
    assert_eq!(["dupont", "martin"].map(|key| store.state(key)), [Some(KeyState::Active); 2]);
    next_attempt().await;
    assert_eq!(state_in(&storage.on_disk(), "martin"), Some(KeyState::Active));
    let kept = storage.named("state.json.damaged-");
    assert_eq!(fs::read_to_string(&kept[0]).unwrap(), original);
}
