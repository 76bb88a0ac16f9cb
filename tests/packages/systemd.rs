//! The systemd unit: what systemd's own tools say about it, and how it behaves under systemd.

use std::process::Command;

use crate::built::{VERSIONS, run};
use crate::machine::{Machine, api};
use crate::support::SECRET;
use crate::support::acme::state_line;

#[test]
fn the_exposure_of_the_unit_is_below_two() {
    // The threshold is ten times the level.
    let report = run(Command::new("systemd-analyze").args([
        "security",
        "--offline=yes",
        "--no-pager",
        "--threshold=19",
        "deploy/systemd/myunisoft-exporter.service",
    ]));
    assert!(report.contains("Overall exposure level for myunisoft-exporter.service"), "{report}");
}

#[tokio::test]
async fn systemd_accepts_the_unit_and_finds_what_it_names() {
    let machine = Machine::boot().await;
    machine.run(&format!("dpkg -i /packages/{}.deb", VERSIONS[0]));
    let verified = machine.output("systemd-analyze verify myunisoft-exporter.service");
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    for (property, value) in [
        ("Type", "notify"),
        ("WatchdogUSec", "1min"),
        ("User", "myunisoft-exporter"),
        ("StateDirectory", "myunisoft-exporter"),
        ("EnvironmentFiles", "/etc/default/myunisoft-exporter (ignore_errors=yes)"),
    ] {
        assert_eq!(machine.property(property), value, "{property}");
    }
    machine.run(
        "test -f /etc/default/myunisoft-exporter && test -f /usr/share/man/man1/myunisoft-exporter.1.gz",
    );
}

#[tokio::test]
async fn a_reload_reads_the_configuration_again_and_a_variable_of_the_default_file_is_used() {
    let simulator = api().await;
    let machine = Machine::boot().await;
    machine.run(&format!("dpkg -i /packages/{}.deb", VERSIONS[0]));
    machine.write(
        "/etc/default/myunisoft-exporter",
        "022",
        "MYUNISOFT_EXPORTER_CONFIG_AUTO_RELOAD_INTERVAL=0s\n",
    );
    machine.write("/etc/myunisoft-exporter/secrets/acme", "077", "not yet used");
    machine.drop_in("secrets", "LoadCredential=acme:/etc/myunisoft-exporter/secrets/acme\n");
    machine.run("systemctl restart myunisoft-exporter");
    machine.configure_a_key(&simulator);
    // The credential is a copy from the start of the service.
    machine.run("systemctl reload myunisoft-exporter");
    machine.wait_for_line("key=\"dupont\"").await;
    machine.run("systemctl restart myunisoft-exporter");
    machine.wait_for_line(&state_line("dupont", "active")).await;
}

/// The commands of a section of docs/install/linux.md, as root runs them. There is no sudo in the machine.
fn documented_commands(heading: &str) -> Vec<String> {
    let page = include_str!("../../docs/install/linux.md");
    let (_, section) = page.split_once(&format!("\n{heading}\n")).unwrap();
    let section = section.split("\n#").next().unwrap();
    let commands = section.lines().filter_map(|line| line.strip_prefix("$ "));
    let as_root = |command: &str| {
        command.replace("sudo -u myunisoft-exporter", "runuser -u myunisoft-exporter --").replace("sudo ", "")
    };
    commands.map(as_root).collect()
}

#[tokio::test]
async fn the_documented_commands_install_the_service_without_a_package() {
    let machine = Machine::boot().await;
    let commands = documented_commands("### Without a package");
    assert!(commands.len() >= 8 && commands[0].starts_with("cargo build --release"), "{commands:?}");
    // Instead of a build: the binary of the package.
    let built = "/run/myunisoft-exporter";
    let binary = format!(
        "dpkg-deb --fsys-tarfile /packages/{}.deb | tar -xO ./usr/bin/myunisoft-exporter",
        VERSIONS[0]
    );
    machine.run(&format!("{binary} >{built}"));
    for command in &commands[1..] {
        let command = command.replace("target/release/myunisoft-exporter", built);
        machine.run(&format!("cd {}; {command}", env!("CARGO_MANIFEST_DIR")));
    }
    machine.wait_for_property("ActiveState", |state| state == "active").await;
    machine.wait_for_line("myunisoft_exporter_config_last_reload_successful 1").await;
    assert_eq!(machine.access("/etc/myunisoft-exporter/secrets"), "root:myunisoft-exporter 750");
}

// The commands that are waited for here send requests to the simulated API.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_commands_make_the_first_key_work() {
    let simulator = api().await;
    let machine = Machine::boot().await;
    machine.run(&format!("dpkg -i /packages/{}.deb", VERSIONS[0]));
    let commands = documented_commands("## The first key");
    let (secrets, others) = commands.split_at(2);
    for (command, value) in secrets.iter().zip([SECRET, &simulator.key("dupont").unwrap().token().unwrap()]) {
        let (command, _) = command.split_once(" #").unwrap();
        machine.run(&format!("echo '{value}' | {}", command.trim()));
    }
    let page = include_str!("../../docs/install/linux.md");
    let (_, documented) = page.split_once("```yaml\n").unwrap();
    let (documented, _) = documented.split_once("```").unwrap();
    let api =
        format!("api: {{base_url: \"{}\", auth_url: \"{}\"}}\n", simulator.base_url(), simulator.auth_url());
    machine.write("/etc/myunisoft-exporter/myunisoft-exporter.yml", "022", &(api + documented));
    assert!(others.len() == 3 && others[2].contains(" probe "), "{others:?}");
    for command in others {
        machine.run(command);
    }
    machine.wait_for_line(&state_line("dupont", "active")).await;
}

#[tokio::test]
async fn systemd_restarts_an_exporter_that_no_longer_reports() {
    let machine = Machine::boot().await;
    machine.run(&format!("dpkg -i /packages/{}.deb", VERSIONS[0]));
    machine.drop_in("watchdog", "WatchdogSec=3\nRestartSec=100ms\n");
    machine.run("systemctl restart myunisoft-exporter");
    let process = machine.property("MainPID");
    machine.run(&format!("kill -STOP {process}"));
    machine.wait_for_property("NRestarts", |count| count != "0").await;
    machine.wait_for_property("ActiveState", |state| state == "active").await;
    assert_ne!(machine.property("MainPID"), process);
    machine.wait_for_line("myunisoft_exporter_config_last_reload_successful 1").await;
}
