//! What the page and its JSON are asked for, and what is answered where that makes no sense.

use std::sync::Arc;
use strum::VariantArray as _;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::header;
use serde::{Deserialize, Serialize};

use crate::key_state::KeyState;
use crate::state::{Inventory, MonitoredKey};
use crate::status::Filter;

/// What is true now is not a second later.
pub(super) const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Which keys are wanted, as the page and its JSON are asked.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct StatusQuery {
    state: Option<String>,
    partner: Option<String>,
    name: Option<String>,
    page: Option<String>,
}

/// Which key is wanted.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct KeyQuery {
    #[serde(default)]
    partner: String,
    #[serde(default)]
    key: String,
}

/// Why there is no answer: fit to be shown.
#[derive(Debug, Serialize)]
pub(super) struct QueryError {
    error: String,
}

/// A query, if it is one.
pub(super) type QueryResult<T> = Result<Query<T>, QueryRejection>;

/// What a query asks for.
///
/// # Errors
/// Where a parameter stands twice.
pub(super) fn parse<T>(query: QueryResult<T>) -> Result<T, QueryError> {
    query.map(|Query(query)| query).map_err(|rejection| QueryError { error: rejection.body_text() })
}

impl StatusQuery {
    /// What is asked for; a parameter without a value asks for nothing, as a form sends it.
    ///
    /// # Errors
    /// Where the state is none.
    pub(super) fn filter(&self) -> Result<Filter, QueryError> {
        let non_empty = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let state = non_empty(&self.state).map(|word| word.parse().map_err(|_| unknown_state()));
        Ok(Filter {
            state: state.transpose()?,
            partner: non_empty(&self.partner),
            name: non_empty(&self.name),
        })
    }

    /// Which page of the keys, from 1. What is no number is the first: pages come and go with the fleet.
    pub(super) fn page(&self) -> usize {
        self.page.as_deref().and_then(|page| page.trim().parse().ok()).unwrap_or(1).max(1)
    }
}

fn unknown_state() -> QueryError {
    let words: Vec<_> = KeyState::VARIANTS.iter().map(KeyState::into_str).collect();
    QueryError { error: format!("this is no state of a key; ask for one of {}", words.join(", ")) }
}

impl KeyQuery {
    /// The key of these names, if it is configured.
    ///
    /// # Errors
    /// Where it is not.
    pub(super) fn find<'a>(&self, inventory: &'a Inventory) -> Result<&'a Arc<MonitoredKey>, QueryError> {
        inventory.key(&self.partner, &self.key).ok_or_else(|| QueryError {
            error: "no key of these names is configured; ask with ?partner=…&key=…".to_owned(),
        })
    }
}

impl QueryError {
    /// What to tell a person.
    pub(super) fn text(&self) -> &str {
        &self.error
    }
}
