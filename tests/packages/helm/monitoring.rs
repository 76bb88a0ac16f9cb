//! What the chart gives to the Prometheus Operator and to Grafana.

use std::process::Command;

use serde_json::{Value, json};

use super::{CONFIGURATIONS, Chart, list, read_text, read_yaml, root, text};
use crate::support::server::run_tool;

/// The configuration named, with everything that is about monitoring.
fn everything() -> &'static Chart {
    &CONFIGURATIONS.iter().find(|(name, _)| name == "everything").unwrap().1
}

fn with_monitoring() -> Chart {
    let enabled = json!({"enabled": true});
    Chart::render(&json!({"serviceMonitor": enabled, "prometheusRule": enabled, "dashboards": enabled}))
}

const RULE_FILES: [&str; 3] = ["settings.rules.yml", "recording.rules.yml", "alerts.rules.yml"];
const DASHBOARDS: [&str; 3] = ["exporter.json", "key.json", "overview.json"];

#[test]
fn the_files_in_the_chart_are_the_shipped_files() {
    let names = |folder: &str| {
        let entries = std::fs::read_dir(root().join("deploy/helm/files").join(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let mut rules = RULE_FILES.to_vec();
    rules.push("fr");
    rules.sort_unstable();
    assert_eq!(names("alerts"), rules);
    assert_eq!(names("dashboards"), DASHBOARDS);
    let files = RULE_FILES.map(|name| format!("alerts/{name}")).into_iter();
    let files = files.chain(["alerts/fr/alerts.rules.yml".to_owned()]);
    for file in files.chain(DASHBOARDS.map(|name| format!("dashboards/{name}"))) {
        let same = read_text(&file) == read_text(format!("deploy/helm/files/{file}"));
        assert!(same, "deploy/helm/files/{file} is out of date: run `make chart-files manifests`");
    }
}

#[test]
fn the_rules_of_the_chart_are_the_shipped_rules() {
    let shipped: Vec<Value> = RULE_FILES
        .iter()
        .flat_map(|name| list(&read_yaml(format!("alerts/{name}"))["groups"]).to_vec())
        .collect();
    assert_eq!(with_monitoring().only("PrometheusRule")["spec"], json!({"groups": shipped}));
}

#[test]
fn the_chart_loads_the_alerts_of_one_language() {
    let values = json!({"prometheusRule": {"enabled": true, "language": "fr"}});
    let names = ["settings.rules.yml", "recording.rules.yml", "fr/alerts.rules.yml"];
    let french: Vec<Value> =
        names.iter().flat_map(|name| list(&read_yaml(format!("alerts/{name}"))["groups"]).to_vec()).collect();
    assert_eq!(Chart::render(&values).only("PrometheusRule")["spec"], json!({"groups": french}));
}

#[test]
fn the_dashboards_of_the_chart_are_the_shipped_dashboards() {
    let chart = with_monitoring();
    for name in DASHBOARDS {
        let map = chart.named("ConfigMap", &format!("myunisoft-exporter-{}", name.trim_end_matches(".json")));
        let content = text(&map["data"][format!("myunisoft-{name}")]);
        assert_eq!(content.trim_end(), read_text(format!("dashboards/{name}")).trim_end(), "{name}");
        assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    }
}

/// The rules as Prometheus reads them from the operator.
fn promtool(spec: &Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, spec.to_string()).unwrap();
    let output = run_tool(Command::new("promtool").args(["check", "rules"]).arg(&file));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn promtool_accepts_the_rules_of_the_chart() {
    for chart in [&with_monitoring(), everything()] {
        assert!(promtool(&chart.only("PrometheusRule")["spec"]).contains("SUCCESS"));
    }
}

/// The rule of a record in the chart's settings.
fn setting<'a>(chart: &'a Chart, record: &str) -> &'a Value {
    let groups = list(&chart.only("PrometheusRule")["spec"]["groups"]);
    let mut rules = groups.iter().flat_map(|group| list(&group["rules"]));
    rules.find(|rule| rule["record"] == record).unwrap_or_else(|| panic!("no {record}"))
}

#[test]
fn thresholds_and_links_of_the_rules_can_be_set() {
    let chart = everything();
    assert_eq!(setting(chart, "myunisoft:slow_probe:seconds")["expr"], "vector(4)");
    assert_eq!(setting(chart, "myunisoft:certificate_warning:seconds")["expr"], "vector(30 * 86400)");
    let links = &setting(chart, "myunisoft:links:info")["labels"];
    assert_eq!(links["grafana"], "https://grafana.example");
    assert_eq!(links["runbooks"], "https://wiki.example/runbooks.md");
    assert_eq!(links["exporter"], "https://monitoring.example/exporter");
    // What is not set stays as it is shipped.
    assert_eq!(setting(chart, "myunisoft:clock_skew:seconds")["expr"], "vector(30)");
}

#[test]
fn the_link_to_the_exporter_follows_tls_and_prefix() {
    let link = |values: Value| {
        let chart = Chart::render(&values);
        text(&setting(&chart, "myunisoft:links:info")["labels"]["exporter"]).to_owned()
    };
    let rule = json!({"enabled": true});
    assert_eq!(link(json!({"prometheusRule": rule})), "http://INSTANCE");
    let web = json!({"existingSecret": "a", "tls": true, "routePrefix": "/x"});
    assert_eq!(link(json!({"prometheusRule": rule, "web": web})), "https://INSTANCE/x");
    let given = json!({"enabled": true, "links": {"exporter": "https://b.example/"}});
    assert_eq!(link(json!({"prometheusRule": given, "web": web})), "https://b.example");
}

/// Kubernetes' schemas do not include the operator's kinds, so their fields are checked here.
#[test]
fn a_service_monitor_has_only_fields_that_the_operator_knows() {
    let known = |thing: &Value, names: &[&str]| {
        for name in thing.as_object().unwrap().keys() {
            assert!(names.contains(&name.as_str()), "{name}: {thing}");
        }
    };
    for chart in [&with_monitoring(), everything(), configuration("web")] {
        let monitor = chart.only("ServiceMonitor");
        known(monitor, &["apiVersion", "kind", "metadata", "spec"]);
        assert_eq!(monitor["apiVersion"], "monitoring.coreos.com/v1");
        known(&monitor["spec"], &["endpoints", "jobLabel", "namespaceSelector", "selector"]);
        let [endpoint] = list(&monitor["spec"]["endpoints"]) else { panic!("{monitor}") };
        let names =
            "basicAuth interval metricRelabelings path port relabelings scheme scrapeTimeout tlsConfig";
        known(endpoint, &names.split(' ').collect::<Vec<_>>());
        known(&chart.only("ServiceMonitor")["spec"]["selector"], &["matchLabels"]);
    }
}

fn configuration(name: &str) -> &'static Chart {
    &CONFIGURATIONS.iter().find(|(other, _)| other == name).unwrap().1
}

#[test]
fn a_service_monitor_selects_exactly_one_port_of_one_service() {
    for chart in [&with_monitoring(), everything(), configuration("web")] {
        let monitor = &chart.only("ServiceMonitor")["spec"];
        let selector = monitor["selector"]["matchLabels"].as_object().unwrap();
        let selected: Vec<_> = chart
            .of_kind("Service")
            .filter(|service| {
                selector.iter().all(|(name, value)| service["metadata"]["labels"][name] == *value)
            })
            .collect();
        let [service] = selected.as_slice() else { panic!("{} services", selected.len()) };
        let port = &monitor["endpoints"][0]["port"];
        assert!(list(&service["spec"]["ports"]).iter().any(|other| other["name"] == *port), "{port}");
    }
}

#[test]
fn the_scrape_uses_the_scheme_the_password_and_the_prefix_of_the_exporter() {
    let endpoint = |chart: &Chart| chart.only("ServiceMonitor")["spec"]["endpoints"][0].clone();
    assert_eq!(endpoint(&with_monitoring()), json!({"port": "http", "path": "/metrics", "scheme": "http"}));
    let web = endpoint(configuration("web"));
    assert_eq!(web["scheme"], "https");
    assert_eq!(web["basicAuth"]["password"], json!({"name": "exporter-scrape", "key": "password"}));
    assert_eq!(web["tlsConfig"]["serverName"], "exporter.example");
    assert_eq!(endpoint(everything())["path"], "/exporter/metrics");
}

/// A `ServiceMonitor` in another namespace must name the namespace of the exporter.
#[test]
fn a_service_monitor_in_another_namespace_still_finds_the_exporter() {
    let namespaces = |chart: &Chart| chart.only("ServiceMonitor")["spec"]["namespaceSelector"].clone();
    assert_eq!(namespaces(&with_monitoring()), Value::Null);
    assert_eq!(namespaces(everything()), json!({"matchNames": ["monitoring"]}));
}

/// `kubectl apply` stores each object once more, in an annotation of at most 256 KiB.
#[test]
fn every_object_fits_into_the_annotation_of_kubectl_apply() {
    for object in &with_monitoring().objects {
        let size = object.to_string().len();
        assert!(size < 256 * 1024, "{}: {size} bytes", object["metadata"]["name"]);
    }
}
