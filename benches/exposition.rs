//! `/metrics` at 10,000 keys, beside the `prometheus` crate writing as many series in the same run.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use myunisoft_exporter::board::{Board, Fleet, KeyEntry, KeyStatus, PartnerEntry, ProbeStatus};
use myunisoft_exporter::config::Access;
use myunisoft_exporter::key_state::{KeyMemory, KeyState, SecretMemory};
use myunisoft_exporter::metrics::Metrics;
use myunisoft_exporter::report::{Phases, Report};
use prometheus::{GaugeVec, Opts, Registry, TextEncoder};
use tokio::time::Instant;

const KEYS: usize = 10_000;
const ROUNDS: usize = 9;

fn probe(name: &str) -> ProbeStatus {
    ProbeStatus::new(name.into(), Duration::from_mins(1))
}

fn board() -> Arc<Board> {
    let partner = Arc::new(PartnerEntry::new("acme".into(), SecretMemory::new(SystemTime::now())));
    let report = Report {
        finished: SystemTime::now(),
        phases: Phases::new([Duration::from_micros(12_345); 5]),
        status: Some(200),
        request_id: None,
        answer: None,
        outcome: Ok(()),
        certificate_expiry: None,
    };
    let key = |number| {
        let memory = KeyMemory { state: KeyState::Active, since: SystemTime::now(), has_been_active: true };
        let mut status = KeyStatus::new(memory, ["key_info", "exercices"].map(probe));
        for probe in &mut status.probes {
            probe.record(&report);
        }
        let name = format!("customer-{number}").into();
        Arc::new(KeyEntry::new(Arc::clone(&partner), name, Access::Society, status))
    };
    let keys = (0..KEYS).map(key).collect();
    let board = Arc::new(Board::default());
    board.set_fleet(Fleet {
        partners: vec![Arc::clone(&partner)],
        keys,
        request_ids: true,
        ..Fleet::default()
    });
    board
}

fn peer(series: usize) -> Registry {
    let labels = ["probe", "partner", "key"];
    let registry = Registry::new();
    for family in 0..series.div_ceil(KEYS) {
        let gauge = GaugeVec::new(Opts::new(format!("peer_gauge_{family}"), "As many."), &labels).unwrap();
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
    let (metrics, board) = (Metrics::new().unwrap(), board());
    let lines = |piece: &[u8]| {
        piece.split(|byte| *byte == b'\n').filter(|l| l.first().is_some_and(|b| *b != b'#')).count()
    };
    let series: usize = metrics.render(&board).map(|piece| lines(&piece)).sum();
    let (bytes, ours) = median(|| metrics.render(&board).map(|piece| piece.len()).sum());
    let registry = peer(series);
    let (peer_bytes, theirs) =
        median(|| TextEncoder::new().encode_to_string(&registry.gather()).unwrap().len());
    println!("{KEYS} keys, {series} series, median of {ROUNDS}");
    println!("exposition        {ours:>10.1?}  {bytes:>10} bytes");
    println!("prometheus crate  {theirs:>10.1?}  {peer_bytes:>10} bytes, as many series");
    println!("ratio             {:>10.2}", ours.as_secs_f64() / theirs.as_secs_f64());
}
