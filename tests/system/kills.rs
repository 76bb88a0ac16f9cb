//! Killed at any moment: what was shown is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::time::{Duration, SystemTime};

use partner_simulator::{Limits, Simulator};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::support::SECRET;
use crate::support::acme::{key_line, write_config};
use crate::support::server::Exporter;

/// As many as `make test` has time for; `MYUNISOFT_KILLS` asks for more.
const KILLS: u64 = 25;
const KEYS: u64 = 12;
/// The longest life between two kills, in milliseconds: some end before the first state was written, some in
/// the middle of a write, some between two.
const LONGEST_LIFE: u64 = 2_500;

fn any(below: u64) -> u64 {
    RandomState::new().hash_one(SystemTime::now()) % below
}

/// State, and since when in seconds, of each key.
type States = BTreeMap<String, (String, f64)>;

/// What `/metrics` shows, of keys that something is known of.
async fn shown(exporter: &Exporter) -> States {
    let metrics = exporter.metrics().await;
    let label = |line: &str, name: &str| {
        line.split_once(&format!("{name}=\""))
            .map(|(_, rest)| rest.split('"').next().unwrap_or_default().to_owned())
    };
    let since: BTreeMap<_, f64> = metrics
        .lines()
        .filter(|line| line.starts_with("myunisoft_key_state_since_timestamp_seconds{"))
        .filter_map(|line| Some((label(line, "key")?, line.rsplit(' ').next()?.parse().ok()?)))
        .collect();
    let states = metrics
        .lines()
        .filter(|line| line.starts_with("myunisoft_key_state{") && line.ends_with(" 1"))
        .filter_map(|line| Some((label(line, "key")?, label(line, "state")?)));
    let known = states.filter(|(_, state)| state != "unknown");
    known.map(|(key, state)| (key.clone(), (state, since[&key]))).collect()
}

/// What the file remembers, and of whom it knows that they were active once.
fn remembered(data: &Path) -> (States, BTreeSet<String>) {
    let Ok(text) = std::fs::read(data.join("state.json")) else { return Default::default() };
    let file: Value = serde_json::from_slice(&text).expect("the memory is whole");
    let (mut states, mut active) = (States::new(), BTreeSet::new());
    for record in file["keys"].as_array().unwrap() {
        let text = |field: &str| record[field].as_str().unwrap().to_owned();
        let since = humantime::parse_rfc3339(&text("since")).unwrap();
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        states.insert(text("key"), (text("state"), since));
        if record["has_been_active"] == true {
            active.insert(text("key"));
        }
    }
    (states, active)
}

/// Lives for a while among keys that come and go, and is killed: the last states it showed.
async fn live_and_die(folder: &Path, simulator: &Simulator, seen_active: &mut BTreeSet<String>) -> States {
    let mut exporter = Exporter::start(folder, &["--log.level=info"]).await;
    let mut last = States::new();
    let dies = Instant::now() + Duration::from_millis(any(LONGEST_LIFE));
    while Instant::now() < dies {
        let key = simulator.key(&format!("key{}", any(KEYS))).unwrap();
        if any(2) == 0 {
            key.revoke();
        } else {
            key.restore();
        }
        last = shown(&exporter).await;
        for (key, (state, _)) in &last {
            assert!(state != "not_found" || !seen_active.contains(key), "{key} was active once: {last:?}");
        }
        seen_active
            .extend(last.iter().filter(|(_, (state, _))| state == "active").map(|(key, _)| key.clone()));
        sleep(Duration::from_millis(any(40))).await;
    }
    exporter.server.signal(Signal::KILL);
    exporter.server.end().await;
    assert!(!exporter.server.output().contains("damaged"), "{}", exporter.server.output());
    last
}

#[tokio::test]
async fn kills_at_random_moments_neither_lose_nor_damage_the_persisted_state() {
    let kills = std::env::var("MYUNISOFT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let limits = Limits { total: 1_000_000, ..Default::default() };
    let builder = (0..KEYS)
        .fold(Simulator::builder().limits(limits).partner("acme", SECRET), |builder, n| {
            builder.society_key(&format!("key{n}"), 80, n + 1)
        });
    let simulator = builder.start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<_> = (0..KEYS).map(|n| key_line(&simulator, &format!("key{n}"))).collect();
    write_config(folder.path(), &simulator, &keys);
    let data = folder.path().join("data");
    let (mut seen_active, mut whole) = (BTreeSet::new(), 0);
    for _ in 0..kills {
        let last = live_and_die(folder.path(), &simulator, &mut seen_active).await;
        let (file, file_active) = remembered(&data);
        for (key, (state, since)) in &last {
            let (on_disk, on_disk_since) = &file[key];
            // What was learnt after the last look may be on disk already; the file counts milliseconds.
            assert!(
                on_disk == state || on_disk_since + 0.001 > *since,
                "{key}: {state} was shown, {on_disk} is remembered"
            );
        }
        assert!(
            file_active.is_superset(&seen_active),
            "{seen_active:?} were active, {file_active:?} are known"
        );
        whole += usize::from(!file.is_empty());
    }
    assert!(whole > 0 && seen_active.len() > 1, "something was remembered");
    let files =
        std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: Vec<_> = files.collect();
    assert!(files.iter().all(|file| !file.contains("damaged")), "{files:?}");
    assert!(files.len() <= 3, "state, lock and what the last kill left: {files:?}");
}
