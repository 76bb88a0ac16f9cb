//! `/sd`: every configured key as a target for `/probe`, in the format of Prometheus' HTTP service
//! discovery.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use serde::Serialize;

use super::AppState;

/// One key, in the format of HTTP service discovery.
#[derive(Serialize)]
pub(super) struct TargetGroup {
    targets: [String; 1],
    labels: Labels,
}

#[derive(Serialize)]
struct Labels {
    #[serde(rename = "__metrics_path__")]
    metrics_path: String,
    #[serde(rename = "__param_partner")]
    param_partner: String,
    #[serde(rename = "__param_key")]
    param_key: String,
    partner: String,
    key: String,
}

/// One group per key. As its own address, the exporter gives the host of the request, because the
/// Prometheus server that sent the request can reach it.
pub(super) async fn targets(
    State(app): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Vec<TargetGroup>>, (StatusCode, &'static str)> {
    // HTTP/2 sends the host as part of the request URI.
    let authority = uri.authority().and_then(|authority| authority.as_str().rsplit('@').next());
    let requested_host = authority.or_else(|| headers.get(header::HOST)?.to_str().ok());
    let Some(address) = app.external.as_deref().or(requested_host) else {
        return Err((StatusCode::BAD_REQUEST, "the request has no host\n"));
    };
    let inventory = app.context.shared_state.inventory();
    let groups = inventory.keys.iter().map(|key| TargetGroup {
        targets: [address.to_owned()],
        labels: Labels {
            metrics_path: format!("{}/probe", app.prefix),
            param_partner: key.partner.name.to_string(),
            param_key: key.name.to_string(),
            partner: key.partner.name.to_string(),
            key: key.name.to_string(),
        },
    });
    Ok(Json(groups.collect()))
}
