//! The pages, and the files that they load.

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maud::Markup;
use sha2::{Digest as _, Sha256};

use super::AppState;
use super::query::{KeyQuery, NO_STORE, QueryError, QueryResult, StatusQuery, parse};
use crate::page::{self, ASSETS, Frame, Listing};
use crate::status::{self, ApiView, Filter, KeyDetail, Overview, StatusSource};

/// Changes whenever an asset does, so that each can be kept by browsers for ever.
static EDITION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for asset in ASSETS {
        digest.update(asset.content);
    }
    let first = digest.finalize().first_chunk().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
});

fn frame() -> Frame {
    Frame { edition: &EDITION }
}

fn told(page: Markup) -> Response {
    (NO_STORE, Html(page.into_string())).into_response()
}

fn refused(status: StatusCode, refusal: &QueryError) -> Response {
    (status, told(page::error_page(frame(), refusal.text()))).into_response()
}

/// Everything at a glance.
pub(super) async fn overview(State(app): State<AppState>, wanted: QueryResult<StatusQuery>) -> Response {
    let asked = parse(wanted).and_then(|wanted| Ok((wanted.filter()?, wanted.page())));
    let (filter, page) = match asked {
        Ok(asked) => asked,
        Err(refusal) => return refused(StatusCode::BAD_REQUEST, &refusal),
    };
    let source = StatusSource::new(&app.context.shared_state);
    let selection = status::select(&source.inventory, &filter);
    let overview = Overview::new(&source, &selection);
    let listing = Listing::new(&source, &selection, filter, page);
    told(page::overview(frame(), &overview, &listing))
}

/// One key, with what was.
pub(super) async fn key(State(app): State<AppState>, wanted: QueryResult<KeyQuery>) -> Response {
    let wanted = match parse(wanted) {
        Ok(wanted) => wanted,
        Err(refusal) => return refused(StatusCode::BAD_REQUEST, &refusal),
    };
    let source = StatusSource::new(&app.context.shared_state);
    let entry = match wanted.find(&source.inventory) {
        Ok(entry) => entry,
        Err(refusal) => return refused(StatusCode::NOT_FOUND, &refusal),
    };
    let detail = KeyDetail::new(&source, entry);
    let its_partner = Filter { partner: Some(entry.partner.name.to_string()), ..Filter::default() };
    let selection = status::select(&source.inventory, &its_partner);
    let partner = selection.partners.iter().find(|partner| partner.partner == entry.partner.name);
    told(page::key(frame(), &detail, partner, &ApiView::new(&source), source.now))
}

/// A file that the pages load.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.into_iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.content).into_response()
}
