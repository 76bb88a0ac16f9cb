//! Kills at random moments: a state that was shown must be persisted.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::time::{Duration, SystemTime};

use partner_simulator::{Limits, Simulator};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::state_file::tokens_of_keys;
use crate::support::SECRET;
use crate::support::acme::{key_line, write_config};
use crate::support::server::Exporter;

/// The number of kills in `make test`. `MYUNISOFT_KILLS` sets another number.
const KILLS: u64 = 25;
const KEYS: u64 = 12;
/// The longest time between two kills, in milliseconds. Some kills come before the first write, some during a write, and
/// some between two writes.
const LONGEST_RUN: u64 = 2_500;

/// A random number.
fn random(below: u64) -> u64 {
    RandomState::new().hash_one(SystemTime::now()) % below
}

/// The state of each key, and the time of its last change in seconds.
type States = BTreeMap<String, (String, f64)>;

/// The states in `/metrics`, without `unknown`.
async fn shown_states(exporter: &Exporter) -> States {
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

/// The states in the state file, and the keys that have been active once.
fn persisted_states(data: &Path) -> (States, BTreeSet<String>) {
    let Ok(file) = std::fs::read_to_string(data.join("state.json")) else { return Default::default() };
    let (mut states, mut active) = (States::new(), BTreeSet::new());
    for (key, token) in tokens_of_keys(&file) {
        let text = |field: &str| token[field].as_str().unwrap().to_owned();
        let since = humantime::parse_rfc3339(&text("since")).unwrap();
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        // A token that was adopted and not judged yet is written, too.
        if text("state") != "unknown" {
            states.insert(key.clone(), (text("state"), since));
        }
        if token["has_been_active"] == true {
            active.insert(key);
        }
    }
    (states, active)
}

/// Runs the exporter for a random time while keys are revoked and restored, and kills it. Returns the last states that it
/// showed.
async fn run_and_kill(folder: &Path, simulator: &Simulator, seen_active: &mut BTreeSet<String>) -> States {
    let mut exporter = Exporter::start(folder, &["--log.level=info"]).await;
    let mut last = States::new();
    let end = Instant::now() + Duration::from_millis(random(LONGEST_RUN));
    while Instant::now() < end {
        let key = simulator.key(&format!("key{}", random(KEYS))).unwrap();
        if random(2) == 0 {
            key.revoke();
        } else {
            key.restore();
        }
        last = shown_states(&exporter).await;
        for (key, (state, _)) in &last {
            assert!(state != "not_found" || !seen_active.contains(key), "{key} has been active: {last:?}");
        }
        seen_active
            .extend(last.iter().filter(|(_, (state, _))| state == "active").map(|(key, _)| key.clone()));
        sleep(Duration::from_millis(random(40))).await;
    }
    exporter.server.signal(Signal::KILL);
    exporter.server.wait_for_exit().await;
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
    let (mut seen_active, mut with_states) = (BTreeSet::new(), 0);
    for _ in 0..kills {
        let last = run_and_kill(folder.path(), &simulator, &mut seen_active).await;
        let (file, file_active) = persisted_states(&data);
        for (key, (state, since)) in &last {
            let (on_disk, on_disk_since) = &file[key];
            // The file can contain a later change than the last response. Its times have a resolution of a millisecond.
            assert!(
                on_disk == state || on_disk_since + 0.001 > *since,
                "{key}: {state} was shown, {on_disk} is persisted"
            );
        }
        assert!(
            file_active.is_superset(&seen_active),
            "{seen_active:?} were active, {file_active:?} are persisted"
        );
        with_states += usize::from(!file.is_empty());
    }
    assert!(with_states > 0 && seen_active.len() > 1, "no state was persisted");
    let files =
        std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: Vec<_> = files.collect();
    assert!(files.iter().all(|file| !file.contains("damaged")), "{files:?}");
    // The state, its lock, when the exporter was last alive, and the temporary file of a write that the last kill interrupted.
    assert!(files.len() <= 4, "{files:?}");
}
