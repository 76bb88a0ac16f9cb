//! `/sd`: every configured key as a target for `/probe`, in the format of Prometheus' HTTP service
//! discovery.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::AppState;
use crate::state::MonitoredKey;

/// One group per key. The target address is the host of `--web.external-url`, or else the host of the request:
/// the Prometheus server that sent the request can reach it.
pub(super) async fn targets(
    State(app): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Vec<Value>>, (StatusCode, &'static str)> {
    // HTTP/2 sends the host as part of the request URI.
    let authority = uri.authority().map(Authority::as_str);
    // Without user information.
    let authority = authority.and_then(|authority| authority.rsplit('@').next());
    let requested_host = authority.or_else(|| headers.get(header::HOST)?.to_str().ok());
    let Some(address) = app.external.as_deref().or(requested_host) else {
        return Err((StatusCode::BAD_REQUEST, "the request has no valid Host header\n"));
    };
    let inventory = app.context.shared_state.inventory();
    let group = |key: &Arc<MonitoredKey>| {
        let (partner_name, key_name) = (&key.partner.name, &key.name);
        json!({
            "targets": [address],
            "labels": {
                "__metrics_path__": format!("{}/probe", app.prefix),
                "__param_partner": partner_name,
                "__param_key": key_name,
                "partner": partner_name,
                "key": key_name,
            },
        })
    };
    Ok(Json(inventory.keys.iter().map(group).collect()))
}
