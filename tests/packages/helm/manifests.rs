//! The plain manifests, the version of the chart, and upgrades.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{
    CONFIGURATIONS, Chart, chart_folder, chart_py, list, parse_yaml, read_text, read_yaml, root, text,
};
use crate::support::server::{BINARY, run_tool, run_tool_with_input};

/// Every file below a folder, without the hand-written `kustomization.yaml`.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if entry.is_dir() {
            found.extend(files(&entry).into_iter().map(|(file, text)| (format!("{name}/{file}"), text)));
        } else if name != "kustomization.yaml" {
            found.insert(name, std::fs::read_to_string(&entry).unwrap());
        }
    }
    found
}

#[test]
fn the_plain_manifests_are_what_the_chart_renders() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().display().to_string();
    chart_py(&["manifests", &chart_folder(), &target], &json!({})).unwrap();
    let rendered = files(folder.path());
    let shipped = files(&root().join("deploy/kubernetes"));
    assert_eq!(rendered.keys().collect::<Vec<_>>(), shipped.keys().collect::<Vec<_>>());
    for (name, content) in rendered {
        assert!(shipped[&name] == content, "deploy/kubernetes/{name} is out of date: run `make manifests`");
    }
}

/// The objects that `kubectl apply -k` would send.
fn kustomize(folder: &str) -> Vec<Value> {
    let kubectl = root().join("target/venv/bin/kubectl");
    let output = run_tool(Command::new(kubectl).args(["kustomize", folder]).current_dir(root()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all = String::from_utf8(output.stdout).unwrap();
    all.split("\n---\n").map(parse_yaml).collect()
}

/// Objects by kind and name, without the labels that only Helm sets.
fn by_name(objects: impl IntoIterator<Item = Value>) -> BTreeMap<(String, String), Value> {
    let entry = |mut object: Value| {
        let labels = object["metadata"]["labels"].as_object_mut().unwrap();
        labels.remove("helm.sh/chart");
        labels.remove("app.kubernetes.io/managed-by");
        let name = |value: &Value| text(value).to_owned();
        ((name(&object["kind"]), name(&object["metadata"]["name"])), object)
    };
    objects.into_iter().map(entry).collect()
}

fn assert_kustomize_builds(folder: &str, expected: impl IntoIterator<Item = Value>) {
    let (built, expected) = (by_name(kustomize(folder)), by_name(expected));
    assert_eq!(built.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, object) in built {
        assert!(object == expected[&name], "{name:?} differs from what the chart renders");
    }
}

#[test]
fn kubectl_builds_the_objects_of_the_chart() {
    let secrets = json!([{"name": "myunisoft-exporter-secrets", "mountPath": "/run/secrets/myunisoft", "optional": true}]);
    let values = json!({"existingSecrets": secrets, "tests": {"enabled": false}});
    assert_kustomize_builds("deploy/kubernetes", Chart::render(&values).objects);
    let enabled = json!({"enabled": true});
    let values = json!({"serviceMonitor": enabled, "prometheusRule": enabled, "dashboards": enabled});
    let is_monitoring = |object: &Value| {
        let is_dashboard = !object["metadata"]["labels"]["grafana_dashboard"].is_null();
        is_dashboard || object["apiVersion"] == "monitoring.coreos.com/v1"
    };
    let objects = Chart::render(&values).objects.into_iter().filter(is_monitoring);
    assert_kustomize_builds("deploy/kubernetes/monitoring", objects);
}

/// The package with Helm 3 is for this architecture.
#[cfg(target_arch = "x86_64")]
#[test]
fn helm_3_renders_the_same_objects_as_helm_4() {
    for (name, chart) in CONFIGURATIONS.iter() {
        let values = read_yaml(format!("deploy/helm/ci/{name}-values.yaml"));
        let output = chart_py(&["render-with-helm-3", &chart_folder()], &json!({"values": values})).unwrap();
        let output: Value = serde_json::from_str(&output).unwrap();
        let by_helm_3 = by_name(list(&output["objects"]).iter().map(|item| item["object"].clone()));
        assert!(by_helm_3 == by_name(chart.objects.clone()), "{name}");
    }
}

#[test]
fn the_example_of_the_documentation_replaces_the_configuration_and_the_image() {
    let objects = kustomize("docs/install/kubernetes");
    let faults = chart_py(&["validate", "1.37"], &json!(objects)).unwrap();
    assert_eq!(faults.trim(), "");
    let of_kind = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap();
    let config = text(&of_kind("ConfigMap")["data"]["myunisoft-exporter.yml"]);
    let mut command = Command::new(BINARY);
    let output = run_tool_with_input(command.args(["check-config", "-", "--syntax-only"]), config);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pod = &of_kind("StatefulSet")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "registry.example/myunisoft-exporter:0.1.0");
    // The example's files of secrets are in the directory that the manifests mount.
    let mounts = list(&pod["containers"][0]["volumeMounts"]).iter().map(|mount| text(&mount["mountPath"]));
    let directory = mounts.filter(|path| config.contains(&format!("_file: {path}/"))).count();
    assert_eq!(directory, 1);
}

#[test]
fn the_chart_has_the_version_of_the_exporter() {
    let chart = read_yaml("deploy/helm/Chart.yaml");
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    let image = CONFIGURATIONS[0].1.container()["image"].clone();
    assert_eq!(image, format!("myunisoft-exporter:{}", env!("CARGO_PKG_VERSION")));
}

/// Kubernetes refuses an upgrade that changes anything else of a `StatefulSet`.
#[test]
fn another_version_of_the_chart_changes_nothing_that_kubernetes_cannot_change() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().display().to_string();
    let package = chart_py(&["package", &chart_folder(), "99.9.9", &target], &json!({})).unwrap();
    let fixed = |chart: &Chart| {
        let mut spec = chart.only("StatefulSet")["spec"].clone();
        let fields = spec.as_object_mut().unwrap();
        for changeable in [
            "replicas",
            "template",
            "updateStrategy",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
            "revisionHistoryLimit",
        ] {
            fields.remove(changeable);
        }
        spec
    };
    let values = json!({"commonLabels": {"team": "a"}});
    let old = Chart::render(&values);
    let changed = json!({"values": {"commonLabels": {"team": "b"}, "podLabels": {"c": "d"}, "replicas": 3}});
    let new = Chart::try_render_request(package.trim(), &changed).unwrap();
    let label = |chart: &Chart| chart.only("StatefulSet")["metadata"]["labels"]["helm.sh/chart"].clone();
    assert_ne!(label(&old), label(&new));
    assert_eq!(fixed(&old), fixed(&new));
}

/// A new version of the chart with the same image and values restarts no pod.
#[test]
fn another_version_of_the_chart_alone_restarts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().display().to_string();
    let package = chart_py(&["package", &chart_folder(), "99.9.9", &target], &json!({})).unwrap();
    let new = Chart::try_render_request(package.trim(), &json!({})).unwrap();
    let template = |chart: &Chart| chart.only("StatefulSet")["spec"]["template"].clone();
    assert_eq!(template(&new), template(&Chart::render(&json!({}))));
}

/// The exporter reads its configuration again by itself.
#[test]
fn another_configuration_restarts_nothing() {
    let template = |values| Chart::render(&values).only("StatefulSet")["spec"]["template"].clone();
    let changed = json!({"config": {"health": {"interval": "1m"}}, "keyFiles": {"a.yml": {"partners": []}}});
    let with_file = json!({"keyFiles": {"b.yml": {"partners": []}}});
    assert_eq!(template(changed), template(with_file));
}

/// A release is stored in a Secret of at most 1 MiB, compressed and twice in base64.
#[test]
fn the_chart_is_small_enough_for_helm_to_store_a_release() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().display().to_string();
    let package = chart_py(&["package", &chart_folder(), "0.1.0", &target], &json!({})).unwrap();
    let size = std::fs::metadata(package.trim()).unwrap().len();
    assert!(size < 150 * 1024, "{size} bytes");
}

#[test]
fn the_documented_commands_name_what_exists() {
    let page = read_text("docs/install/kubernetes.md");
    for name in
        ["deploy/helm", "deploy/kubernetes", "deploy/kubernetes/monitoring", "docs/install/kubernetes"]
    {
        assert!(page.contains(name), "{name}");
        assert!(root().join(name).is_dir(), "{name}");
    }
}
