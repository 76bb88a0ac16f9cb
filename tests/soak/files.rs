//! Faults of configuration files and of the storage directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use crate::api::{LATE_KEY, REVOKED_KEY};
use crate::injector::Outcome;
use crate::process::sum_of;
use crate::world::{World, key_file, key_line};

const RELOADED: &str = "myunisoft_exporter_config_last_reload_successful 1";
const NOT_RELOADED: &str = "myunisoft_exporter_config_last_reload_successful 0";
const WRITE_FAILURES: &str = "myunisoft_exporter_storage_write_failures_total";

/// Replaces a file atomically, as configuration management does.
pub(crate) fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn has_key(metrics: &str, key: &str) -> bool {
    metrics.contains(&format!("key=\"{key}\""))
}

/// A failed reload is in the metrics, in the JSON and on the page.
async fn expect_failed_reload(world: &World) -> Result<(), String> {
    world.expect_line(NOT_RELOADED).await?;
    let json = world.get("/api/v1/status").await.ok_or("no JSON")?.1;
    let status: serde_json::Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    let page = world.get("/").await.ok_or("no page")?.1;
    if status["exporter"]["reload_failure"].is_null() || !page.contains("was not reloaded") {
        return Err("the failed reload is not in the JSON, or not on the page".to_owned());
    }
    Ok(())
}

/// The directory of key files comes up empty: the reload is refused, and the keys stay.
pub(crate) async fn key_files_disappear(world: &World) -> Outcome {
    let _process = world.exporter.read().await;
    let (files, away) = (world.file("keys.d"), world.file("away"));
    std::fs::rename(&files, &away).unwrap();
    std::fs::create_dir(&files).unwrap();
    let refused = expect_failed_reload(world).await;
    sleep(world.duration(0, 2_000)).await;
    let metrics = world.metrics().await;
    std::fs::remove_dir(&files).unwrap();
    std::fs::rename(&away, &files).unwrap();
    refused?;
    if !metrics.is_some_and(|text| has_key(&text, "file0")) {
        return Err("the keys are no longer monitored".to_owned());
    }
    world.expect_line(RELOADED).await?;
    Ok("refused, then reloaded".to_owned())
}

/// A key file is touched again and again: a change of another file is loaded in spite of this.
pub(crate) async fn touched_all_the_time(world: &World) -> Outcome {
    let _process = world.exporter.read().await;
    let touched = world.file("keys.d/files.yml");
    let text = std::fs::read_to_string(&touched).unwrap();
    let late = key_line(world.folder.path(), &world.simulator, LATE_KEY, "");
    let touching = async {
        loop {
            replace(&touched, &text);
            sleep(Duration::from_millis(300)).await;
        }
    };
    let changes = async {
        sleep(world.duration(1_000, 3_000)).await;
        replace(&world.file("keys.d/late.yml"), &key_file(&late));
        let added = world.expect("the new key", |metrics| has_key(metrics, LATE_KEY)).await;
        replace(&world.file("keys.d/late.yml"), &key_file(""));
        added?;
        world.expect("the key is gone again", |metrics| !has_key(metrics, LATE_KEY)).await
    };
    tokio::select! {
        () = touching => {}
        outcome = changes => outcome?,
    }
    Ok("a key was added and removed meanwhile".to_owned())
}

/// A reload by hand succeeds, and does not take long.
async fn expect_reload(world: &World) -> Result<Duration, String> {
    let started = Instant::now();
    match world.reload().await? {
        200 => Ok(started.elapsed()),
        status => Err(format!("the reload responds with {status}")),
    }
}

/// Links to their own directory, below a pattern with `**`: reloads end.
pub(crate) async fn link_loop(world: &World) -> Outcome {
    let _process = world.exporter.read().await;
    let links = ["one", "two"].map(|name| world.file("keys.d").join(name));
    for link in &links {
        symlink(".", link).unwrap();
    }
    let reloaded = expect_reload(world).await;
    for link in &links {
        std::fs::remove_file(link).unwrap();
    }
    Ok(format!("reloaded in {:?}", reloaded?))
}

/// A key file whose name is not UTF-8 is a key file like others.
pub(crate) async fn name_that_is_not_utf_8(world: &World) -> Outcome {
    let _process = world.exporter.read().await;
    let file = world.file("keys.d").join(OsStr::from_bytes(b"late-\xff\xfe.yml"));
    let late = key_line(world.folder.path(), &world.simulator, LATE_KEY, "");
    std::fs::write(&file, key_file(&late)).unwrap();
    let reloaded = expect_reload(world).await;
    let added = world.expect("the new key", |metrics| has_key(metrics, LATE_KEY)).await;
    std::fs::remove_file(&file).unwrap();
    reloaded?;
    added?;
    world.expect("the key is gone again", |metrics| !has_key(metrics, LATE_KEY)).await?;
    Ok("a key was added and removed".to_owned())
}

/// An invalid file: the reload is refused, and the keys stay.
pub(crate) async fn invalid_configuration(world: &World) -> Outcome {
    let _process = world.exporter.read().await;
    let file = world.file("exporter.yml");
    let valid = std::fs::read_to_string(&file).unwrap();
    let invalid = ["nonsense: 1\n", "  - [\n", "health: {interval: soon}\n"];
    let added = invalid[usize::try_from(world.random(3)).unwrap()];
    replace(&file, &format!("{valid}{added}"));
    let refused = expect_failed_reload(world).await;
    sleep(world.duration(0, 2_000)).await;
    replace(&file, &valid);
    refused?;
    world.expect_line(RELOADED).await?;
    Ok(format!("with {added:?}"))
}

/// `base_url` names another host: the certificate of the old host is no longer reported.
pub(crate) async fn host_changed(world: &World) -> Outcome {
    let _process = world.exporter.read().await;
    let file = world.file("exporter.yml");
    let old = std::fs::read_to_string(&file).unwrap();
    let port = world.relay.address.port();
    replace(&file, &old.replace(&format!("127.0.0.1:{port}"), &format!("localhost:{port}")));
    let other = expect_certificate_of(world, "localhost").await;
    sleep(world.duration(0, 3_000)).await;
    replace(&file, &old);
    other?;
    world
        .expect("the certificate of the other host is not reported", |metrics| {
            sum_of(metrics, CERTIFICATE, "host=\"localhost") == 0.0
        })
        .await?;
    world.expect_line("myunisoft_probe_up{probe=\"health\"} 1").await?;
    Ok("localhost, and back".to_owned())
}

const CERTIFICATE: &str = "myunisoft_tls_certificate_expiry_timestamp_seconds{";

async fn expect_certificate_of(world: &World, host: &str) -> Result<(), String> {
    let host = format!("host=\"{host}");
    let what = format!("the certificate of the present host, {host}");
    world.expect(&what, |metrics| sum_of(metrics, CERTIFICATE, &host) > 0.0).await
}

/// The storage directory is a file: the changed state of a key is shown, and the failed write is counted. Then it is
/// written.
pub(crate) async fn storage_unusable(world: &World) -> Outcome {
    let _process = world.exporter.read().await;
    let before = world.metrics().await.ok_or("no metrics")?;
    let before = sum_of(&before, WRITE_FAILURES, "");
    let (data, away) = (world.file("data"), world.file("data.away"));
    std::fs::rename(&data, &away).unwrap();
    std::fs::write(&data, "not a directory").unwrap();
    let key = world.simulator.key(REVOKED_KEY).unwrap();
    key.revoke();
    let line = format!("myunisoft_key_state{{partner=\"acme\",key=\"{REVOKED_KEY}\",state=\"revoked\"}} 1");
    let shown = world.expect_line(&line).await;
    let counted =
        world.expect("a failed write is counted", |text| sum_of(text, WRITE_FAILURES, "") > before).await;
    std::fs::remove_file(&data).unwrap();
    std::fs::rename(&away, &data).unwrap();
    let written = expect_writes(world).await;
    key.restore();
    shown?;
    counted?;
    written?;
    world.expect_line(&line.replace("revoked\"} 1", "active\"} 1")).await?;
    Ok("reported, then written".to_owned())
}

/// Waits until the state file is replaced.
pub(crate) async fn expect_writes(world: &World) -> Result<(), String> {
    let (file, since) = (world.file("data/state.json"), SystemTime::now());
    let is_new = || std::fs::metadata(&file).and_then(|it| it.modified()).is_ok_and(|time| time > since);
    let end = Instant::now() + crate::world::PATIENCE;
    while !is_new() {
        if Instant::now() > end {
            return Err("the state is not written again".to_owned());
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
