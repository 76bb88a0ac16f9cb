//! `/api/v1/status`: the status of all keys, or of one key, as JSON.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::AppState;
use super::compression::streamed;
use super::query::{KeyQuery, QueryError, QueryResult, Speaks, StatusQuery, parse};
use crate::status::{self, KeyDetail, StatusSource};

/// The API, the partners and the keys that the parameters select; everything without parameters.
pub(super) async fn all(
    State(app): State<AppState>,
    speaks: Speaks,
    query: QueryResult<StatusQuery>,
) -> Result<Response, QueryError> {
    let filter = parse(query)?.filter(speaks.language)?;
    let source = StatusSource::new(&app.context.shared_state, speaks.language);
    let selection = status::select(&source, &filter);
    let Ok(chunks) = status::document(&source, selection) else {
        return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    Ok((speaks.headers(), [(header::CONTENT_TYPE, "application/json")], streamed(chunks)).into_response())
}

/// One key, with its history.
pub(super) async fn key(
    State(app): State<AppState>,
    speaks: Speaks,
    query: QueryResult<KeyQuery>,
) -> Result<Response, QueryError> {
    let query = parse(query)?;
    let source = StatusSource::new(&app.context.shared_state, speaks.language);
    let key = query.find(&source.inventory, speaks.language)?;
    Ok((speaks.headers(), Json(KeyDetail::new(&source, key))).into_response())
}
