//! The partner acme in the simulator, and a configuration file for its keys.

use std::path::Path;

use partner_simulator::{Limits, Simulator};
use tempfile::TempDir;

use super::SECRET;

/// Writes a configuration file for keys of partner acme, with a probe every 300 ms.
pub(crate) fn write_config(folder: &Path, simulator: &Simulator, keys: &[String]) {
    let (base, auth) = (simulator.base_url(), simulator.auth_url());
    let keys = keys.join("\n");
    let text = format!(
        "api: {{base_url: \"{base}\", auth_url: \"{auth}\"}}\nhealth: {{interval: 300ms, timeout: 300ms}}\n\
         key_info: {{interval: 300ms, timeout: 300ms}}\n\
         canaries:\n  exercices: {{path: \"/api/v1/mad/exercices?version=1.0.0\", interval: 300ms, timeout: 300ms}}\n\
         partners:\n  - name: acme\n    secret: {SECRET}\n    keys:\n{keys}\n"
    );
    std::fs::write(folder.join("exporter.yml"), text).unwrap();
}

/// Gives the probes of this configuration file long timeouts, so they do not fail on a busy machine.
pub(crate) fn allow_slow_probes(folder: &Path) {
    let file = folder.join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("interval: 300ms, timeout: 300ms", "interval: 30s, timeout: 20s"))
        .unwrap();
}

/// The line of a society key in the configuration file.
pub(crate) fn key_line(simulator: &Simulator, name: &str) -> String {
    let token = simulator.key(name).unwrap().token().unwrap();
    format!("      - {{name: {name}, access: society, token: {token}}}")
}

/// The line of `/metrics` that shows a key in a state.
pub(crate) fn state_line(key: &str, state: &str) -> String {
    format!("myunisoft_key_state{{partner=\"acme\",key=\"{key}\",state=\"{state}\"}} 1")
}

/// Starts a simulator with two active keys, dupont and martin, and writes their configuration file.
pub(crate) async fn two_keys() -> (Simulator, TempDir) {
    let simulator = Simulator::builder()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET)
        .society_key("dupont", 80, 127)
        .society_key("martin", 80, 128)
        .start()
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), &simulator, &["dupont", "martin"].map(|name| key_line(&simulator, name)));
    (simulator, folder)
}
