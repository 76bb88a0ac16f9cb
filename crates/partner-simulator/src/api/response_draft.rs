//! A response that is not sent yet.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::fault::Page;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// A response that is not sent yet.
#[derive(Debug)]
pub(crate) struct ResponseDraft {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The error code, if the API refuses the request.
    pub(crate) code: Option<String>,
}

impl From<Page> for ResponseDraft {
    fn from(page: Page) -> Self {
        Self { status: page.status, headers: page.headers, body: page.body, code: None }
    }
}
