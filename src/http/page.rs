//! The pages, and the files that they load.

use std::sync::LazyLock;
use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maud::Markup;
use sha2::{Digest as _, Sha256};

use super::Site;
use super::query::{Asked, NEVER_STORED, Refusal, Wanted, WantedKey, understood};
use crate::page::{self, ASSETS, Frame, Listing};
use crate::status::{self, ApiView, Filter, KeyDetail, Overview};

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
    (NEVER_STORED, Html(page.into_string())).into_response()
}

fn refused(status: StatusCode, refusal: &Refusal) -> Response {
    (status, told(page::refusal(frame(), refusal.text()))).into_response()
}

/// Everything at a glance.
pub(super) async fn overview(State(site): State<Site>, wanted: Asked<Wanted>) -> Response {
    let asked = understood(wanted).and_then(|wanted| Ok((wanted.filter()?, wanted.page())));
    let (filter, page) = match asked {
        Ok(asked) => asked,
        Err(refusal) => return refused(StatusCode::BAD_REQUEST, &refusal),
    };
    let board = &site.context.board;
    let (fleet, now) = (board.fleet(), SystemTime::now());
    let selection = status::select(&fleet, &filter);
    let overview = Overview::of(board, &fleet, &selection, now);
    let certificate_ended = status::certificate_ended(board, &fleet, now);
    let listing = Listing::of(&selection, filter, page, certificate_ended);
    told(page::overview(frame(), &overview, &listing))
}

/// One key, with what was.
pub(super) async fn key(State(site): State<Site>, wanted: Asked<WantedKey>) -> Response {
    let wanted = match understood(wanted) {
        Ok(wanted) => wanted,
        Err(refusal) => return refused(StatusCode::BAD_REQUEST, &refusal),
    };
    let board = &site.context.board;
    let (fleet, now) = (board.fleet(), SystemTime::now());
    let entry = match wanted.find(&fleet) {
        Ok(entry) => entry,
        Err(refusal) => return refused(StatusCode::NOT_FOUND, &refusal),
    };
    let detail = KeyDetail::of(entry, status::certificate_ended(board, &fleet, now));
    let its_partner = Filter { partner: Some(entry.partner.name.to_string()), ..Filter::default() };
    let selection = status::select(&fleet, &its_partner);
    let partner = selection.partners.iter().find(|partner| partner.partner == entry.partner.name);
    let api = ApiView::of(board, &fleet, now);
    told(page::key(frame(), &detail, partner, &api, now))
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
