//! `/sd`: every configured key as a target for `/probe`, in the format of Prometheus' HTTP service
//! discovery.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::AppState;
use crate::state::MonitoredKey;

/// One group per key. As its own address, the exporter gives the host of the request, because the
/// Prometheus server that sent the request can reach it.
pub(super) async fn targets(
    State(app): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Vec<Value>>, (StatusCode, &'static str)> {
    // HTTP/2 sends the host as part of the request URI.
    let authority = uri.authority().and_then(|authority| authority.as_str().rsplit('@').next());
    let requested_host = authority.or_else(|| headers.get(header::HOST)?.to_str().ok());
    let Some(address) = app.external.as_deref().or(requested_host) else {
        return Err((StatusCode::BAD_REQUEST, "the request has no host\n"));
    };
    let inventory = app.context.shared_state.inventory();
    let group = |key: &Arc<MonitoredKey>| {
        let (partner, key) = (&key.partner.name, &key.name);
        json!({
            "targets": [address],
            "labels": {
                "__metrics_path__": format!("{}/probe", app.prefix),
                "__param_partner": partner,
                "__param_key": key,
                "partner": partner,
                "key": key,
            },
        })
    };
    Ok(Json(inventory.keys.iter().map(group).collect()))
}
