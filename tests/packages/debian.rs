//! The .deb: its content, and its life on a machine with systemd.

use std::collections::HashMap;
use std::process::Command;

use partner_simulator::{Fault, Scope};

use crate::built::{Packages, VERSIONS, common_files, run};
use crate::machine::{Machine, api};
use crate::support::acme::state_line;

#[test]
fn the_deb_contains_every_file_with_its_mode() {
    let list = run(Command::new("dpkg-deb").arg("--contents").arg(Packages::get().deb(VERSIONS[0])));
    let found: HashMap<_, _> = list
        .lines()
        .map(|line| (line.split_whitespace().last().unwrap().trim_start_matches('.'), &line[..10]))
        .collect();
    let own = [
        "/usr/share/zsh/vendor-completions/_myunisoft-exporter",
        "/usr/share/doc/myunisoft-exporter/copyright",
        "/usr/share/doc/myunisoft-exporter/changelog.gz",
        "/usr/share/doc/myunisoft-exporter/changelog.Debian.gz",
        "/usr/share/doc/myunisoft-exporter/NOTICE",
        "/usr/share/doc/myunisoft-exporter/THIRD-PARTY-NOTICES.md",
    ];
    for (mode, path) in common_files().into_iter().chain(own.map(|path| ("-rw-r--r--", path.to_owned()))) {
        assert_eq!(found.get(path.as_str()), Some(&mode), "{path} in:\n{list}");
    }
    let unpacked = tempfile::tempdir().unwrap();
    run(Command::new("dpkg-deb").arg("--control").arg(Packages::get().deb(VERSIONS[0])).arg(unpacked.path()));
    let kept = std::fs::read_to_string(unpacked.path().join("conffiles")).unwrap();
    assert_eq!(
        kept.lines().collect::<Vec<_>>(),
        ["/etc/default/myunisoft-exporter", "/etc/myunisoft-exporter/myunisoft-exporter.yml"]
    );
}

#[test]
fn lintian_finds_no_error_in_the_deb() {
    let report = run(Command::new("lintian").arg("--fail-on=error").arg(Packages::get().deb(VERSIONS[0])));
    println!("{report}");
}

#[tokio::test]
async fn the_deb_installs_and_upgrades_a_running_service_and_a_purge_leaves_nothing() {
    let simulator = api().await;
    let machine = Machine::boot().await;
    let before = machine.remains();
    installs_and_starts(&machine).await;
    machine.configure_a_key(&simulator);
    machine.run("systemctl restart myunisoft-exporter");
    machine.wait_for_line(&state_line("dupont", "active")).await;
    simulator.key("dupont").unwrap().revoke();
    machine.wait_for_line(&state_line("dupont", "revoked")).await;
    // From now on, the state can only come from the persisted state.
    simulator.inject(Scope::Everything, Fault::Close);
    upgrades(&machine).await;
    removes_and_purges(&machine, &before);
}

async fn installs_and_starts(machine: &Machine) {
    machine.run(&format!("dpkg -i /packages/{}.deb", VERSIONS[0]));
    assert_eq!(machine.run("systemctl is-enabled myunisoft-exporter"), "enabled");
    assert_eq!(machine.property("ActiveState"), "active");
    machine.wait_for_line("myunisoft_exporter_config_last_reload_successful 1").await;
    let process = machine.property("MainPID");
    assert_eq!(machine.access(&format!("/proc/{process}")), "myunisoft-exporter:myunisoft-exporter 555");
    for (path, access) in [
        ("/etc/myunisoft-exporter", "root:myunisoft-exporter 750"),
        ("/etc/myunisoft-exporter/secrets", "root:myunisoft-exporter 750"),
        ("/etc/myunisoft-exporter/myunisoft-exporter.yml", "root:myunisoft-exporter 640"),
        ("/etc/default/myunisoft-exporter", "root:root 644"),
        ("/var/lib/myunisoft-exporter", "myunisoft-exporter:myunisoft-exporter 700"),
    ] {
        assert_eq!(machine.access(path), access, "{path}");
    }
    let account = machine.run("getent passwd myunisoft-exporter");
    assert!(account.ends_with("/var/lib/myunisoft-exporter:/usr/sbin/nologin"), "{account}");
}

async fn upgrades(machine: &Machine) {
    // The administrator's choices.
    machine.run("chmod 0600 /etc/default/myunisoft-exporter && groupadd monitoring");
    machine.run("chgrp monitoring /etc/myunisoft-exporter/secrets");
    let (configuration, process) = (machine.configuration(), machine.property("MainPID"));
    machine.run(&format!("dpkg -i /packages/{}.deb </dev/null", VERSIONS[1]));
    assert_eq!(
        machine.run("dpkg-query --show --showformat '${Version}' myunisoft-exporter"),
        format!("{}-1", VERSIONS[1])
    );
    machine.wait_for_property("ActiveState", |state| state == "active").await;
    assert_ne!(machine.property("MainPID"), process, "the upgrade starts the new version");
    machine.wait_for_line(&state_line("dupont", "revoked")).await;
    assert_eq!(machine.configuration(), configuration);
    assert_eq!(machine.access("/etc/default/myunisoft-exporter"), "root:root 600");
    assert_eq!(machine.access("/etc/myunisoft-exporter/secrets"), "root:monitoring 750");
}

fn removes_and_purges(machine: &Machine, before: &[String]) {
    machine.run("dpkg --remove myunisoft-exporter");
    assert_eq!(machine.property("ActiveState"), "inactive");
    machine.run("test ! -e /usr/bin/myunisoft-exporter");
    machine.run(
        "test -s /var/lib/myunisoft-exporter/state.json && test -s /etc/myunisoft-exporter/secrets/acme",
    );
    machine.run("dpkg --purge myunisoft-exporter");
    let mut after = machine.remains();
    after.retain(|path| !before.contains(path));
    assert!(after.is_empty(), "{after:?}");
    for database in ["passwd", "group"] {
        assert!(
            !machine.output(&format!("getent {database} myunisoft-exporter")).status.success(),
            "{database}"
        );
    }
}
