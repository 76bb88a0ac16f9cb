//! The whole program while some of its keys receive hostile responses.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::SECRET;
use crate::support::scripted_server::Action::{self, Reset, Stall};
use crate::support::scripted_server::{
    ScriptedServer, bomb, drip, flood, gzip_head, head, json, json_head, nested, send,
};
use crate::support::server::{Exporter, until};

/// The additional memory, in bytes, that the program may use under attack.
const MEMORY_LIMIT: u64 = 48 << 20;

/// The name of the attacked key, and the script of each attack.
type Attacks = Vec<(&'static str, Vec<Action>)>;

/// Attacks on memory: each response is larger than the exporter accepts.
fn memory_attacks() -> Attacks {
    let (start, piece) = bomb();
    let wide = format!(r#"{{"target":[{}{{}}],"isActivated":0}}"#, r#"{"":0},"#.repeat(140_000));
    let file_name_follows = [0x1f, 0x8b, 0x08, 0x08, 0, 0, 0, 0, 0, 0];
    vec![
        ("endless", vec![json_head(), send("["), flood("0,")]),
        ("bomb", vec![gzip_head(), start, piece]),
        ("unpacks-to-nothing", vec![gzip_head(), send(file_name_follows), flood("a")]),
        ("huge-header", vec![head(&format!("200 OK\nx-huge: {}\ncontent-length: 0", "a".repeat(10 << 20)))]),
        ("endless-hints", vec![flood("HTTP/1.1 103 Early Hints\r\n\r\n")]),
        ("deep", vec![json(200, nested(500_000))]),
        ("wide", vec![json(200, wide)]),
        ("endless-error", vec![head("502 Bad Gateway"), flood("<p>")]),
    ]
}

/// Attacks that delay or break responses.
fn other_attacks() -> Attacks {
    vec![
        ("silent", vec![Stall]),
        ("dripping-head", vec![send("HTTP/1.1 200 OK\r\nx-slow: "), drip("a")]),
        ("dripping-body", vec![json_head(), send("["), drip("0,")]),
        ("reset", vec![Reset]),
        ("reset-in-the-body", vec![head("200 OK\ncontent-length: 1000"), send("["), Reset]),
        ("half-closed", vec![]),
        ("no-chunk", vec![head("200 OK\ntransfer-encoding: chunked"), send("zz\r\n")]),
        ("http2", vec![send([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])]),
        ("portal", vec![head("200 OK\ncontent-type: text/html"), send("<html>Sign in</html>")]),
        ("nothing", vec![head("204 No Content")]),
    ]
}

/// An API with the healthy key dupont and the attacked keys. The attacks start when `attacking` is true.
async fn api(attacks: Attacks, attacking: Arc<AtomicBool>) -> ScriptedServer {
    ScriptedServer::choosing_over_tls("http/1.1", move |request| {
        let attack = attacks.iter().find(|(key, _)| request.contains(&format!("Bearer {key}\r\n")));
        match attack {
            Some((_, script)) if attacking.load(Ordering::Relaxed) => script.clone(),
            _ if request.starts_with("GET /api/v1/mad/") => vec![json(200, "[]")],
            _ => vec![json(200, r#"{"isActivated":true}"#)],
        }
    })
    .await
}

/// Starts an exporter that probes dupont with key/info and a canary every three seconds, and the other keys with key/info
/// only, every 800 ms.
async fn start_exporter(folder: &Path, api: &ScriptedServer, attacks: &Attacks) -> Exporter {
    let fast = "key_info: {interval: 800ms, timeout: 300ms}";
    let keys = attacks.iter().fold(String::new(), |text, (key, _)| {
        text + &format!("      - {{name: {key}, access: society, token: {key}, {fast}, canaries: []}}\n")
    });
    let (url, timing) = (api.url("/"), "interval: 3s, timeout: 3s");
    let text = format!(
        "api: {{base_url: \"{url}\", ca_file: ca.pem}}\nhealth: {{{timing}}}\nkey_info: {{{timing}}}\n\
         canaries:\n  exercices: {{path: \"/api/v1/mad/exercices?version=1.0.0\", {timing}}}\n\
         partners:\n  - name: acme\n    secret: {SECRET}\n    keys:\n\
         \x20     - {{name: dupont, access: society, token: dupont}}\n{keys}"
    );
    std::fs::write(folder.join("ca.pem"), api.ca_pem()).unwrap();
    std::fs::write(folder.join("exporter.yml"), text).unwrap();
    Exporter::start(folder, &[]).await
}

/// The sum of the series that contain all of `parts`.
fn sum(metrics: &str, parts: &[&str]) -> u64 {
    let lines = metrics.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Waits until the probes of each attacked key have failed this many times.
async fn wait_for_failures(exporter: &Exporter, attacks: &Attacks, times: u64) {
    let failures = |metrics: &str, key: &str| {
        sum(metrics, &["myunisoft_probe_failures_total{", &format!("key=\"{key}\"")])
    };
    until("failures of each attacked key", || async {
        let metrics = exporter.metrics().await;
        attacks.iter().all(|(key, _)| failures(&metrics, key) >= times).then_some(())
    })
    .await;
}

async fn wait_until_active(exporter: &Exporter, key: &str) {
    exporter
        .wait_for_line(&format!("myunisoft_key_state{{partner=\"acme\",key=\"{key}\",state=\"active\"}} 1"))
        .await;
}

#[tokio::test]
async fn attacks_on_memory_use_a_bounded_amount_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let attacking = Arc::new(AtomicBool::new(false));
    let api = api(memory_attacks(), Arc::clone(&attacking)).await;
    let exporter = start_exporter(folder.path(), &api, &memory_attacks()).await;
    for (key, _) in memory_attacks() {
        wait_until_active(&exporter, key).await;
    }
    let before = exporter.server.peak_memory();
    attacking.store(true, Ordering::Relaxed);
    wait_for_failures(&exporter, &memory_attacks(), 10).await;
    let more = exporter.server.peak_memory() - before;
    assert!(more < MEMORY_LIMIT, "{} KiB more", more >> 10);
    attacking.store(false, Ordering::Relaxed);
    exporter.wait_for_line("myunisoft_probe_up{probe=\"key_info\",partner=\"acme\",key=\"bomb\"} 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_key_is_probed_on_time_while_other_keys_are_attacked() {
    let folder = tempfile::tempdir().unwrap();
    let attacking = Arc::new(AtomicBool::new(false));
    let attacks: Attacks = memory_attacks().into_iter().chain(other_attacks()).collect();
    let api = api(attacks.clone(), Arc::clone(&attacking)).await;
    let exporter = start_exporter(folder.path(), &api, &attacks).await;
    for (key, _) in &attacks {
        wait_until_active(&exporter, key).await;
    }
    wait_until_active(&exporter, "dupont").await;
    let before = exporter.metrics().await;
    attacking.store(true, Ordering::Relaxed);
    wait_for_failures(&exporter, &attacks, 14).await;
    let after = exporter.metrics().await;
    let more = |parts: &[&str]| sum(&after, parts) - sum(&before, parts);
    let healthy_lines: String = after
        .split_inclusive('\n')
        .filter(|line| line.contains("key=\"dupont\"") || line.contains("probe=\"health\""))
        .collect();
    for probe in ["probe=\"key_info\"", "probe=\"exercices\""] {
        let labels = [probe, "partner=\"acme\",key=\"dupont\"}"];
        assert_eq!(sum(&after, &["myunisoft_probe_up{", labels[0], labels[1]]), 1, "{healthy_lines}");
        assert!(more(&["myunisoft_probes_total{", labels[0], labels[1]]) >= 3, "{healthy_lines}");
    }
    // A probe that would start a whole interval late counts as skipped.
    for metric in ["myunisoft_probe_failures_total{", "myunisoft_probes_skipped_total{"] {
        assert_eq!(more(&[metric, "key=\"dupont\""]), 0, "{metric}: {healthy_lines}");
        assert_eq!(more(&[metric, "probe=\"health\""]), 0, "{metric}: {healthy_lines}");
    }
    for (key, _) in attacks.iter().chain(&[("dupont", Vec::new())]) {
        wait_until_active(&exporter, key).await;
    }
}
