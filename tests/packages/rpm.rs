//! The .rpm: its content, and its life on a machine with systemd. The machine is a Debian one, so rpm does not find the
//! names of the packages that this one needs.

use std::collections::HashMap;
use std::process::Command;

use partner_simulator::{Fault, Scope};

use crate::built::{Packages, VERSIONS, common_files, run};
use crate::machine::{Machine, api};
use crate::support::acme::state_line;

fn query(format: &str) -> String {
    let package = Packages::get().rpm(VERSIONS[0]);
    run(Command::new("rpm").args(["--query", "--queryformat", format, "--package"]).arg(package))
}

#[test]
fn the_rpm_contains_every_file_with_its_mode() {
    let list = query("[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]");
    let rows = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found: HashMap<_, _> =
        rows.map(|row| (row[2].to_owned(), (row[0].to_owned(), row[1].to_owned()))).collect();
    let own = [
        "/usr/share/zsh/site-functions/_myunisoft-exporter",
        "/usr/share/doc/myunisoft-exporter/CHANGELOG.md",
        "/usr/share/licenses/myunisoft-exporter/LICENSE",
        "/usr/share/licenses/myunisoft-exporter/NOTICE",
        "/usr/share/licenses/myunisoft-exporter/THIRD-PARTY-NOTICES.md",
    ];
    for (mode, path) in common_files().into_iter().chain(own.map(|path| ("-rw-r--r--", path.to_owned()))) {
        let group = if path.starts_with("/etc/myunisoft-exporter/") { "myunisoft-exporter" } else { "root" };
        assert_eq!(found.get(&path), Some(&(mode.to_owned(), format!("root:{group}"))), "{path} in:\n{list}");
    }
    let kept = query("[%{FILEFLAGS:fflags} %{FILENAMES}\n]");
    let kept: Vec<_> = kept.lines().filter_map(|line| line.strip_prefix("cn ")).collect();
    assert_eq!(kept, ["/etc/default/myunisoft-exporter", "/etc/myunisoft-exporter/myunisoft-exporter.yml"]);
}

#[tokio::test]
async fn the_rpm_installs_and_upgrades_a_running_service_and_an_erasure_leaves_the_state() {
    let simulator = api().await;
    let machine = Machine::boot().await;
    let before = machine.remains();
    machine.run(&format!("rpm --install --nodeps /packages/{}.rpm", VERSIONS[0]));
    assert_eq!(
        machine.run("systemctl is-enabled myunisoft-exporter"),
        "enabled",
        "Debian's preset enables all"
    );
    assert_eq!(machine.property("ActiveState"), "inactive", "the administrator starts it");
    for (path, access) in [
        ("/etc/myunisoft-exporter", "root:myunisoft-exporter 750"),
        ("/etc/myunisoft-exporter/secrets", "root:myunisoft-exporter 750"),
        ("/etc/myunisoft-exporter/myunisoft-exporter.yml", "root:myunisoft-exporter 640"),
    ] {
        assert_eq!(machine.access(path), access, "{path}");
    }
    machine.run("systemctl start myunisoft-exporter");
    machine.configure_a_key(&simulator);
    machine.run("systemctl restart myunisoft-exporter");
    machine.wait_for_line(&state_line("dupont", "active")).await;
    simulator.key("dupont").unwrap().revoke();
    machine.wait_for_line(&state_line("dupont", "revoked")).await;
    // From now on, the state can only come from the persisted state.
    simulator.inject(Scope::Everything, Fault::Close);
    upgrades(&machine).await;
    erases(&machine, &before);
}

async fn upgrades(machine: &Machine) {
    machine.run("systemctl disable myunisoft-exporter");
    let (configuration, process) = (machine.configuration(), machine.property("MainPID"));
    machine.run(&format!("rpm --upgrade --nodeps /packages/{}.rpm", VERSIONS[1]));
    assert_eq!(machine.run("rpm --query --queryformat '%{VERSION}' myunisoft-exporter"), VERSIONS[1]);
    machine.wait_for_property("ActiveState", |state| state == "active").await;
    assert_ne!(machine.property("MainPID"), process, "the upgrade starts the new version");
    machine.wait_for_line(&state_line("dupont", "revoked")).await;
    assert_eq!(machine.configuration(), configuration);
    let enabled = machine.output("systemctl is-enabled myunisoft-exporter").stdout;
    assert_eq!(enabled, b"disabled\n", "an upgrade does not enable what the administrator disabled");
}

fn erases(machine: &Machine, before: &[String]) {
    machine.run("rpm --erase myunisoft-exporter");
    assert_eq!(machine.property("ActiveState"), "inactive");
    let mut after = machine.remains();
    after.retain(|path| !before.contains(path));
    after.sort();
    let saved = "/etc/myunisoft-exporter/myunisoft-exporter.yml.rpmsave";
    assert_eq!(after, ["/etc/myunisoft-exporter", saved, "/var/lib/myunisoft-exporter"]);
    machine.run(
        "test -s /var/lib/myunisoft-exporter/state.json && test -s /etc/myunisoft-exporter/secrets/acme",
    );
}
