//! The objects of the exporter itself.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{CONFIGURATIONS, Chart, chart_folder, chart_py, containers, list, parse_yaml, pods, text};
use crate::support::server::{BINARY, run_tool, run_tool_with_input};

/// The oldest version that the chart allows, and the newest one whose schemas are known.
const KUBERNETES: [&str; 3] = ["1.25", "1.31", "1.37"];

#[test]
fn helm_s_strict_lint_finds_nothing_to_complain_about() {
    for file in ["values.yaml", "ci/web-values.yaml", "ci/everything-values.yaml"] {
        let values = super::read_yaml(format!("deploy/helm/{file}"));
        let report: Value =
            serde_json::from_str(&chart_py(&["lint", &chart_folder()], &values).unwrap()).unwrap();
        let messages: Vec<_> =
            list(&report["messages"]).iter().map(|message| text(&message["error"])).collect();
        // The project has no icon.
        assert_eq!(messages, ["icon is recommended"], "{file}");
        assert_eq!(report["errors"], json!([]), "{file}");
    }
}

#[test]
fn kubernetes_accepts_every_object_of_every_configuration() {
    assert!(CONFIGURATIONS.len() >= 7);
    for (name, chart) in CONFIGURATIONS.iter() {
        let faults = chart_py(&[&["validate"], &KUBERNETES[..]].concat(), &json!(chart.objects)).unwrap();
        assert_eq!(faults.trim(), "", "{name}");
    }
}

#[test]
fn a_misspelt_field_of_an_object_is_found() {
    let mut object = CONFIGURATIONS[0].1.only("StatefulSet").clone();
    object["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = json!({});
    let faults = chart_py(&["validate", "1.37"], &json!([object])).unwrap();
    assert!(faults.contains("livenesProbe"), "{faults}");
}

#[test]
fn the_exporter_accepts_every_configuration_that_the_chart_writes() {
    let check = |place: &str, config: &str| {
        let mut command = Command::new(BINARY);
        let output = run_tool_with_input(command.args(["check-config", "-", "--syntax-only"]), config);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{place}: {message}\n{config}");
    };
    for (name, chart) in CONFIGURATIONS.iter() {
        for map in chart.of_kind("ConfigMap") {
            for (file, content) in map["data"].as_object().unwrap() {
                if Path::new(file).extension().is_some_and(|extension| extension == "yml") {
                    check(&format!("{name}: {file}"), text(content));
                }
            }
        }
    }
}

#[test]
fn names_and_numbers_of_the_configuration_reach_the_exporter_unchanged() {
    let chart = configuration("secrets");
    let config =
        parse_yaml(text(&chart.named("ConfigMap", "myunisoft-exporter")["data"]["myunisoft-exporter.yml"]));
    let keys = list(&config["partners"][0]["keys"]);
    let names: Vec<_> = keys.iter().map(|key| text(&key["name"])).collect();
    assert_eq!(names, ["0123", "yes", "l'école « 1e3 »"]);
    assert_eq!(keys[0]["society_id"], 12_345_678_901_u64);
}

#[test]
fn the_web_configuration_that_the_chart_writes_is_accepted() {
    let chart = configuration("web");
    let folder = tempfile::tempdir().unwrap();
    let web = text(&chart.only("Secret")["stringData"]["web.yml"]);
    std::fs::write(folder.path().join("web.yml"), web.replace("/run/secrets/exporter-tls/", "")).unwrap();
    let pki = crate::support::pki::Pki::new();
    for (from, to) in [("server.pem", "tls.crt"), ("server.key", "tls.key")] {
        std::fs::copy(pki.path(from), folder.path().join(to)).unwrap();
    }
    let mut command = Command::new(BINARY);
    let web_file = format!("--web.config.file={}", folder.path().join("web.yml").display());
    let output = run_tool_with_input(command.args(["check-config", "-", &web_file]), "partners: []\n");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn configuration(name: &str) -> &'static Chart {
    &CONFIGURATIONS.iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn every_flag_and_variable_that_the_chart_passes_exists() {
    let help = String::from_utf8(run_tool(Command::new(BINARY).arg("--help")).stdout).unwrap();
    let flags: BTreeSet<&str> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"))
        .map(|word| word.trim_end_matches(','))
        .collect();
    let commands = ["demo", "check-config"];
    for (name, chart) in CONFIGURATIONS.iter() {
        for container in pods(chart).flat_map(containers).filter(|container| container["env"].is_array()) {
            for argument in list(&container["args"]).iter().map(text) {
                let flag = argument.split('=').next().unwrap();
                assert!(flags.contains(flag) || commands.contains(&flag), "{name}: {argument}");
            }
            for variable in list(&container["env"]).iter().map(|variable| text(&variable["name"])) {
                if variable.starts_with("MYUNISOFT_EXPORTER_") {
                    assert!(help.contains(&format!("[env: {variable}=]")), "{name}: {variable}");
                }
            }
        }
    }
}

#[test]
fn every_pod_obeys_the_restricted_pod_security_standard() {
    for (name, chart) in CONFIGURATIONS.iter() {
        for pod in pods(chart) {
            assert_restricted_pod(name, pod);
            for container in containers(pod) {
                assert_restricted_container(&format!("{name}: {}", container["name"]), container);
            }
        }
    }
}

/// What the standard says about a pod as a whole.
fn assert_restricted_pod(name: &str, pod: &Value) {
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[field].is_null(), "{name}: {field}");
    }
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"], true, "{name}");
    assert!(security["runAsUser"].as_u64().unwrap() > 0, "{name}");
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{name}");
    assert!(security["sysctls"].is_null() && security["windowsOptions"].is_null(), "{name}");
    let allowed = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in list(&pod["volumes"]) {
        let kinds: Vec<_> = volume.as_object().unwrap().keys().filter(|key| *key != "name").collect();
        assert!(kinds.iter().all(|kind| allowed.contains(&kind.as_str())), "{name}: {volume}");
    }
    // More than the standard asks for: no token of Kubernetes, and no variables that look like the exporter's.
    assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
    assert_eq!(pod["enableServiceLinks"], false, "{name}");
}

/// What the standard says about a container.
fn assert_restricted_container(name: &str, container: &Value) {
    let security = &container["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{name}");
    assert!(security["capabilities"]["add"].is_null(), "{name}");
    for field in ["privileged", "procMount", "runAsUser", "runAsNonRoot", "seccompProfile", "seLinuxOptions"]
    {
        assert!(security[field].is_null(), "{name}: {field}");
    }
    for port in list(&container["ports"]) {
        assert!(port["hostPort"].is_null(), "{name}");
    }
    if container["env"].is_array() {
        assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
    }
}

/// Some clusters choose users and groups themselves.
#[test]
fn users_and_groups_can_be_left_to_the_cluster() {
    let none = json!({"runAsUser": null, "runAsGroup": null, "fsGroup": null});
    let chart = Chart::render(&json!({"podSecurityContext": none}));
    let security = &chart.only("StatefulSet")["spec"]["template"]["spec"]["securityContext"];
    let fields: Vec<_> = security.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["fsGroupChangePolicy", "runAsNonRoot", "seccompProfile"]);
}

#[test]
fn no_volume_is_mounted_with_sub_path_or_inside_another_one() {
    for (name, chart) in CONFIGURATIONS.iter() {
        for container in pods(chart).flat_map(containers) {
            let mounts = list(&container["volumeMounts"]);
            let paths: BTreeSet<_> =
                mounts.iter().map(|mount| format!("{}/", text(&mount["mountPath"]))).collect();
            assert_eq!(paths.len(), mounts.len(), "{name}: one directory twice");
            for path in &paths {
                assert!(
                    !paths.iter().any(|other| other != path && other.starts_with(path)),
                    "{name}: {path}"
                );
            }
            assert!(mounts.iter().all(|mount| mount["subPath"].is_null() && mount["subPathExpr"].is_null()));
        }
    }
}

#[test]
fn every_mounted_volume_exists_and_every_volume_is_mounted() {
    for (name, chart) in CONFIGURATIONS.iter() {
        let set = chart.only("StatefulSet");
        let claims =
            list(&set["spec"]["volumeClaimTemplates"]).iter().map(|claim| &claim["metadata"]["name"]);
        for pod in pods(chart) {
            let of_pod = list(&pod["volumes"]).iter().map(|volume| &volume["name"]);
            let volumes: BTreeSet<_> = of_pod.chain(claims.clone()).map(text).collect();
            let mounts: BTreeSet<_> = list(&pod["containers"][0]["volumeMounts"])
                .iter()
                .map(|mount| text(&mount["name"]))
                .collect();
            assert!(mounts.is_subset(&volumes), "{name}: {mounts:?} {volumes:?}");
            let unused: Vec<_> = volumes.difference(&mounts).filter(|volume| **volume != "data").collect();
            assert!(unused.is_empty(), "{name}: {unused:?}");
        }
    }
}

/// The probes of the kubelet, which has no password.
#[test]
fn the_probes_use_https_and_the_prefix_and_need_no_password() {
    let probe = |chart: &Chart, probe: &str| chart.container()[probe]["httpGet"].clone();
    let plain = configuration("default");
    let expected = json!({"path": "/-/healthy", "port": "web", "scheme": "HTTP"});
    assert_eq!(probe(plain, "livenessProbe"), expected);
    assert!(!plain.arguments().contains(&"--web.probes-without-auth"));
    let web = configuration("web");
    assert_eq!(probe(web, "readinessProbe"), json!({"path": "/-/ready", "port": "web", "scheme": "HTTPS"}));
    assert!(web.arguments().contains(&"--web.probes-without-auth"));
    assert_eq!(web.variable("MYUNISOFT_EXPORTER_WEB_CONFIG_FILE"), "/etc/myunisoft-exporter-web/web.yml");
    let all = configuration("everything");
    let expected = json!({"path": "/exporter/-/ready", "port": "web", "scheme": "HTTPS"});
    assert_eq!(probe(all, "startupProbe"), expected);
}

/// As in the exporter: the prefix is the path of the external URL, unless it is given.
#[test]
fn the_chart_computes_the_path_prefix_as_the_exporter_does() {
    for (external_url, route_prefix, expected) in [
        ("", "", "/-/ready"),
        ("https://a.example", "", "/-/ready"),
        ("https://a.example/x/y/", "", "/x/y/-/ready"),
        ("https://a.example/x", "/", "/-/ready"),
        ("https://a.example/x", "z/", "/z/-/ready"),
    ] {
        let chart =
            Chart::render(&json!({"web": {"externalUrl": external_url, "routePrefix": route_prefix}}));
        assert_eq!(
            chart.container()["readinessProbe"]["httpGet"]["path"],
            expected,
            "{external_url} {route_prefix}"
        );
    }
}

#[test]
fn a_probe_that_is_null_is_left_out() {
    let chart = Chart::render(&json!({"livenessProbe": null, "startupProbe": null}));
    let container = chart.container();
    assert!(container["livenessProbe"].is_null() && container["startupProbe"].is_null());
    assert!(container["readinessProbe"].is_object());
}

#[test]
fn each_replica_has_a_volume_and_a_number_of_its_own() {
    let chart = configuration("replicas");
    let set = &chart.only("StatefulSet")["spec"];
    assert_eq!(set["replicas"], 2);
    let claim = &set["volumeClaimTemplates"][0]["spec"];
    assert_eq!(claim["storageClassName"], "fast");
    assert_eq!(claim["resources"]["requests"]["storage"], "2Gi");
    let env = list(&chart.container()["env"]);
    let replica = env.iter().find(|variable| variable["name"] == "MYUNISOFT_EXPORTER_REPLICA").unwrap();
    let field = &replica["valueFrom"]["fieldRef"]["fieldPath"];
    assert_eq!(field, "metadata.labels['apps.kubernetes.io/pod-index']");
    assert!(list(&chart.container()["args"]).contains(&json!("--replicas=2")));
}

#[test]
fn each_shard_is_a_pod_that_takes_its_number_from_its_name() {
    let chart = configuration("shards");
    assert_eq!(chart.only("StatefulSet")["spec"]["replicas"], 3);
    let container = chart.container();
    let args = list(&container["args"]);
    for flag in [
        "--shard=auto/3",
        "--restore.prometheus-url=http://prometheus-operated.monitoring.svc:9090",
        "--restore.match={job=\"myunisoft-exporter\",namespace=\"monitoring\"}",
    ] {
        assert!(args.contains(&json!(flag)), "{flag}: {args:?}");
    }
    let is_replica = |variable: &Value| variable["name"] == "MYUNISOFT_EXPORTER_REPLICA";
    assert!(!list(&container["env"]).iter().any(is_replica), "shards are no replicas");
    let default = configuration("default");
    assert!(!default.container()["args"].to_string().contains("shard"));
    assert!(!default.container()["args"].to_string().contains("restore"));
}

#[test]
fn without_persistence_the_storage_is_an_empty_directory() {
    for name in ["network", "demo"] {
        let set = &configuration(name).only("StatefulSet")["spec"];
        assert!(set["volumeClaimTemplates"].is_null(), "{name}");
        assert_eq!(set["template"]["spec"]["volumes"][0], json!({"name": "data", "emptyDir": {}}), "{name}");
    }
}

#[test]
fn a_claim_of_one_s_own_is_used() {
    let chart = Chart::render(&json!({"persistence": {"existingClaim": "old-states"}}));
    let set = &chart.only("StatefulSet")["spec"];
    assert!(set["volumeClaimTemplates"].is_null());
    let expected = json!({"name": "data", "persistentVolumeClaim": {"claimName": "old-states"}});
    assert_eq!(set["template"]["spec"]["volumes"][0], expected);
}

#[test]
fn every_key_file_is_read_and_each_source_has_a_pattern_of_its_own() {
    let chart = configuration("secrets");
    let config =
        parse_yaml(text(&chart.named("ConfigMap", "myunisoft-exporter")["data"]["myunisoft-exporter.yml"]));
    let patterns: Vec<_> = list(&config["key_files"]).iter().map(text).collect();
    let directories = ["myunisoft-exporter-keys", "myunisoft-keys", "more-keys"];
    assert_eq!(patterns, directories.map(|name| format!("/etc/myunisoft-exporter.d/{name}/*")));
    let mounts = list(&chart.container()["volumeMounts"]);
    for pattern in patterns {
        let directory = pattern.trim_end_matches("/*");
        assert!(mounts.iter().any(|mount| mount["mountPath"] == directory), "{directory}");
    }
    let own =
        Chart::render(&json!({"config": {"key_files": ["/x/*"]}, "keyFiles": {"a.yml": {"partners": []}}}));
    let config =
        parse_yaml(text(&own.named("ConfigMap", "myunisoft-exporter")["data"]["myunisoft-exporter.yml"]));
    assert_eq!(config["key_files"], json!(["/x/*"]), "patterns of one's own are kept");
}

#[test]
fn a_configuration_of_one_s_own_replaces_the_chart_s() {
    for (values, volume) in [
        (json!({"existingConfigMap": "mine"}), json!({"name": "config", "configMap": {"name": "mine"}})),
        (
            json!({"existingConfigSecret": "mine"}),
            json!({"name": "config", "secret": {"secretName": "mine", "defaultMode": 0o440}}),
        ),
    ] {
        let chart = Chart::render(&values);
        assert_eq!(chart.of_kind("ConfigMap").count(), 0);
        assert_eq!(chart.only("StatefulSet")["spec"]["template"]["spec"]["volumes"][0], volume);
    }
}

#[test]
fn only_the_exporter_s_group_can_read_the_files_of_secrets() {
    for (name, chart) in CONFIGURATIONS.iter() {
        for pod in pods(chart) {
            for volume in list(&pod["volumes"]).iter().filter(|volume| volume["secret"].is_object()) {
                assert_eq!(volume["secret"]["defaultMode"], 0o440, "{name}: {volume}");
            }
            assert_eq!(pod["securityContext"]["fsGroup"], 65_532, "{name}");
        }
    }
}

#[test]
fn the_network_policy_admits_the_monitoring_and_lets_the_exporter_reach_names_and_https() {
    let policy = &configuration("network").only("NetworkPolicy")["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let from = &policy["ingress"][0]["from"][0];
    assert_eq!(
        from["namespaceSelector"]["matchLabels"],
        json!({"kubernetes.io/metadata.name": "observability"})
    );
    assert_eq!(from["podSelector"]["matchLabels"], json!({"app.kubernetes.io/name": "prometheus"}));
    assert_eq!(policy["ingress"][0]["ports"], json!([{"port": "web", "protocol": "TCP"}]));
    let [dns, https, proxy] = list(&policy["egress"]) else { panic!("{policy}") };
    assert_eq!(dns["ports"], json!([{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]));
    assert!(dns["to"].is_null(), "the address of the DNS server is not known");
    assert_eq!(https["to"], json!([{"ipBlock": {"cidr": "203.0.113.0/24"}}]));
    assert_eq!(https["ports"], json!([{"port": 443, "protocol": "TCP"}]));
    assert_eq!(proxy["ports"][0]["port"], 3128);
}

#[test]
fn a_disruption_budget_lets_a_single_replica_be_drained() {
    let spec = |name| &configuration(name).only("PodDisruptionBudget")["spec"];
    assert_eq!(spec("network")["maxUnavailable"], 1);
    assert!(spec("network")["minAvailable"].is_null());
    assert_eq!(spec("replicas")["minAvailable"], "50%");
    assert!(spec("replicas")["maxUnavailable"].is_null());
}

/// Services, budget and policy select the exporter's pods, and not the pod of `helm test`.
#[test]
fn selectors_match_the_pods_of_the_exporter_only() {
    let matches = |selector: &Value, labels: &Value| {
        selector.as_object().unwrap().iter().all(|(name, value)| labels[name] == *value)
    };
    for (name, chart) in CONFIGURATIONS.iter() {
        let pod = &chart.only("StatefulSet")["spec"]["template"]["metadata"]["labels"];
        let selectors = chart.objects.iter().flat_map(|object| match text(&object["kind"]) {
            "Service" => vec![&object["spec"]["selector"]],
            "StatefulSet" | "PodDisruptionBudget" => vec![&object["spec"]["selector"]["matchLabels"]],
            "NetworkPolicy" => vec![&object["spec"]["podSelector"]["matchLabels"]],
            _ => vec![],
        });
        for selector in selectors {
            assert!(matches(selector, pod), "{name}: {selector} {pod}");
            for test in chart.of_kind("Pod") {
                assert!(!matches(selector, &test["metadata"]["labels"]), "{name}: {selector}");
            }
        }
    }
}

#[test]
fn the_governing_service_exists_and_has_no_address() {
    for (name, chart) in CONFIGURATIONS.iter() {
        let governing = text(&chart.only("StatefulSet")["spec"]["serviceName"]);
        assert_eq!(chart.named("Service", governing)["spec"]["clusterIP"], "None", "{name}");
    }
}

/// A `StatefulSet`'s pods carry a label of its name and a hash of eleven characters, at most 63 together.
#[test]
fn the_longest_names_stay_short_enough_for_kubernetes() {
    let request = json!({"name": "a".repeat(53), "values": {"nameOverride": "b".repeat(60), "dashboards": {"enabled": true}}});
    let chart = Chart::try_render_request(&chart_folder(), &request).unwrap();
    let name = text(&chart.only("StatefulSet")["metadata"]["name"]);
    assert!(name.len() <= 52, "{name}");
    for object in chart.objects.iter().filter(|object| object["kind"] == "Service") {
        assert!(text(&object["metadata"]["name"]).len() <= 63);
    }
    for labels in chart.objects.iter().map(|object| &object["metadata"]["labels"]) {
        assert!(labels.as_object().unwrap().values().all(|value| text(value).len() <= 63), "{labels}");
    }
}

#[test]
fn common_labels_are_on_every_object_and_in_no_selector_or_claim() {
    for object in &configuration("everything").objects {
        let labels = &object["metadata"]["labels"];
        if object["kind"] != "Pod" {
            assert_eq!(labels["team"], "integrations", "{} {labels}", object["kind"]);
        }
    }
    let set = &configuration("everything").only("StatefulSet")["spec"];
    assert!(set["selector"]["matchLabels"]["team"].is_null());
    assert!(set["volumeClaimTemplates"][0]["metadata"]["labels"]["team"].is_null());
    assert_eq!(set["template"]["metadata"]["labels"]["team"], "integrations");
}

#[test]
fn the_notes_say_what_an_operator_must_know() {
    let notes = |name| configuration(name).notes.as_str();
    assert!(notes("default").contains("No key is configured"));
    assert!(!notes("secrets").contains("No key is configured"));
    assert!(notes("secrets").contains("activate a new key"));
    assert!(notes("network").contains("persistence.enabled is false"));
    assert!(notes("replicas").contains("take turns"));
    assert!(notes("shards").contains("divided among 3 pods"));
    assert!(notes("demo").contains("simulated"));
    assert!(notes("web").contains("https://localhost:10698/"));
    assert!(notes("everything").contains("https://localhost:10698/exporter/"));
}
