//! The routes and their successful responses.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::auth::Caller;
use crate::api::login::log_in;
use crate::api::middleware;
use crate::api::sample_data;
use crate::error_codes::{SOCIETY_ID_MISSING, SOCIETY_NOT_ACCESSIBLE, UNKNOWN_ROUTE};
use crate::paths::{EXERCICES, HEALTH, KEY_INFO, LOG_IN, PERSONS, SOCIETY, USERS};
use crate::refusal::Refusal;
use crate::spec::Access;
use crate::state::Shared;

/// The routes that key/info lists if none of them is forbidden.
const KEY_INFO_ROUTES: [&str; 5] = [KEY_INFO, EXERCICES, SOCIETY, USERS, PERSONS];

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route(HEALTH, get(health))
        .route(LOG_IN, post(log_in))
        .route(KEY_INFO, get(key_info))
        .route(EXERCICES, get(exercices))
        .route(SOCIETY, get(list_societies))
        .route(USERS, get(users))
        .route(PERSONS, get(persons))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(from_fn_with_state(Arc::clone(shared), middleware::handle))
        .with_state(Arc::clone(shared))
}

/// The body is not documented. Clients must not depend on it.
async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn unknown() -> Refusal {
    Refusal::new(UNKNOWN_ROUTE).status(StatusCode::NOT_FOUND)
}

#[derive(Deserialize)]
struct KeyInfoQuery {
    mode: Option<String>,
}

async fn key_info(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(KeyInfoQuery { mode }): Query<KeyInfoQuery>,
) -> Result<Json<Value>, Refusal> {
    let state = shared.lock();
    let key = state.keys.get(&caller.key).ok_or(Refusal::new("ERR-INTERNAL"))?;
    let allowed = KEY_INFO_ROUTES.iter().filter(|route| !key.spec.forbidden.contains_key(**route));
    let routes: Vec<_> = allowed.map(|route| json!({"path": route, "method": "get"})).collect();
    if mode.as_deref() != Some("extended") {
        return Ok(Json(Value::Array(routes)));
    }
    let third_party = state.partners.get(&key.partner).map_or(0, |partner| partner.third_party);
    let activation = &key.spec.activation;
    Ok(Json(json!({
        "target": key_target(&caller.access, third_party),
        "version": key.spec.version,
        "canBeActivated": activation.possible,
        "isActivated": key.spec.activated || (activation.possible && activation.reported_immediately),
        "routes": routes,
    })))
}

fn key_target(access: &Access, third_party: u64) -> Value {
    match access {
        Access::Society { schema, society } => json!({
            "type": "api", "schemaId": schema, "thirdPartyId": third_party, "societyId": society,
        }),
        Access::Firm { schema, .. } => json!({
            "type": "firm", "schemaId": schema, "thirdPartyId": third_party,
        }),
    }
}

async fn exercices(Extension(caller): Extension<Caller>) -> Result<Json<Value>, Refusal> {
    Ok(Json(sample_data::exercices(requested_society(&caller)?)))
}

async fn list_societies(Extension(caller): Extension<Caller>) -> Json<Value> {
    Json(sample_data::societies(caller.access.societies()))
}

async fn users(Extension(caller): Extension<Caller>) -> Json<Value> {
    Json(sample_data::users(caller.access.schema()))
}

async fn persons(Extension(caller): Extension<Caller>) -> Json<Value> {
    Json(sample_data::persons(caller.access.schema()))
}

/// The society that a request is about. The token of a society contains its ID; the token of a firm needs the header
/// `society-id`.
fn requested_society(caller: &Caller) -> Result<u64, Refusal> {
    if let Access::Society { society, .. } = caller.access {
        return Ok(society);
    }
    let requested = caller.society_id.as_deref().and_then(|id| id.parse().ok());
    let society = requested.ok_or(Refusal::new(SOCIETY_ID_MISSING))?;
    if caller.access.societies().contains(&society) {
        Ok(society)
    } else {
        Err(Refusal::new(SOCIETY_NOT_ACCESSIBLE))
    }
}
