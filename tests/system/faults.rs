//! Faults of the environment: disk, clock, host names, file descriptors. The exporter reports each fault and recovers
//! without help.

mod clock;
mod dead_files;
mod disk;
mod file_descriptors;
mod host_names;

use std::process::Command;

use crate::support::server::{BINARY, run_tool};

const FAILED_WRITES: &str = "myunisoft_exporter_storage_write_failures_total";

/// A command that runs `script`, and then the program, in a new mount namespace, so no other process sees the mounts. In
/// a new user namespace, the process is root, because only root can mount.
fn in_mount_namespace(script: &str) -> Command {
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

/// Runs a script in the mount namespace of a process.
fn run_in_namespace_of(pid: u32, script: &str) {
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--user", "--preserve-credentials", "--target", &pid.to_string()]);
    let output = run_tool(command.args(["sh", "-ec", script]));
    assert!(output.status.success(), "{script}: {output:?}");
}
