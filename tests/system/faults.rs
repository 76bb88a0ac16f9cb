//! What happens around the exporter: kills, disks, clocks, names, descriptors. It says what is wrong, and
//! recovers by itself.

mod clock;
mod disk;
mod file_descriptors;
mod host_names;

use std::process::Command;

use crate::support::server::BINARY;

const FAILED_WRITES: &str = "myunisoft_exporter_storage_write_failures_total";

/// The program in file systems of its own, after `script`: what is mounted there, nobody else sees. It
/// becomes root among its own, if it is not, for only root mounts.
fn with_own_mounts(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--map-root-user",
        "sh",
        "-ec",
        &format!("{script}\nexec \"$0\" \"$@\""),
        BINARY,
    ]);
    command
}

/// Runs a command among the file systems of a process.
fn beside(pid: u32, script: &str) {
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--user", "--preserve-credentials", "--target", &pid.to_string()]);
    let output = command.args(["sh", "-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
}
