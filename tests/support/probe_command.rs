//! `myunisoft-exporter probe`, and a configuration for it.

use std::path::Path;

use partner_simulator::{Limits, Simulator};
use tempfile::TempDir;

use super::SECRET;
use super::acme::{allow_slow_probes, key_line, write_config};
use super::server::BINARY;

/// Runs the command; returns its standard output, its standard error and its exit code.
pub(crate) async fn probe(folder: &Path, flags: &[&str]) -> (String, String, Option<i32>) {
    let mut command = tokio::process::Command::new(BINARY);
    command
        .arg("probe")
        .arg(format!("--config.file={}", folder.join("exporter.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .args(flags);
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// Three keys of partner acme: dupont and martin work, the API does not know the token of petit.
pub(crate) async fn three_keys() -> (Simulator, TempDir) {
    let simulator = Simulator::builder()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET)
        .society_key("dupont", 80, 127)
        .society_key("martin", 80, 128)
        .society_key("petit", 80, 129)
        .start()
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keys = ["dupont", "martin", "petit"].map(|name| key_line(&simulator, name));
    simulator.key("petit").unwrap().revoke();
    write_config(folder.path(), &simulator, &keys);
    allow_slow_probes(folder.path());
    (simulator, folder)
}

/// This number of keys of partner acme, named key0, key1, …, which all work.
pub(crate) async fn many_keys(number: usize) -> (Simulator, TempDir) {
    let mut builder = Simulator::builder()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET);
    let names: Vec<_> = (0..number).map(|number| format!("key{number}")).collect();
    for name in &names {
        builder = builder.society_key(name, 80, 127);
    }
    let simulator = builder.start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<_> = names.iter().map(|name| key_line(&simulator, name)).collect();
    write_config(folder.path(), &simulator, &keys);
    allow_slow_probes(folder.path());
    (simulator, folder)
}
