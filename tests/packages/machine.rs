//! A machine to install packages on: a copy of this machine's system in which systemd runs.

use std::path::Path;
use std::process::{Command, Output};

use partner_simulator::{Limits, Simulator};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::built::Packages;
use crate::support::SECRET;
use crate::support::server::{Server, TIMEOUT, client, run_tool, run_tool_with_input, until, until_within};

const SERVICE: &str = "myunisoft-exporter.service";
const CONFIGURATION: &str = "/etc/myunisoft-exporter/myunisoft-exporter.yml";
/// The log of the exporter: no journal runs in the machine.
const LOG: &str = "/run/exporter.log";

/// Where a package or a service can leave files.
const DIRECTORIES: [&str; 4] = ["/etc", "/usr", "/opt", "/var"];

pub(crate) struct Machine {
    server: Server,
    /// The process ID of its systemd.
    systemd: String,
    /// The URL of its exporter.
    url: String,
    _scratch: TempDir,
}

impl Machine {
    /// Boots a machine that has the packages in `/packages`. It shares the network with the tests, so its exporter gets a
    /// port of its own.
    pub(crate) async fn boot() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/boot.sh"));
        let server = Server::spawn(command.arg(scratch.path()).arg(&Packages::get().folder));
        let systemd =
            until("systemd, which needs root to start", || async { systemd_of(server.pid()) }).await;
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let machine = Self { server, systemd, url: format!("http://{address}"), _scratch: scratch };
        let booted =
            || async { (machine.output("systemctl is-system-running").stdout == b"running\n").then_some(()) };
        until("the end of the boot", booted).await;
        let address = format!("Environment=MYUNISOFT_EXPORTER_WEB_LISTEN_ADDRESS={address}\n");
        machine.drop_in("test", &format!("{address}StandardError=append:{LOG}\n"));
        machine
    }

    /// Runs a shell script in the machine.
    pub(crate) fn output(&self, script: &str) -> Output {
        run_tool(&mut self.command(script))
    }

    /// The same, but the script must succeed. Returns what it printed, without spaces at both ends.
    pub(crate) fn run(&self, script: &str) -> String {
        let output = self.output(script);
        let log = || self.output(&format!("systemctl status --no-pager {SERVICE} || true; tail {LOG}"));
        assert!(output.status.success(), "{script}: {output:?}\n{:?}", log());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.systemd,
            "--mount",
            "--pid",
            "--cgroup",
            "--root",
            "--wd",
            "sh",
            "-euc",
            script,
        ]);
        command
    }

    /// Writes a file as `umask` allows: 077 is for root only.
    pub(crate) fn write(&self, path: &str, umask: &str, text: &str) {
        let script = format!("umask {umask}; mkdir -p \"$(dirname {path})\"; cat >{path}");
        let output = run_tool_with_input(&mut self.command(&script), text);
        assert!(output.status.success(), "{path}: {output:?}");
    }

    /// Adds settings to the service, as `systemctl edit` does.
    pub(crate) fn drop_in(&self, name: &str, settings: &str) {
        let path = format!("/etc/systemd/system/{SERVICE}.d/{name}.conf");
        self.write(&path, "022", &format!("[Service]\n{settings}"));
        self.run("systemctl daemon-reload");
    }

    /// A property of the service.
    pub(crate) fn property(&self, name: &str) -> String {
        self.run(&format!("systemctl show --property={name} --value {SERVICE}"))
    }

    pub(crate) async fn wait_for_property(&self, name: &str, holds: impl Fn(&str) -> bool) {
        let poll = || async { holds(&self.property(name)).then_some(()) };
        until(&format!("{name} of the service, which is {}", self.property(name)), poll).await;
    }

    /// Waits for a line, or a part of one, in the metrics of the exporter.
    pub(crate) async fn wait_for_line(&self, line: &str) {
        let url = format!("{}/metrics", self.url);
        let poll = || async {
            let metrics = client().get(&url).send().await.ok()?.text().await.ok()?;
            metrics.contains(line).then_some(())
        };
        until_within(TIMEOUT, line, poll).await;
    }

    /// The owner, the group and the mode of a file.
    pub(crate) fn access(&self, path: &str) -> String {
        self.run(&format!("stat -c '%U:%G %a' {path}"))
    }

    /// Files and directories with the exporter's name, except those of the administrator and of this repository.
    pub(crate) fn remains(&self) -> Vec<String> {
        let repository = env!("CARGO_MANIFEST_DIR");
        let found = self.run(&format!(
            "find {} -xdev \\( -path {repository} -o -path '/etc/systemd/system/{SERVICE}.d' \\) -prune -o \
             -name '*myunisoft*' -print",
            DIRECTORIES.join(" ")
        ));
        found.lines().map(str::to_owned).collect()
    }

    /// Configures one key as the documents describe it: the partner's secret is one that only root can read, and the
    /// token is a file that the service's group can read.
    pub(crate) fn configure_a_key(&self, simulator: &Simulator) {
        let (base, auth) = (simulator.base_url(), simulator.auth_url());
        let probe = "interval: 1s, timeout: 1s";
        let text = format!(
            "api: {{base_url: \"{base}\", auth_url: \"{auth}\"}}\nhealth: {{{probe}}}\nkey_info: {{{probe}}}\n\
             partners:\n  - name: acme\n    secret_file: /run/credentials/{SERVICE}/acme\n    keys:\n\
             \x20     - {{name: dupont, access: society, canaries: [], token_file: /etc/myunisoft-exporter/secrets/dupont}}\n"
        );
        let secrets = "/etc/myunisoft-exporter/secrets";
        self.write(&format!("{secrets}/acme"), "077", SECRET);
        self.drop_in("secrets", &format!("LoadCredential=acme:{secrets}/acme\n"));
        self.write(&format!("{secrets}/dupont"), "027", &simulator.key("dupont").unwrap().token().unwrap());
        self.run(&format!("chgrp myunisoft-exporter {secrets}/dupont"));
        self.write(CONFIGURATION, "022", &text);
    }

    /// The configuration, with its owner, group and mode.
    pub(crate) fn configuration(&self) -> String {
        self.run(&format!("stat -c '%U:%G %a' {CONFIGURATION}; cat {CONFIGURATION}"))
    }
}

impl Drop for Machine {
    /// Removes the control groups of the machine. The kernel removes one only after the end of its last process.
    fn drop(&mut self) {
        self.server.signal(Signal::KILL);
        let script = "group=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)/packages-test-$0; \
                      for attempt in $(seq 100); do \
                      find \"$group\" -depth -type d -exec rmdir {} + && break; sleep 0.05; done";
        let _ = Command::new("sh").args(["-c", script, &self.server.pid().to_string()]).output();
    }
}

/// The systemd that this process has started.
fn systemd_of(pid: u32) -> Option<String> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let mut children = children.split_whitespace();
    let is_systemd = |child: &&str| {
        std::fs::read_to_string(Path::new("/proc").join(child).join("comm"))
            .is_ok_and(|name| name == "systemd\n")
    };
    children.find(is_systemd).map(str::to_owned)
}

/// A simulated API with one key, dupont.
pub(crate) async fn api() -> Simulator {
    let limits = Limits { total: 1_000_000, ..Default::default() };
    let simulator =
        Simulator::builder().limits(limits).partner("acme", SECRET).society_key("dupont", 80, 127);
    simulator.start().await.unwrap()
}
