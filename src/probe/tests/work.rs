//! How much work a probe is. These tests count allocations, because they are the same on every machine and under every load:
//! a probe that does more work allocates more.

use allocation_counter::{AllocationInfo, measure};
use tokio::runtime::{Builder, Runtime};

use super::*;

/// The simulated API allows a key 20 requests in ten seconds.
const PROBES: u64 = 14;

/// The simulated API on threads of its own: only this thread's allocations count.
fn simulator(runtime: &Runtime) -> Simulator {
    runtime.block_on(with_a_key().tls().start()).unwrap()
}

/// The allocations of one probe, after some others that set everything up.
fn work_of_a_probe(connection: Connection) -> AllocationInfo {
    let servers = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let simulator = simulator(&servers);
    let token = SecretString::from(simulator.key("dupont").unwrap().token().unwrap());
    let secret = SecretString::from(SECRET);
    let prober = Prober::new(&api(&simulator)).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let run = |count| {
        runtime.block_on(async {
            for _ in 0..count {
                let credentials = Some(Credentials { token: &token, secret: &secret, society_id: None });
                let timeout = Duration::from_secs(30);
                let (kind, path) = (CANARY, EXERCICES_PATH);
                let report =
                    prober.probe(ProbeRequest { kind, path, credentials, timeout, connection }).await;
                assert_eq!(reason(&report), None, "{report:?}");
            }
        });
    };
    run(4);
    let work = measure(|| run(PROBES));
    AllocationInfo { count_total: work.count_total / PROBES, bytes_total: work.bytes_total / PROBES, ..work }
}

#[test]
fn a_probe_on_a_new_connection_allocates_little() {
    let work = work_of_a_probe(Connection::Fresh);
    // When this was written: 144 allocations of 142 kB.
    assert!(work.count_total <= 160, "{work:?}");
    assert!(work.bytes_total <= 157_000, "{work:?}");
}

#[test]
fn a_probe_on_an_open_connection_allocates_less() {
    let work = work_of_a_probe(Connection::Reuse);
    // When this was written: 30 allocations of 93 kB.
    assert!(work.count_total <= 34, "{work:?}");
    assert!(work.bytes_total <= 103_000, "{work:?}");
}
