//! `/api/v1/status`: the status as JSON, of all keys or of one.

use std::convert::Infallible;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::AppState;
use super::query::{KeyQuery, NO_STORE, QueryResult, StatusQuery, parse};
use crate::status::{self, KeyDetail, StatusSource};

/// Everything, or what the parameters ask for: the API, the partners, the keys.
pub(super) async fn all(State(app): State<AppState>, wanted: QueryResult<StatusQuery>) -> Response {
    let filter = match parse(wanted).and_then(|wanted| wanted.filter()) {
        Ok(filter) => filter,
        Err(refusal) => return (StatusCode::BAD_REQUEST, Json(refusal)).into_response(),
    };
    let source = StatusSource::new(&app.context.shared_state);
    let selection = status::select(&source.inventory, &filter);
    let Ok(pieces) = status::document(&source, selection) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let body = Body::from_stream(stream::iter(pieces.map(Ok::<_, Infallible>)));
    (NO_STORE, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// One key, with what was.
pub(super) async fn key(State(app): State<AppState>, wanted: QueryResult<KeyQuery>) -> Response {
    let wanted = match parse(wanted) {
        Ok(wanted) => wanted,
        Err(refusal) => return (StatusCode::BAD_REQUEST, Json(refusal)).into_response(),
    };
    let source = StatusSource::new(&app.context.shared_state);
    match wanted.find(&source.inventory) {
        Ok(entry) => (NO_STORE, Json(KeyDetail::new(&source, entry))).into_response(),
        Err(refusal) => (StatusCode::NOT_FOUND, Json(refusal)).into_response(),
    }
}
