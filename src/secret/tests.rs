//! Secrets: how they are read, which values are refused, and how changes are detected.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::SystemTime;

use super::files::{Reading, SecretFiles, read_if_changed};
use super::watched::{self, WatchedSecret};
use super::{SecretError, SecretFault, SecretKind, SecretSource};
use crate::file_version::FileVersion;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep, timeout};

const KINDS: [SecretKind; 2] = [SecretKind::HeaderValue, SecretKind::Password];

fn written(content: impl AsRef<[u8]>) -> (TempDir, SecretSource) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, content).unwrap();
    (folder, SecretSource::File(path.into()))
}

fn read(content: impl AsRef<[u8]>, kind: SecretKind) -> Result<String, SecretFault> {
    let (_folder, source) = written(content);
    text(source.read(kind))
}

fn text(read: Result<SecretString, SecretError>) -> Result<String, SecretFault> {
    read.map(|secret| secret.expose_secret().to_owned()).map_err(|error| error.fault)
}

#[test]
fn one_final_line_break_is_not_part_of_the_secret() {
    for kind in KINDS {
        for content in ["abc", "abc\n", "abc\r\n"] {
            assert_eq!(read(content, kind), Ok("abc".to_owned()), "{content:?}");
        }
    }
}

#[test]
fn each_invalid_value_has_its_error() {
    for kind in KINDS {
        assert_eq!(read("", kind), Err(SecretFault::Empty));
        assert_eq!(read("\n", kind), Err(SecretFault::Empty));
        assert_eq!(read("\r\n", kind), Err(SecretFault::Empty));
        assert_eq!(read("abc\n\n", kind), Err(SecretFault::SeveralLines));
        assert_eq!(read("\nabc", kind), Err(SecretFault::SeveralLines));
        assert_eq!(read("abc\r", kind), Err(SecretFault::ControlCharacter));
        assert_eq!(read("a\tbc", kind), Err(SecretFault::ControlCharacter));
        assert_eq!(read("abc\0", kind), Err(SecretFault::ControlCharacter));
        assert_eq!(read("abc\u{7f}", kind), Err(SecretFault::ControlCharacter));
        assert_eq!(read("\u{feff}abc", kind), Err(SecretFault::ByteOrderMark));
        assert_eq!(read(b"\xff\xfea\0", kind), Err(SecretFault::NotUtf8));
        assert_eq!(read("x".repeat(16 * 1024 + 1), kind), Err(SecretFault::TooLarge));
        assert_eq!(read("x".repeat(1024 * 1024), kind), Err(SecretFault::TooLarge));
    }
}

#[test]
fn a_secret_of_the_maximum_size_can_end_with_a_line_break() {
    let largest = "x".repeat(16 * 1024);
    assert_eq!(read(format!("{largest}\r\n"), SecretKind::HeaderValue), Ok(largest));
}

#[test]
fn a_password_can_contain_characters_that_a_header_cannot() {
    for content in ["pass word", "mot de passé", " edges ", "日本"] {
        assert_eq!(read(content, SecretKind::Password), Ok(content.to_owned()));
        assert_eq!(read(content, SecretKind::HeaderValue), Err(SecretFault::NotForHeader));
    }
}

#[test]
fn a_file_that_is_not_a_regular_file_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| SecretSource::File(folder.path().join(name).into());
    symlink("nowhere", folder.path().join("broken-link")).unwrap();
    symlink("loop", folder.path().join("loop")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::Mode::from_raw_mode(0o600))
        .unwrap();
    assert_eq!(text(at("missing").read(SecretKind::Password)), Err(SecretFault::NotFound));
    assert_eq!(text(at("broken-link").read(SecretKind::Password)), Err(SecretFault::NotFound));
    assert_eq!(text(at(".").read(SecretKind::Password)), Err(SecretFault::Directory));
    assert_eq!(text(at("pipe").read(SecretKind::Password)), Err(SecretFault::NotAFile));
    assert!(matches!(text(at("loop").read(SecretKind::Password)), Err(SecretFault::Unreadable(_))));
    let device = SecretSource::File(Path::new("/dev/null").into());
    assert_eq!(text(device.read(SecretKind::Password)), Err(SecretFault::NotAFile));
}

#[test]
fn an_environment_variable_is_read_or_reported_as_not_set() {
    let set = SecretSource::Env("CARGO_PKG_NAME".to_owned());
    assert_eq!(text(set.read(SecretKind::HeaderValue)), Ok("myunisoft-exporter".to_owned()));
    for name in ["MYUNISOFT_NOT_SET_ANYWHERE", "", "A=B"] {
        let source = SecretSource::Env(name.to_owned());
        assert_eq!(text(source.read(SecretKind::HeaderValue)), Err(SecretFault::NotSet));
    }
}

#[test]
fn an_error_has_a_fix_and_does_not_contain_the_value() {
    let (_folder, file) = written("planted\nsecret");
    let inline = SecretSource::Inline(SecretString::from("planted\tsecret"));
    for source in [file, inline] {
        let error = source.read(SecretKind::HeaderValue).unwrap_err();
        assert!(!format!("{error} {error:?} {source:?}").contains("planted"));
        assert!(error.to_string().contains("; "), "{error}");
    }
}

fn watched(source: &SecretSource) -> WatchedSecret {
    WatchedSecret::new(source.clone(), SecretKind::HeaderValue)
}

fn path(source: &SecretSource) -> &Path {
    match source {
        SecretSource::File(path) => path,
        _ => panic!("not a file"),
    }
}

/// The secret that is read now, or why there is none.
async fn current(watched: &mut WatchedSecret) -> Result<String, SecretFault> {
    watched.refresh().await;
    text(watched.current().cloned())
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_read_again_at_the_next_call() {
    let (_folder, source) = written("one");
    let mut watched = watched(&source);
    assert_eq!(current(&mut watched).await, Ok("one".to_owned()));
    assert_eq!(current(&mut watched).await, Ok("one".to_owned()));
    // The size is the same, and the clock may not have advanced since the first write.
    fs::write(path(&source), "two").unwrap();
    assert_eq!(current(&mut watched).await, Ok("two".to_owned()));
    assert_eq!(current(&mut watched).await, Ok("two".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_replaced_by_the_same_content_gives_the_same_secret() {
    let (folder, source) = written("one");
    let mut watched = watched(&source);
    assert_eq!(current(&mut watched).await, Ok("one".to_owned()));
    fs::write(folder.path().join("new"), "one\n").unwrap();
    fs::rename(folder.path().join("new"), path(&source)).unwrap();
    assert_eq!(current(&mut watched).await, Ok("one".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_last_value_serves_while_its_file_is_missing_or_damaged() {
    let (_folder, source) = written("one");
    let mut watched = watched(&source);
    let fault = |watched: &WatchedSecret| watched.problem().map(|problem| problem.fault);
    assert_eq!((current(&mut watched).await, fault(&watched)), (Ok("one".to_owned()), None));
    fs::remove_file(path(&source)).unwrap();
    for _ in 0..2 {
        assert_eq!(current(&mut watched).await, Ok("one".to_owned()));
        assert_eq!(fault(&watched), Some(SecretFault::NotFound));
    }
    for (content, expected) in [
        ("", SecretFault::Empty),
        ("one\ntwo", SecretFault::SeveralLines),
        ("o ne", SecretFault::NotForHeader),
    ] {
        fs::write(path(&source), content).unwrap();
        assert_eq!((current(&mut watched).await, fault(&watched)), (Ok("one".to_owned()), Some(expected)));
    }
    fs::write(path(&source), "two").unwrap();
    assert_eq!((current(&mut watched).await, fault(&watched)), (Ok("two".to_owned()), None));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_never_readable_gives_no_value() {
    let (_folder, source) = written("");
    let mut watched = watched(&source);
    for _ in 0..2 {
        assert_eq!(current(&mut watched).await, Err(SecretFault::Empty));
    }
    fs::write(path(&source), "one").unwrap();
    assert_eq!(current(&mut watched).await, Ok("one".to_owned()));
    assert!(watched.problem().is_none());
}

#[test]
fn a_name_that_may_be_the_secret_is_never_shown() {
    for source in [
        SecretSource::UnnamedFile(Path::new("/nowhere/planted").into()),
        SecretSource::UnnamedEnv("planted".to_owned()),
    ] {
        let error = source.read(SecretKind::Password).unwrap_err();
        assert!(!format!("{error} {error:?} {source:?}").contains("planted"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_environment_or_inline_secret_never_changes_and_is_never_printed() {
    let environment = SecretSource::Env("CARGO_PKG_NAME".to_owned());
    for (source, value) in
        [(environment, "myunisoft-exporter"), (SecretSource::Inline("planted".into()), "planted")]
    {
        let mut watched = watched(&source);
        assert_eq!(current(&mut watched).await, Ok(value.to_owned()));
        assert_eq!(current(&mut watched).await, Ok(value.to_owned()));
        assert!(!format!("{watched:?}").contains("planted"));
    }
}

/// Files that are read by a function of the test.
fn files_read_by(
    reader: impl Fn(Option<FileVersion>) -> Reading + Send + Sync + 'static,
) -> impl Fn(&str) -> WatchedSecret {
    let reads = Arc::new(reader);
    let files = SecretFiles::new(Box::new(move |path, _, known| match path.to_str() {
        Some("fine") => Reading::Value("fine".into(), None),
        _ => reads(known),
    }));
    move |name| {
        WatchedSecret::among(&files, SecretSource::File(Path::new(name).into()), SecretKind::HeaderValue)
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_with_an_unchanged_version_is_not_read_again() {
    let (_folder, source) = written("on-disk");
    let version = FileVersion::of(path(&source));
    let known = |version| read_if_changed(path(&source), SecretKind::HeaderValue, version);
    assert!(matches!(known(version), Reading::Unchanged));
    assert!(matches!(known(None), Reading::Value(..)));
    assert!(matches!(known(Some(FileVersion::default())), Reading::Value(..)));
    let count = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&count);
    let file = files_read_by(move |known| {
        seen.lock().unwrap().push(known);
        Reading::Value("value".into(), version)
    });
    let (mut one, mut other) = (file("token"), file("token"));
    for watched in [&mut one, &mut other] {
        assert_eq!(current(watched).await, Ok("value".to_owned()));
    }
    assert_eq!(*count.lock().unwrap(), [None, version], "two keys with the same file share what was read");
}

/// A file whose reads are counted. Each read finds the number of reads before it.
fn counted_file() -> (Arc<AtomicU32>, impl Fn(&str) -> WatchedSecret) {
    let reads = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&reads);
    let file =
        files_read_by(move |_| Reading::Value(count.fetch_add(1, Ordering::SeqCst).to_string().into(), None));
    (reads, file)
}

/// Waits until something is found in a file, without having it read.
async fn found(watched: &mut WatchedSecret) -> Result<String, SecretFault> {
    let some = async {
        loop {
            let found = text(watched.current().cloned());
            if found != Err(SecretFault::NoAnswer) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_mins(1), some).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_read_ahead_is_read_once_for_all_probes_of_a_moment() {
    let (reads, file) = counted_file();
    let (mut one, mut other) = (file("token"), file("token"));
    one.read_ahead();
    other.read_ahead();
    one.read_queued();
    assert_eq!(found(&mut one).await, Ok("0".to_owned()));
    other.read_ahead();
    for watched in [&mut one, &mut other] {
        assert_eq!(current(watched).await, Ok("0".to_owned()));
    }
    assert_eq!(reads.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_keys_share_is_read_ahead_for_each_moment_so_that_no_probe_reads_it() {
    let (reads, file) = counted_file();
    let mut shared = file("secret");
    for moment in 0..20 {
        shared.read_ahead();
        shared.read_queued();
        // The paused clock does not advance while the test waits for another thread.
        let end = SystemTime::now() + Duration::from_secs(30);
        while text(shared.current().cloned()) != Ok(moment.to_string()) {
            assert!(SystemTime::now() < end, "it was not read ahead at moment {moment}");
            tokio::task::yield_now().await;
        }
        // The probes are due one to two moments later.
        tokio::time::advance(Duration::from_millis(100)).await;
        for _ in 0..3 {
            assert!(current(&mut shared).await.is_ok());
        }
    }
    assert_eq!(reads.load(Ordering::SeqCst), 20, "a probe read it");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_ahead_long_ago_is_read_again() {
    let (_, file) = counted_file();
    let mut watched = file("token");
    watched.read_ahead();
    watched.read_queued();
    assert_eq!(found(&mut watched).await, Ok("0".to_owned()));
    assert_eq!(current(&mut watched).await, Ok("0".to_owned()));
    tokio::time::advance(Duration::from_millis(249)).await;
    assert_eq!(current(&mut watched).await, Ok("0".to_owned()));
    tokio::time::advance(Duration::from_millis(2)).await;
    assert_eq!(current(&mut watched).await, Ok("1".to_owned()));
    // A read that was not ahead serves one probe.
    assert_eq!(current(&mut watched).await, Ok("2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_could_not_be_read_ahead_is_read_again_by_the_probe() {
    let reads = AtomicU32::new(0);
    let file = files_read_by(move |_| match reads.fetch_add(1, Ordering::SeqCst) {
        0 => Reading::Fault(SecretFault::Empty),
        _ => Reading::Value("written".into(), None),
    });
    let mut watched = file("token");
    watched.read_ahead();
    watched.read_queued();
    assert_eq!(found(&mut watched).await, Err(SecretFault::Empty));
    assert_eq!(current(&mut watched).await, Ok("written".to_owned()));
}

#[tokio::test]
async fn a_file_that_does_not_respond_fails_alone_and_is_read_when_it_responds_again() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let file = files_read_by(move |_| {
        let _ = released.lock().unwrap().recv();
        Reading::Value("late".into(), None)
    });
    let mut dead = file("dead");
    assert_eq!(current(&mut dead).await, Err(SecretFault::NoAnswer));
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(current(&mut dead).await, Err(SecretFault::NoAnswer));
    }
    assert!(started.elapsed() < Duration::from_secs(1), "only the first probe waits");
    assert_eq!(current(&mut file("fine")).await, Ok("fine".to_owned()));
    drop(release);
    let responds = async {
        while current(&mut dead).await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_mins(1), responds).await.unwrap();
    assert_eq!(current(&mut dead).await, Ok("late".to_owned()));
    assert!(dead.problem().is_none());
}

#[tokio::test]
async fn the_last_value_serves_while_a_file_does_not_respond() {
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let file = files_read_by(move |_| released.lock().unwrap().recv().unwrap_or(Reading::Unchanged));
    let mut watched = file("token");
    release.send(Reading::Value("one".into(), None)).unwrap();
    assert_eq!(current(&mut watched).await, Ok("one".to_owned()));
    let fault = |watched: &WatchedSecret| watched.problem().map(|problem| problem.fault);
    let started = Instant::now();
    assert_eq!((current(&mut watched).await, fault(&watched)), (Ok("one".to_owned()), None));
    assert!(started.elapsed() < Duration::from_secs(1), "a probe does not wait long");
    let expected = (Ok("one".to_owned()), Some(SecretFault::NoAnswer));
    assert_eq!((current(&mut watched).await, fault(&watched)), expected, "not just a busy disk");
}

#[tokio::test]
async fn many_dead_files_delay_neither_the_start_nor_the_other_files() {
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(Some(released)));
    let running = Arc::new(AtomicU32::new(0));
    let most = Arc::clone(&running);
    let hold = Arc::clone(&released);
    let file = files_read_by(move |_| {
        most.fetch_add(1, Ordering::Relaxed);
        // The first reader holds the lock, and the others wait for it.
        let _ = hold.lock().unwrap().as_ref().map(mpsc::Receiver::recv);
        Reading::Fault(SecretFault::Empty)
    });
    let mut secrets: Vec<_> = (0..100).map(|number| file(&format!("dead-{number}"))).collect();
    secrets.push(file("fine"));
    let started = Instant::now();
    watched::wait_for_all(&secrets, Duration::from_secs(3)).await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(text(secrets.last_mut().unwrap().current().cloned()), Ok("fine".to_owned()));
    assert_eq!(text(secrets[0].current().cloned()), Err(SecretFault::NoAnswer));
    watched::wait_for_all(&secrets, Duration::from_millis(100)).await;
    assert_eq!(running.load(Ordering::Relaxed), 100, "each file has one reader");
    drop(release);
}

#[tokio::test]
async fn a_dead_share_leaves_readers_for_the_files_elsewhere() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let file = files_read_by(move |_| {
        let _ = released.lock().unwrap().recv();
        Reading::Value("late".into(), None)
    });
    // One directory on the share, then one directory for each file.
    for path in ["/mnt/one/dead", "/mnt/many/dead-"] {
        let name = |number| {
            if path.ends_with('-') { format!("{path}{number}/token") } else { format!("{path}{number}") }
        };
        let secrets: Vec<_> = (0..400).map(|number| file(&name(number))).collect();
        watched::wait_for_all(&secrets, Duration::from_secs(1)).await;
        assert_eq!(current(&mut file("fine")).await, Ok("fine".to_owned()), "{path}");
    }
    drop(release);
    let mut last = file("/mnt/one/dead399");
    let responds = async {
        while current(&mut last).await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_mins(1), responds).await.unwrap();
}

#[test]
fn a_check_ends_even_if_the_secret_is_on_a_device_without_end() {
    let device = SecretSource::File(Path::new("/dev/zero").into());
    assert_eq!(device.check(SecretKind::Password).unwrap_err().fault, SecretFault::NotAFile);
    let (_folder, source) = written("abc");
    assert!(source.check(SecretKind::Password).is_ok());
}
