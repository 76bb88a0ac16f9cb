//! Measures the process once per second, and scrapes it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::world::World;

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    /// The number of the process.
    pub(crate) life: u64,
    /// Resident memory in bytes.
    pub(crate) memory: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    pub(crate) scrape: Option<Duration>,
}

/// Samples until the run is over. A scrape that fails while the process should respond breaks a promise.
pub(crate) async fn sample(world: Arc<World>) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !world.is_over.load(Ordering::SeqCst) {
        tick.tick().await;
        let is_down = || world.is_down.load(Ordering::SeqCst);
        if is_down() {
            continue;
        }
        let (sent, life) = (Instant::now(), world.life.load(Ordering::SeqCst));
        let metrics = world.metrics().await;
        let took = sent.elapsed();
        if is_down() || world.life.load(Ordering::SeqCst) != life {
            continue;
        }
        let broken = match &metrics {
            None => Some(format!("a scrape failed after {took:?}")),
            Some(text) if !text.lines().any(|line| line == "myunisoft_exporter_panics_total 0") => {
                Some("a panic was counted".to_owned())
            }
            Some(_) => None,
        };
        if let Some(broken) = broken {
            world.note(&format!("BROKEN {broken}"));
            world.broken.lock().unwrap().push(broken);
        }
        let Ok(exporter) = world.exporter.try_read() else { continue };
        samples.extend(measure(exporter.server.pid(), sent, life, metrics.map(|_| took)));
    }
    samples
}

/// `None` if the process has just ended.
fn measure(pid: u32, at: Instant, life: u64, scrape: Option<Duration>) -> Option<Sample> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let value = status.lines().find_map(|text| text.strip_prefix(name))?;
        value.split_whitespace().next()?.parse().ok()
    };
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    let (memory, threads) = (field("VmRSS:")? * 1_024, field("Threads:")?);
    Some(Sample { at, life, memory, descriptors, threads, scrape })
}

/// The median in a part of the last process, because single samples vary.
pub(crate) fn median(
    samples: &[Sample],
    (from, to): (f64, f64),
    value: impl Fn(&Sample) -> u64,
) -> Option<u64> {
    let last = samples.last()?;
    let of_last: Vec<_> = samples.iter().filter(|it| it.life == last.life).collect();
    let start = of_last.first()?.at;
    let span = last.at.duration_since(start);
    let part = of_last.iter().filter(|it| (span.mul_f64(from)..=span.mul_f64(to)).contains(&(it.at - start)));
    let mut values: Vec<_> = part.map(|sample| value(sample)).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
