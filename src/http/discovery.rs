//! `/sd`: every configured key as a target for `/probe`, in the format of Prometheus' HTTP service
//! discovery.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use url::Url;

use super::AppState;
use super::same_origin::requested_host;
use crate::state::MonitoredKey;

/// One group per key. With `--web.external-url`, scheme, host and path of each target are those of this URL: the
/// exporter's own path may be another one, if a proxy changes it. Otherwise the target has the host of the request,
/// because the Prometheus server that sent the request can reach it, and the exporter's own path.
pub(super) async fn targets(
    State(app): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Vec<Value>>, (StatusCode, &'static str)> {
    let place = match &app.external {
        Some(url) => Place::of_url(url),
        None => requested_host(&headers, &uri).map(|host| Place::of_request(host, &app.prefix)),
    };
    let Some(place) = place else {
        return Err((StatusCode::BAD_REQUEST, "the request has no valid Host header\n"));
    };
    let inventory = app.context.shared_state.inventory();
    Ok(Json(inventory.keys.iter().map(|key| place.group(key)).collect()))
}

/// Where Prometheus reaches `/probe`.
struct Place {
    /// `None`: that of the scrape job.
    scheme: Option<String>,
    /// The port is left out if it is the default one of the scheme.
    address: String,
    path: String,
}

impl Place {
    fn of_url(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        Some(Self {
            scheme: Some(url.scheme().to_owned()),
            address: url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
            path: format!("{}/probe", url.path().trim_end_matches('/')),
        })
    }

    fn of_request(host: &str, prefix: &str) -> Self {
        Self { scheme: None, address: host.to_owned(), path: format!("{prefix}/probe") }
    }

    fn group(&self, key: &Arc<MonitoredKey>) -> Value {
        let (partner_name, key_name) = (&key.partner.name, &key.name);
        let mut labels = json!({
            "__metrics_path__": self.path,
            "__param_partner": partner_name,
            "__param_key": key_name,
            "partner": partner_name,
            "key": key_name,
        });
        if let (Some(scheme), Some(labels)) = (&self.scheme, labels.as_object_mut()) {
            labels.insert("__scheme__".to_owned(), scheme.as_str().into());
        }
        json!({ "targets": [self.address], "labels": labels })
    }
}
