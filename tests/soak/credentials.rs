//! Faults of one key's secret file, budget or account.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use partner_simulator::{Fault, LOG_IN, Scope};
use rustix::fs::{CWD, Mode, mkfifoat};
use tokio::time::{Instant, sleep};

use crate::api::{FIRST_LATE_FIRM, LATE_LOGIN_KEY, LOGIN_KEYS, SECRET_KEY, SPENT_KEY, names};
use crate::files::replace;
use crate::injector::Outcome;
use crate::process::sum_of;
use crate::world::{PATIENCE, World, key_file, login_line};

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

/// The log-in route does not respond: a new key of the account waits for its log-in, and the other keys of the account
/// are probed with the tokens that they have. Afterwards the new key works. The witnesses show that no other key waits.
pub(crate) async fn log_in_hangs(world: &World) -> Outcome {
    let scope = Scope::Route(LOG_IN.to_owned());
    let file = world.file("logins.yml");
    let firm = FIRST_LATE_FIRM + LATE_LOGINS.fetch_add(1, Ordering::SeqCst);
    world.simulator.inject(scope.clone(), Fault::Silence);
    let started = Instant::now();
    let waits_for_log_in = || {
        let log = world.simulator.request_log();
        log.iter().any(|call| call.route() == LOG_IN && call.started > started && call.response.is_none())
    };
    replace(&file, &key_file(&login_line(LATE_LOGIN_KEY, firm)));
    // A fault of the configuration can delay the reload.
    while !waits_for_log_in() && started.elapsed() < 3 * PATIENCE {
        sleep(Duration::from_millis(500)).await;
    }
    let waited = waits_for_log_in();
    sleep(world.duration(5_000, 15_000)).await;
    world.simulator.heal(&scope);
    let recovered = expect_account(world).await;
    replace(&file, &key_file(""));
    if !waited {
        return Err("no log-in was sent".to_owned());
    }
    recovered?;
    Ok(format!("the log-in of firm {firm} waited, then succeeded"))
}

/// How many keys of the account were added.
static LATE_LOGINS: AtomicU64 = AtomicU64::new(0);

/// All keys of the account work. A failed log-in is tried again after a minute at most, and other faults can delay it.
async fn expect_account(world: &World) -> Result<(), String> {
    let names: Vec<_> = names("login", LOGIN_KEYS).chain([LATE_LOGIN_KEY.to_owned()]).collect();
    let works = |text: &str| {
        let up = |name: &String| {
            format!("myunisoft_probe_up{{probe=\"key_info\",partner=\"acme\",key=\"{name}\"}} 1")
        };
        names.iter().map(up).all(|series| text.lines().any(|line| line == series))
    };
    for _ in 0..4 {
        if world.expect("the keys of the account work", works).await.is_ok() {
            return Ok(());
        }
    }
    let failures = world.metrics().await.unwrap_or_default();
    let failures = failures
        .lines()
        .filter(|line| line.starts_with("myunisoft_probe_error_info") && line.contains("login"));
    Err(format!("keys of the account do not work again: {:?}", failures.collect::<Vec<_>>()))
}
