//! Several exporters that divide the keys.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use partner_simulator::{Limits, Simulator};
use tempfile::TempDir;

use crate::support::SECRET;
use crate::support::acme::{key_line, write_config};
use crate::support::server::{BINARY, Exporter, run_tool, sample_value};

const KEYS: usize = 12;

/// A simulator with twelve keys and their configuration file.
async fn fleet() -> (Simulator, TempDir) {
    let limits = Limits { total: 1_000_000, ..Default::default() };
    let mut builder = Simulator::builder().limits(limits).partner("acme", SECRET);
    for (number, society) in (0..KEYS).zip(127..) {
        builder = builder.society_key(&format!("customer-{number}"), 80, society);
    }
    let simulator = builder.start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<_> = (0..KEYS).map(|number| key_line(&simulator, &format!("customer-{number}"))).collect();
    write_config(folder.path(), &simulator, &lines);
    (simulator, folder)
}

/// Starts one of the shards, with a storage directory of its own.
async fn shard(folder: &Path, shard: &str) -> Exporter {
    let storage = folder.join(shard.replace('/', "-of-"));
    let (shard, storage) = (format!("--shard={shard}"), format!("--storage.path={}", storage.display()));
    let mut command = Command::new(BINARY);
    command.arg(format!("--config.file={}", folder.join("exporter.yml").display())).arg(storage);
    Exporter::start_with_flags(command, &["--web.listen-address=127.0.0.1:0", &shard]).await
}

/// The names of the keys that an exporter offers to Prometheus.
async fn offered_keys(exporter: &Exporter) -> BTreeSet<String> {
    let (_, targets) = exporter.get_json("/sd").await;
    targets.as_array().unwrap().iter().map(|it| it["labels"]["key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn three_shards_divide_the_keys_and_say_so() {
    let (_simulator, folder) = fleet().await;
    let shards = [
        shard(folder.path(), "0/3").await,
        shard(folder.path(), "1/3").await,
        shard(folder.path(), "2/3").await,
    ];
    let (mut all, mut sum) = (BTreeSet::new(), 0);
    for (ordinal, exporter) in shards.iter().enumerate() {
        let keys = offered_keys(exporter).await;
        let metrics = exporter.metrics().await;
        let value = |series: &str| sample_value(&metrics, series).unwrap().to_string();
        assert_eq!(value("myunisoft_exporter_configured_keys{partner=\"acme\"}"), keys.len().to_string());
        assert_eq!(value("myunisoft_exporter_shard_ordinal"), ordinal.to_string());
        assert_eq!(value("myunisoft_exporter_total_shards"), "3");
        let (_, status) = exporter.get_json("/api/v1/status").await;
        let expected =
            serde_json::json!({"ordinal": ordinal, "total": 3, "keys": keys.len(), "fleet_keys": KEYS});
        assert_eq!(status["exporter"]["shard"], expected);
        let (_, page) = exporter.get("/").await.unwrap();
        let sentence = format!("Shard {ordinal} of 3, counted from 0: {} of {KEYS} keys", keys.len());
        assert!(page.contains(&sentence), "{sentence}: {page}");
        sum += keys.len();
        all.extend(keys);
    }
    assert_eq!((sum, all.len()), (KEYS, KEYS), "each key is in one shard");
}

#[tokio::test]
async fn a_probe_of_another_shards_key_says_which_shard_has_it() {
    let (simulator, folder) = fleet().await;
    let shards = [shard(folder.path(), "0/2").await, shard(folder.path(), "1/2").await];
    let key = offered_keys(&shards[1]).await.pop_first().unwrap();
    let path = format!("/probe?partner=acme&key={key}");
    let (status, text) = shards[0].get(&path).await.unwrap();
    let expected = "shard 1 of 2 monitors this key, and this is shard 0: ask the exporter with --shard=1/2\n";
    assert_eq!((status, &*text), (404, expected));
    assert_eq!(shards[1].get(&path).await.unwrap().0, 200);
    let (status, text) = shards[0].get("/probe?partner=acme&key=nobody").await.unwrap();
    assert_eq!((status, &*text), (404, "no key with these names is configured\n"));
    drop(simulator);
}

#[tokio::test]
async fn an_exporter_without_the_flag_has_all_keys() {
    let (_simulator, folder) = fleet().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    assert_eq!(offered_keys(&exporter).await.len(), KEYS);
    let metrics = exporter.metrics().await;
    assert_eq!(sample_value(&metrics, "myunisoft_exporter_total_shards"), Some(1.0));
    assert!(exporter.get_json("/api/v1/status").await.1["exporter"]["shard"].is_null());
    assert!(!exporter.get("/").await.unwrap().1.contains("Shard "));
}

#[tokio::test]
async fn a_reload_keeps_the_division() {
    let (simulator, folder) = fleet().await;
    let exporter = shard(folder.path(), "0/3").await;
    let before = offered_keys(&exporter).await;
    let lines: Vec<_> = (1..KEYS).map(|number| key_line(&simulator, &format!("customer-{number}"))).collect();
    write_config(folder.path(), &simulator, &lines);
    exporter.server.signal(rustix::process::Signal::HUP);
    exporter.server.wait_for_log(&["configuration reloaded"]).await;
    let mut expected = before.clone();
    expected.remove("customer-0");
    assert_eq!(offered_keys(&exporter).await, expected);
}

#[tokio::test]
async fn check_config_sums_up_the_shard_and_refuses_a_wrong_one() {
    let (_simulator, folder) = fleet().await;
    let check = |flags: &[&str], host: &str| {
        let mut command = Command::new(BINARY);
        command.arg("check-config").arg(folder.path().join("exporter.yml")).args(flags).env("HOSTNAME", host);
        let output = run_tool(&mut command);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = check(&["--shard=1/3"], "host");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\nShard: 1/3, ") && text.contains(" of 12 keys\n"), "{text}");
    assert_eq!(check(&["--shard=auto/3"], "exporter-1").1, text);
    assert!(!check(&[], "exporter-1").1.contains("Shard"));
    for (flag, host, part) in [
        ("--shard=3/3", "host", "the last one is 2/3"),
        ("--shard=x", "host", "such as `0/3`"),
        ("--shard=auto/3", "exporter-7", "the host name ends with 7"),
        ("--shard=auto/3", "host", "write the number of this shard"),
    ] {
        let (code, text) = check(&[flag], host);
        assert!(code == Some(2) && text.contains(part), "{flag} on {host}: {text}");
    }
}

#[tokio::test]
async fn an_exporter_that_takes_turns_does_not_start_without_its_number() {
    let (_simulator, folder) = fleet().await;
    let mut command = Command::new(BINARY);
    command.arg(format!("--config.file={}", folder.path().join("exporter.yml").display()));
    command.arg(format!("--storage.path={}", folder.path().join("data").display()));
    command.args(["--web.listen-address=127.0.0.1:0", "--replicas=2"]).env("HOSTNAME", "monitoring");
    let output = run_tool(&mut command);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--replica=0 to --replica=1") && text.contains("exporter-0"), "{text}");
}

/// The requests of a simulator's keys after some seconds, as seconds since the first one, by key and route.
fn calls(simulator: &Simulator) -> BTreeMap<(String, String), Vec<f64>> {
    let log = simulator.request_log();
    let calls = log.iter().filter_map(|call| Some((call, call.key.as_ref()?)));
    let mut by_route: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (call, key) in calls {
        let route = call.url.split('?').next().unwrap_or_default().to_owned();
        let at = call.at.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        by_route.entry((key.to_string(), route)).or_default().push(at);
    }
    by_route
}

#[tokio::test]
async fn two_replicas_call_each_key_as_often_as_one_exporter_half_an_interval_apart() {
    const INTERVAL: f64 = 2.0;
    let (simulator, folder) = fleet().await;
    let file = folder.path().join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("interval: 300ms, timeout: 300ms", "interval: 2s, timeout: 1500ms"))
        .unwrap();
    let replica = |number: u32| {
        let path = folder.path().to_owned();
        async move {
            let mut command = Command::new(BINARY);
            command.arg(format!("--config.file={}", path.join("exporter.yml").display()));
            command.arg(format!("--storage.path={}", path.join(number.to_string()).display()));
            let number = format!("--replica={number}");
            Exporter::start_with_flags(
                command,
                &["--web.listen-address=127.0.0.1:0", "--replicas=2", &number],
            )
            .await
        }
    };
    let (zero, one) = (replica(0).await, replica(1).await);
    for exporter in [&zero, &one] {
        exporter.wait_for_line("myunisoft_probe_interval_seconds{probe=\"exercices\"} 4").await;
    }
    // Longer than the interval of a replica, so that both have sent their first probes.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let before = calls(&simulator);
    let seconds = 24;
    tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
    let after = calls(&simulator);
    assert_eq!(after.len(), 2 * KEYS, "key/info and one canary of each key");
    for (route, times) in &after {
        let times = &times[before[route].len()..];
        // One exporter sends 12 in this time, and one more or less at its ends.
        assert!((11..=13).contains(&times.len()), "{route:?}: {times:?}");
        // The replicas take turns: the time between two probes is always the interval of one exporter.
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mut sorted = gaps.clone();
        sorted.sort_by(f64::total_cmp);
        // A busy machine delays single probes, so the middle half of the gaps counts.
        let middle = &sorted[sorted.len() / 4..=sorted.len() * 3 / 4];
        assert!(middle.iter().all(|gap| (gap - INTERVAL).abs() < INTERVAL / 4.0), "{route:?}: {gaps:?}");
    }
}
