//! The `Probe` of the Prometheus Operator in docs/scaling.md, as the operator turns it into a scrape configuration.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::acme::{state_line, two_keys};
use crate::support::monitoring::Prometheus;
use crate::support::server::{Exporter, until};

/// The object in the document.
fn documented_probe() -> Value {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scaling.md");
    let page = fs::read_to_string(page).unwrap();
    let begin = page.find("apiVersion: monitoring.coreos.com/v1").unwrap();
    let text = page[begin..].split("```").next().unwrap();
    serde_saphyr::from_str(text).unwrap()
}

/// The fields of a relabelling have other names in Prometheus' own configuration.
fn relabelling(rule: &Value) -> Value {
    let names = [("sourceLabels", "source_labels"), ("targetLabel", "target_label")];
    let fields = rule.as_object().unwrap().iter().map(|(field, value)| {
        let name =
            names.iter().find(|(of_operator, _)| of_operator == field).map_or(&**field, |(_, name)| name);
        (name.to_owned(), value.clone())
    });
    Value::Object(fields.collect())
}

/// What the operator generates for a `Probe` with static targets, with the address of this exporter and these targets.
fn scrape_config(probe: &Value, exporter: &str, targets: &[&str]) -> String {
    let spec = &probe["spec"];
    let of_targets = &spec["targets"]["staticConfig"];
    let mut rules = vec![
        json!({"source_labels": ["__address__"], "target_label": "__param_target"}),
        json!({"source_labels": ["__param_target"], "target_label": "instance"}),
        json!({"target_label": "__address__", "replacement": exporter}),
    ];
    rules.extend(of_targets["relabelingConfigs"].as_array().unwrap().iter().map(relabelling));
    let job = json!({
        "job_name": "probe",
        "metrics_path": spec["prober"]["path"],
        "scrape_interval": "1s",
        "static_configs": [{"targets": targets}],
        "relabel_configs": rules,
    });
    // JSON is YAML.
    json!({"scrape_configs": [job]}).to_string()
}

#[tokio::test]
async fn the_documented_probe_of_the_operator_makes_prometheus_ask_for_each_key() {
    let probe = documented_probe();
    assert_eq!(probe["spec"]["targets"]["staticConfig"]["static"], json!(["acme/dupont", "acme/martin"]));
    let (simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    exporter.wait_for_line(&state_line("martin", "active")).await;
    simulator.key("martin").unwrap().revoke();
    exporter.wait_for_line(&state_line("martin", "revoked")).await;
    let address = exporter.url.trim_start_matches("http://");
    let config = scrape_config(&probe, address, &["acme/dupont", "acme/martin", "acme/nobody"]);
    let prometheus = Prometheus::start(folder.path(), &config).await;
    for (query, value) in [
        ("up{job=\"probe\",instance=\"acme/dupont\"}", "1"),
        ("up{job=\"probe\",instance=\"acme/martin\"}", "1"),
        ("up{job=\"probe\",instance=\"acme/nobody\"}", "0"),
        ("probe_success{instance=\"acme/dupont\"}", "1"),
        ("probe_success{instance=\"acme/martin\"}", "0"),
    ] {
        let poll = || async { (prometheus.query(query).await?[0]["value"][1] == value).then_some(()) };
        until(query, poll).await;
    }
}
