//! Faults of one key's secret file, budget or account.

use std::fs;
use std::time::Duration;

use partner_simulator::{Fault, LOG_IN, Scope};
use rustix::fs::{CWD, Mode, mkfifoat};
use tokio::time::{Instant, sleep};

use crate::api::{SECRET_KEY, SPENT_KEY};
use crate::injector::Outcome;
use crate::process::sum_of;
use crate::world::{PATIENCE, World};

/// The credential cannot be read: this is reported, the last value serves, and the report ends with the fault.
async fn unreadable(world: &World, break_file: impl FnOnce(&std::path::Path)) -> Outcome {
    let _process = world.exporter.read().await;
    // A process that has just started may not have read the token yet.
    let labels = format!("probe=\"key_info\",partner=\"acme\",key=\"{SECRET_KEY}\"");
    world.expect_line(&format!("myunisoft_probe_up{{{labels}}} 1")).await?;
    let file = world.file("secrets").join(SECRET_KEY);
    let token = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    break_file(&file);
    let line = format!("myunisoft_exporter_credential_unreadable{{partner=\"acme\",key=\"{SECRET_KEY}\"}} 1");
    let reported = world.expect_line(&line).await;
    let of_key = format!("key=\"{SECRET_KEY}\"");
    let without_credential = format!("{of_key},reason=\"credential\"");
    let counts = async || {
        let text = world.metrics().await.unwrap_or_default();
        let failed = sum_of(&text, "myunisoft_probe_failures_total{", &without_credential);
        (sum_of(&text, "myunisoft_probes_total{", &of_key), failed)
    };
    let before = counts().await;
    sleep(world.duration(3_000, 5_000)).await;
    let after = counts().await;
    let (probes, failed) = (after.0 - before.0, after.1 - before.1);
    // It may be anything by now.
    let _ = fs::remove_file(&file);
    fs::write(&file, token).unwrap();
    reported?;
    if probes < 1.0 || failed > 0.0 {
        return Err(format!("the last value does not serve: {failed} of {probes} probes fail"));
    }
    world.expect("the credential is readable", |text| !text.lines().any(|it| it == line)).await?;
    Ok(format!("{probes} probes with the last value"))
}

pub(crate) async fn removed(world: &World) -> Outcome {
    unreadable(world, |_| {}).await
}

pub(crate) async fn emptied(world: &World) -> Outcome {
    unreadable(world, |file| fs::write(file, "").unwrap()).await
}

pub(crate) async fn replaced_by_a_pipe(world: &World) -> Outcome {
    unreadable(world, |file| mkfifoat(CWD, file, Mode::from_raw_mode(0o600)).unwrap()).await
}

/// Each request of the key gets a 429: the state stays, and the probes succeed again afterwards.
pub(crate) async fn spent(world: &World) -> Outcome {
    let _process = world.exporter.read().await;
    let key = world.simulator.key(SPENT_KEY).unwrap();
    key.inject(Fault::refuse("ERR-TOO-MANY-REQUEST"));
    let labels = format!("probe=\"key_info\",partner=\"acme\",key=\"{SPENT_KEY}\"");
    let failed = world.expect_line(&format!("myunisoft_probe_up{{{labels}}} 0")).await;
    sleep(world.duration(2_000, 12_000)).await;
    let metrics = world.metrics().await.ok_or("no metrics")?;
    key.heal();
    failed?;
    let state = format!("myunisoft_key_state{{partner=\"acme\",key=\"{SPENT_KEY}\",state=\"active\"}} 1");
    if !metrics.lines().any(|line| line == state) {
        return Err("the state moved".to_owned());
    }
    world.expect_line(&format!("myunisoft_probe_up{{{labels}}} 1")).await?;
    Ok("429, then successes".to_owned())
}

/// The log-in route does not respond: log-ins wait, and afterwards the keys of the account have tokens again. The
/// witnesses show that no other key waits.
pub(crate) async fn log_in_hangs(world: &World) -> Outcome {
    let scope = Scope::Route(LOG_IN.to_owned());
    world.simulator.inject(scope.clone(), Fault::Silence);
    let started = Instant::now();
    let waits_for_log_in = || {
        let log = world.simulator.request_log();
        log.iter().any(|call| call.route() == LOG_IN && call.started > started && call.response.is_none())
    };
    // Each token is renewed about once per minute.
    while !waits_for_log_in() && started.elapsed() < 3 * PATIENCE {
        sleep(Duration::from_secs(1)).await;
    }
    let waited = waits_for_log_in();
    sleep(world.duration(5_000, 15_000)).await;
    world.simulator.heal(&scope);
    if !waited {
        return Err("no log-in was sent".to_owned());
    }
    for _ in 0..4 {
        let recovered = world
            .expect("the keys of the account work", |text| {
                let up =
                    |line: &&str| line.starts_with("myunisoft_probe_up{") && line.contains("key=\"login");
                let mut probes = text.lines().filter(up).peekable();
                probes.peek().is_some() && probes.all(|line| line.ends_with(" 1"))
            })
            .await;
        if recovered.is_ok() {
            return Ok("log-ins waited, then succeeded".to_owned());
        }
    }
    Err("the keys of the account do not work again".to_owned())
}
