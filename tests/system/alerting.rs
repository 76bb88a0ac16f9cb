//! From the API to whoever is notified: the exporter, a real Prometheus with the shipped rules, a real
//! Alertmanager with the shipped routes and inhibitions, and a receiver.
//!
//! All durations (intervals, `for`, `group_wait`, …) are a tenth of the shipped ones; that each is what
//! it should be, is for the rules' own tests. `make detection` runs the same with the shipped ones, and
//! prints how long each detection took.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use partner_simulator::{Fault, Scope, Simulator};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::SECRET;
use crate::support::monitoring::{
    Alertmanager, Notification, Prometheus, Webhook, hastened, lay_out_rules, shipped,
};
use crate::support::server::{Exporter, client, until_within};

/// Set: everything takes as long as it does for a user.
const AS_SHIPPED: &str = "MYUNISOFT_AS_SHIPPED";

/// Longer than any wait here.
const PATIENCE: Duration = Duration::from_mins(20);

/// By how much everything is faster than shipped.
fn haste() -> u32 {
    if std::env::var_os(AS_SHIPPED).is_some() { 1 } else { 10 }
}

/// All of it, in a folder of its own.
struct Stack {
    simulator: Simulator,
    folder: TempDir,
    prometheus: Prometheus,
    webhook: Webhook,
    _exporter: Exporter,
    _alertmanager: Alertmanager,
}

impl Stack {
    /// Starts everything, and waits until all keys are known to work.
    async fn start(keys: &[&str]) -> Self {
        let builder = Simulator::builder().partner("acme", SECRET);
        let builder =
            keys.iter().zip(127..).fold(builder, |builder, (key, id)| builder.society_key(key, 80, id));
        let simulator = builder.start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        for key in keys {
            let token = simulator.key(key).unwrap().token().unwrap();
            fs::write(folder.path().join(key), token).unwrap();
        }
        fs::write(folder.path().join("exporter.yml"), exporter_config(&simulator, keys)).unwrap();
        let exporter = Exporter::start(folder.path(), &[]).await;

        let webhook = Webhook::start().await;
        let routes = hastened(&shipped("examples/alertmanager.yml"), haste())
            .replace("localhost:5001", &webhook.address);
        let alertmanager = Alertmanager::start(folder.path(), &routes).await;

        let config = lay_out_rules(folder.path(), haste())
            .replace("localhost:10698", exporter.url.trim_start_matches("http://"))
            .replace("localhost:9093", &alertmanager.address);
        let prometheus = Prometheus::start(folder.path(), &config).await;

        let stack =
            Self { simulator, folder, prometheus, webhook, _exporter: exporter, _alertmanager: alertmanager };
        stack.sees("count(myunisoft_key_state{state=\"active\"} == 1)", keys.len()).await;
        stack.sees("count(myunisoft_secret_state{state=\"active\"} == 1)", 1).await;
        stack.sees("myunisoft_probe_up{probe=\"health\"}", 1).await;
        stack
    }

    /// Waits until Prometheus answers a query with this one value.
    async fn sees(&self, query: &str, value: usize) {
        let ask = || async {
            let series = self.prometheus.query(query).await?;
            (series[0]["value"][1] == *value.to_string()).then_some(())
        };
        until_within(PATIENCE, query, ask).await;
    }

    /// Waits for the notification that an alert fires, or is resolved, and says how long it took.
    async fn notified(&self, alert: &str, status: &str, since: Instant) -> Notification {
        let told = || async {
            let all = self.webhook.received();
            all.into_iter().find(|told| told.alert_name() == alert && told.status() == status)
        };
        let told = until_within(PATIENCE, alert, told).await;
        let pace = if haste() == 1 { "as shipped" } else { "at a tenth of the shipped durations" };
        println!("{alert} {status}: notified after {:.1?}, {pace}", told.at - since);
        told
    }

    /// What was notified so far: names and whether they fire.
    fn told(&self) -> Vec<(String, String)> {
        let all = self.webhook.received();
        all.iter().map(|told| (told.alert_name().to_owned(), told.status().to_owned())).collect()
    }

    /// Every request ID that the API gave with this code.
    fn given(&self, code: &str) -> BTreeSet<String> {
        let calls = self.simulator.request_log();
        let refused = calls.iter().filter(|call| call.code() == Some(code));
        refused.filter_map(|call| call.request_id().map(str::to_owned)).collect()
    }
}

/// As short as a user's: all but the addresses is as shipped, if nothing has to be hastened.
fn exporter_config(simulator: &Simulator, keys: &[&str]) -> String {
    let every = |seconds: u64| humantime::format_duration(Duration::from_secs(seconds) / haste()).to_string();
    let hasty = format!(
        "health: {{interval: {health}, timeout: 400ms}}\nkey_info: {{interval: {key}, timeout: 1s}}\n\
         canaries:\n  exercices: {{path: \"/api/v1/mad/exercices?version=1.0.0\", interval: {key}, timeout: 1s}}\n",
        health = every(15),
        key = every(60),
    );
    let keys =
        keys.iter().map(|key| format!("      - {{name: {key}, access: society, token_file: {key}}}\n"));
    format!(
        "api: {{base_url: \"{}\", auth_url: \"{}\"}}\n{}partners:\n  - name: acme\n    secret: {SECRET}\n    keys:\n{}",
        simulator.base_url(),
        simulator.auth_url(),
        if haste() == 1 { "" } else { &hasty },
        keys.collect::<String>()
    )
}

/// The request ID in a notification's description.
fn quoted(alert: &serde_json::Value) -> String {
    let description = alert["annotations"]["description"].as_str().unwrap();
    let after = description.split_once("request ID ").unwrap_or_else(|| panic!("{description}")).1;
    after.split_whitespace().next().unwrap().trim_end_matches('.').to_owned()
}

fn firing(alert: &str) -> (String, String) {
    (alert.to_owned(), "firing".to_owned())
}

fn resolved(alert: &str) -> (String, String) {
    (alert.to_owned(), "resolved".to_owned())
}

#[tokio::test]
async fn a_revoked_key_is_notified_once_with_its_request_id_and_resolved_when_it_is_replaced() {
    let stack = Stack::start(&["dupont", "martin"]).await;
    let key = stack.simulator.key("dupont").unwrap();

    let revoked = Instant::now();
    key.revoke();
    let told = stack.notified("MyUnisoftKeyRevoked", "firing", revoked).await;
    let [alert] = told.alerts() else { panic!("one key was revoked: {:?}", told.body) };
    for (label, value) in
        [("partner", "acme"), ("key", "dupont"), ("state", "revoked"), ("severity", "critical")]
    {
        assert_eq!(alert["labels"][label], value);
    }
    assert!(stack.given("ERR-API-TOKEN-NOT-FOUND").contains(&quoted(alert)), "{alert}");

    let replaced = Instant::now();
    let new = stack.folder.path().join("new");
    fs::write(&new, key.replace_token().unwrap()).unwrap();
    fs::rename(&new, stack.folder.path().join("dupont")).unwrap();
    stack.notified("MyUnisoftKeyRevoked", "resolved", replaced).await;
    stack.sees("count(myunisoft_key_state{state=\"active\"} == 1)", 2).await;
    assert_eq!(stack.told(), [firing("MyUnisoftKeyRevoked"), resolved("MyUnisoftKeyRevoked")]);
}

#[tokio::test]
async fn an_api_outage_is_notified_once_and_not_once_per_key() {
    let stack = Stack::start(&["dupont", "martin", "petit", "roux"]).await;

    let down = Instant::now();
    stack.simulator.inject(Scope::Everything, Fault::Close);
    let told = stack.notified("MyUnisoftApiDown", "firing", down).await;
    assert_eq!(told.alerts().len(), 1, "{:?}", told.body);
    stack.sees("count(myunisoft_probe_up == 0)", 9).await;
    stack.sees("count(ALERTS{alertstate=\"firing\",severity!=\"warning\"})", 1).await;

    let up = Instant::now();
    stack.simulator.heal_all();
    stack.notified("MyUnisoftApiDown", "resolved", up).await;
    stack.sees("count(ALERTS{alertstate=\"firing\",severity=\"critical\"}) or vector(0)", 0).await;
    // That the budget suffered is told besides, to those who are not woken.
    let mut told = stack.told();
    told.retain(|(alert, _)| alert != "MyUnisoftApiErrorBudgetBurn");
    assert_eq!(told, [firing("MyUnisoftApiDown"), resolved("MyUnisoftApiDown")]);
}

#[tokio::test]
async fn a_rejected_secret_is_notified_once_and_not_once_per_key() {
    let stack = Stack::start(&["dupont", "martin", "petit", "roux"]).await;
    let partner = stack.simulator.partner("acme").unwrap();
    // One key is in trouble of its own, of which nothing can be said any more once the secret is refused.
    let not_told = stack.simulator.key("roux").unwrap();

    let rejected = Instant::now();
    partner.deactivate_secret();
    let told = stack.notified("MyUnisoftSecretRejected", "firing", rejected).await;
    let [alert] = told.alerts() else { panic!("one secret was refused: {:?}", told.body) };
    assert_eq!(
        (&alert["labels"]["partner"], &alert["labels"]["key"]),
        (&"acme".into(), &serde_json::Value::Null)
    );
    assert!(stack.given("ERR-INVALID-SECRET").contains(&quoted(alert)), "{alert}");
    not_told.revoke();
    stack.sees("count(myunisoft_probe_error_info{reason=\"secret\"})", 8).await;

    let accepted = Instant::now();
    not_told.restore();
    partner.activate_secret();
    stack.notified("MyUnisoftSecretRejected", "resolved", accepted).await;
    stack.sees("count(ALERTS{alertstate=\"firing\"}) or vector(0)", 0).await;
    assert_eq!(stack.told(), [firing("MyUnisoftSecretRejected"), resolved("MyUnisoftSecretRejected")]);
}

/// Who is kept quiet by whom: source, target, whether it is quiet. All of one exporter, partner and key.
const QUIET: &[(&str, &str, bool)] = &[
    ("MyUnisoftApiDown", "MyUnisoftKeyRevoked", true),
    ("MyUnisoftApiDown", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftApiDown", "MyUnisoftSecretRejected", true),
    ("MyUnisoftApiDown", "MyUnisoftApiErrorBudgetBurn", true),
    ("MyUnisoftApiDown", "MyUnisoftTlsCertificateExpiring", false),
    ("MyUnisoftApiDown", "MyUnisoftProbesStale", false),
    ("MyUnisoftMostKeysFailing", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftMostKeysFailing", "MyUnisoftKeyRevoked", false),
    ("MyUnisoftApiMaintenance", "MyUnisoftApiDown", true),
    ("MyUnisoftApiMaintenance", "MyUnisoftMostKeysFailing", true),
    ("MyUnisoftApiMaintenance", "MyUnisoftKeyRevoked", false),
    ("MyUnisoftSecretRejected", "MyUnisoftKeyNotFound", true),
    ("MyUnisoftSecretRejected", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftSecretRejected", "MyUnisoftLoginFailing", false),
    ("MyUnisoftSecretPending", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftSecretPending", "MyUnisoftKeyRevoked", false),
    ("MyUnisoftSecretPending", "MyUnisoftLoginFailing", false),
    ("MyUnisoftKeyRevoked", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftKeyRevoked", "MyUnisoftLoginFailing", false),
    ("MyUnisoftLoginFailing", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftExporterDown", "MyUnisoftKeyRevoked", true),
    ("MyUnisoftExporterDown", "MyUnisoftExporterConfigReloadFailed", false),
];

#[tokio::test]
async fn a_cause_inhibits_its_consequences_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let alertmanager = Alertmanager::start(folder.path(), &shipped("examples/alertmanager.yml")).await;
    // Each pair has a partner of its own; what is about the whole API has an exporter of its own.
    let alert = |name: &str, pair: usize, other_key: bool| {
        let of_key = ["tKey", "Canary", "Login", "RateLimit"].iter().any(|kind| name.contains(kind));
        let of_partner = of_key || name.contains("Secret");
        let mut labels =
            serde_json::json!({"alertname": name, "job": "myunisoft", "instance": pair.to_string()});
        if of_partner {
            labels["partner"] = "acme".into();
        }
        if of_key {
            labels["key"] = if other_key { "martin" } else { "dupont" }.into();
        }
        serde_json::json!({ "labels": labels })
    };
    let pairs = QUIET.iter().enumerate();
    let all = pairs.flat_map(|(pair, (source, target, _))| {
        let apart = alert(target, 1_000 + pair, true);
        [alert(source, pair, false), alert(target, pair, false), apart]
    });
    let url = format!("http://{}/api/v2/alerts", alertmanager.address);
    let posted = client().post(&url).json(&all.collect::<Vec<_>>()).send().await.unwrap();
    assert!(posted.status().is_success(), "{}", posted.text().await.unwrap());
    let known = || async {
        let known: Vec<serde_json::Value> = client().get(&url).send().await.ok()?.json().await.ok()?;
        let settled = known.iter().all(|alert| alert["status"]["state"] != "unprocessed");
        (settled && known.len() == QUIET.len() * 3).then_some(known)
    };
    let known = until_within(PATIENCE, "every alert", known).await;
    let is_quiet = |name: &str, instance: usize| {
        let of = |alert: &&serde_json::Value| {
            let labels = &alert["labels"];
            labels["alertname"] == name && labels["instance"] == *instance.to_string()
        };
        known.iter().find(of).unwrap()["status"]["state"] == "suppressed"
    };
    for (pair, (source, target, quiet)) in QUIET.iter().enumerate() {
        assert_eq!(is_quiet(target, pair), *quiet, "{target} while {source}");
        assert!(!is_quiet(target, 1_000 + pair), "{target} of another exporter while {source}");
    }
}
