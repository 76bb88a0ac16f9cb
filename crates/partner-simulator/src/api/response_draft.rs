//! An answer before it goes out.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::fault::Page;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// An answer before it goes out.
#[derive(Debug)]
pub(crate) struct ResponseDraft {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The error's code, where the API itself refuses.
    pub(crate) code: Option<String>,
}

impl From<Page> for ResponseDraft {
    fn from(page: Page) -> Self {
        Self { status: page.status, headers: page.headers, body: page.body, code: None }
    }
}
