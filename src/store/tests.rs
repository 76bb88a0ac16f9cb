//! The store against a real folder, in paused time.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::sleep;

use super::*;
use crate::key_state::KeyState;
use crate::password_fingerprint::PasswordFingerprint;

/// A folder to be, whose parent is there already.
struct Place {
    parent: tempfile::TempDir,
    failures: Arc<AtomicU32>,
}

impl Place {
    fn new() -> Self {
        Self { parent: tempfile::tempdir().unwrap(), failures: Arc::default() }
    }

    fn folder(&self) -> PathBuf {
        self.parent.path().join("data")
    }

    fn file(&self) -> PathBuf {
        self.folder().join("state.json")
    }

    fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Store, OpenError> {
        let failures = Arc::clone(&self.failures);
        Store::open(&self.folder(), move || {
            failures.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Puts a folder there whose memory is that of another process.
    fn remember(&self, records: impl IntoIterator<Item = StateUpdate>) {
        fs::create_dir(self.folder()).unwrap();
        fs::write(self.file(), text_of(records)).unwrap();
    }

    fn on_disk(&self) -> Content {
        Content::from_json(&fs::read(self.file()).unwrap()).unwrap().0
    }

    /// Those in the folder whose name begins like this.
    fn named(&self, beginning: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap());
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning));
        named.map(|entry| entry.path()).collect()
    }
}

fn text_of(records: impl IntoIterator<Item = StateUpdate>) -> Vec<u8> {
    let mut content = Content::default();
    for record in records {
        content.apply(record);
    }
    content.to_json().unwrap()
}

fn fingerprint() -> Fingerprint {
    Fingerprint::of_token("acme", "any", &"t".into())
}

fn record(key: &str, state: KeyState, has_been_active: bool) -> StateUpdate {
    let memory = PersistedKeyState { state, since: SystemTime::UNIX_EPOCH, has_been_active };
    StateUpdate::Key {
        partner: "acme".into(),
        key: key.into(),
        fingerprint: fingerprint(),
        persisted: memory,
    }
}

fn active(key: &str) -> StateUpdate {
    record(key, KeyState::Active, true)
}

fn state_in(content: &Content, key: &str) -> Option<KeyState> {
    content.key("acme", key, &fingerprint()).map(|memory| memory.state)
}

impl Store {
    fn state(&self, key: &str) -> Option<KeyState> {
        state_in(&self.0.current().content, key)
    }
}

/// A bit more than until the next try.
async fn next_try() {
    sleep(RETRY_DELAY + WRITE_INTERVAL).await;
}

#[tokio::test(start_paused = true)]
async fn a_memory_that_arrives_late_is_kept_beneath_what_was_learnt_meanwhile() {
    let place = Place::new();
    fs::write(place.folder(), "a file in the folder's place").unwrap();
    let store = place.open();
    assert_eq!(store.save(record("dupont", KeyState::NotFound, false)).await, Err(NotWritten));
    fs::remove_file(place.folder()).unwrap();
    let refused = RefusedLogins {
        times: 2,
        last: SystemTime::UNIX_EPOCH,
        password: PasswordFingerprint::of(&"wrong".into()),
    };
    let (auth_url, mail) = ("https://auth".to_owned(), "api@durand.example".to_owned());
    let login = StateUpdate::Login { auth_url, mail, refused: Some(refused.clone()) };
    place.remember([active("dupont"), active("martin"), login]);
    next_try().await;
    let dupont = store.key("acme", "dupont", &fingerprint()).unwrap();
    assert_eq!((dupont.state, dupont.has_been_active), (KeyState::NotFound, true));
    assert_eq!(store.state("martin"), Some(KeyState::Active));
    assert_eq!(store.refused_logins("https://auth", "api@durand.example"), Some(refused));
    let on_disk = place.on_disk();
    assert_eq!(state_in(&on_disk, "dupont"), Some(KeyState::NotFound));
    assert_eq!(state_in(&on_disk, "martin"), Some(KeyState::Active));
}

#[tokio::test(start_paused = true)]
async fn a_memory_that_arrives_late_is_read_while_there_is_nothing_to_write() {
    let place = Place::new();
    fs::write(place.folder(), "").unwrap();
    let store = place.open();
    sleep(WRITE_INTERVAL).await;
    assert_eq!(place.failures(), 1, "that it can't be used is counted at once");
    fs::remove_file(place.folder()).unwrap();
    place.remember([active("martin")]);
    next_try().await;
    assert_eq!(store.state("martin"), Some(KeyState::Active));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_neither_replaced_nor_called_damaged() {
    let place = Place::new();
    fs::create_dir_all(place.file().join("a directory in the file's place")).unwrap();
    let store = place.open();
    assert_eq!(store.save(active("dupont")).await, Err(NotWritten));
    next_try().await;
    assert!(place.failures() >= 2, "each try is counted");
    assert!(place.file().is_dir() && place.named("state.json.").is_empty());
    fs::remove_dir_all(place.file()).unwrap();
    next_try().await;
    assert_eq!(state_in(&place.on_disk(), "dupont"), Some(KeyState::Active));
}

#[test]
fn an_unreadable_file_says_so_and_names_itself() {
    let place = Place::new();
    fs::create_dir_all(place.file()).unwrap();
    let cause = StateFile::new(&place.folder()).read_if_new().unwrap_err().to_string();
    assert!(cause.contains("state.json can't be read") && !cause.contains("damaged"), "{cause}");
}

fn make_pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn what_has_no_end_or_no_writer_is_not_read() {
    type Maker = fn(&Path);
    let makers: [(Maker, &str); 4] = [
        (|path| make_pipe(path), "not a regular file"),
        (|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(), "not a regular file"),
        (|path| fs::create_dir(path).unwrap(), "not a regular file"),
        (|path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap(), "larger than 256 MiB"),
    ];
    for (make, wanted) in makers {
        let place = Place::new();
        fs::create_dir(place.folder()).unwrap();
        make(&place.file());
        let cause = StateFile::new(&place.folder()).read_if_new().unwrap_err().to_string();
        assert!(cause.contains("state.json can't be read") && cause.contains(wanted), "{cause}");
    }
    for make in [|path: &Path| make_pipe(path), |path: &Path| fs::create_dir(path).unwrap()] {
        let place = Place::new();
        fs::create_dir(place.folder()).unwrap();
        make(&place.folder().join("lock"));
        let cause = StateFile::new(&place.folder()).read_if_new().unwrap_err().to_string();
        assert!(cause.contains("lock is not a regular file"), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_that_cannot_be_set_aside_is_not_replaced() {
    let place = Place::new();
    fs::create_dir(place.folder()).unwrap();
    fs::write(place.file(), "{\"version\":1,\"ke").unwrap();
    // Directories that bear every name it could be set aside under for the next minutes.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let taken = (now..now + 300).map(|second| place.folder().join(format!("state.json.damaged-{second}")));
    let taken: Vec<_> = taken.collect();
    for name in &taken {
        fs::create_dir(name).unwrap();
    }
    let store = place.open();
    assert_eq!(store.save(active("dupont")).await, Err(NotWritten));
    assert_eq!(fs::read_to_string(place.file()).unwrap(), "{\"version\":1,\"ke");
    for name in &taken {
        fs::remove_dir(name).unwrap();
    }
    next_try().await;
    assert_eq!(state_in(&place.on_disk(), "dupont"), Some(KeyState::Active));
    let kept = place.named("state.json.damaged-");
    assert_eq!(fs::read_to_string(&kept[0]).unwrap(), "{\"version\":1,\"ke");
}

#[tokio::test(start_paused = true)]
async fn what_is_mounted_over_the_folder_is_read_before_it_is_replaced() {
    let place = Place::new();
    let store = place.open();
    store.save(active("dupont")).await.unwrap();
    fs::rename(place.folder(), place.parent.path().join("hidden")).unwrap();
    place.remember([active("martin")]);
    store.save(active("petit")).await.unwrap();
    let on_disk = place.on_disk();
    for key in ["dupont", "martin", "petit"] {
        assert_eq!(state_in(&on_disk, key), Some(KeyState::Active), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_was_deleted_is_made_and_locked_again() {
    let place = Place::new();
    let store = place.open();
    store.save(active("dupont")).await.unwrap();
    fs::remove_dir_all(place.folder()).unwrap();
    store.save(active("martin")).await.unwrap();
    assert_eq!(state_in(&place.on_disk(), "dupont"), Some(KeyState::Active));
    assert!(matches!(place.try_open(), Err(OpenError::InUse(_))));
}

#[tokio::test(start_paused = true)]
async fn a_second_exporter_is_noticed_after_the_folder_was_deleted() {
    let place = Place::new();
    let first = place.open();
    first.save(active("dupont")).await.unwrap();
    fs::remove_dir_all(place.folder()).unwrap();
    let second = place.open();
    second.save(active("martin")).await.unwrap();
    assert_eq!(first.save(active("dupont")).await, Err(NotWritten));
    assert!(place.failures() >= 1);
    assert_eq!(state_in(&place.on_disk(), "dupont"), None, "the folder is the second one's");
    let cause = first.0.write().unwrap_err().to_string();
    assert!(cause.contains("another exporter uses"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn closing_writes_at_once_where_the_writer_paces_itself() {
    let place = Place::new();
    let store = place.open();
    store.save(active("dupont")).await.unwrap();
    let (asked, other) = (Instant::now(), store.clone());
    let saving = tokio::spawn(async move { other.save(active("martin")).await });
    tokio::task::yield_now().await;
    store.close().await;
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(state_in(&place.on_disk(), "martin"), Some(KeyState::Active));
    assert_eq!(saving.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn closing_tries_at_once_where_the_writer_waits_after_a_failure() {
    let place = Place::new();
    fs::write(place.folder(), "").unwrap();
    let store = place.open();
    store.save(active("dupont")).await.unwrap_err();
    fs::remove_file(place.folder()).unwrap();
    let asked = Instant::now();
    store.close().await;
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(state_in(&place.on_disk(), "dupont"), Some(KeyState::Active));
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_disk_in_trouble() {
    let place = Place::new();
    fs::write(place.folder(), "").unwrap();
    let store = place.open();
    store.save(active("dupont")).await.unwrap_err();
    let (asked, before) = (Instant::now(), place.failures());
    store.close().await;
    assert_eq!((asked.elapsed(), place.failures()), (Duration::ZERO, before + 1));
}

#[tokio::test(start_paused = true)]
async fn closing_writes_nothing_where_everything_is_written() {
    let place = Place::new();
    let store = place.open();
    store.save(active("dupont")).await.unwrap();
    fs::remove_file(place.file()).unwrap();
    store.close().await;
    assert!(!place.file().exists());
}

#[tokio::test(start_paused = true)]
async fn the_folder_is_free_again_when_the_last_handle_is_gone() {
    let place = Place::new();
    let store = place.open();
    let other = store.clone();
    store.save(active("dupont")).await.unwrap();
    drop(store);
    assert!(matches!(place.try_open(), Err(OpenError::InUse(_))), "one handle is left");
    drop(other);
    assert_eq!(place.open().state("dupont"), Some(KeyState::Active));
}

#[tokio::test]
async fn a_panic_while_writing_is_a_failed_write_and_not_the_end_of_writing() {
    let dies = run_blocking(|| -> io::Result<()> { panic!("while writing") });
    assert!(dies.await.is_err());
    assert!(run_blocking(|| Ok(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_time_of_a_clock_far_out_of_order_can_be_written() {
    let place = Place::new();
    let store = place.open();
    let mut early = active("dupont");
    if let StateUpdate::Key { persisted: memory, .. } = &mut early {
        memory.since = SystemTime::UNIX_EPOCH - WRITE_INTERVAL;
    }
    assert_eq!(store.save(early).await, Ok(()));
    assert_eq!(state_in(&place.on_disk(), "dupont"), Some(KeyState::Active));
}

#[tokio::test(start_paused = true)]
async fn folder_and_file_are_for_the_exporter_s_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new/and/deep");
    let store = Store::open(&folder, || {}).unwrap();
    store.save(active("dupont")).await.unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(folder.join("state.json")), 0o600);
    assert_eq!(mode(folder.join("lock")), 0o600, "whoever may open it may hold it");
    for made in [parent.path().join("new"), parent.path().join("new/and"), folder] {
        assert_eq!(mode(made), 0o700);
    }
}

#[tokio::test(start_paused = true)]
async fn a_view_knows_what_is_remembered_and_changes_nothing_while_an_exporter_runs() {
    let place = Place::new();
    let store = place.open();
    store.save(active("dupont")).await.unwrap();
    let before = fs::read(place.file()).unwrap();
    let view = Store::snapshot(&place.folder()).unwrap();
    assert_eq!(view.state("dupont"), Some(KeyState::Active));
    view.save(record("dupont", KeyState::Revoked, true)).await.unwrap();
    assert_eq!(view.state("dupont"), Some(KeyState::Revoked), "it knows what it learnt itself");
    view.close().await;
    next_try().await;
    assert_eq!(fs::read(place.file()).unwrap(), before);
    assert_eq!(store.state("dupont"), Some(KeyState::Active));
}

#[tokio::test]
async fn a_view_of_nothing_makes_nothing_and_one_of_damage_says_so() {
    let place = Place::new();
    assert_eq!(Store::snapshot(&place.folder()).unwrap().state("dupont"), None);
    assert!(!place.folder().exists());
    fs::create_dir(place.folder()).unwrap();
    fs::write(place.file(), "nonsense").unwrap();
    assert!(Store::snapshot(&place.folder()).is_err());
    assert_eq!(fs::read_to_string(place.file()).unwrap(), "nonsense");
}

/// Counts the writes from now on, failed ones too.
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

/// Saves all of these at once, and tells what became of each.
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
async fn what_changes_within_a_second_is_one_write() {
    let place = Place::new();
    let store = place.open();
    let (writes, started) = (count_writes(&store), Instant::now());
    store.save(active("first")).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO, "the first one need not wait");
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
    assert_eq!(state_in(&place.on_disk(), "49"), Some(KeyState::Active));
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_one_write_are_told_of_it() {
    let place = Place::new();
    let store = place.open();
    store.save(active("first")).await.unwrap();
    let (writes, keys) = (count_writes(&store), || (0..1_000).map(|number| format!("key{number}")));
    let outcomes = save_all(&store, keys()).await;
    assert!(outcomes.len() == 1_000 && outcomes.iter().all(Result::is_ok));
    tokio::task::yield_now().await;
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    let on_disk = place.on_disk();
    assert!(keys().all(|key| state_in(&on_disk, &key).is_some()));
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_a_write_that_fails_are_told_and_their_records_go_along_with_the_next() {
    let place = Place::new();
    let store = place.open();
    store.save(active("first")).await.unwrap();
    fs::remove_dir_all(place.folder()).unwrap();
    fs::write(place.folder(), "a file in the folder's place").unwrap();
    let (writes, keys) = (count_writes(&store), || (0..10).map(|number| format!("key{number}")));
    let outcomes = save_all(&store, keys()).await;
    assert!(outcomes.iter().all(Result::is_err));
    assert_eq!(store.state("key0"), Some(KeyState::Active), "it is not written, and known all the same");
    sleep(RETRY_DELAY * 2 + WRITE_INTERVAL).await;
    let tries = writes.load(Ordering::Relaxed);
    assert_eq!((tries, place.failures()), (3, 3), "one every five seconds");
    fs::remove_file(place.folder()).unwrap();
    sleep(RETRY_DELAY * 3).await;
    assert_eq!(writes.load(Ordering::Relaxed), tries + 1, "written once, then nothing is left to do");
    assert_eq!(place.failures(), tries);
    let on_disk = place.on_disk();
    assert!(keys().all(|key| state_in(&on_disk, &key).is_some()));
    store.save(active("later")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_process_left_half_written_is_swept_and_nothing_else() {
    let place = Place::new();
    place.remember([active("dupont")]);
    for name in ["state.json.new-x1Y2z3", "state.json.new-", "state.json.damaged-1", "notes.txt"] {
        fs::write(place.folder().join(name), "half of").unwrap();
    }
    let store = place.open();
    assert_eq!(store.state("dupont"), Some(KeyState::Active));
    store.save(active("martin")).await.unwrap();
    let mut left: Vec<_> = place.named("").iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    left.sort();
    assert_eq!(left, ["lock", "notes.txt", "state.json", "state.json.damaged-1"]);
}

#[tokio::test(start_paused = true)]
async fn the_file_is_replaced_whole_and_never_changed() {
    use std::io::Read;
    let place = Place::new();
    let store = place.open();
    store.save(active("dupont")).await.unwrap();
    let before = fs::read(place.file()).unwrap();
    let mut reading = fs::File::open(place.file()).unwrap();
    store.save(active("martin")).await.unwrap();
    let mut read = Vec::new();
    reading.read_to_end(&mut read).unwrap();
    assert_eq!(read, before, "whoever opened the old file reads all of it");
    assert_ne!(fs::read(place.file()).unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_is_told_and_what_waits_for_it_goes_on() {
    let place = Place::new();
    let store = place.open();
    // The writer's own lock stands for a disk that does not answer.
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
        while place.failures() < failures {
            tokio::time::advance(WRITE_TIMEOUT / 2).await;
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(saving.await.unwrap(), Err(NotWritten));
    release.0.send(()).unwrap();
    disk.join().unwrap();
    store.close().await;
    assert!(fs::read_to_string(place.file()).unwrap().contains("dupont"));
}

#[tokio::test(start_paused = true)]
async fn of_a_memory_with_a_damaged_record_the_others_are_used_and_the_original_is_kept() {
    let place = Place::new();
    place.remember([active("dupont"), active("martin")]);
    let original = fs::read_to_string(place.file()).unwrap().replacen("active", "fine", 1);
    fs::write(place.file(), &original).unwrap();
    let store = place.open();
    assert_eq!((store.state("dupont"), store.state("martin")), (None, Some(KeyState::Active)));
    next_try().await;
    assert_eq!(state_in(&place.on_disk(), "martin"), Some(KeyState::Active));
    let kept = place.named("state.json.damaged-");
    assert_eq!(fs::read_to_string(&kept[0]).unwrap(), original);
}
