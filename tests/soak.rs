//! Runs an exporter under constant load, faults and reloads, and checks that memory and other measurements stay flat.
//!
//! It is not part of `make test`. `make soak` runs it for an hour (or `SOAK_SECONDS`), prints a table, and fails if a
//! measurement breaks its promise.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "a test fails by panicking"
)]

#[path = "support/server.rs"]
mod server;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use axum::http::StatusCode;
use partner_simulator::{Fault, KeySpec, Limits, Scope, Simulator};
use server::{BINARY, Exporter, Server, client};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, sleep, timeout};

/// Keys without faults. None of their probes may be missed.
const HEALTHY_KEYS: usize = 200;
/// Keys that are subject to faults.
const FAULTY_KEYS: usize = 100;
/// The interval of each probe.
const INTERVAL: Duration = Duration::from_secs(5);
/// The first part of the run that is not measured, because caches and the allocator still grow.
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
    let mut demo = KillOnDrop(demo);
    let faults = tokio::spawn(inject_faults(simulator.clone()));
    let clients = tokio::spawn(send_requests(exporter.url.clone()));
    let changes = tokio::spawn(change_configuration(folder.path().to_owned()));
    let mut processes =
        [Resources::of("exporter", exporter.server.pid()), Resources::of("demo", demo.0.id())];
    let mut scrapes = (0_u64, Duration::ZERO);
    let (started, before) = (Instant::now(), probes(&exporter).await);
    let mut tick = interval(Duration::from_secs(1));
    while started.elapsed() < span {
        tick.tick().await;
        let sent = Instant::now();
        let metrics = timeout(Duration::from_secs(10), exporter.get("/metrics")).await;
        let (status, _) = metrics.expect("a scrape within its timeout").expect("a successful scrape");
        assert_eq!(status, 200);
        scrapes = (scrapes.0 + 1, scrapes.1.max(sent.elapsed()));
        for process in &mut processes {
            process.measure(started.elapsed().as_secs_f64() / span.as_secs_f64());
        }
    }
    let (lasted, after) = (started.elapsed(), probes(&exporter).await);
    for task in [faults, clients, changes] {
        task.abort();
    }
    assert!(demo.0.try_wait().unwrap().is_none(), "the demo has exited");
    let metrics = exporter.metrics().await;
    report(lasted, &processes, scrapes, &before, &after, &metrics);
}

struct KillOnDrop(std::process::Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(folder: &Path, flags: &[&str]) -> Exporter {
    // At `--log.level=error`, the exporter does not log its port, so the test chooses a free one.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(BINARY);
    command
        .arg(format!("--config.file={}", folder.join("exporter.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(flags);
    let exporter = Exporter { server: Server::spawn(&mut command), url: format!("http://127.0.0.1:{port}") };
    server::until("readiness", || async { (exporter.get("/-/ready").await?.0 == 200).then_some(()) }).await;
    // After this time, each key has been probed once.
    sleep(2 * INTERVAL).await;
    exporter
}

async fn simulator() -> Simulator {
    let names = (0..HEALTHY_KEYS)
        .map(|n| format!("healthy{n}"))
        .chain((0..FAULTY_KEYS).map(|n| format!("faulty{n}")));
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
        (0..HEALTHY_KEYS).map(|n| format!("healthy{n}")).chain((0..FAULTY_KEYS).map(|n| format!("faulty{n}")))
    {
        let token = simulator.key(&name).unwrap().token().unwrap();
        std::fs::write(folder.join(&name), token).unwrap();
        writeln!(keys, "      - {{name: {name}, access: society, token_file: {name}}}").unwrap();
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

/// Injects other faults into other keys each second.
async fn inject_faults(simulator: Simulator) {
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
        for offset in 0..FAULTY_KEYS / 4 {
            let key = format!("faulty{}", (round * 7 + offset) % FAULTY_KEYS);
            let scope = Scope::Key(key);
            simulator.heal(&scope);
            if (round + offset) % 3 > 0 {
                simulator.inject(scope, faults[(round + offset) % faults.len()].clone());
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Clients that stay connected, send nothing or send invalid requests, and some normal clients.
async fn send_requests(url: String) {
    let host = url.trim_start_matches("http://").to_owned();
    let mut open = Vec::new();
    for round in 0_u64.. {
        for first in [
            &b""[..],
            b"GET /metrics HTTP/1.1\r\nX-Slow:",
            b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01",
        ] {
            if let Ok(mut stream) = TcpStream::connect(&host).await {
                let _ = stream.write_all(first).await;
                open.push(stream);
            }
        }
        if open.len() > 400 {
            open.clear();
        }
        let path = ["/probe?partner=acme&key=faulty1", "/probe?partner=%ff", "/sd", "/", "/nowhere"]
            [(round % 5) as usize];
        let _ = timeout(Duration::from_secs(5), client().get(format!("{url}{path}")).send()).await;
        sleep(Duration::from_millis(50)).await;
    }
}

/// Changes the configuration, makes it invalid and valid again, and rotates a token.
async fn change_configuration(folder: std::path::PathBuf) {
    let file = folder.join("exporter.yml");
    let valid = std::fs::read_to_string(&file).unwrap();
    for round in 0_u64.. {
        sleep(Duration::from_secs(20)).await;
        std::fs::write(&file, format!("{valid}# {round}\n")).unwrap();
        sleep(Duration::from_secs(20)).await;
        std::fs::write(&file, format!("{valid}nonsense: 1\n")).unwrap();
        std::fs::write(folder.join("faulty3"), format!("another-{round}")).unwrap();
    }
}

/// The resources of a process over time.
struct Resources {
    name: &'static str,
    pid: u32,
    /// Share of the run, resident bytes, file descriptors, threads.
    samples: Vec<(f64, u64, usize, usize)>,
}

impl Resources {
    fn of(name: &'static str, pid: u32) -> Self {
        Self { name, pid, samples: Vec::new() }
    }

    fn measure(&mut self, share: f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap().count();
        let threads = usize::try_from(field("Threads:")).unwrap();
        self.samples.push((share, field("VmRSS:") * 1024, descriptors, threads));
    }

    /// The median over a part of the run, because single samples vary.
    fn median(&self, from: f64, to: f64, value: impl Fn(&(f64, u64, usize, usize)) -> u64) -> u64 {
        let part = self.samples.iter().filter(|sample| (from..=to).contains(&sample.0));
        let mut values: Vec<_> = part.map(value).collect();
        values.sort_unstable();
        values[values.len() / 2]
    }
}

/// The number of probes of each healthy key.
async fn probes(exporter: &Exporter) -> Vec<(String, f64)> {
    let metrics = exporter.metrics().await;
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("myunisoft_probes_total{") && line.contains("healthy"));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, n)| (series.to_owned(), n.parse().unwrap()))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "rounded numbers for a report")]
fn report(
    lasted: Duration,
    processes: &[Resources],
    (scrapes, slowest): (u64, Duration),
    before: &[(String, f64)],
    after: &[(String, f64)],
    metrics: &str,
) {
    let mut broken = Vec::new();
    let mut row = |what: String, value: String, kept: bool| {
        println!("| {what} | {value} | {} |", if kept { "kept" } else { "BROKEN" });
        if !kept {
            broken.push(what);
        }
    };
    println!(
        "| over {} | measurement | promise |\n|---|---|---|",
        humantime::format_duration(Duration::from_secs(lasted.as_secs()))
    );
    for process in processes {
        let name = process.name;
        let (early, late) = (process.median(WARM_UP, 0.4, |p| p.1), process.median(0.8, 1.0, |p| p.1));
        let mebibytes = |bytes: u64| bytes as f64 / 1_048_576.0;
        let text = format!("{:.1} → {:.1} MiB", mebibytes(early), mebibytes(late));
        row(
            format!("{name}: memory, median of an early fifth and of the last fifth"),
            text,
            late as f64 <= early as f64 * 1.1 + 2e6,
        );
        let (early, late) =
            (process.median(WARM_UP, 0.4, |p| p.2 as u64), process.median(0.8, 1.0, |p| p.2 as u64));
        row(format!("{name}: open file descriptors"), format!("{early} → {late}"), late <= early + 20);
        let (early, late) =
            (process.median(WARM_UP, 0.4, |p| p.3 as u64), process.median(0.8, 1.0, |p| p.3 as u64));
        row(format!("{name}: threads"), format!("{early} → {late}"), late <= early + 4);
    }
    row(
        "number of scrapes, one per second; the slowest".into(),
        format!("{scrapes}; {slowest:.2?}"),
        slowest < Duration::from_secs(5),
    );
    assert_eq!(before.len(), 2 * HEALTHY_KEYS, "every healthy key has its series");
    let due = lasted.as_secs_f64() / INTERVAL.as_secs_f64();
    let missed = before.iter().zip(after).map(|(before, after)| {
        assert_eq!(before.0, after.0);
        (due - (after.1 - before.1)).max(0.0)
    });
    let missed = missed.fold(0.0, f64::max);
    let ran: f64 = before.iter().zip(after).map(|(before, after)| after.1 - before.1).sum();
    // One probe at each end can be just outside the run.
    row(
        "number of probes of keys without faults; most probes missed by one key".into(),
        format!("{ran}; {missed:.1}"),
        missed < 2.0,
    );
    let skipped = metrics
        .lines()
        .filter(|line| line.starts_with("myunisoft_probes_skipped_total{") && line.contains("healthy"));
    let skipped: f64 = skipped.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    row("of these, skipped".into(), skipped.to_string(), skipped == 0.0);
    for name in ["myunisoft_exporter_panics_total ", "myunisoft_exporter_storage_write_failures_total "] {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        row(name.trim().to_owned(), value.to_owned(), value == "0");
    }
    assert!(broken.is_empty(), "broken: {broken:?}");
}
