//! Hours in the life of an exporter: load, faults and reloads all the time, and what must stay flat measured.
//!
//! No part of `make test`: `make soak` runs it for an hour (`SOAK_SECONDS` for another span), prints a
//! table and fails where a figure breaks its promise.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "in a test, to panic is to fail"
)]

#[path = "support/server.rs"]
mod server;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use axum::http::StatusCode;
use partner_simulator::{Fault, KeySpec, Limits, Scope, Simulator};
use server::{BINARY, Exporter, Server, client};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, sleep, timeout};

/// Keys that nothing happens to: no probe of theirs may be missed.
const WITNESSES: usize = 200;
/// Keys that everything happens to.
const VICTIMS: usize = 100;
/// What each probe is asked at.
const INTERVAL: Duration = Duration::from_secs(5);
/// What is not counted: caches fill, the allocator finds its level.
const WARM_UP: f64 = 0.2;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let span = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_600);
    let span = Duration::from_secs(span);
    let simulator = simulator().await;
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), &simulator);
    let flags = ["--config.auto-reload-interval=2s", "--web.max-connections=64", "--log.level=error"];
    let exporter = start(folder.path(), &flags).await;
    let demo = Command::new(BINARY)
        .args(["demo", "--web.listen-address=127.0.0.1:0"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut demo = Ended(demo);
    let trouble = tokio::spawn(trouble(simulator.clone()));
    let load = tokio::spawn(load(exporter.url.clone()));
    let change = tokio::spawn(change(folder.path().to_owned()));
    let mut watched = [Course::of("exporter", exporter.server.pid()), Course::of("demo", demo.0.id())];
    let mut scrapes = (0_u64, Duration::ZERO);
    let (begun, before) = (Instant::now(), probes(&exporter).await);
    let mut tick = interval(Duration::from_secs(1));
    while begun.elapsed() < span {
        tick.tick().await;
        let asked = Instant::now();
        let metrics = timeout(Duration::from_secs(10), exporter.get("/metrics")).await;
        let (status, _) = metrics.expect("a scrape within its time-out").expect("a scrape");
        assert_eq!(status, 200);
        scrapes = (scrapes.0 + 1, scrapes.1.max(asked.elapsed()));
        for course in &mut watched {
            course.note(begun.elapsed().as_secs_f64() / span.as_secs_f64());
        }
    }
    let (lasted, after) = (begun.elapsed(), probes(&exporter).await);
    for task in [trouble, load, change] {
        task.abort();
    }
    assert!(demo.0.try_wait().unwrap().is_none(), "the demo is still there");
    let metrics = exporter.metrics().await;
    report(lasted, &watched, scrapes, &before, &after, &metrics);
}

struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(folder: &Path, flags: &[&str]) -> Exporter {
    // At `--log.level=error` it does not tell where it listens: the port is chosen here.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(BINARY);
    command
        .arg(format!("--config.file={}", folder.join("exporter.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(flags);
    let exporter = Exporter { server: Server::spawn(&mut command), url: format!("http://127.0.0.1:{port}") };
    server::until("readiness", || async { (exporter.get("/-/ready").await?.0 == 200).then_some(()) }).await;
    // Each key has been asked once.
    sleep(2 * INTERVAL).await;
    exporter
}

async fn simulator() -> Simulator {
    let names =
        (0..WITNESSES).map(|n| format!("witness{n}")).chain((0..VICTIMS).map(|n| format!("victim{n}")));
    let mut builder = Simulator::builder()
        .tls()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", "the-secret");
    for (index, name) in (1..).zip(names) {
        builder = builder.key(KeySpec::society(&name, 80, index));
    }
    builder.start().await.unwrap()
}

fn configure(folder: &Path, simulator: &Simulator) {
    let mut keys = String::new();
    for name in
        (0..WITNESSES).map(|n| format!("witness{n}")).chain((0..VICTIMS).map(|n| format!("victim{n}")))
    {
        let token = simulator.key(&name).unwrap().token().unwrap();
        std::fs::write(folder.join(&name), token).unwrap();
        keys += &format!("      - {{name: {name}, access: society, token_file: {name}}}\n");
    }
    std::fs::write(folder.join("ca.pem"), simulator.ca_pem().unwrap()).unwrap();
    let (base, auth) = (simulator.base_url(), simulator.auth_url());
    let text = format!(
        "api: {{base_url: \"{base}\", auth_url: \"{auth}\", ca_file: ca.pem}}\nhealth: {{interval: 5s, timeout: 2s}}\n\
         key_info: {{interval: 5s, timeout: 2s}}\n\
         canaries:\n  exercices: {{path: \"/api/v1/mad/exercices?version=1.0.0\", interval: 5s, timeout: 2s}}\n\
         partners:\n  - name: acme\n    secret: the-secret\n    keys:\n{keys}"
    );
    std::fs::write(folder.join("exporter.yml"), text).unwrap();
}

/// Something happens to some victims, each second something else.
async fn trouble(simulator: Simulator) {
    let faults = [
        Fault::Close,
        Fault::Silence,
        Fault::Delay(Duration::from_millis(700)),
        Fault::Stall,
        Fault::Truncate,
        Fault::CloseAfterHeaders,
        Fault::BrokenGzip,
        Fault::Huge(5_000_000),
        Fault::garbage(),
        Fault::captive_portal(),
        Fault::edge(StatusCode::BAD_GATEWAY),
        Fault::refuse("ERR-API-TOKEN-NOT-FOUND"),
        Fault::refuse("ERR-INTERNAL"),
        Fault::maintenance(),
    ];
    for round in 0_usize.. {
        for offset in 0..VICTIMS / 4 {
            let victim = format!("victim{}", (round * 7 + offset) % VICTIMS);
            let scope = Scope::Key(victim);
            simulator.heal(&scope);
            if (round + offset) % 3 > 0 {
                simulator.inject(scope, faults[(round + offset) % faults.len()].clone());
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Clients that never leave, never ask, or ask for nonsense, beside some that behave.
async fn load(url: String) {
    let host = url.trim_start_matches("http://").to_owned();
    let mut held = Vec::new();
    for round in 0_u64.. {
        for first in [
            &b""[..],
            b"GET /metrics HTTP/1.1\r\nX-Slow:",
            b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01",
        ] {
            if let Ok(mut stream) = TcpStream::connect(&host).await {
                let _ = stream.write_all(first).await;
                held.push(stream);
            }
        }
        if held.len() > 400 {
            held.clear();
        }
        let path = ["/probe?partner=acme&key=victim1", "/probe?partner=%ff", "/sd", "/", "/nowhere"]
            [(round % 5) as usize];
        let _ = timeout(Duration::from_secs(5), client().get(format!("{url}{path}")).send()).await;
        sleep(Duration::from_millis(50)).await;
    }
}

/// The configuration changes, is broken, and is mended; a token is rotated.
async fn change(folder: std::path::PathBuf) {
    let file = folder.join("exporter.yml");
    let good = std::fs::read_to_string(&file).unwrap();
    for round in 0_u64.. {
        sleep(Duration::from_secs(20)).await;
        std::fs::write(&file, format!("{good}# {round}\n")).unwrap();
        sleep(Duration::from_secs(20)).await;
        std::fs::write(&file, format!("{good}nonsense: 1\n")).unwrap();
        std::fs::write(folder.join("victim3"), format!("another-{round}")).unwrap();
    }
}

/// What a process holds, over time.
struct Course {
    name: &'static str,
    pid: u32,
    /// Share of the span, bytes, descriptors, threads.
    points: Vec<(f64, u64, usize, usize)>,
}

impl Course {
    fn of(name: &'static str, pid: u32) -> Self {
        Self { name, pid, points: Vec::new() }
    }

    fn note(&mut self, share: f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap().count();
        let threads = usize::try_from(field("Threads:")).unwrap();
        self.points.push((share, field("VmRSS:") * 1024, descriptors, threads));
    }

    /// The median over a part of the span: single points are noise.
    fn median(&self, from: f64, to: f64, what: impl Fn(&(f64, u64, usize, usize)) -> u64) -> u64 {
        let part = self.points.iter().filter(|point| (from..=to).contains(&point.0));
        let mut figures: Vec<_> = part.map(what).collect();
        figures.sort_unstable();
        figures[figures.len() / 2]
    }
}

/// Of each witness: how many probes ran.
async fn probes(exporter: &Exporter) -> Vec<(String, f64)> {
    let metrics = exporter.metrics().await;
    let ran = metrics
        .lines()
        .filter(|line| line.starts_with("myunisoft_probes_total{") && line.contains("witness"));
    ran.map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, n)| (series.to_owned(), n.parse().unwrap()))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(
    lasted: Duration,
    watched: &[Course],
    (scrapes, slowest): (u64, Duration),
    before: &[(String, f64)],
    after: &[(String, f64)],
    metrics: &str,
) {
    let mut broken = Vec::new();
    let mut tell = |what: String, figure: String, kept: bool| {
        println!("| {what} | {figure} | {} |", if kept { "kept" } else { "BROKEN" });
        if !kept {
            broken.push(what);
        }
    };
    println!(
        "| over {} | figure | promise |\n|---|---|---|",
        humantime::format_duration(Duration::from_secs(lasted.as_secs()))
    );
    for course in watched {
        let name = course.name;
        let (early, late) = (course.median(WARM_UP, 0.4, |p| p.1), course.median(0.8, 1.0, |p| p.1));
        let mebibytes = |bytes: u64| bytes as f64 / 1_048_576.0;
        let text = format!("{:.1} → {:.1} MiB", mebibytes(early), mebibytes(late));
        tell(
            format!("{name}: memory, median of an early and of the last fifth"),
            text,
            late as f64 <= early as f64 * 1.1 + 2e6,
        );
        let (early, late) =
            (course.median(WARM_UP, 0.4, |p| p.2 as u64), course.median(0.8, 1.0, |p| p.2 as u64));
        tell(format!("{name}: open descriptors"), format!("{early} → {late}"), late <= early + 20);
        let (early, late) =
            (course.median(WARM_UP, 0.4, |p| p.3 as u64), course.median(0.8, 1.0, |p| p.3 as u64));
        tell(format!("{name}: threads"), format!("{early} → {late}"), late <= early + 4);
    }
    tell(
        "scrapes, one a second; the slowest".into(),
        format!("{scrapes}; {slowest:.2?}"),
        slowest < Duration::from_secs(5),
    );
    assert_eq!(before.len(), 2 * WITNESSES, "every witness is there");
    let due = lasted.as_secs_f64() / INTERVAL.as_secs_f64();
    let missed = before.iter().zip(after).map(|(before, after)| {
        assert_eq!(before.0, after.0);
        (due - (after.1 - before.1)).max(0.0)
    });
    let missed = missed.fold(0.0, f64::max);
    let ran: f64 = before.iter().zip(after).map(|(before, after)| after.1 - before.1).sum();
    // One may lie just outside either end.
    tell(
        "probes of keys that nothing happened to; most missed by one".into(),
        format!("{ran}; {missed:.1}"),
        missed < 2.0,
    );
    let skipped = metrics
        .lines()
        .filter(|line| line.starts_with("myunisoft_probes_skipped_total{") && line.contains("witness"));
    let skipped: f64 = skipped.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    tell("of these, skipped".into(), skipped.to_string(), skipped == 0.0);
    for name in ["myunisoft_exporter_panics_total ", "myunisoft_exporter_storage_write_failures_total "] {
        let figure = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        tell(name.trim().to_owned(), figure.to_owned(), figure == "0");
    }
    assert!(broken.is_empty(), "broken: {broken:?}");
}
