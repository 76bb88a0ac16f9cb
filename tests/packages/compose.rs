//! compose.yml and its files fit together: mounts, ports, names and paths.
//!
//! There is no Docker engine here. What the containers read is checked by the programs that read it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::monitoring::Prometheus;
use crate::support::server::{Exporter, run_tool, until};

/// Files that the operator provides, and the repository does not have.
const OWN_FILES: [&str; 4] = ["./config", "./config/alertmanager.yml", "./grafana-password", "./secrets"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The services of a file by name, with the shared settings (`<<`) filled in.
fn services(file: &Value) -> Vec<(String, Value)> {
    let services = file["services"].as_object().unwrap().iter();
    let merged = services.map(|(name, service)| {
        let mut merged = service.get("<<").cloned().unwrap_or_else(|| serde_json::json!({}));
        for (field, value) in service.as_object().unwrap().iter().filter(|(field, _)| *field != "<<") {
            merged[field] = value.clone();
        }
        (name.clone(), merged)
    });
    merged.collect()
}

fn service(name: &str) -> Value {
    services(&yaml("compose.yml")).into_iter().find(|(other, _)| other == name).unwrap().1
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Source, target and mode of each mount.
fn mounts(service: &Value) -> Vec<(String, String, Option<String>)> {
    let split = |mount: String| {
        let mut parts = mount.split(':').map(str::to_owned);
        (parts.next().unwrap(), parts.next().unwrap(), parts.next())
    };
    strings(&service["volumes"]).into_iter().map(split).collect()
}

/// The file of the repository that a container reads at this path.
fn mounted_file(service: &Value, path: &str) -> PathBuf {
    let found = mounts(service).into_iter().find_map(|(source, target, _)| {
        let rest = Path::new(path).strip_prefix(target).ok()?.to_owned();
        let source = root().join(source.strip_prefix("./")?);
        // A path that is joined with nothing would end with a slash.
        Some(if rest.as_os_str().is_empty() { source } else { source.join(rest) })
    });
    found.unwrap_or_else(|| panic!("nothing is mounted at {path}"))
}

fn flag(service: &Value, name: &str) -> String {
    let mut arguments = strings(&service["command"]).into_iter();
    let value = arguments.find_map(|flag| flag.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
    value.unwrap_or_else(|| panic!("{name}"))
}

/// A folder that has every file of the repository where the container has it.
fn file_system_of(service: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (source, target, _) in mounts(service) {
        if source.starts_with("./") {
            let link = folder.path().join(target.trim_start_matches('/'));
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(root().join(source), link).unwrap();
        }
    }
    folder
}

#[test]
fn every_file_that_is_mounted_exists_and_cannot_be_written() {
    for file in ["compose.yml", "deploy/compose/production.yml"] {
        let yaml = yaml(file);
        for (name, service) in services(&yaml) {
            for (source, target, mode) in mounts(&service) {
                if let Some(path) = source.strip_prefix("./") {
                    let provided = file.contains("production") && OWN_FILES.contains(&source.as_str());
                    assert!(provided || root().join(path).exists(), "{name}: {source}");
                    assert_eq!(mode.as_deref(), Some("ro"), "{name}: {source}");
                } else {
                    assert!(yaml["volumes"].as_object().unwrap().contains_key(&source), "{name}: {source}");
                    assert_eq!(mode, None, "{name}: {source}");
                }
                assert!(target.starts_with('/'), "{name}: {target}");
            }
        }
    }
}

#[test]
fn every_image_has_a_fixed_version_and_that_of_the_exporter_is_the_current_one() {
    for (name, service) in services(&yaml("compose.yml")) {
        let image = service["image"].as_str().unwrap().to_owned();
        let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image}"));
        let numbers = tag.trim_start_matches('v').split('.').map(str::parse::<u32>);
        assert_eq!(numbers.flatten().count(), 3, "{name}: {image}");
    }
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(service("exporter")["image"], format!("myunisoft-exporter:{version}"));
    assert!(text("Dockerfile").contains(&format!("ARG VERSION={version}\n")));
}

#[test]
fn every_service_restarts_and_has_no_right_that_it_does_not_need() {
    for (name, service) in services(&yaml("compose.yml")) {
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        // Grafana unpacks its plugins below its own program.
        assert_eq!(service["read_only"].as_bool().unwrap_or(false), name != "grafana", "{name}");
    }
}

#[test]
fn the_services_reach_each_other_at_the_ports_that_they_serve() {
    let published = |name: &str| {
        let ports = strings(&service(name)["ports"]);
        let [port] = &ports[..] else { panic!("{name}: {ports:?}") };
        let [_, outside, inside] = port.split(':').collect::<Vec<_>>()[..] else { panic!("{port}") };
        assert_eq!(outside, inside, "{name}: the links in the alerts use the port inside");
        inside.to_owned()
    };
    let config = yaml("deploy/compose/prometheus.yml");
    let scraped = &config["scrape_configs"][0]["static_configs"][0];
    assert_eq!(strings(&scraped["targets"]), [format!("exporter:{}", published("exporter"))]);
    assert_eq!(scraped["labels"]["instance"], format!("localhost:{}", published("exporter")));
    assert!(text("Dockerfile").contains(&format!("EXPOSE {}\n", published("exporter"))));
    let alertmanagers = &config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"];
    assert_eq!(strings(alertmanagers), [format!("alertmanager:{}", published("alertmanager"))]);
    let source = &yaml("deploy/compose/grafana-datasource.yml")["datasources"][0];
    assert_eq!(source["url"], format!("http://prometheus:{}", published("prometheus")));
    assert_eq!(source["jsonData"]["timeInterval"], config["global"]["scrape_interval"]);
    for name in ["prometheus", "alertmanager"] {
        let url = format!("http://localhost:{}", published(name));
        assert_eq!(flag(&service(name), "--web.external-url"), url);
    }
    let grafana = format!("grafana: http://localhost:{}\n", published("grafana"));
    assert!(text("alerts/settings.rules.yml").contains(&grafana), "the alerts link to Grafana");
}

#[test]
fn prometheus_and_alertmanager_accept_what_is_mounted() {
    let prometheus = service("prometheus");
    let files = file_system_of(&prometheus);
    let config = files.path().join(flag(&prometheus, "--config.file").trim_start_matches('/'));
    // promtool would look for the rules beside the file that a link names.
    let copy = fs::read(&config).unwrap();
    fs::remove_file(&config).unwrap();
    fs::write(&config, copy).unwrap();
    let output = run_tool(Command::new("promtool").args(["check", "config"]).arg(&config));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches("rules found").count(), 3, "{text}");

    let alertmanager = service("alertmanager");
    let config = mounted_file(&alertmanager, &flag(&alertmanager, "--config.file"));
    let output = run_tool(Command::new("amtool").arg("check-config").arg(config));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn grafana_finds_its_data_source_and_every_dashboard() {
    let grafana = service("grafana");
    let provisioned = |kind: &str| {
        let files: Vec<_> = mounts(&grafana)
            .into_iter()
            .filter(|(_, target, _)| target.starts_with(&format!("/etc/grafana/provisioning/{kind}/")))
            .collect();
        let [(source, target, _)] = &files[..] else { panic!("{kind}: {files:?}") };
        let extension = Path::new(target).extension();
        assert!(
            extension.is_some_and(|extension| extension == "yml"),
            "Grafana reads no other file: {target}"
        );
        yaml(source)
    };
    assert_eq!(provisioned("datasources")["datasources"][0]["isDefault"], true);
    let folder = &provisioned("dashboards")["providers"][0]["options"]["path"];
    let dashboards = mounted_file(&grafana, folder.as_str().unwrap());
    let names: BTreeSet<_> = fs::read_dir(dashboards).unwrap().map(|entry| entry.unwrap().path()).collect();
    let names: Vec<_> = names.iter().filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let home = &grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    assert!(mounted_file(&grafana, home.as_str().unwrap()).is_file());
}

#[test]
fn the_production_file_changes_only_services_that_exist_and_names_its_files() {
    let production = yaml("deploy/compose/production.yml");
    let changed: BTreeSet<_> = services(&production).into_iter().map(|(name, _)| name).collect();
    let known: BTreeSet<_> = services(&yaml("compose.yml")).into_iter().map(|(name, _)| name).collect();
    assert!(changed.is_subset(&known), "{changed:?}");
    for (name, service) in services(&production) {
        for secret in strings(&service["secrets"]) {
            let file = production["secrets"][&secret]["file"].as_str().unwrap();
            assert!(OWN_FILES.contains(&file), "{name}: {file}");
        }
    }
    let exporter = &production["services"]["exporter"];
    let config = flag(exporter, "--config.file");
    let targets: Vec<_> = mounts(exporter).into_iter().map(|(_, target, _)| target).collect();
    assert!(targets.iter().any(|target| Path::new(&config).parent() == Some(Path::new(target))), "{config}");
    // Where the configuration in the README has its secrets.
    assert!(targets.iter().any(|target| target == "/run/secrets"), "{targets:?}");
    assert!(text("README.md").contains("secret_file: /run/secrets/"));
}

#[tokio::test]
async fn prometheus_scrapes_the_demo_and_loads_the_rules_with_the_shipped_configuration() {
    let demo = Exporter::start_demo(&[]).await;
    let address = demo.url.trim_start_matches("http://").to_owned();
    let folder = tempfile::tempdir().unwrap();
    symlink(root().join("alerts"), folder.path().join("alerts")).unwrap();
    let config = text("deploy/compose/prometheus.yml").replace("exporter:10698", &address);
    let config = config.replace("15s", "1s").replace("alertmanager:9093", "127.0.0.1:9");
    let prometheus = Prometheus::start(folder.path(), &config).await;
    until("a key in the database", || async {
        prometheus.query("myunisoft_key_state{job=\"myunisoft\",instance=\"localhost:10698\"} == 1").await
    })
    .await;
    until("a recorded series", || async { prometheus.query("myunisoft:links:info").await }).await;
}
