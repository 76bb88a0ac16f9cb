//! Key files of a running exporter: directories that come up empty, links that form loops, files that never rest.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::SECRET;
use crate::support::acme::{key_line, state_line, two_keys, write_config};
use crate::support::server::{BINARY, Exporter, client};
use partner_simulator::Simulator;
use tokio::time::sleep;

const SUCCESSFUL: &str = "myunisoft_exporter_config_last_reload_successful";
const FLAGS: &[&str] = &["--web.enable-lifecycle", "--config.auto-reload-interval=1s"];

/// Configures dupont in a key file and martin in another one, and nothing else.
fn write_key_files(folder: &Path, simulator: &Simulator, pattern: &str) {
    let file = folder.join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    let settings = text.split("partners:").next().unwrap();
    std::fs::write(&file, format!("{settings}key_files: ['{pattern}']\n")).unwrap();
    std::fs::create_dir_all(folder.join("keys.d")).unwrap();
    for (key, secret) in [("dupont", &*format!("    secret: {SECRET}\n")), ("martin", "")] {
        write_key_file(folder, key, secret, &[key_line(simulator, key)]);
    }
}

fn write_key_file(folder: &Path, file: &str, secret: &str, keys: &[String]) {
    let keys = if keys.is_empty() { " []".to_owned() } else { format!("\n{}", keys.join("\n")) };
    let text = format!("partners:\n  - name: acme\n{secret}    keys:{keys}\n");
    std::fs::write(folder.join("keys.d").join(file).with_extension("yml"), text).unwrap();
}

async fn reload(exporter: &Exporter) -> (u16, String) {
    let response = client().post(format!("{}/-/reload", exporter.url)).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn key_files_that_disappear_refuse_a_reload_and_a_start() {
    let (simulator, folder) = two_keys().await;
    let folder = folder.path();
    write_key_files(folder, &simulator, "keys.d/*.yml");
    let mut exporter = Exporter::start(folder, FLAGS).await;
    exporter.wait_for_line(&state_line("martin", "active")).await;
    std::fs::rename(folder.join("keys.d"), folder.join("unmounted")).unwrap();
    std::fs::create_dir(folder.join("keys.d")).unwrap();
    exporter.wait_for_line(&format!("{SUCCESSFUL} 0")).await;
    let (status, text) = reload(&exporter).await;
    assert!(status == 500 && text.contains("keys.d/*.yml matches no file any more"), "{text}");
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    assert!(exporter.metrics().await.contains("martin"), "the keys are still monitored");
    exporter.server.signal(rustix::process::Signal::TERM);
    exporter.server.wait_for_exit().await;
    let mut refused = Exporter::start(folder, FLAGS).await;
    assert_eq!(refused.server.wait_for_exit().await.code(), Some(2));
    refused.server.wait_for_log(&["level=error", "matches no file any more, and it matched 2 before"]).await;
    // A file that says so is believed.
    std::fs::write(folder.join("keys.d/none.yml"), "partners: []").unwrap();
    let exporter = Exporter::start(folder, FLAGS).await;
    exporter.wait_for_line(&format!("{SUCCESSFUL} 1")).await;
    assert!(!exporter.metrics().await.contains("martin"));
    std::fs::remove_file(folder.join("keys.d/none.yml")).unwrap();
    exporter.wait_for_line(&format!("{SUCCESSFUL} 0")).await;
    std::fs::rename(folder.join("unmounted/dupont.yml"), folder.join("keys.d/dupont.yml")).unwrap();
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    exporter.wait_for_line(&format!("{SUCCESSFUL} 1")).await;
}

#[tokio::test]
async fn a_default_configuration_file_that_disappears_refuses_a_reload_and_a_start_and_may_come_back() {
    let (simulator, folder) = two_keys().await;
    let folder = folder.path();
    let lines = ["dupont", "martin"].map(|key| key_line(&simulator, key));
    write_config(folder, &simulator, &lines);
    let (file, elsewhere) = (folder.join("myunisoft-exporter.yml"), folder.join("elsewhere.yml"));
    std::fs::rename(folder.join("exporter.yml"), &file).unwrap();
    let start = async || {
        let mut command = Command::new(BINARY);
        command.current_dir(folder).args(["--storage.path=data", "--web.listen-address=127.0.0.1:0"]);
        Exporter::start_with_flags(command, FLAGS).await
    };
    let mut exporter = start().await;
    exporter.wait_for_line(&state_line("martin", "active")).await;
    std::fs::rename(&file, &elsewhere).unwrap();
    exporter.wait_for_line(&format!("{SUCCESSFUL} 0")).await;
    let (status, text) = reload(&exporter).await;
    assert!(status == 500 && text.contains("there is no configuration file any more"), "{text}");
    exporter.wait_for_line(&state_line("martin", "active")).await;
    std::fs::rename(&elsewhere, &file).unwrap();
    exporter.wait_for_line(&format!("{SUCCESSFUL} 1")).await;
    exporter.server.signal(rustix::process::Signal::TERM);
    exporter.server.wait_for_exit().await;
    std::fs::rename(&file, &elsewhere).unwrap();
    let mut refused = start().await;
    assert_eq!(refused.server.wait_for_exit().await.code(), Some(2));
    refused.server.wait_for_log(&["level=error", "there is no configuration file any more"]).await;
    // A link whose target is not mounted is not a missing file.
    symlink("/nonexistent/file.yml", &file).unwrap();
    let output = Command::new(BINARY).current_dir(folder).arg("--storage.path=other").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("myunisoft-exporter.yml"), "{text}");
}

#[tokio::test]
async fn links_that_form_loops_do_not_stop_reloads() {
    let (simulator, folder) = two_keys().await;
    let folder = folder.path();
    write_key_files(folder, &simulator, "keys.d/**/*.yml");
    let exporter = Exporter::start(folder, FLAGS).await;
    exporter.wait_for_line(&state_line("martin", "active")).await;
    for link in ["one", "two", "three"] {
        symlink(".", folder.join("keys.d").join(link)).unwrap();
    }
    assert_eq!(reload(&exporter).await.0, 200);
    std::fs::remove_file(folder.join("keys.d/martin.yml")).unwrap();
    assert_eq!(reload(&exporter).await.0, 200);
    let metrics = exporter.metrics().await;
    assert!(metrics.contains("dupont") && !metrics.contains("martin"), "{metrics}");
}

#[tokio::test]
async fn a_file_that_changes_all_the_time_does_not_stop_reloads() {
    let (simulator, folder) = two_keys().await;
    let path = folder.path().to_owned();
    write_key_files(&path, &simulator, "keys.d/*.yml");
    write_key_file(&path, "martin", "", &[]);
    let exporter = Exporter::start(&path, FLAGS).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (file, stopped) = (path.join("keys.d/dupont.yml"), Arc::clone(&stop));
    let text = std::fs::read(&file).unwrap();
    let touching = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            std::fs::write(file.with_extension("new"), &text).unwrap();
            std::fs::rename(file.with_extension("new"), &file).unwrap();
            sleep(Duration::from_millis(100)).await;
        }
    });
    write_key_file(&path, "martin", "", &[key_line(&simulator, "martin")]);
    exporter.wait_for_line(&state_line("martin", "active")).await;
    assert_eq!(reload(&exporter).await.0, 200);
    // Only the first reload changed anything: the others are no news.
    let reloads = || exporter.server.output().matches("reloaded because a file changed").count();
    let before = reloads();
    sleep(Duration::from_secs(8)).await;
    assert_eq!(reloads(), before, "{}", exporter.server.output());
    stop.store(true, Ordering::Relaxed);
    touching.await.unwrap();
}

#[tokio::test]
async fn a_failed_reload_is_in_the_json_and_on_the_page_until_one_succeeds() {
    let (_simulator, folder) = two_keys().await;
    let file = folder.path().join("exporter.yml");
    let exporter = Exporter::start(folder.path(), &["--web.enable-lifecycle"]).await;
    let failure = async || exporter.get_json("/api/v1/status").await.1["exporter"]["reload_failure"].clone();
    assert!(failure().await.is_null());
    let valid = std::fs::read(&file).unwrap();
    std::fs::write(&file, "helth: {}\n").unwrap();
    assert_eq!(reload(&exporter).await.0, 500);
    let shown = failure().await;
    assert!(shown["error"].as_str().unwrap().contains("exporter.yml:1: helth"), "{shown}");
    assert!(shown["timestamp_seconds"].as_f64().unwrap() > 1e9, "{shown}");
    let page = async || exporter.get("/").await.unwrap().1;
    let text = page().await;
    assert!(
        text.contains("The configuration was not reloaded") && text.contains("exporter.yml:1: helth"),
        "{text}"
    );
    std::fs::write(&file, valid).unwrap();
    assert_eq!(reload(&exporter).await.0, 200);
    assert!(failure().await.is_null());
    assert!(!page().await.contains("was not reloaded"));
}
