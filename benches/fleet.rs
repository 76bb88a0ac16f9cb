//! What a fleet of 10,000 keys costs: `/metrics`, beside the `prometheus` crate writing as many series in the
//! same run; the page and its JSON, beside `/metrics`; and the memory that a key takes.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use myunisoft_exporter::key_state::{KeyState, PersistedKeyState, PersistedSecretState};
use myunisoft_exporter::metrics::Metrics;
use myunisoft_exporter::page::{self, Frame, Listing};
use myunisoft_exporter::partner_api::Access;
use myunisoft_exporter::partner_api::failure::{Failure, Reason};
use myunisoft_exporter::partner_api::request_id::RequestId;
use myunisoft_exporter::report::{Phases, ProbeReport};
use myunisoft_exporter::state::history::MAX_RECENT_PROBES;
use myunisoft_exporter::state::{
    Inventory, KeyStatus, MonitoredKey, MonitoredPartner, ProbeStatus, SharedState,
};
use myunisoft_exporter::status::{self, Filter, Overview, StatusSource};
use prometheus::{GaugeVec, Opts, Registry, TextEncoder};
use tokio::time::Instant;

const KEYS: usize = 10_000;
const ROUNDS: usize = 9;

fn probe(name: &str) -> ProbeStatus {
    ProbeStatus::new(name.into(), Duration::from_mins(1))
}

fn report(outcome: Result<(), Failure>) -> ProbeReport {
    ProbeReport {
        finished: SystemTime::now(),
        phases: Phases::new([Duration::from_micros(12_345); 5]),
        status: Some(if outcome.is_ok() { 200 } else { 401 }),
        request_id: RequestId::parse("0d3b2f0e-9c1f-4b7e-8a53-1f2e3d4c5b6a"),
        judgement: None,
        outcome,
        certificate_expiry: None,
    }
}

/// A quarter of the keys is revoked, and every key remembers as many probes as it can.
fn shared_state() -> Arc<SharedState> {
    let partner =
        Arc::new(MonitoredPartner::new("acme".into(), PersistedSecretState::new(SystemTime::now())));
    let key = |number: usize| {
        let lost = number.is_multiple_of(4);
        let state = if lost { KeyState::Revoked } else { KeyState::Active };
        let memory = PersistedKeyState { state, since: SystemTime::now(), has_been_active: true };
        let mut status = KeyStatus::new(memory, ["key_info", "exercices"].map(probe));
        let refused = || Err(Failure::new(Reason::Token, "the API refused with ERR-API-TOKEN-NOT-FOUND"));
        for round in 0..MAX_RECENT_PROBES {
            status.record(round % 2, &report(if lost { refused() } else { Ok(()) }));
        }
        let name = format!("customer-{number}").into();
        Arc::new(MonitoredKey::new(Arc::clone(&partner), name, Access::Society, status))
    };
    let keys = (0..KEYS).map(key).collect();
    let shared_state = Arc::new(SharedState::default());
    shared_state.set_inventory(Inventory {
        settings: Arc::default(),
        partners: vec![Arc::clone(&partner)],
        keys,
    });
    shared_state
}

/// The page as a request makes it, from the choice of its keys to its last byte.
fn overview(shared_state: &SharedState) -> usize {
    let source = StatusSource::new(shared_state);
    let selection = status::select(&source.inventory, &Filter::default());
    let overview = Overview::new(&source, &selection);
    let listing = Listing::new(&source, &selection, Filter::default(), 1);
    let frame = Frame { edition: "" };
    page::overview(frame, &overview, &listing).into_string().len()
}

fn json(shared_state: &SharedState) -> usize {
    let source = StatusSource::new(shared_state);
    let selection = status::select(&source.inventory, &Filter::default());
    status::document(&source, selection).unwrap().map(|piece| piece.len()).sum()
}

/// What the process holds, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
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
    let metrics = Metrics::new().unwrap();
    let before = resident();
    let shared_state = shared_state();
    let each = (resident() - before) / KEYS;
    let lines = |piece: &[u8]| {
        piece.split(|byte| *byte == b'\n').filter(|l| l.first().is_some_and(|b| *b != b'#')).count()
    };
    let series: usize = metrics.render(&shared_state).map(|piece| lines(&piece)).sum();
    let (bytes, ours) = median(|| metrics.render(&shared_state).map(|piece| piece.len()).sum());
    let registry = peer(series);
    let (peer_bytes, theirs) =
        median(|| TextEncoder::new().encode_to_string(&registry.gather()).unwrap().len());
    println!("{KEYS} keys, {series} series, median of {ROUNDS}");
    println!("exposition        {ours:>10.1?}  {bytes:>10} bytes");
    println!("prometheus crate  {theirs:>10.1?}  {peer_bytes:>10} bytes, as many series");
    println!("ratio             {:>10.2}", ours.as_secs_f64() / theirs.as_secs_f64());
    let ratio = |took: Duration| took.as_secs_f64() / ours.as_secs_f64();
    for (name, (bytes, took)) in
        [("page", median(|| overview(&shared_state))), ("JSON", median(|| json(&shared_state)))]
    {
        println!("{name:<17} {took:>10.1?}  {bytes:>10} bytes, {:.2} of the exposition", ratio(took));
    }
    println!("memory            {each:>10} bytes a key, with {MAX_RECENT_PROBES} probes remembered");
}
