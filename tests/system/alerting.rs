//! From the API to the notification: the exporter, a real Prometheus with the shipped rules, a real Alertmanager with the
//! shipped routes and inhibitions, and a receiver.
//!
//! All durations (intervals, `for`, `group_wait`, …) are a tenth of the shipped ones. The tests of the rules check the
//! shipped durations. `make detection` runs these tests with the shipped durations, and prints how long each detection took.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use partner_simulator::{Fault, Scope, Simulator};
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::support::SECRET;
use crate::support::monitoring::{
    Alertmanager, Notification, Prometheus, Webhook, accelerated, shipped, write_rules,
};
use crate::support::server::{Exporter, client, until_within};

/// If this variable is set, the durations are the shipped ones.
const AS_SHIPPED: &str = "MYUNISOFT_AS_SHIPPED";

/// Longer than any wait in these tests.
const TIMEOUT: Duration = Duration::from_mins(20);

/// The divisor of all shipped durations.
fn speedup() -> u32 {
    if std::env::var_os(AS_SHIPPED).is_some() { 1 } else { 10 }
}

/// All programs, with their files in one folder.
struct Stack {
    simulator: Simulator,
    folder: TempDir,
    prometheus: Prometheus,
    webhook: Webhook,
    _exporter: Exporter,
    _alertmanager: Alertmanager,
}

impl Stack {
    /// Starts everything, and waits until all keys are active.
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
        let routes = accelerated(&shipped("examples/alertmanager.yml"), speedup())
            .replace("localhost:5001", &webhook.address);
        let alertmanager = Alertmanager::start(folder.path(), &routes).await;

        let config = write_rules(folder.path(), speedup())
            .replace("localhost:10698", exporter.url.trim_start_matches("http://"))
            .replace("localhost:9093", &alertmanager.address);
        let prometheus = Prometheus::start(folder.path(), &config).await;

        let stack =
            Self { simulator, folder, prometheus, webhook, _exporter: exporter, _alertmanager: alertmanager };
        stack.wait_for_value("count(myunisoft_key_state{state=\"active\"} == 1)", keys.len()).await;
        stack.wait_for_value("count(myunisoft_secret_state{state=\"active\"} == 1)", 1).await;
        stack.wait_for_value("myunisoft_probe_up{probe=\"health\"}", 1).await;
        stack
    }

    /// Waits until the first series of a query has this value.
    async fn wait_for_value(&self, query: &str, value: usize) {
        let poll = || async {
            let series = self.prometheus.query(query).await?;
            (series[0]["value"][1] == *value.to_string()).then_some(())
        };
        until_within(TIMEOUT, query, poll).await;
    }

    /// Waits for the notification that an alert is firing or resolved, and prints how long it took.
    async fn wait_for_notification(&self, alert: &str, status: &str, since: Instant) -> Notification {
        let find = || async {
            let all = self.webhook.received();
            all.into_iter().find(|found| found.alert_name() == alert && found.status() == status)
        };
        let found = until_within(TIMEOUT, alert, find).await;
        let pace = if speedup() == 1 { "as shipped" } else { "at a tenth of the shipped durations" };
        println!("{alert} {status}: notified after {:.1?}, {pace}", found.at - since);
        found
    }

    /// The notifications so far: the name of the alert, and `firing` or `resolved`.
    fn notifications(&self) -> Vec<(String, String)> {
        let all = self.webhook.received();
        all.iter().map(|it| (it.alert_name().to_owned(), it.status().to_owned())).collect()
    }

    /// The request IDs of all responses with this error code.
    fn request_ids_with(&self, code: &str) -> BTreeSet<String> {
        let calls = self.simulator.request_log();
        let refused = calls.iter().filter(|call| call.code() == Some(code));
        refused.filter_map(|call| call.request_id().map(str::to_owned)).collect()
    }
}

/// The configuration of the exporter. With the shipped durations, it sets only addresses, partner and keys.
fn exporter_config(simulator: &Simulator, keys: &[&str]) -> String {
    let every =
        |seconds: u64| humantime::format_duration(Duration::from_secs(seconds) / speedup()).to_string();
    let timing = format!(
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
        if speedup() == 1 { "" } else { &timing },
        keys.collect::<String>()
    )
}

/// The request ID in a notification's description.
fn quoted_request_id(alert: &serde_json::Value) -> String {
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
    let notification = stack.wait_for_notification("MyUnisoftKeyRevoked", "firing", revoked).await;
    let [alert] = notification.alerts() else { panic!("one key was revoked: {:?}", notification.body) };
    for (label, value) in [("partner", "acme"), ("key", "dupont"), ("severity", "critical")] {
        assert_eq!(alert["labels"][label], value);
    }
    assert!(stack.request_ids_with("ERR-API-TOKEN-NOT-FOUND").contains(&quoted_request_id(alert)), "{alert}");

    let replaced = Instant::now();
    let new = stack.folder.path().join("new");
    fs::write(&new, key.replace_token().unwrap()).unwrap();
    fs::rename(&new, stack.folder.path().join("dupont")).unwrap();
    stack.wait_for_notification("MyUnisoftKeyRevoked", "resolved", replaced).await;
    stack.wait_for_value("count(myunisoft_key_state{state=\"active\"} == 1)", 2).await;
    assert_eq!(stack.notifications(), [firing("MyUnisoftKeyRevoked"), resolved("MyUnisoftKeyRevoked")]);
}

#[tokio::test]
async fn an_api_outage_is_notified_once_and_not_once_per_key() {
    let stack = Stack::start(&["dupont", "martin", "petit", "roux"]).await;

    let down = Instant::now();
    stack.simulator.inject(Scope::Everything, Fault::Close);
    let notification = stack.wait_for_notification("MyUnisoftApiDown", "firing", down).await;
    assert_eq!(notification.alerts().len(), 1, "{:?}", notification.body);
    stack.wait_for_value("count(myunisoft_probe_up == 0)", 9).await;
    stack.wait_for_value("count(ALERTS{alertstate=\"firing\",severity!=\"warning\"})", 1).await;

    let up = Instant::now();
    stack.simulator.heal_all();
    stack.wait_for_notification("MyUnisoftApiDown", "resolved", up).await;
    stack.wait_for_value("count(ALERTS{alertstate=\"firing\",severity=\"critical\"}) or vector(0)", 0).await;
    // The outage also burns the error budget; that alert has a lower severity.
    let mut notifications = stack.notifications();
    notifications.retain(|(alert, _)| alert != "MyUnisoftApiErrorBudgetBurn");
    assert_eq!(notifications, [firing("MyUnisoftApiDown"), resolved("MyUnisoftApiDown")]);
}

#[tokio::test]
async fn a_rejected_secret_is_notified_once_and_not_once_per_key() {
    let stack = Stack::start(&["dupont", "martin", "petit", "roux"]).await;
    let partner = stack.simulator.partner("acme").unwrap();
    // One key is revoked while the secret is refused. The API then reports only the secret, so no alert names this key.
    let revoked_key = stack.simulator.key("roux").unwrap();

    let rejected = Instant::now();
    partner.deactivate_secret();
    let notification = stack.wait_for_notification("MyUnisoftSecretRejected", "firing", rejected).await;
    let [alert] = notification.alerts() else { panic!("one secret was refused: {:?}", notification.body) };
    assert_eq!(
        (&alert["labels"]["partner"], &alert["labels"]["key"]),
        (&"acme".into(), &serde_json::Value::Null)
    );
    assert!(stack.request_ids_with("ERR-INVALID-SECRET").contains(&quoted_request_id(alert)), "{alert}");
    revoked_key.revoke();
    stack.wait_for_value("count(myunisoft_probe_error_info{reason=\"secret\"})", 8).await;

    let accepted = Instant::now();
    revoked_key.restore();
    partner.activate_secret();
    stack.wait_for_notification("MyUnisoftSecretRejected", "resolved", accepted).await;
    stack.wait_for_value("count(ALERTS{alertstate=\"firing\"}) or vector(0)", 0).await;
    assert_eq!(
        stack.notifications(),
        [firing("MyUnisoftSecretRejected"), resolved("MyUnisoftSecretRejected")]
    );
}

/// The page `/metrics` of an exporter that does what the test says.
struct ScriptedExporter {
    address: String,
    text: Arc<Mutex<String>>,
    _task: AbortOnDropHandle<()>,
}

impl ScriptedExporter {
    async fn start() -> Self {
        let text = Arc::<Mutex<String>>::default();
        let page = |State(text): State<Arc<Mutex<String>>>| async move { text.lock().unwrap().clone() };
        let routes = Router::new().route("/metrics", get(page)).with_state(Arc::clone(&text));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = async move { axum::serve(listener, routes).await.unwrap() };
        Self { address, text, _task: AbortOnDropHandle::new(tokio::spawn(serve)) }
    }

    /// Serves a key with this name and state, and since when it is broken.
    fn set_key(&self, key: &str, state: &str, broken_since: Option<u64>) {
        let labels = format!("partner=\"acme\",key=\"{key}\"");
        let mut text = "myunisoft_exporter_build_info{version=\"0\"} 1\n".to_owned();
        for known in ["unknown", "pending", "active", "not_found", "revoked", "invalid"] {
            let value = u8::from(known == state);
            writeln!(text, "myunisoft_key_state{{{labels},state=\"{known}\"}} {value}").unwrap();
        }
        if let Some(since) = broken_since {
            writeln!(text, "myunisoft_key_broken_since_timestamp_seconds{{{labels}}} {since}").unwrap();
        }
        *self.text.lock().unwrap() = text;
    }
}

#[tokio::test]
async fn a_revoked_key_is_resolved_when_its_replacement_works_and_not_before() {
    let stack = Stack::start(&["dupont", "martin"]).await;
    let write_token = |token: &str| fs::write(stack.folder.path().join("dupont"), token).unwrap();
    let notified = |status: &'static str| {
        let webhook = &stack.webhook;
        let find = move || async move {
            let mut all = webhook.received().into_iter();
            all.find(|found| found.alert_name() == "MyUnisoftKeyRevoked" && found.status() == status)
        };
        until_within(TIMEOUT, status, find)
    };
    stack.simulator.key("dupont").unwrap().revoke();
    notified("firing").await;

    write_token("a-mistyped-replacement");
    // Longer than Alertmanager would take to notify a resolved alert.
    let invalid = "sum_over_time(myunisoft_key_state{key=\"dupont\",state=\"invalid\"}[10m]) >= bool 8";
    stack.wait_for_value(invalid, 1).await;
    let firing_only = stack.webhook.received().iter().all(|it| it.status() == "firing");
    assert!(firing_only, "{:?}", stack.webhook.received());

    let replacement = stack.simulator.key("dupont").unwrap().replace_token().unwrap();
    write_token(&replacement);
    notified("resolved").await;
}

#[tokio::test]
async fn a_revoked_key_is_not_resolved_by_a_refused_replacement() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = ScriptedExporter::start().await;
    exporter.set_key("dupont", "active", None);
    let webhook = Webhook::start().await;
    let routes = accelerated(&shipped("examples/alertmanager.yml"), speedup())
        .replace("localhost:5001", &webhook.address);
    let alertmanager = Alertmanager::start(folder.path(), &routes).await;
    let config = write_rules(folder.path(), speedup())
        .replace("localhost:10698", &exporter.address)
        .replace("localhost:9093", &alertmanager.address);
    let prometheus = Prometheus::start(folder.path(), &config).await;
    let wait_for = |query: String| {
        let prometheus = &prometheus;
        async move { until_within(TIMEOUT, &query, || prometheus.query(&query)).await }
    };
    let notified = |status: &'static str| {
        let webhook = &webhook;
        let find = move || async move {
            let mut all = webhook.received().into_iter();
            all.find(|found| found.alert_name() == "MyUnisoftKeyRevoked" && found.status() == status)
        };
        until_within(TIMEOUT, status, find)
    };
    wait_for("myunisoft_key_state{state=\"active\"} == 1".into()).await;

    exporter.set_key("dupont", "revoked", Some(1_700_000_000));
    let first = notified("firing").await;
    let [alert] = first.alerts() else { panic!("one key was revoked: {:?}", first.body) };
    assert_eq!(
        alert["labels"]["state"],
        serde_json::Value::Null,
        "a change of the state must not change the alert"
    );
    assert_eq!(
        alert["annotations"]["exporter_url"],
        format!("http://{}/key?partner=acme&key=dupont", exporter.address)
    );
    // Each state lasts longer than Alertmanager would take to notify a resolved alert.
    for state in ["not_found", "pending", "invalid", "unknown"] {
        exporter.set_key("dupont", state, Some(1_700_000_000));
        wait_for(format!("sum_over_time(myunisoft_key_state{{state=\"{state}\"}}[10m]) >= 8")).await;
    }
    let began = wait_for("count(ALERTS_FOR_STATE{alertname=\"MyUnisoftKeyRevoked\"})".into()).await;
    assert_eq!(began[0]["value"][1], "1");
    let firing_only = webhook.received().iter().all(|it| it.status() == "firing");
    assert!(firing_only, "{:?}", webhook.received());

    // The key is renamed. Both names belong to one group of notifications, which stays firing.
    exporter.set_key("durand", "revoked", Some(1_700_000_000));
    wait_for("ALERTS{alertname=\"MyUnisoftKeyRevoked\",alertstate=\"firing\",key=\"durand\"}".into()).await;

    exporter.set_key("durand", "active", None);
    notified("resolved").await;
    wait_for("absent(ALERTS{alertname=\"MyUnisoftKeyRevoked\"})".into()).await;
}

/// Inhibitions: source alert, target alert, and whether the target is inhibited if both have the same installation,
/// exporter, partner and key.
const INHIBITIONS: &[(&str, &str, bool)] = &[
    ("MyUnisoftApiDown", "MyUnisoftKeyRevoked", true),
    ("MyUnisoftApiDown", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftApiDown", "MyUnisoftSecretRejected", true),
    ("MyUnisoftApiDown", "MyUnisoftApiErrorBudgetBurn", true),
    ("MyUnisoftApiDown", "MyUnisoftTlsCertificateExpiring", false),
    ("MyUnisoftApiDown", "MyUnisoftProbesStale", false),
    ("MyUnisoftApiDown", "MyUnisoftKeysLost", false),
    ("MyUnisoftApiDown", "MyUnisoftCredentialUnreadable", false),
    ("MyUnisoftMostKeysFailing", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftMostKeysFailing", "MyUnisoftRateLimitLow", true),
    ("MyUnisoftMostKeysFailing", "MyUnisoftKeyRevoked", false),
    ("MyUnisoftApiMaintenance", "MyUnisoftApiDown", true),
    ("MyUnisoftApiMaintenance", "MyUnisoftMostKeysFailing", true),
    ("MyUnisoftApiMaintenance", "MyUnisoftKeyRevoked", false),
    ("MyUnisoftSecretRejected", "MyUnisoftKeyNotFound", true),
    ("MyUnisoftSecretRejected", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftSecretRejected", "MyUnisoftKeyRevoked", false),
    ("MyUnisoftSecretRejected", "MyUnisoftLoginFailing", false),
    ("MyUnisoftKeySecretMismatch", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftSecretPending", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftSecretPending", "MyUnisoftKeyRevoked", false),
    ("MyUnisoftSecretPending", "MyUnisoftLoginFailing", false),
    ("MyUnisoftKeyRevoked", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftKeyRevoked", "MyUnisoftLoginFailing", false),
    ("MyUnisoftLoginFailing", "MyUnisoftCanaryFailing", true),
    ("MyUnisoftExporterDown", "MyUnisoftProbesStale", true),
    ("MyUnisoftExporterDown", "MyUnisoftKeyRevoked", false),
    ("MyUnisoftExporterDown", "MyUnisoftExporterConfigReloadFailed", false),
];

#[tokio::test]
async fn a_cause_inhibits_its_consequences_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let alertmanager = Alertmanager::start(folder.path(), &shipped("examples/alertmanager.yml")).await;
    // Each pair of alerts has its own job. Only alerts about the exporter itself have an instance.
    let alert = |name: &str, pair: usize, other_key: bool| {
        let of_key = ["tKeyR", "tKeyN", "tKeyS", "Canary", "Login", "RateLimit"]
            .iter()
            .any(|kind| name.contains(kind));
        let of_partner = of_key || name.contains("Secret") || name.contains("Credential");
        let mut labels =
            serde_json::json!({"alertname": name, "job": pair.to_string(), "severity": "warning"});
        if name.contains("Exporter") || name.contains("Stale") {
            labels["instance"] = "exporter:10698".into();
        }
        if of_partner {
            labels["partner"] = "acme".into();
        }
        if of_key {
            labels["key"] = if other_key { "martin" } else { "dupont" }.into();
        }
        serde_json::json!({ "labels": labels })
    };
    let pairs = INHIBITIONS.iter().enumerate();
    let all = pairs.flat_map(|(pair, (source, target, _))| {
        let elsewhere = alert(target, 1_000 + pair, true);
        [alert(source, pair, false), alert(target, pair, false), elsewhere]
    });
    let url = format!("http://{}/api/v2/alerts", alertmanager.address);
    let posted = client().post(&url).json(&all.collect::<Vec<_>>()).send().await.unwrap();
    assert!(posted.status().is_success(), "{}", posted.text().await.unwrap());
    let poll = || async {
        let known: Vec<serde_json::Value> = client().get(&url).send().await.ok()?.json().await.ok()?;
        let settled = known.iter().all(|alert| alert["status"]["state"] != "unprocessed");
        (settled && known.len() == INHIBITIONS.len() * 3).then_some(known)
    };
    let known = until_within(TIMEOUT, "every alert", poll).await;
    let is_inhibited = |name: &str, job: usize| {
        let of = |alert: &&serde_json::Value| {
            let labels = &alert["labels"];
            labels["alertname"] == name && labels["job"] == *job.to_string()
        };
        known.iter().find(of).unwrap()["status"]["state"] == "suppressed"
    };
    for (pair, (source, target, inhibited)) in INHIBITIONS.iter().enumerate() {
        assert_eq!(is_inhibited(target, pair), *inhibited, "{target} while {source}");
        assert!(!is_inhibited(target, 1_000 + pair), "{target} of another job while {source}");
    }
}
