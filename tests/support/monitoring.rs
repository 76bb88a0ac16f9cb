//! A real Prometheus, a real Alertmanager, and a receiver of notifications.

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

/// The folder with the rules and examples that the project ships for Prometheus and Alertmanager.
pub(crate) fn alerts_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts")
}

/// The text of a file in that folder.
pub(crate) fn shipped(name: &str) -> String {
    fs::read_to_string(alerts_folder().join(name)).unwrap()
}

/// The same configuration with the durations of its fields divided by `speedup`.
pub(crate) fn accelerated(text: &str, speedup: u32) -> String {
    let fields = ["for", "keep_firing_for", "interval", "group_wait", "group_interval", "repeat_interval"];
    let fields = fields.iter().chain(&["scrape_interval", "evaluation_interval"]);
    let accelerate = |line: &str| {
        let (field, value) = line.split_once(": ")?;
        fields.clone().find(|known| **known == field.trim())?;
        let duration = humantime::parse_duration(value).ok()? / speedup;
        Some(format!("{field}: {}ms\n", duration.as_millis()))
    };
    text.lines().map(|line| accelerate(line).unwrap_or_else(|| format!("{line}\n"))).collect()
}

/// Writes the shipped rules into `folder`, with shorter durations. Returns the shipped Prometheus configuration,
/// also with shorter durations.
pub(crate) fn write_rules(folder: &Path, speedup: u32) -> String {
    for name in ["settings.rules.yml", "recording.rules.yml", "alerts.rules.yml"] {
        fs::write(folder.join(name), accelerated(&shipped(name), speedup)).unwrap();
    }
    // In the test, the rules are in the same folder as the configuration.
    accelerated(&shipped("examples/prometheus.yml"), speedup).replace("../", "")
}

/// A Prometheus with its own data.
pub(crate) struct Prometheus {
    /// Ends when it is dropped.
    _server: Server,
    pub(crate) address: String,
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
        let address = listen_address(&server).await;
        // It listens before it can respond.
        server.wait_for_log(&["Server is ready to receive web requests"]).await;
        Self { _server: server, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The JSON of a route; `None` while Prometheus does not respond.
    pub(crate) async fn get(&self, route: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let url =
            reqwest::Url::parse_with_params(&format!("http://{}/api/v1/{route}", self.address), parameters);
        let text = client().get(url.unwrap()).send().await.ok()?.text().await.ok()?;
        serde_json::from_str::<Value>(&text).ok()
    }

    /// The series that a query returns now; `None` while it returns no series.
    pub(crate) async fn query(&self, query: &str) -> Option<Vec<Value>> {
        let response = self.get("query", &[("query", query)]).await?;
        assert_eq!(response["status"], "success", "{query}: {response}");
        response["data"]["result"].as_array().filter(|result| !result.is_empty()).cloned()
    }
}

/// An Alertmanager with its own data and without a cluster.
pub(crate) struct Alertmanager {
    /// Ends when it is dropped.
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
        let address = listen_address(&server).await;
        Self { _server: server, address }
    }
}

/// The address on which Prometheus or Alertmanager listens, from its log.
async fn listen_address(server: &Server) -> String {
    let line = server.wait_for_log(&["Listening on", "address=127.0.0.1:"]).await;
    line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// A receiver of notifications.
pub(crate) struct Webhook {
    pub(crate) address: String,
    received: Arc<Mutex<Vec<Notification>>>,
    _task: AbortOnDropHandle<()>,
}

/// A notification that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) at: Instant,
    /// The body of a webhook request, as the documentation of Alertmanager describes it.
    pub(crate) body: Value,
}

impl Webhook {
    pub(crate) async fn start() -> Self {
        let received = Arc::<Mutex<Vec<Notification>>>::default();
        let receive = |State(received): State<Arc<Mutex<Vec<Notification>>>>, Json(body): Json<Value>| async move {
            received.lock().unwrap().push(Notification { at: Instant::now(), body });
        };
        let routes = Router::new().route("/{receiver}", post(receive)).with_state(Arc::clone(&received));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = async move { axum::serve(listener, routes).await.unwrap() };
        Self { address, received, _task: AbortOnDropHandle::new(tokio::spawn(serve)) }
    }

    /// All notifications so far.
    pub(crate) fn received(&self) -> Vec<Notification> {
        self.received.lock().unwrap().clone()
    }
}

impl Notification {
    /// `firing` or `resolved`, for the whole group.
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
