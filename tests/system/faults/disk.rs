//! The storage directory is full, read-only, without permission, or missing. The exporter still shows the states, reports
//! the fault in its log and metrics, and writes the states once it can.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use partner_simulator::Simulator;
use rustix::process::Signal;
use tempfile::TempDir;

use super::{FAILED_WRITES, in_mount_namespace, run_in_namespace_of};
use crate::state_file::tokens_of_keys;
use crate::support::acme::{state_line, two_keys};
use crate::support::server::{BINARY, Exporter, run_tool, until};

/// Starts an exporter whose storage directory is a file system of 64 KiB that only this process sees. Returns also the
/// path of this file system.
async fn start_on_small_disk(folder: &TempDir) -> (Exporter, PathBuf) {
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mount = format!("mount -t tmpfs -o size=64k none {}", data.display());
    let exporter = Exporter::start_with_command(in_mount_namespace(&mount), folder.path(), &[]).await;
    let disk = PathBuf::from(format!("/proc/{}/root{}", exporter.server.pid(), data.display()));
    (exporter, disk)
}

/// The state of dupont in the state file.
fn persisted_state(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("state.json")).unwrap();
    let tokens = tokens_of_keys(&text);
    tokens["dupont"]["state"].as_str().unwrap().to_owned()
}

/// Revokes dupont and checks that the state is shown, but not written, and that the failed write is reported.
async fn assert_write_failure_is_reported(exporter: &Exporter, simulator: &Simulator, data: &Path) {
    simulator.key("dupont").unwrap().revoke();
    exporter.wait_for_line(&state_line("dupont", "revoked")).await;
    exporter.server.wait_for_log(&["level=error", "cannot write the state file", "cause="]).await;
    assert!(exporter.sample_value(FAILED_WRITES).await > 0.0);
    let (_, status) = exporter.get_json("/api/v1/status").await;
    assert!(status["exporter"]["storage_failure"]["error"].is_string(), "{}", status["exporter"]);
    let (_, page) = exporter.get("/").await.unwrap();
    assert!(page.contains("The states cannot be saved to disk."), "{page}");
    assert_eq!(exporter.get("/-/healthy").await.unwrap().0, 200, "a restart would not repair the disk");
    assert!(
        !data.join("state.json").exists() || persisted_state(data) == "active",
        "the previous state file is complete"
    );
}

/// Checks that the state is written once writing works again.
async fn assert_recovery(exporter: &Exporter, data: &Path) {
    exporter.server.wait_for_log(&["level=info", "the state file can be written again"]).await;
    assert_eq!(persisted_state(data), "revoked");
    until("a status without the failure", || async {
        let (_, status) = exporter.get_json("/api/v1/status").await;
        status["exporter"]["storage_failure"].is_null().then_some(())
    })
    .await;
    let failed = exporter.sample_value(FAILED_WRITES).await;
    exporter.wait_for_line(&format!("{FAILED_WRITES} {failed}")).await;
}

#[tokio::test]
async fn a_full_disk_is_reported_and_the_state_is_written_once_there_is_space() {
    let (simulator, folder) = two_keys().await;
    let (exporter, disk) = start_on_small_disk(&folder).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    let filler = disk.join("filler");
    let full = std::fs::write(&filler, vec![0; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert_write_failure_is_reported(&exporter, &simulator, &disk).await;
    std::fs::remove_file(filler).unwrap();
    assert_recovery(&exporter, &disk).await;
    until("no temporary file", || async {
        let files = std::fs::read_dir(&disk).unwrap().map(|file| file.unwrap().file_name());
        let files: BTreeSet<_> = files.map(|name| name.into_string().unwrap()).collect();
        (files == ["history.json", "last-alive", "lock", "state.json"].map(String::from).into()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_read_only_disk_is_reported_and_the_state_is_written_once_it_is_writable() {
    let (simulator, folder) = two_keys().await;
    let (exporter, disk) = start_on_small_disk(&folder).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    let mount = folder.path().join("data");
    let mount = mount.display();
    run_in_namespace_of(
        exporter.server.pid(),
        &format!("mount --bind {mount} {mount}; mount -o remount,bind,ro {mount}"),
    );
    assert_write_failure_is_reported(&exporter, &simulator, &disk).await;
    run_in_namespace_of(exporter.server.pid(), &format!("mount -o remount,bind,rw {mount}"));
    assert_recovery(&exporter, &disk).await;
}

#[tokio::test]
async fn a_lost_permission_is_reported_and_the_state_is_written_once_it_is_back() {
    let (simulator, folder) = two_keys().await;
    // Root ignores file permissions unless it drops its capabilities.
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=-all", "--bounding-set=-all", BINARY]);
    let exporter = Exporter::start_with_command(command, folder.path(), &[]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    let data = folder.path().join("data");
    let allow = |mode| std::fs::set_permissions(&data, std::fs::Permissions::from_mode(mode)).unwrap();
    until("the first state file", || async { (persisted_state_if_any(&data)? == "active").then_some(()) })
        .await;
    allow(0o500);
    assert_write_failure_is_reported(&exporter, &simulator, &data).await;
    allow(0o700);
    assert_recovery(&exporter, &data).await;
}

fn persisted_state_if_any(data: &Path) -> Option<String> {
    data.join("state.json").exists().then(|| persisted_state(data))
}

#[tokio::test]
async fn a_removed_storage_directory_is_created_again_with_the_whole_state() {
    let (simulator, folder) = two_keys().await;
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    let data = folder.path().join("data");
    std::fs::remove_dir_all(&data).unwrap();
    simulator.key("martin").unwrap().revoke();
    exporter.wait_for_line(&state_line("martin", "revoked")).await;
    exporter.server.signal(Signal::KILL);
    exporter.server.wait_for_exit().await;
    assert_eq!(persisted_state(&data), "active", "the state of the other key is written too");
}

#[tokio::test]
async fn storage_that_becomes_available_late_is_read_before_it_is_replaced() {
    let (simulator, folder) = two_keys().await;
    let (data, moved) = (folder.path().join("data"), folder.path().join("moved"));
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    exporter.server.signal(Signal::TERM);
    exporter.server.wait_for_exit().await;
    // This simulates a volume that is not mounted yet: nothing can be created in the storage directory.
    std::fs::rename(&data, &moved).unwrap();
    std::fs::write(&data, "").unwrap();
    simulator.key("dupont").unwrap().revoke();
    let exporter = Exporter::start(folder.path(), &[]).await;
    exporter.server.wait_for_log(&["level=error", "cannot use the storage directory"]).await;
    exporter.wait_for_line(&state_line("dupont", "not_found")).await;
    std::fs::remove_file(&data).unwrap();
    std::fs::rename(&moved, &data).unwrap();
    exporter.server.wait_for_log(&["the state file can be written again"]).await;
    exporter.wait_for_line(&state_line("dupont", "revoked")).await;
}

#[tokio::test]
async fn a_storage_directory_of_another_user_is_not_used() {
    const NOBODY: Option<u32> = Some(65534);
    const FILES: [&str; 4] = ["lock", "state.json", "last-alive", "history.json"];
    let (_simulator, folder) = two_keys().await;
    let data = folder.path().join("data");
    let target = folder.path().join("file-of-another-service");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(&target, "content").unwrap();
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o644)).unwrap();
    for name in FILES {
        std::os::unix::fs::symlink(&target, data.join(name)).unwrap();
    }
    std::os::unix::fs::chown(&data, NOBODY, NOBODY).unwrap();
    let exporter = Exporter::start(folder.path(), &[]).await;
    exporter.server.wait_for_log(&["level=error", "belongs to the user 65534", "change its owner"]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "content");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), FILES.len(), "nothing is written there");
    assert!(data.join("last-alive").is_symlink());
    // The directory is tried again.
    for name in FILES {
        std::fs::remove_file(data.join(name)).unwrap();
    }
    std::os::unix::fs::chown(&data, Some(rustix::process::geteuid().as_raw()), None).unwrap();
    exporter.server.wait_for_log(&["level=info", "the state file can be written again"]).await;
    assert_eq!(persisted_state(&data), "active");
}

#[tokio::test]
async fn a_pipe_or_a_device_instead_of_the_state_file_delays_neither_the_start_nor_the_probes() {
    let (simulator, folder) = two_keys().await;
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(run_tool(Command::new("mkfifo").arg(data.join("state.json"))).status.success());
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    exporter
        .server
        .wait_for_log(&["level=warn", "every user of this machine can write to the storage directory"])
        .await;
    exporter.server.wait_for_log(&["level=error", "cannot read", "state.json", "not a regular file"]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    std::fs::remove_file(data.join("state.json")).unwrap();
    exporter.server.wait_for_log(&["level=info", "the state file can be written again"]).await;
    assert_eq!(persisted_state(&data), "active");
    // The storage directory is replaced by another one, whose state file has no end.
    let before = exporter.sample_value(FAILED_WRITES).await;
    std::fs::rename(&data, folder.path().join("old")).unwrap();
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink("/dev/zero", data.join("state.json")).unwrap();
    simulator.key("dupont").unwrap().revoke();
    exporter.wait_for_line(&state_line("dupont", "revoked")).await;
    until("a failed write", || async { (exporter.sample_value(FAILED_WRITES).await > before).then_some(()) })
        .await;
    assert!(exporter.server.peak_memory() < 200 << 20, "{}", exporter.server.peak_memory());
    exporter.server.signal(Signal::TERM);
    assert_eq!(exporter.server.wait_for_exit().await.code(), Some(0));
}
