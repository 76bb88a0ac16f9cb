//! `/api/v1/status`: the status of all keys, or of one key, as JSON.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::AppState;
use super::compression::streamed;
use super::query::{KeyQuery, NO_STORE, QueryError, QueryResult, StatusQuery, parse};
use crate::status::{self, KeyDetail, StatusSource};

/// The API, the partners and the keys that the parameters select; everything without parameters.
pub(super) async fn all(
    State(app): State<AppState>,
    query: QueryResult<StatusQuery>,
) -> Result<Response, QueryError> {
    let filter = parse(query)?.filter()?;
    let source = StatusSource::new(&app.context.shared_state);
    let selection = status::select(&source, &filter);
    let Ok(chunks) = status::document(&source, selection) else {
        return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    Ok((NO_STORE, [(header::CONTENT_TYPE, "application/json")], streamed(chunks)).into_response())
}

/// One key, with its history.
pub(super) async fn key(
    State(app): State<AppState>,
    query: QueryResult<KeyQuery>,
) -> Result<Response, QueryError> {
    let query = parse(query)?;
    let source = StatusSource::new(&app.context.shared_state);
    let key = query.find(&source.inventory)?;
    Ok((NO_STORE, Json(KeyDetail::new(&source, key))).into_response())
}
