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
use crate::error_codes::{FIRM_ONLY, SOCIETY_ID_MISSING, SOCIETY_NOT_ACCESSIBLE, UNKNOWN_ROUTE};
use crate::paths::{EXERCICES, EXPORT, HEALTH, KEY_INFO, LOG_IN, PERSONS, SOCIETY, USERS};
use crate::refusal::Refusal;
use crate::spec::{Access, KeySpec};
use crate::state::Shared;

/// A route that serves invented accounting data.
struct DataRoute {
    path: &'static str,
    /// Whether the route needs the token of a firm.
    firm_only: bool,
    body: fn(&Caller) -> Result<Value, Refusal>,
}

static DATA_ROUTES: [DataRoute; 10] = [
    for_all(EXERCICES, |caller| Ok(sample_data::exercices(requested_society(caller)?))),
    for_all(SOCIETY, societies),
    for_all(USERS, |caller| Ok(sample_data::users(caller.access.schema()))),
    for_all(PERSONS, |caller| Ok(sample_data::persons(caller.access.schema()))),
    for_firms("/api/v1/wallet"),
    for_firms("/api/v1/member"),
    for_firms("/api/v1/dashboard/modules"),
    for_firms("/api/v1/society/search"),
    for_firms("/api/v1/gestion_center"),
    for_firms("/api/v1/compte_edi"),
];

const fn for_all(path: &'static str, body: fn(&Caller) -> Result<Value, Refusal>) -> DataRoute {
    DataRoute { path, firm_only: false, body }
}

/// What these routes return is not documented. Clients must not depend on it.
const fn for_firms(path: &'static str) -> DataRoute {
    DataRoute { path, firm_only: true, body: |caller| Ok(sample_data::records(caller.access.schema())) }
}

impl DataRoute {
    fn is_open_to(&self, access: &Access) -> bool {
        !self.firm_only || matches!(access, Access::Firm { .. })
    }

    fn respond(&self, caller: &Caller) -> Result<Json<Value>, Refusal> {
        if self.is_open_to(&caller.access) {
            (self.body)(caller).map(Json)
        } else {
            Err(Refusal::new(FIRM_ONLY))
        }
    }
}

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let router = DATA_ROUTES.iter().fold(Router::new(), |router, route| {
        let respond = move |Extension(caller): Extension<Caller>| async move { route.respond(&caller) };
        router.route(route.path, get(respond))
    });
    router
        .route(HEALTH, get(health))
        .route(LOG_IN, post(log_in))
        .route(KEY_INFO, get(key_info))
        .route(EXPORT, get(export))
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
    let routes = allowed_routes(&caller.access, &key.spec);
    if mode.as_deref() != Some("extended") {
        return Ok(Json(routes));
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

fn allowed_routes(access: &Access, key: &KeySpec) -> Value {
    let data = DATA_ROUTES.iter().filter(|route| route.is_open_to(access)).map(|route| route.path);
    let allowed =
        [KEY_INFO, EXPORT].into_iter().chain(data).filter(|path| !key.forbidden.contains_key(*path));
    allowed.map(|path| json!({"path": path, "method": "get"})).collect()
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

/// Starts an export, at most one an hour for each society. In between, the response describes the export started last.
async fn export(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, Refusal> {
    let society = requested_society(&caller)?;
    shared.lock().exports.start(society);
    let id = format!("export_sch-{}_acf-{society}", caller.access.schema());
    Ok(Json(json!({"id": id, "status": "INIT"})))
}

/// One society if the request is about one, otherwise a list.
fn societies(caller: &Caller) -> Result<Value, Refusal> {
    if matches!(caller.access, Access::Firm { .. }) && !caller.names_society {
        return Ok(sample_data::societies(caller.access.societies()));
    }
    requested_society(caller).map(sample_data::society)
}

/// The society that a request is about. The token of a society contains its ID; the token of a firm needs the header
/// `society-id`.
fn requested_society(caller: &Caller) -> Result<u64, Refusal> {
    let society = caller.society.ok_or(Refusal::new(SOCIETY_ID_MISSING))?;
    if caller.access.societies().contains(&society) {
        Ok(society)
    } else {
        Err(Refusal::new(SOCIETY_NOT_ACCESSIBLE))
    }
}
