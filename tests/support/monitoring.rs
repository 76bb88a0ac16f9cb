//! A real Prometheus, a real Alertmanager, and one who is notified.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::server::{Server, client};

/// The folder of what is shipped for Prometheus and Alertmanager.
pub(crate) fn alerts_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts")
}

/// A file of it.
pub(crate) fn shipped(name: &str) -> String {
    fs::read_to_string(alerts_folder().join(name)).unwrap()
}

/// The same text, with every duration that is a field's value divided by `haste`.
pub(crate) fn hastened(text: &str, haste: u32) -> String {
    let fields = ["for", "keep_firing_for", "interval", "group_wait", "group_interval", "repeat_interval"];
    let fields = fields.iter().chain(&["scrape_interval", "evaluation_interval"]);
    let hasten = |line: &str| {
        let (field, value) = line.split_once(": ")?;
        fields.clone().find(|known| **known == field.trim())?;
        let duration = humantime::parse_duration(value).ok()? / haste;
        Some(format!("{field}: {}ms\n", duration.as_millis()))
    };
    text.lines().map(|line| hasten(line).unwrap_or_else(|| format!("{line}\n"))).collect()
}

/// Puts the shipped rules into `folder`, hastened. Gives the shipped Prometheus configuration, hastened
/// too.
pub(crate) fn lay_out_rules(folder: &Path, haste: u32) -> String {
    for name in ["settings.rules.yml", "recording.rules.yml", "alerts.rules.yml"] {
        fs::write(folder.join(name), hastened(&shipped(name), haste)).unwrap();
    }
    // Here they lie beside it.
    hastened(&shipped("examples/prometheus.yml"), haste).replace("../", "")
}

/// A Prometheus of its own data.
pub(crate) struct Prometheus {
    /// Kept: it ends with this.
    _server: Server,
    address: String,
}

impl Prometheus {
    /// Starts one in `folder` with this configuration.
    pub(crate) async fn start(folder: &Path, config: &str) -> Self {
        let file = folder.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let server = Server::spawn(
            Command::new("prometheus")
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
                .arg("--web.listen-address=127.0.0.1:0"),
        );
        let address = listening(&server).await;
        // It listens before it answers.
        server.line(&["Server is ready to receive web requests"]).await;
        Self { _server: server, address }
    }

    /// Asks one of its routes; `None` as long as it gives no answer.
    pub(crate) async fn ask(&self, route: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let url =
            reqwest::Url::parse_with_params(&format!("http://{}/api/v1/{route}", self.address), parameters);
        let text = client().get(url.unwrap()).send().await.ok()?.text().await.ok()?;
        serde_json::from_str::<Value>(&text).ok()
    }

    /// The series that a query gives now; `None` as long as it gives none.
    pub(crate) async fn query(&self, query: &str) -> Option<Vec<Value>> {
        let answer = self.ask("query", &[("query", query)]).await?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().filter(|result| !result.is_empty()).cloned()
    }
}

/// An Alertmanager of its own data, alone.
pub(crate) struct Alertmanager {
    /// Kept: it ends with this.
    _server: Server,
    pub(crate) address: String,
}

impl Alertmanager {
    /// Starts one in `folder` with this configuration.
    pub(crate) async fn start(folder: &Path, config: &str) -> Self {
        let file = folder.join("alertmanager.yml");
        fs::write(&file, config).unwrap();
        let server = Server::spawn(
            Command::new("prometheus-alertmanager")
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
                .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="]),
        );
        let address = listening(&server).await;
        Self { _server: server, address }
    }
}

/// Where Prometheus or Alertmanager listens, as they log it.
async fn listening(server: &Server) -> String {
    let line = server.line(&["Listening on", "address=127.0.0.1:"]).await;
    line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// Whoever is notified.
pub(crate) struct Webhook {
    pub(crate) address: String,
    received: Arc<Mutex<Vec<Notification>>>,
    _task: AbortOnDropHandle<()>,
}

/// What a receiver was sent.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) at: Instant,
    /// As Alertmanager's documentation describes a webhook's body.
    pub(crate) body: Value,
}

impl Webhook {
    pub(crate) async fn start() -> Self {
        let received = Arc::<Mutex<Vec<Notification>>>::default();
        let take = |State(received): State<Arc<Mutex<Vec<Notification>>>>, Json(body): Json<Value>| async move {
            received.lock().unwrap().push(Notification { at: Instant::now(), body });
        };
        let routes = Router::new().route("/{receiver}", post(take)).with_state(Arc::clone(&received));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = async move { axum::serve(listener, routes).await.unwrap() };
        Self { address, received, _task: AbortOnDropHandle::new(tokio::spawn(serve)) }
    }

    /// All that it was sent.
    pub(crate) fn received(&self) -> Vec<Notification> {
        self.received.lock().unwrap().clone()
    }
}

impl Notification {
    /// `firing` or `resolved`, as a whole.
    pub(crate) fn status(&self) -> &str {
        self.body["status"].as_str().unwrap()
    }

    pub(crate) fn alert_name(&self) -> &str {
        self.body["groupLabels"]["alertname"].as_str().unwrap()
    }

    pub(crate) fn alerts(&self) -> &[Value] {
        self.body["alerts"].as_array().unwrap()
    }
}
