//! The disk under the memory: full, read-only, locked, gone. What is known is shown all the same, the
//! trouble is told in log and metric, and all is written down once it can be.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use partner_simulator::Simulator;
use rustix::process::Signal;
use tempfile::TempDir;

use super::{FAILED_WRITES, beside, with_own_mounts};
use crate::support::acme::{state_line, two_keys};
use crate::support::server::{BINARY, Exporter, until};

/// An exporter whose memory lies on a disk of 64 KiB that only it sees, and that disk.
async fn on_a_small_disk(folder: &TempDir) -> (Exporter, PathBuf) {
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mount = format!("mount -t tmpfs -o size=64k none {}", data.display());
    let exporter = Exporter::start_under(with_own_mounts(&mount), folder.path(), &[]).await;
    let disk = PathBuf::from(format!("/proc/{}/root{}", exporter.server.pid(), data.display()));
    (exporter, disk)
}

fn state_in(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("state.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys = file["keys"].as_array().unwrap();
    let dupont = keys.iter().find(|record| record["key"] == "dupont").unwrap();
    dupont["state"].as_str().unwrap().to_owned()
}

/// The trouble has begun: what changes now is shown and not written, and that is told.
async fn is_told(exporter: &Exporter, simulator: &Simulator, data: &Path) {
    simulator.key("dupont").unwrap().revoke();
    exporter.shows(&state_line("dupont", "revoked")).await;
    exporter.server.line(&["level=error", "cannot write the state file", "cause="]).await;
    assert!(exporter.figure(FAILED_WRITES).await > 0.0);
    assert_eq!(exporter.get("/-/healthy").await.unwrap().0, 200, "no restart mends a disk");
    assert!(!data.join("state.json").exists() || state_in(data) == "active", "the old memory is whole");
}

/// The trouble is over: all is written, without anybody's help.
async fn recovers(exporter: &Exporter, data: &Path) {
    exporter.server.line(&["level=info", "the state file can be written again"]).await;
    assert_eq!(state_in(data), "revoked");
    let failed = exporter.figure(FAILED_WRITES).await;
    exporter.shows(&format!("{FAILED_WRITES} {failed}")).await;
}

#[tokio::test]
async fn a_full_disk_is_reported_and_the_state_is_written_once_there_is_space() {
    let (simulator, folder) = two_keys().await;
    let (exporter, disk) = on_a_small_disk(&folder).await;
    exporter.shows(&state_line("dupont", "active")).await;
    let filler = disk.join("filler");
    let full = std::fs::write(&filler, vec![0; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    is_told(&exporter, &simulator, &disk).await;
    std::fs::remove_file(filler).unwrap();
    recovers(&exporter, &disk).await;
    let scraps: Vec<_> = std::fs::read_dir(&disk).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(scraps.len(), 2, "the lock and the memory: {scraps:?}");
}

#[tokio::test]
async fn a_read_only_disk_is_reported_and_the_state_is_written_once_it_is_writable() {
    let (simulator, folder) = two_keys().await;
    let (exporter, disk) = on_a_small_disk(&folder).await;
    exporter.shows(&state_line("dupont", "active")).await;
    let mount = folder.path().join("data");
    let mount = mount.display();
    beside(exporter.server.pid(), &format!("mount --bind {mount} {mount}; mount -o remount,bind,ro {mount}"));
    is_told(&exporter, &simulator, &disk).await;
    beside(exporter.server.pid(), &format!("mount -o remount,bind,rw {mount}"));
    recovers(&exporter, &disk).await;
}

#[tokio::test]
async fn a_lost_permission_is_reported_and_the_state_is_written_once_it_is_back() {
    let (simulator, folder) = two_keys().await;
    // Root may do everything everywhere, unless it gave up that right.
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=-all", "--bounding-set=-all", BINARY]);
    let exporter = Exporter::start_under(command, folder.path(), &[]).await;
    exporter.shows(&state_line("dupont", "active")).await;
    let data = folder.path().join("data");
    let allow = |mode| std::fs::set_permissions(&data, std::fs::Permissions::from_mode(mode)).unwrap();
    until("the first memory", || async { (state_in_or_none(&data)? == "active").then_some(()) }).await;
    allow(0o500);
    is_told(&exporter, &simulator, &data).await;
    allow(0o700);
    recovers(&exporter, &data).await;
}

fn state_in_or_none(data: &Path) -> Option<String> {
    data.join("state.json").exists().then(|| state_in(data))
}

#[tokio::test]
async fn a_removed_storage_directory_is_created_again_with_the_whole_state() {
    let (simulator, folder) = two_keys().await;
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    exporter.shows(&state_line("dupont", "active")).await;
    let data = folder.path().join("data");
    std::fs::remove_dir_all(&data).unwrap();
    simulator.key("martin").unwrap().revoke();
    exporter.shows(&state_line("martin", "revoked")).await;
    exporter.server.signal(Signal::KILL);
    exporter.server.end().await;
    assert_eq!(state_in(&data), "active", "the other key's state is there again too");
}

#[tokio::test]
async fn storage_that_becomes_available_late_is_read_before_it_is_replaced() {
    let (simulator, folder) = two_keys().await;
    let (data, away) = (folder.path().join("data"), folder.path().join("away"));
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    exporter.shows(&state_line("dupont", "active")).await;
    exporter.server.signal(Signal::TERM);
    exporter.server.end().await;
    // A volume that is not mounted yet: the folder is there, and nothing can be made in it.
    std::fs::rename(&data, &away).unwrap();
    std::fs::write(&data, "").unwrap();
    simulator.key("dupont").unwrap().revoke();
    let exporter = Exporter::start(folder.path(), &[]).await;
    exporter.server.line(&["level=error", "cannot use the storage directory"]).await;
    exporter.shows(&state_line("dupont", "not_found")).await;
    std::fs::remove_file(&data).unwrap();
    std::fs::rename(&away, &data).unwrap();
    exporter.server.line(&["the state file can be written again"]).await;
    exporter.shows(&state_line("dupont", "revoked")).await;
}

#[tokio::test]
async fn a_pipe_or_a_device_instead_of_the_state_file_delays_neither_the_start_nor_the_probes() {
    let (simulator, folder) = two_keys().await;
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Command::new("mkfifo").arg(data.join("state.json")).status().unwrap().success());
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    exporter
        .server
        .line(&["level=warn", "every user of this machine can write to the storage directory"])
        .await;
    exporter.server.line(&["level=error", "cannot read", "state.json", "not a regular file"]).await;
    exporter.shows(&state_line("dupont", "active")).await;
    std::fs::remove_file(data.join("state.json")).unwrap();
    exporter.server.line(&["level=info", "the state file can be written again"]).await;
    assert_eq!(state_in(&data), "active");
    // Another folder comes in its place, with a file that never ends.
    let before = exporter.figure(FAILED_WRITES).await;
    std::fs::rename(&data, folder.path().join("old")).unwrap();
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink("/dev/zero", data.join("state.json")).unwrap();
    simulator.key("dupont").unwrap().revoke();
    exporter.shows(&state_line("dupont", "revoked")).await;
    until("a failed write", || async { (exporter.figure(FAILED_WRITES).await > before).then_some(()) }).await;
    assert!(exporter.server.peak_memory() < 200 << 20, "{}", exporter.server.peak_memory());
    exporter.server.signal(Signal::TERM);
    assert_eq!(exporter.server.end().await.code(), Some(0));
}
