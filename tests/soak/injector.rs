//! Chooses the faults. Faults of a file, an account, a client or the API run at the same time as others; a fault that
//! concerns the whole process waits until no other one needs the process.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::world::World;
use crate::{clients, credentials, files, outages, process};

/// What a fault did, or which promise it broke.
pub(crate) type Outcome = Result<String, String>;
type Injection<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// A kind of fault. Its function injects it, checks its effect, ends it, and checks that the effect ends.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    name: &'static str,
    inject: for<'a> fn(&'a World) -> Injection<'a>,
}

macro_rules! kinds {
    ($($name:literal: $inject:path),* $(,)?) => {
        &[$(Kind { name: $name, inject: |world| Box::pin($inject(world)) }),*]
    };
}

/// One key, its files, or the storage directory.
const OF_ONE_KEY: &[Kind] = kinds! {
    "secret file removed": credentials::removed,
    "secret file emptied": credentials::emptied,
    "secret file replaced by a pipe": credentials::replaced_by_a_pipe,
    "budget of a key spent (429)": credentials::spent,
    "clients of /probe that hang up": clients::hang_up,
    "storage directory unusable": files::storage_unusable,
};

/// The log-in route: it needs minutes, so it has a sequence of its own.
const OF_AN_ACCOUNT: &[Kind] = kinds! { "log-in route hangs": credentials::log_in_hangs };

/// Random responses to some keys.
const OF_RESPONSES: &[Kind] = kinds! { "responses replaced or broken": outages::random_responses };

/// The configuration and the API: one at a time, because each checks the same figures.
const OF_THE_FLEET: &[Kind] = kinds! {
    "key files disappear": files::key_files_disappear,
    "key file that never rests": files::touched_all_the_time,
    "links that form loops": files::link_loop,
    "file name that is not UTF-8": files::name_that_is_not_utf_8,
    "invalid configuration": files::invalid_configuration,
    "host of the API changed": files::host_changed,
    "API refuses connections": outages::refused,
    "API responds with 502": outages::bad_gateway,
    "API does not respond": outages::silent,
    "process stopped (SIGSTOP)": process::stopped,
    "no file descriptors": process::without_descriptors,
};

/// A new process starts with little memory, so these happen in the first third of the run only.
const RESTARTS: &[Kind] = kinds! {
    "killed (SIGKILL) and restarted": process::killed,
    "ended (SIGTERM) and restarted": process::ended,
    "restarted in step": process::restarted_in_step,
    "lock replaced by a link": process::lock_is_a_link,
};

/// The part of the run in which the process is restarted.
const RESTART_PART: f64 = 1.0 / 3.0;

/// Injects faults for `span`, and each kind at least once. Ends after the last fault has ended.
pub(crate) async fn run(world: &Arc<World>, span: Duration) {
    let (start, noise) = (Instant::now(), Arc::clone(world));
    let noise = tokio::spawn(async move { clients::noise(&noise).await });
    tokio::join!(
        inject_in_turn(world, start + span, OF_ONE_KEY, &[], start),
        inject_in_turn(world, start + span, OF_AN_ACCOUNT, &[], start),
        inject_in_turn(world, start + span, OF_RESPONSES, &[], start),
        inject_in_turn(world, start + span, OF_THE_FLEET, RESTARTS, start + span.mul_f64(RESTART_PART)),
    );
    noise.abort();
}

/// Each kind once in random order, then again in another order. The kinds of `early` come first, and only until
/// `early_until`.
async fn inject_in_turn(world: &World, end: Instant, kinds: &[Kind], early: &[Kind], early_until: Instant) {
    let mut round = shuffled(world, early);
    round.extend(shuffled(world, kinds));
    for number in 0.. {
        for kind in round {
            if number > 0 && Instant::now() >= end {
                return;
            }
            inject(world, kind).await;
            tokio::time::sleep(world.duration(100, 1_500)).await;
        }
        let early = if Instant::now() < early_until { early } else { &[] };
        round = shuffled(world, &[early, kinds].concat());
    }
}

fn shuffled(world: &World, kinds: &[Kind]) -> Vec<Kind> {
    let mut kinds = kinds.to_vec();
    for last in (1..kinds.len()).rev() {
        let other = usize::try_from(world.random(last as u64 + 1)).unwrap();
        kinds.swap(last, other);
    }
    kinds
}

async fn inject(world: &World, Kind { name, inject }: Kind) {
    world.note(&format!("begin {name}"));
    let outcome = inject(world).await;
    let mut counts = world.counts.lock().unwrap();
    let count = counts.entry(name).or_default();
    count.injected += 1;
    count.broken += u64::from(outcome.is_err());
    drop(counts);
    match outcome {
        Ok(what) => world.note(&format!("end   {name}: {what}")),
        Err(broken) => {
            world.note(&format!("BROKEN {name}: {broken}"));
            world.broken.lock().unwrap().push(format!("{name}: {broken}"));
        }
    }
}
