//! Faults that concern the whole process.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use partner_simulator::Simulator;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::injector::Outcome;
use crate::server::run_tool;
use crate::world::World;

const SKIPPED: &str = "myunisoft_probes_skipped_total{";
const WRITE_FAILURES: &str = "myunisoft_exporter_storage_write_failures_total 0";

/// Killed without warning: the states that were shown are shown again at once.
pub(crate) async fn killed(world: &World) -> Outcome {
    restart(world, Signal::KILL).await
}

/// Asked to stop: it exits with success.
pub(crate) async fn ended(world: &World) -> Outcome {
    restart(world, Signal::TERM).await
}

async fn restart(world: &World, signal: Signal) -> Outcome {
    let mut exporter = world.exporter.write().await;
    let down = world.duration(0, 2_000);
    let from = Instant::now();
    let status = world.end(&mut exporter, signal).await;
    let ended_after = from.elapsed();
    sleep(down).await;
    world.start_again(&mut exporter).await?;
    world.was_blind_since(from, true);
    let metrics = world.metrics().await.ok_or("no metrics")?;
    let state = "myunisoft_key_state{partner=\"acme\",key=\"steady0\",state=\"active\"} 1";
    if !metrics.lines().any(|line| line == state) {
        return Err("the state of a key was forgotten".to_owned());
    }
    if signal == Signal::TERM && (!status.success() || ended_after > Duration::from_secs(10)) {
        return Err(format!("{status} after {ended_after:?}:\n{}", exporter.server.output()));
    }
    Ok(format!("down for {down:?}"))
}

/// Several short lives one after the other: after them, each key is probed again.
pub(crate) async fn restarted_in_step(world: &World) -> Outcome {
    let mut exporter = world.exporter.write().await;
    let (from, lives) = (Instant::now(), 2 + world.random(2));
    for _ in 0..lives {
        world.end(&mut exporter, Signal::KILL).await;
        world.start_again(&mut exporter).await?;
        sleep(Duration::from_millis(700)).await;
    }
    world.was_blind_since(from, true);
    let was_probed = |metrics: &str, key: &str| {
        let series = format!("myunisoft_probes_total{{probe=\"key_info\",partner=\"acme\",key=\"{key}\"}} ");
        metrics.lines().any(|line| line.strip_prefix(&series).is_some_and(|n| n != "0"))
    };
    let keys: Vec<_> = crate::api::names("steady", crate::api::STEADY_KEYS).collect();
    world.expect("each key is probed", |text| keys.iter().all(|key| was_probed(text, key))).await?;
    Ok(format!("{lives} lives"))
}

/// The lock file is a link to another file: the storage is not used, and the other file keeps its mode.
pub(crate) async fn lock_is_a_link(world: &World) -> Outcome {
    let mut exporter = world.exporter.write().await;
    let (lock, target) = (world.file("data/lock"), world.file("target"));
    std::fs::write(&target, "").unwrap();
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o644)).unwrap();
    let from = Instant::now();
    world.end(&mut exporter, Signal::TERM).await;
    std::fs::remove_file(&lock).unwrap();
    symlink(&target, &lock).unwrap();
    let started = world.start_again(&mut exporter).await;
    let reported = world
        .expect("a failed write is counted", |text| !text.lines().any(|line| line == WRITE_FAILURES))
        .await;
    let mode = std::fs::metadata(&target).unwrap().permissions().mode() & 0o777;
    std::fs::remove_file(&lock).unwrap();
    let written = crate::files::expect_writes(world).await;
    // The first state of each key waits for the disk, for three seconds at most.
    world.was_blind_since(from, true);
    started?;
    reported?;
    written?;
    if mode != 0o644 {
        return Err(format!("the mode of the other file is {mode:o}"));
    }
    Ok("the mode of the other file is unchanged".to_owned())
}

/// The process does not run for seconds. Then the fleet catches up without a burst.
pub(crate) async fn stopped(world: &World) -> Outcome {
    let exporter = world.exporter.write().await;
    let length = world.duration(2_000, 6_000);
    let before = requests_in(&world.simulator, Duration::from_secs(3)).await / 3.0;
    world.is_down.store(true, Ordering::SeqCst);
    let from = Instant::now();
    exporter.server.signal(Signal::STOP);
    sleep(length).await;
    exporter.server.signal(Signal::CONT);
    world.was_blind_since(from, true);
    world.is_down.store(false, Ordering::SeqCst);
    // The requests that were under way when it was stopped are repeated in the first ten seconds.
    let after = requests_in(&world.simulator, Duration::from_secs(2)).await / 2.0;
    // Health, the witness and a few requests on demand come in addition; the number is random.
    let limit = before * 1.2 + 3.0 * before.sqrt() + 5.0;
    if after > limit {
        return Err(format!("{after:.0} requests per second after {length:?}, {before:.0} before"));
    }
    Ok(format!("for {length:?}; requests per second before {before:.0}, after {after:.0}"))
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
async fn requests_in(simulator: &Simulator, span: Duration) -> f64 {
    let before = simulator.counts().calls;
    sleep(span).await;
    (simulator.counts().calls - before) as f64
}

/// No file can be opened: probes are skipped, and no failure of the API is reported.
pub(crate) async fn without_descriptors(world: &World) -> Outcome {
    let exporter = world.exporter.write().await;
    let limit = |descriptors: u64| {
        let (pid, limit) = (exporter.server.pid().to_string(), format!("--nofile={descriptors}:"));
        assert!(run_tool(Command::new("prlimit").args(["--pid", &pid, &limit])).status.success());
    };
    let length = world.duration(3_000, 5_000);
    let failures = |metrics: &str| sum_of(metrics, "myunisoft_probe_failures_total{", "witness-1s");
    let before = world.metrics().await.ok_or("no metrics")?;
    world.is_down.store(true, Ordering::SeqCst);
    let from = Instant::now();
    limit(3);
    sleep(length).await;
    limit(10_000);
    world.was_blind_since(from, false);
    world.wait_until_ready().await?;
    let after = world.metrics().await.ok_or("no metrics")?;
    let skipped = |metrics: &str| {
        let lines = metrics.lines().filter(|line| line.contains("reason=\"no_resources\""));
        sum(lines.filter(|line| line.starts_with(SKIPPED) && line.contains("witness-1s")))
    };
    let skips = skipped(&after) - skipped(&before);
    if skips < 1.0 || failures(&after) > failures(&before) {
        return Err(format!("{skips} probes of the witness are skipped, or some failed"));
    }
    Ok(format!("for {length:?}; probes of the witness that were skipped: {skips}"))
}

/// The sum of the series of a metric that contain this text.
pub(crate) fn sum_of(metrics: &str, metric: &str, part: &str) -> f64 {
    sum(metrics.lines().filter(|line| line.starts_with(metric) && line.contains(part)))
}

fn sum<'a>(lines: impl Iterator<Item = &'a str>) -> f64 {
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
