//! Host names cannot be resolved, and later they can.

use std::fmt::Write as _;
use std::time::Duration;

use super::{in_mount_namespace, run_in_namespace_of};
use crate::support::acme::{state_line, two_keys};
use crate::support::server::{Exporter, until};

const FAILING: &str =
    "myunisoft_probe_error_info{probe=\"health\",reason=\"dns\",code=\"other\",request_id=\"\"} 1";
const UP: &str = "myunisoft_probe_up{probe=\"health\"} 1";

fn threads(exporter: &Exporter) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", exporter.server.pid())).unwrap().count()
}

#[tokio::test]
async fn failed_name_resolution_is_reported_as_dns_keeps_the_states_and_recovers() {
    let (_simulator, folder) = two_keys().await;
    let file = folder.path().join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("http://127.0.0.1", "http://localhost", 1)).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("hosts"), "127.0.0.1 localhost\n").unwrap();
    std::fs::write(at("resolv.conf"), "nameserver 127.0.0.77\noptions timeout:1 attempts:1\n").unwrap();
    std::fs::write(at("nsswitch.conf"), "hosts: files dns\n").unwrap();
    let mut script = String::new();
    for name in ["hosts", "resolv.conf", "nsswitch.conf"] {
        writeln!(script, "mount --bind {} /etc/{name}", at(name)).unwrap();
    }
    let exporter = Exporter::start_with_command(in_mount_namespace(&script), folder.path(), &[]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    exporter.wait_for_line(UP).await;
    let before = threads(&exporter);
    for _ in 0..2 {
        run_in_namespace_of(exporter.server.pid(), "echo > /etc/hosts");
        exporter.wait_for_line(FAILING).await;
        let probes = exporter.sample_value("myunisoft_probes_total{probe=\"health\"}").await;
        until("ten probes without name resolution", || async {
            let total = exporter.sample_value("myunisoft_probes_total{probe=\"health\"}").await;
            (total >= probes + 10.0).then_some(())
        })
        .await;
        exporter.wait_for_line(&state_line("dupont", "active")).await;
        // All keys resolve the same name: they share one look-up, and there is not one waiting thread per key.
        assert!(threads(&exporter) <= before + 4, "{} threads, {before} before", threads(&exporter));
        run_in_namespace_of(exporter.server.pid(), "echo 127.0.0.1 localhost > /etc/hosts");
        tokio::time::timeout(Duration::from_secs(30), exporter.wait_for_line(UP)).await.unwrap();
    }
    exporter.wait_for_line(&state_line("martin", "active")).await;
}
