//! The HTML pages, and the static files that they load.

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maud::Markup;
use sha2::{Digest as _, Sha256};

use super::AppState;
use super::query::{KeyQuery, QueryError, QueryResult, Speaks, StatusQuery, parse};
use crate::demo::Scenario;
use crate::page::{self, ASSETS, Frame, Listing};
use crate::status::{self, ApiView, KeyDetail, Overview, StatusSource};

/// A hash of all assets. It is part of their URLs, so browsers may cache them forever.
static EDITION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for asset in ASSETS {
        digest.update(asset.content);
    }
    let first = digest.finalize().first_chunk().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
});

fn frame(speaks: Speaks, scenario: Option<&Scenario>) -> Frame {
    let announcement = scenario.map(Scenario::announcement);
    Frame { edition: &EDITION, announcement, language: speaks.language, is_chosen: speaks.is_chosen }
}

/// A page, or an error page with its status.
type Page = Result<Response, ErrorPage>;

pub(super) struct ErrorPage {
    error: QueryError,
    speaks: Speaks,
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        let page = page::error_page(frame(self.speaks, None), &self.error.text);
        (self.error.status, html(page, self.speaks)).into_response()
    }
}

fn html(page: Markup, speaks: Speaks) -> Response {
    (speaks.headers(), Html(page.into_string())).into_response()
}

/// The overview of the fleet.
pub(super) async fn overview(
    State(app): State<AppState>,
    speaks: Speaks,
    query: QueryResult<StatusQuery>,
) -> Page {
    let failed = |error| ErrorPage { error, speaks };
    let query = parse(query).map_err(failed)?;
    let (filter, page) = (query.filter(speaks.language).map_err(failed)?, query.page());
    let source = StatusSource::new(&app.context.shared_state, speaks.language);
    let selection = status::select(&source, &filter);
    let overview = Overview::new(&source, &selection);
    let listing = Listing::new(&source, &selection, filter, page);
    Ok(html(page::overview(frame(speaks, app.scenario.as_ref()), &overview, &listing), speaks))
}

/// One key, with its history.
pub(super) async fn key(State(app): State<AppState>, speaks: Speaks, query: QueryResult<KeyQuery>) -> Page {
    let failed = |error| ErrorPage { error, speaks };
    let query = parse(query).map_err(failed)?;
    let source = StatusSource::new(&app.context.shared_state, speaks.language);
    let key = query.find(&source.inventory, speaks.language).map_err(failed)?;
    let secret = key.partner.secret().state;
    let (detail, api) = (KeyDetail::new(&source, key), ApiView::new(&source));
    let frame = frame(speaks, app.scenario.as_ref());
    Ok(html(page::key(frame, &detail, secret, &api, source.now), speaks))
}

/// A static file.
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
