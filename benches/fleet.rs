//! Measures a fleet of 10,000 keys: `/metrics` beside the `prometheus` crate, which writes as many series in the
//! same run; the page and its JSON beside `/metrics`; and the memory per key.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and fails by panicking")]

use std::time::Duration;

use myunisoft_exporter::synthetic::SyntheticFleet;
use prometheus::{GaugeVec, Opts, Registry, TextEncoder};
use tokio::time::Instant;

const KEYS: usize = 10_000;
const ROUNDS: usize = 9;

/// The resident memory of the process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// A registry of the `prometheus` crate with so many series.
fn peer(series: usize) -> Registry {
    let labels = ["probe", "partner", "key"];
    let registry = Registry::new();
    for family in 0..series.div_ceil(KEYS) {
        let gauge =
            GaugeVec::new(Opts::new(format!("peer_gauge_{family}"), "A series of the peer."), &labels)
                .unwrap();
        for key in 0..KEYS {
            gauge.with_label_values(&["exercices", "acme", &format!("customer-{key}")]).set(1.0);
        }
        registry.register(Box::new(gauge)).unwrap();
    }
    registry
}

fn median(mut once: impl FnMut() -> usize) -> (usize, Duration) {
    let mut bytes = 0;
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            bytes = once();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    (bytes, times.get(ROUNDS / 2).copied().unwrap_or_default())
}

fn main() {
    let before = resident();
    let fleet = SyntheticFleet::new(KEYS).unwrap();
    let memory_per_key = (resident() - before) / KEYS;
    let lines = |piece: &[u8]| {
        piece.split(|byte| *byte == b'\n').filter(|l| l.first().is_some_and(|b| *b != b'#')).count()
    };
    let series: usize = fleet.metrics().map(|piece| lines(&piece)).sum();
    let (bytes, ours) = median(|| fleet.metrics().map(|piece| piece.len()).sum());
    let registry = peer(series);
    let (peer_bytes, theirs) =
        median(|| TextEncoder::new().encode_to_string(&registry.gather()).unwrap().len());
    println!("{KEYS} keys, {series} series, median of {ROUNDS}");
    println!("exposition        {ours:>10.1?}  {bytes:>10} bytes");
    println!("prometheus crate  {theirs:>10.1?}  {peer_bytes:>10} bytes, for as many series");
    println!("ratio             {:>10.2}", ours.as_secs_f64() / theirs.as_secs_f64());
    let ratio = |took: Duration| took.as_secs_f64() / ours.as_secs_f64();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gzip = median(|| runtime.block_on(fleet.compressed_metrics()));
    let page = median(|| fleet.page().len());
    let json = median(|| fleet.status().unwrap().map(|piece| piece.len()).sum());
    for (name, (bytes, took)) in [("gzip", gzip), ("page", page), ("JSON", json)] {
        println!("{name:<17} {took:>10.1?}  {bytes:>10} bytes, {:.2} of the exposition", ratio(took));
    }
    println!("memory            {memory_per_key:>10} bytes per key, with a full history of probes");
}
