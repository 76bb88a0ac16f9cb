//! `/api/v1/status`: the status as JSON, of all keys or of one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::board::{Fleet, KeyEntry};
use crate::key_state::KeyState;
use crate::status::{self, Filter, KeyDetail, KeyView, Overview};

/// How many keys are written at once: a fleet's document is never held in memory whole.
const PIECE: usize = 64;

/// Which keys are wanted, as the page and its JSON are asked.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Wanted {
    state: Option<String>,
    partner: Option<String>,
    name: Option<String>,
    page: Option<String>,
}

/// Which key is wanted.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct WantedKey {
    #[serde(default)]
    partner: String,
    #[serde(default)]
    key: String,
}

/// Why there is no answer: fit to be shown.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    error: String,
}

/// A query, if it is one.
pub(super) type Asked<T> = Result<Query<T>, QueryRejection>;

/// What a query asks for.
///
/// # Errors
/// Where a parameter stands twice.
pub(super) fn understood<T>(asked: Asked<T>) -> Result<T, Refusal> {
    asked.map(|Query(wanted)| wanted).map_err(|rejection| Refusal { error: rejection.body_text() })
}

impl Wanted {
    /// What is asked for; a parameter without a value asks for nothing, as a form sends it.
    ///
    /// # Errors
    /// Where the state is none.
    pub(super) fn filter(&self) -> Result<Filter, Refusal> {
        let given = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let state = given(&self.state).map(|word| KeyState::from_word(&word).ok_or_else(no_such_state));
        Ok(Filter { state: state.transpose()?, partner: given(&self.partner), name: given(&self.name) })
    }

    /// Which page of the keys, from 1. What is no number is the first: pages come and go with the fleet.
    pub(super) fn page(&self) -> usize {
        self.page.as_deref().and_then(|page| page.trim().parse().ok()).unwrap_or(1).max(1)
    }
}

fn no_such_state() -> Refusal {
    let words: Vec<_> = KeyState::ALL.iter().map(|state| state.as_str()).collect();
    Refusal { error: format!("this is no state of a key; ask for one of {}", words.join(", ")) }
}

impl WantedKey {
    /// The key of these names, if it is configured.
    ///
    /// # Errors
    /// Where it is not.
    pub(super) fn find<'a>(&self, fleet: &'a Fleet) -> Result<&'a Arc<KeyEntry>, Refusal> {
        fleet.key(&self.partner, &self.key).ok_or_else(|| Refusal {
            error: "no key of these names is configured; ask with ?partner=…&key=…".to_owned(),
        })
    }
}

impl Refusal {
    /// What to tell a person.
    pub(super) fn text(&self) -> &str {
        &self.error
    }
}

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
    let Ok(head) = status::document_head(&overview) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut first = true;
    let count = selection.keys.len();
    let pieces = (0..count).step_by(PIECE).map(move |start| {
        let mut piece = Vec::new();
        for entry in selection.keys.iter().skip(start).take(PIECE) {
            if !std::mem::take(&mut first) {
                piece.push(b',');
            }
            // A view holds nothing that JSON can't: it fails nowhere.
            let _ = serde_json::to_writer(&mut piece, &KeyView::of(entry, certificate_ended));
        }
        Bytes::from(piece)
    });
    let head = std::iter::once(Bytes::from(head));
    let tail = std::iter::once(Bytes::from_static(status::DOCUMENT_TAIL.as_bytes()));
    let body = Body::from_stream(stream::iter(head.chain(pieces).chain(tail).map(Ok::<_, Infallible>)));
    (NEVER_STORED, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// What is true now is not a second later.
pub(super) const NEVER_STORED: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

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
