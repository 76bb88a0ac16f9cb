//! Runs the exporter as the rendered `StatefulSet` says: its arguments and variables, its user, a read-only root, no
//! capabilities, and its volumes as a kubelet writes them. Only the port differs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use partner_simulator::Simulator;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Chart, list, root, text};
use crate::support::SECRET;
use crate::support::pki::{Pki, client, hash};
use crate::support::server::{BINARY, Server, run_tool, until};

/// A volume of a `ConfigMap` or a `Secret`, written as a kubelet does: the files are links through `..data`, and one rename
/// replaces all of them at once.
fn write_volume(volume: &Path, files: &BTreeMap<String, String>, mode: u32, group: u32) {
    fs::create_dir_all(volume).unwrap();
    // The number of entries grows with each version.
    let version = format!("..version_{}", fs::read_dir(volume).unwrap().count());
    fs::create_dir(volume.join(&version)).unwrap();
    for (name, content) in files {
        let file = volume.join(&version).join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        chown(&file, Some(0), Some(group)).expect("this test needs root, as the kubelet does");
        if !volume.join(name).is_symlink() {
            symlink(format!("..data/{name}"), volume.join(name)).unwrap();
        }
    }
    symlink(&version, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
}

/// A pod of the chart, and the Secrets that exist in its namespace.
struct Pod {
    folder: TempDir,
    chart: Chart,
    secrets: BTreeMap<String, BTreeMap<String, String>>,
    /// The value of the pod's label with its number.
    number: &'static str,
}

impl Pod {
    fn new(values: &Value, secrets: &[(&str, &[(&str, &str)])]) -> Self {
        let chart = Chart::render(values);
        let owned = |files: &[(&str, &str)]| {
            files.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect()
        };
        let mut secrets: BTreeMap<String, _> =
            secrets.iter().map(|(name, files)| ((*name).to_owned(), owned(files))).collect();
        for secret in chart.of_kind("Secret") {
            secrets.insert(text(&secret["metadata"]["name"]).to_owned(), string_map(&secret["stringData"]));
        }
        let pod = Self { folder: tempfile::tempdir().unwrap(), chart, secrets, number: "0" };
        // Users other than root must be able to pass.
        fs::set_permissions(pod.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        pod.write_all();
        pod.create_storage();
        pod
    }

    fn spec(&self) -> &Value {
        &self.chart.only("StatefulSet")["spec"]["template"]["spec"]
    }

    fn security(&self, field: &str) -> u32 {
        u32::try_from(self.spec()["securityContext"][field].as_u64().unwrap()).unwrap()
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.folder.path().join("volumes").join(name)
    }

    fn write_all(&self) {
        for volume in list(&self.spec()["volumes"]) {
            self.write(volume);
        }
    }

    /// Writes a volume, or writes it again after a change of its Secret.
    fn write(&self, volume: &Value) {
        let (name, group) = (text(&volume["name"]), self.security("fsGroup"));
        if let Some(secret) = volume["secret"].as_object() {
            let files = &self.secrets[text(&secret["secretName"])];
            let mode = u32::try_from(secret["defaultMode"].as_u64().unwrap()).unwrap();
            write_volume(&self.volume(name), files, mode, group);
        } else if let Some(map) = volume["configMap"].as_object() {
            let files = string_map(&self.chart.named("ConfigMap", text(&map["name"]))["data"]);
            write_volume(&self.volume(name), &files, 0o644, group);
        }
    }

    /// A new volume belongs to root, and its group may write.
    fn create_storage(&self) {
        let storage = self.volume("data");
        fs::create_dir_all(&storage).unwrap();
        chown(&storage, Some(0), Some(self.security("fsGroup"))).unwrap();
        fs::set_permissions(&storage, fs::Permissions::from_mode(0o2775)).unwrap();
    }

    /// The kubelet's update of a Secret's volume.
    fn change_secret(&mut self, secret: &str, file: &str, content: &str) {
        self.secrets.get_mut(secret).unwrap().insert(file.to_owned(), content.to_owned());
        let volumes = list(&self.spec()["volumes"]);
        self.write(volumes.iter().find(|volume| volume["secret"]["secretName"] == secret).unwrap());
    }

    /// `helm upgrade`: Kubernetes replaces the pod only if its template changes, which must not be the case here.
    fn upgrade(&mut self, values: &Value) {
        let chart = Chart::render(values);
        let template = |chart: &Chart| chart.only("StatefulSet")["spec"]["template"].clone();
        assert_eq!(template(&self.chart), template(&chart));
        self.chart = chart;
        self.write_all();
    }

    /// The command that runs a container of this pod, or of the pod of `helm test`.
    fn command(&self, container: &Value) -> Command {
        let root_folder = self.folder.path().join("root");
        fs::create_dir_all(&root_folder).unwrap();
        fs::write(self.folder.path().join("root.env"), self.variables(container)).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation=private", "sh"]);
        command.arg(root().join("tests/packages/helm/pod.sh")).arg(&root_folder).arg(BINARY);
        assert_eq!(self.security("runAsUser"), self.security("runAsGroup"));
        command.arg(self.security("runAsUser").to_string());
        for mount in list(&container["volumeMounts"]) {
            let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
            let volume = self.volume(text(&mount["name"]));
            command.arg(format!("{}={}:{mode}", volume.display(), text(&mount["mountPath"])));
        }
        command.arg("--");
        command
    }

    /// The variables of a container.
    fn variables(&self, container: &Value) -> String {
        let mut lines = "PATH=/usr/bin\nHOSTNAME=myunisoft-exporter-0\n".to_owned();
        for variable in list(&container["env"]) {
            let value = variable["value"].as_str().unwrap_or(self.number);
            writeln!(lines, "{}={value}", text(&variable["name"])).unwrap();
        }
        lines
    }

    /// Starts the exporter; returns it with its URL.
    async fn start(&self) -> (Server, String) {
        let container = self.chart.container();
        let listen = "--web.listen-address=:10698";
        let arguments = self.chart.arguments();
        assert!(arguments.contains(&listen));
        // The port of a test is one that is free.
        let free = "--web.listen-address=127.0.0.1:0";
        let mut command = self.command(container);
        command.args(arguments.into_iter().map(|argument| if argument == listen { free } else { argument }));
        let server = Server::spawn(&mut command);
        let line = server.wait_for_log(&["msg=listening", "address="]).await;
        let scheme = text(&container["readinessProbe"]["httpGet"]["scheme"]).to_lowercase();
        let url = format!("{scheme}://{}", line.split("address=").nth(1).unwrap());
        (server, url)
    }

    /// `helm test`: whether it succeeds, and what it prints.
    fn helm_test(&self) -> (bool, String) {
        let container = &self.chart.only("Pod")["spec"]["containers"][0];
        let mut command = self.command(container);
        let output = run_tool(command.args(list(&container["args"]).iter().map(text)));
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), printed)
    }

    /// The path that the kubelet asks.
    fn probe_path(&self, probe: &str) -> &str {
        text(&self.chart.container()[probe]["httpGet"]["path"])
    }
}

fn string_map(values: &Value) -> BTreeMap<String, String> {
    let fields = values.as_object().unwrap().iter();
    fields.map(|(name, value)| (name.clone(), text(value).to_owned())).collect()
}

/// The chart's values for a simulated API with frequent probes.
fn values(simulator: &Simulator) -> Value {
    let timing = json!({"interval": "1s", "timeout": "1s"});
    json!({
        "config": {
            "api": {"base_url": simulator.base_url().as_str(), "auth_url": simulator.auth_url().as_str()},
            "health": timing,
            "key_info": timing,
            "canaries": {"exercices": timing},
            "partners": [{
                "name": "acme",
                "secret_file": "/run/secrets/acme/secret",
                "keys": [{"name": "dupont", "access": "society", "token_file": "/run/secrets/acme/dupont"}],
            }],
        },
        "keyFiles": {"more.yml": {"partners": [{
            "name": "acme",
            "keys": [{"name": "martin", "access": "society", "token_file": "/run/secrets/acme/martin"}],
        }]}},
        "existingSecrets": [{"name": "acme"}],
    })
}

async fn two_keys() -> Simulator {
    let builder = Simulator::builder().partner("acme", SECRET);
    builder.society_key("dupont", 80, 127).society_key("martin", 80, 128).start().await.unwrap()
}

fn token(simulator: &Simulator, key: &str) -> String {
    simulator.key(key).unwrap().token().unwrap()
}

/// Whether the metrics show a key in a state.
fn shows(metrics: &str, key: &str, state: &str) -> bool {
    let line = format!("myunisoft_key_state{{partner=\"acme\",key=\"{key}\",state=\"{state}\"}} 1");
    metrics.lines().any(|other| other == line)
}

#[tokio::test]
async fn a_pod_becomes_ready_uses_a_rotated_token_and_keeps_its_states_over_a_restart() {
    let simulator = two_keys().await;
    let (dupont, martin) = (token(&simulator, "dupont"), token(&simulator, "martin"));
    let files = [("secret", SECRET), ("dupont", dupont.as_str()), ("martin", martin.as_str())];
    let mut pod = Pod::new(&values(&simulator), &[("acme", &files)]);
    let (server, url) = pod.start().await;
    let http = crate::support::server::client();
    let get = async |url: &str, path: &str| http.get(format!("{url}{path}")).send().await.unwrap();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let ready = async || (get(&url, pod.probe_path(probe)).await.status() == 200).then_some(());
        until(probe, ready).await;
    }
    let wait = async |url: &str, key: &str, state: &str| {
        let shown =
            async || shows(&get(url, "/metrics").await.text().await.unwrap(), key, state).then_some(());
        until(&format!("{key} {state}"), shown).await;
    };
    wait(&url, "dupont", "active").await;
    wait(&url, "martin", "active").await;

    let new_token = simulator.key("dupont").unwrap().replace_token().unwrap();
    wait(&url, "dupont", "revoked").await;
    pod.change_secret("acme", "dupont", &new_token);
    wait(&url, "dupont", "active").await;

    simulator.key("martin").unwrap().revoke();
    wait(&url, "martin", "revoked").await;
    drop(server);
    let (_server, url) = pod.start().await;
    // Without its volume, the exporter would say `not_found`.
    wait(&url, "martin", "revoked").await;
    let metrics = get(&url, "/metrics").await.text().await.unwrap();
    assert!(metrics.contains("myunisoft_exporter_storage_write_failures_total 0"), "{metrics}");
}

#[tokio::test]
async fn an_upgrade_with_a_new_configuration_is_read_without_a_restart_and_a_broken_one_is_not_used() {
    let simulator = two_keys().await;
    let (dupont, martin) = (token(&simulator, "dupont"), token(&simulator, "martin"));
    let files = [("secret", SECRET), ("dupont", dupont.as_str()), ("martin", martin.as_str())];
    let both = values(&simulator);
    let mut one = both.clone();
    one["keyFiles"] = json!({"more.yml": {"partners": []}});
    let mut pod = Pod::new(&one, &[("acme", &files)]);
    let (_server, url) = pod.start().await;
    let http = crate::support::server::client();
    let metrics = async || http.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    let wait = async |key: &str| {
        until(key, async || shows(&metrics().await, key, "active").then_some(())).await;
    };
    wait("dupont").await;
    assert!(!metrics().await.contains("martin"));
    pod.upgrade(&both);
    wait("martin").await;
    let mut broken = both.clone();
    broken["config"]["health"] = json!({"intervall": "1s"});
    pod.upgrade(&broken);
    let failed = "myunisoft_exporter_config_last_reload_successful 0";
    until(failed, async || metrics().await.lines().any(|line| line == failed).then_some(())).await;
    assert!(shows(&metrics().await, "martin", "active"));
}

#[tokio::test]
async fn helm_test_reads_the_configuration_and_every_secret() {
    let simulator = two_keys().await;
    let files = [("secret", SECRET), ("dupont", "a-token"), ("martin", "a-token")];
    let mut pod = Pod::new(&values(&simulator), &[("acme", &files)]);
    let (succeeds, printed) = pod.helm_test();
    assert!(succeeds, "{printed}");
    assert!(printed.contains("Partners: 1"), "{printed}");
    pod.change_secret("acme", "martin", "");
    let (succeeds, printed) = pod.helm_test();
    assert!(!succeeds);
    assert!(printed.contains("more.yml") && printed.contains("/run/secrets/acme/martin"), "{printed}");
}

#[tokio::test]
async fn with_tls_and_users_the_kubelet_needs_no_password_and_everyone_else_does() {
    let simulator = two_keys().await;
    let (dupont, martin) = (token(&simulator, "dupont"), token(&simulator, "martin"));
    let files = [("secret", SECRET), ("dupont", dupont.as_str()), ("martin", martin.as_str())];
    let pki = Pki::new();
    let read = |name: &str| fs::read_to_string(pki.path(name)).unwrap();
    let (certificate, key) = (read("server.pem"), read("server.key"));
    let mut values = values(&simulator);
    values["web"] = json!({"routePrefix": "/exporter", "config": {
        "tls_server_config": {
            "cert_file": "/run/secrets/exporter-tls/tls.crt",
            "key_file": "/run/secrets/exporter-tls/tls.key",
        },
        "basic_auth_users": {"prometheus": hash("s3cret")},
    }});
    values["existingSecrets"] = json!([{"name": "acme"}, {"name": "exporter-tls"}]);
    let tls = [("tls.crt", certificate.as_str()), ("tls.key", key.as_str())];
    let mut pod = Pod::new(&values, &[("acme", &files), ("exporter-tls", &tls)]);
    // As before Kubernetes 1.28, which does not know the label.
    pod.number = "";
    let (_server, url) = pod.start().await;
    let http = client(&pki, None).build().unwrap();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let ask = async || {
            let response = http.get(format!("{url}{}", pod.probe_path(probe))).send().await.unwrap();
            (response.status() == 200).then_some(())
        };
        until(probe, ask).await;
    }
    let metrics = format!("{url}/exporter/metrics");
    assert_eq!(http.get(&metrics).send().await.unwrap().status(), 401);
    let response = http.get(&metrics).basic_auth("prometheus", Some("s3cret")).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn the_demo_runs_without_secrets_and_on_a_read_only_root() {
    let pod = Pod::new(&json!({"demo": {"enabled": true}}), &[]);
    let (_server, url) = pod.start().await;
    let http = crate::support::server::client();
    let ready = async || {
        let response = http.get(format!("{url}{}", pod.probe_path("readinessProbe"))).send().await.ok()?;
        (response.status() == 200).then_some(())
    };
    until("the demo", ready).await;
}
