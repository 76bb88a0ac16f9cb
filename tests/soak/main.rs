//! Runs an exporter while faults of every kind happen at random, and checks that each fault stays where it is.
//!
//! It is not part of `make test`. `make soak` runs it for an hour; `SOAK_SECONDS` sets another time and `SOAK_SEED` the
//! order of the faults. First, ten thousand keys start, and the lateness of their probes is measured.
//!
//! Two witness keys, with intervals of 1 s and 60 s, have no faults of their own. The simulated API records each of their
//! requests, and none may be missing. Each fault checks its own effect and that the effect ends. Memory, file descriptors
//! and threads must stay flat. A file in the target directory tells what happened when.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod api;
mod clients;
mod credentials;
mod files;
mod injector;
mod outages;
mod process;
mod resources;
mod start_up;
mod summary;
mod witnesses;
mod world;

#[allow(dead_code, reason = "the soak uses some of the helpers")]
#[path = "../support/server.rs"]
mod server;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use summary::Summary;
use tokio::time::{Instant, sleep_until};
use world::World;

/// The number in a variable of the environment.
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let span = Duration::from_secs(variable("SOAK_SECONDS").unwrap_or(3_600));
    let seed = variable("SOAK_SEED").unwrap_or_else(|| RandomState::new().hash_one(span) % 1_000_000);
    println!("SOAK_SECONDS={} SOAK_SEED={seed}", span.as_secs());
    let mut summary = Summary::new(span, seed);
    if variable("SOAK_START_UP") != Some(0) {
        start_up::measure(&mut summary).await;
    }
    let world = Arc::new(World::start(seed).await);
    println!("log of the faults: {}", world.log_file().display());
    let end = Instant::now() + span;
    let sampling = tokio::spawn(resources::sample(Arc::clone(&world)));
    let watching = tokio::spawn(witnesses::watch(Arc::clone(&world)));
    injector::run(&world, span).await;
    sleep_until(end).await;
    world.is_over.store(true, Ordering::SeqCst);
    let samples = sampling.await.expect("the samples");
    let witnesses = watching.await.expect("the witnesses");
    summary.add_faults(&world);
    summary.add_witnesses(&witnesses);
    summary.add_resources(&samples);
    summary.finish();
}
