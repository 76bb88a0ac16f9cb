//! The values: described, checked, and refused with a message that helps.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Chart, parse_yaml, read_text, read_yaml};

/// The path of every value of `values.yaml`: an empty mapping or a list is a value itself.
fn paths(values: &Value, prefix: &str) -> BTreeSet<String> {
    let Value::Object(fields) = values else { return BTreeSet::from([prefix.to_owned()]) };
    if fields.is_empty() {
        return BTreeSet::from([prefix.to_owned()]);
    }
    let path = |name: &String| if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
    fields.iter().flat_map(|(name, value)| paths(value, &path(name))).collect()
}

/// The values whose content is Kubernetes' or Grafana's own, and is described as a whole.
const DESCRIBED_AS_A_WHOLE: [&str; 10] = [
    "config",
    "dashboards.labels",
    "livenessProbe",
    "networkPolicy.namespaceSelector",
    "podSecurityContext",
    "prometheusRule.links",
    "readinessProbe",
    "resources",
    "securityContext",
    "startupProbe",
];

fn shipped_paths() -> BTreeSet<String> {
    let shorten = |path: String| {
        let whole = DESCRIBED_AS_A_WHOLE.iter().find(|whole| path.starts_with(&format!("{whole}.")));
        whole.map_or(path, |whole| (*whole).to_owned())
    };
    paths(&read_yaml("deploy/helm/values.yaml"), "").into_iter().map(shorten).collect()
}

#[test]
fn the_readme_describes_every_value_and_no_other() {
    let readme = read_text("deploy/helm/README.md");
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    let first_cells = rows.map(|row| row.split('|').nth(1).unwrap());
    let described: BTreeSet<String> = first_cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(described, shipped_paths());
}

/// The properties that the schema allows, as far as it lists them.
fn schema_paths(schema: &Value, definitions: &Value, prefix: &str) -> BTreeSet<String> {
    let reference = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let schema = reference.map_or(schema, |name| &definitions[name]);
    let Some(properties) = schema["properties"].as_object() else {
        return BTreeSet::from([prefix.to_owned()]);
    };
    let path = |name: &String| if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
    properties.iter().flat_map(|(name, value)| schema_paths(value, definitions, &path(name))).collect()
}

#[test]
fn the_schema_knows_every_value_and_allows_no_other_at_any_level() {
    let schema: Value = serde_json::from_str(&read_text("deploy/helm/values.schema.json")).unwrap();
    let allowed = schema_paths(&schema, &schema["definitions"], "");
    // A path of values.yaml is a property, or lies inside a free mapping, or contains properties that are optional.
    let shipped = paths(&read_yaml("deploy/helm/values.yaml"), "");
    for path in &shipped {
        let known = allowed.iter().any(|other| {
            other == path || path.starts_with(&format!("{other}.")) || other.starts_with(&format!("{path}."))
        });
        assert!(known, "values.schema.json does not know {path}");
    }
    // For parent charts.
    let unused: Vec<_> = allowed
        .iter()
        .filter(|path| {
            !shipped.iter().any(|other| path.starts_with(other.as_str()) || other.starts_with(path.as_str()))
        })
        .filter(|path| !path.ends_with("Probe") && !path.contains("Probe."))
        .collect();
    assert_eq!(unused, ["enabled", "global", "resources.claims"]);
    assert_closed(&schema, "values");
}

/// Every schema that lists properties refuses others.
fn assert_closed(schema: &Value, place: &str) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) {
                assert_eq!(fields.get("additionalProperties"), Some(&json!(false)), "{place}");
            }
            for (name, value) in fields {
                assert_closed(value, &format!("{place}.{name}"));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_closed(item, place)),
        _ => {}
    }
}

/// The message names the value and what is wrong with it.
fn assert_refused(values: &Value, message: &[&str]) {
    match Chart::try_render(values) {
        Ok(_) => panic!("accepted: {values}"),
        Err(fault) => {
            for part in message {
                assert!(fault.contains(part), "{values}: {fault}");
            }
        }
    }
}

#[test]
fn a_misspelt_value_is_refused_at_every_level() {
    assert_refused(&json!({"replica": 2}), &["additional properties 'replica' not allowed"]);
    assert_refused(&json!({"web": {"tsl": true}}), &["/web", "'tsl'"]);
    assert_refused(
        &json!({"networkPolicy": {"egress": {"port": [443]}}}),
        &["/networkPolicy/egress", "'port'"],
    );
    assert_refused(
        &json!({"existingSecrets": [{"secret": "a"}]}),
        &["/existingSecrets/0", "'secret'", "'name'"],
    );
    assert_refused(&json!({"serviceMonitor": {"tlsConfig": {"servername": "a"}}}), &["'servername'"]);
    assert_refused(&json!({"livenessProbe": {"period": 1}}), &["/livenessProbe", "'period'"]);
}

#[test]
fn a_value_of_the_wrong_type_or_outside_its_limits_is_refused() {
    assert_refused(&json!({"replicas": "2"}), &["/replicas", "got string, want integer"]);
    assert_refused(&json!({"replicas": -1}), &["/replicas"]);
    assert_refused(&json!({"log": {"level": "verbose"}}), &["/log/level", "'error', 'warn', 'info'"]);
    assert_refused(&json!({"image": {"digest": "sha256:1"}}), &["/image/digest"]);
    assert_refused(&json!({"persistence": {"size": "1 GB"}}), &["/persistence/size"]);
    assert_refused(&json!({"service": {"port": 70_000}}), &["/service/port"]);
    assert_refused(&json!({"extraArgs": ["web.enable-lifecycle"]}), &["/extraArgs/0"]);
    assert_refused(&json!({"commonLabels": {"a": 1}}), &["/commonLabels/a", "want string"]);
    assert_refused(&json!({"web": {"externalUrl": "exporter.example"}}), &["/web/externalUrl"]);
    assert_refused(
        &json!({"serviceMonitor": {"basicAuth": {"username": {"name": "a", "key": "b"}}}}),
        &["password"],
    );
    assert_refused(&json!({"config": null}), &["config"]);
    assert_refused(&json!({"keyFiles": {"a.yml": {"partner": []}}}), &["/keyFiles/a.yml", "'partner'"]);
    assert_refused(&json!({"keyFiles": {".a.yml": {"partners": []}}}), &[".a.yml"]);
}

#[test]
fn a_file_that_kubernetes_would_never_update_is_refused() {
    let mount = json!({"name": "a", "mountPath": "/a", "subPath": "b"});
    assert_refused(&json!({"extraVolumeMounts": [mount]}), &["'subPath' not allowed"]);
}

#[test]
fn a_secret_in_a_config_map_is_refused() {
    let partner = |partner: Value| json!({"config": {"partners": [partner]}});
    let place = "config.partners[0]";
    assert_refused(&partner(json!({"name": "a", "secret": "s"})), &[place, "secret_file", "existingSecrets"]);
    let token = json!({"name": "a", "keys": [{"name": "b"}, {"name": "c", "token": "t"}]});
    assert_refused(&partner(token.clone()), &[place, "keys[1].token", "token_file"]);
    let login = json!({"name": "a", "keys": [{"name": "b", "login": {"mail": "m", "password": "p"}}]});
    assert_refused(&partner(login), &[place, "keys[0].login.password", "password_file"]);
    assert_refused(
        &json!({"keyFiles": {"x.yml": {"partners": [token]}}}),
        &["keyFiles.x.yml.partners[0].keys[1]"],
    );
    let proxy = json!({"config": {"api": {"proxy_url": "http://me:pass@proxy.example:3128"}}});
    assert_refused(&proxy, &["config.api.proxy_url", "existingConfigSecret"]);
}

/// The exporter reports these errors with the line, so the chart leaves them to it.
#[test]
fn a_configuration_of_a_wrong_form_is_left_to_the_exporter() {
    for partners in [json!("acme"), json!(["acme"]), json!([{"keys": "a"}]), json!([{"keys": ["a"]}])] {
        Chart::render(&json!({"config": {"partners": partners}}));
    }
    Chart::render(&json!({"config": {"partners": [{"keys": [{"login": "a"}]}], "api": "b"}}));
}

#[test]
fn replicas_never_share_a_volume() {
    let values = json!({"replicas": 2, "persistence": {"existingClaim": "a"}});
    assert_refused(&values, &["persistence.existingClaim", "each replica and each shard needs its own"]);
    let values = json!({"shards": 2, "persistence": {"existingClaim": "a"}});
    assert_refused(&values, &["persistence.existingClaim"]);
    assert_refused(&json!({"shards": 2, "replicas": 2}), &["shards and replicas are both set"]);
    assert_refused(&json!({"shards": 2, "demo": {"enabled": true}}), &["the demo is not divided"]);
}

#[test]
fn two_sources_of_the_same_thing_are_refused() {
    assert_refused(&json!({"existingConfigMap": "a", "existingConfigSecret": "b"}), &["keep one of them"]);
    let web = json!({"existingSecret": "a", "config": {"basic_auth_users": {"a": "b"}}});
    assert_refused(&json!({"web": web}), &["web.config and web.existingSecret", "keep one of them"]);
    assert_refused(
        &json!({"existingKeyFiles": [{"configMap": "a", "secret": "b"}]}),
        &["/existingKeyFiles/0"],
    );
}

#[test]
fn two_volumes_in_one_directory_are_refused() {
    let both = json!([{"name": "a"}, {"name": "b", "mountPath": "/run/secrets/a"}]);
    assert_refused(&json!({"existingSecrets": both}), &["/run/secrets/a", "another mountPath"]);
    let inside = json!([{"name": "a", "mountPath": "/etc/myunisoft-exporter/secrets"}]);
    assert_refused(
        &json!({"existingSecrets": inside}),
        &["/etc/myunisoft-exporter/secrets", "another mountPath"],
    );
    let files = json!([{"configMap": "a"}, {"secret": "a"}]);
    assert_refused(
        &json!({"existingKeyFiles": files}),
        &["/etc/myunisoft-exporter.d/a", "another mountPath"],
    );
    let storage = json!([{"name": "a", "mountPath": "/data/"}]);
    assert_refused(&json!({"extraVolumeMounts": storage}), &["/data", "another mountPath"]);
    // `/run/secrets/ab` is not inside `/run/secrets/a`.
    Chart::render(&json!({"existingSecrets": [{"name": "a"}, {"name": "ab"}]}));
}

#[test]
fn a_web_configuration_that_the_kubelet_cannot_pass_is_refused() {
    let tls = json!({"tls_server_config": {"client_auth_type": "RequireAndVerifyClientCert"}});
    assert_refused(&json!({"web": {"config": tls}}), &["kubelet", "VerifyClientCertIfGiven"]);
    let users = json!({"config": {"basic_auth_users": {"a": "b"}}, "probesWithoutAuth": false});
    assert_refused(&json!({"web": users}), &["kubelet", "web.probesWithoutAuth"]);
    let none = json!({"web": users, "startupProbe": null, "livenessProbe": null, "readinessProbe": null});
    let chart = Chart::render(&none);
    assert!(!chart.arguments().contains(&"--web.probes-without-auth"));
}

#[test]
fn a_scrape_that_would_fail_is_refused() {
    let monitor = json!({"enabled": true});
    let tls = json!({"config": {"tls_server_config": {"cert_file": "a", "key_file": "b"}}});
    assert_refused(&json!({"web": tls, "serviceMonitor": monitor}), &["serviceMonitor.tlsConfig"]);
    let secret = json!({"existingSecret": "web", "tls": true});
    assert_refused(&json!({"web": secret, "serviceMonitor": monitor}), &["serviceMonitor.tlsConfig"]);
    let users = json!({"config": {"basic_auth_users": {"a": "b"}}});
    assert_refused(&json!({"web": users, "serviceMonitor": monitor}), &["serviceMonitor.basicAuth"]);
}

#[test]
fn a_setting_that_the_rules_do_not_know_is_refused() {
    let settings = json!({"enabled": true, "settings": {"myunisoft:slow_probes:seconds": 1}});
    assert_refused(
        &json!({"prometheusRule": settings}),
        &["myunisoft:slow_probes:seconds is not a setting", "myunisoft:slow_probe:seconds"],
    );
}

#[test]
fn an_ingress_without_a_host_is_refused() {
    assert_refused(&json!({"ingress": {"enabled": true}}), &["ingress.hosts is empty"]);
}

#[test]
fn a_disruption_budget_without_a_number_is_refused() {
    let budget = json!({"enabled": true, "maxUnavailable": null});
    assert_refused(&json!({"podDisruptionBudget": budget}), &["neither minAvailable nor maxUnavailable"]);
    let none = json!({"enabled": true, "maxUnavailable": 0});
    let chart = Chart::render(&json!({"podDisruptionBudget": none}));
    assert_eq!(chart.only("PodDisruptionBudget")["spec"]["maxUnavailable"], 0);
}

/// A parent chart passes `global`, and `enabled` if it has a condition.
#[test]
fn the_chart_can_be_a_part_of_another_chart() {
    Chart::render(&json!({"global": {"imageRegistry": "x"}, "enabled": true}));
}

#[test]
fn the_chart_accepts_every_example_of_the_documentation() {
    let page = read_text("docs/install/kubernetes.md");
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 5);
    for block in blocks {
        Chart::render(&parse_yaml(block));
    }
}
