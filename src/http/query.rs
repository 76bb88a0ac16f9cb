//! The query parameters of the status page and its JSON, and the errors for invalid ones.

use std::convert::Infallible;
use std::sync::Arc;
use strum::VariantArray as _;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::key_state::KeyState;
use crate::language::{Language, text};
use crate::state::{Inventory, MonitoredKey};
use crate::status::{Filter, Standing};

/// A response is already out of date a second later.
pub(super) const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// What a response depends on. The layer that compresses adds its own name only if it is not there.
const VARIES: &str = "Accept-Language, Accept-Encoding";

/// The language of a response: from the parameter `lang`, otherwise from the header `Accept-Language`.
#[derive(Clone, Copy)]
pub(super) struct Speaks {
    pub language: Language,
    /// Whether the parameter decided.
    pub is_chosen: bool,
}

impl Speaks {
    /// The headers of a response in this language.
    pub(super) const fn headers(self) -> [(header::HeaderName, &'static str); 3] {
        let vary = (header::VARY, VARIES);
        [NO_STORE, vary, (header::CONTENT_LANGUAGE, self.language.into_str())]
    }
}

impl<S: Sync> FromRequestParts<S> for Speaks {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let parameter = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "lang");
        let parameter = parameter.map(|(_, value)| value);
        let header = parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let chosen = parameter.as_deref().and_then(Language::named);
        let language = chosen.unwrap_or_else(|| Language::negotiate(header));
        Ok(Self { language, is_chosen: chosen.is_some() })
    }
}

/// Selects keys.
#[derive(Deserialize)]
pub(super) struct StatusQuery {
    state: Option<String>,
    standing: Option<String>,
    partner: Option<String>,
    name: Option<String>,
    page: Option<String>,
}

/// Names one key.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyQuery {
    partner: String,
    key: String,
}

/// Why a query cannot be answered. As a response, it is JSON.
#[derive(Serialize)]
pub(super) struct QueryError {
    #[serde(skip)]
    pub status: StatusCode,
    /// A text that may be shown.
    #[serde(rename = "error")]
    pub text: String,
}

pub(super) type QueryResult<T> = Result<Query<T>, QueryRejection>;

/// Unwraps the parsed query.
///
/// # Errors
/// If a parameter is given twice.
pub(super) fn parse<T>(query: QueryResult<T>) -> Result<T, QueryError> {
    query.map(|Query(query)| query).map_err(|rejection| QueryError::bad_request(rejection.body_text()))
}

impl StatusQuery {
    /// A parameter with an empty value is ignored, because a form sends empty fields too.
    ///
    /// # Errors
    /// If the state or the standing is unknown.
    pub(super) fn filter(&self, language: Language) -> Result<Filter, QueryError> {
        let non_empty = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let state = non_empty(&self.state)
            .map(|word| word.parse().map_err(|_| unknown_state(language)))
            .transpose()?;
        let standing =
            non_empty(&self.standing).map(|word| word.parse().map_err(|_| unknown_standing())).transpose()?;
        Ok(Filter { state, standing, partner: non_empty(&self.partner), name: non_empty(&self.name) })
    }

    /// The page of the list of keys, from 1. An invalid number means page 1, because the number of pages
    /// changes with the fleet.
    pub(super) fn page(&self) -> usize {
        self.page.as_deref().and_then(|page| page.trim().parse().ok()).unwrap_or(1).max(1)
    }
}

fn unknown_standing() -> QueryError {
    let words: Vec<_> = Standing::VARIANTS.iter().map(Standing::into_str).collect();
    QueryError::bad_request(format!("the parameter standing is unknown; use one of {}", words.join(", ")))
}

fn unknown_state(language: Language) -> QueryError {
    let words: Vec<_> = KeyState::VARIANTS.iter().map(KeyState::into_str).collect();
    QueryError::bad_request(text!(language, "no-such-state", states = words.join(", ")))
}

impl KeyQuery {
    /// Finds the key with these names.
    ///
    /// # Errors
    /// If it is not configured.
    pub(super) fn find<'a>(
        &self,
        inventory: &'a Inventory,
        language: Language,
    ) -> Result<&'a Arc<MonitoredKey>, QueryError> {
        inventory
            .key(&self.partner, &self.key)
            .ok_or_else(|| QueryError { status: StatusCode::NOT_FOUND, text: text!(language, "no-such-key") })
    }
}

impl QueryError {
    const fn bad_request(text: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text }
    }
}

impl IntoResponse for QueryError {
    fn into_response(self) -> Response {
        (self.status, [(header::VARY, VARIES)], Json(self)).into_response()
    }
}
