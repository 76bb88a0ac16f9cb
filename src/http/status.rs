//! `/api/v1/status`: the status as JSON, of all keys or of one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::Site;
use super::query::{Asked, NEVER_STORED, Wanted, WantedKey, understood};
use crate::status::{self, KeyDetail, Overview};

/// Everything, or what the parameters ask for: the API, the partners, the keys.
pub(super) async fn all(State(site): State<Site>, wanted: Asked<Wanted>) -> Response {
    let filter = match understood(wanted).and_then(|wanted| wanted.filter()) {
        Ok(filter) => filter,
        Err(refusal) => return (StatusCode::BAD_REQUEST, Json(refusal)).into_response(),
    };
    let board = Arc::clone(&site.context.board);
    let (fleet, now) = (board.fleet(), SystemTime::now());
    let selection = status::select(&fleet, &filter);
    let overview = Overview::of(&board, &fleet, &selection, now);
    let certificate_ended = status::certificate_ended(&board, &fleet, now);
    let Ok(pieces) = status::document(&overview, selection.keys, certificate_ended) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let body = Body::from_stream(stream::iter(pieces.map(Ok::<_, Infallible>)));
    (NEVER_STORED, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// One key, with what was.
pub(super) async fn key(State(site): State<Site>, wanted: Asked<WantedKey>) -> Response {
    let wanted = match understood(wanted) {
        Ok(wanted) => wanted,
        Err(refusal) => return (StatusCode::BAD_REQUEST, Json(refusal)).into_response(),
    };
    let board = &site.context.board;
    let fleet = board.fleet();
    match wanted.find(&fleet) {
        Ok(entry) => {
            let certificate_ended = status::certificate_ended(board, &fleet, SystemTime::now());
            (NEVER_STORED, Json(KeyDetail::of(entry, certificate_ended))).into_response()
        }
        Err(refusal) => (StatusCode::NOT_FOUND, Json(refusal)).into_response(),
    }
}
