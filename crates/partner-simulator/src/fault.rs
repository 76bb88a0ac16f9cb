//! What can be made to go wrong, and for whom.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::paths::LOG_IN;
use crate::refusal::Refusal;
use crate::request_info::RequestInfo;

/// Whom a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every call, to the health route and the log-in as well.
    Everything,
    /// Calls to that path, whatever the query.
    Route(String),
    /// Calls that carry that partner's secret.
    Partner(String),
    /// Calls that carry a token of that key; not its log-ins, which carry none.
    Key(String),
    /// Calls of that key to that path. With the log-in's path: log-ins of that key's account.
    KeyRoute {
        /// The key.
        key: String,
        /// The path.
        route: String,
    },
}

impl Scope {
    pub(crate) fn matches(&self, request: &RequestInfo) -> bool {
        match self {
            Self::Everything => true,
            Self::Route(route) => request.route == *route,
            Self::Partner(partner) => request.partner.as_deref() == Some(partner),
            Self::Key(key) => request.key.as_deref() == Some(key) && request.route != LOG_IN,
            Self::KeyRoute { key, route } => request.key.as_deref() == Some(key) && request.route == *route,
        }
    }
}

/// What is made to happen to a call. Commands that concern one call add up, in the order they were given: of several
/// that would answer it, the first does.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The API refuses. Nothing is spent of a budget, and no key is activated.
    Refuse(Refusal),
    /// So long passes before anything is answered.
    Delay(Duration),
    /// Nothing is ever answered; the connection stays open.
    Silence,
    /// The connection is closed instead of an answer.
    Close,
    /// These bytes come instead of an HTTP answer, then the connection is closed.
    Raw(Bytes),
    /// Somebody between answers: a proxy, a load balancer, a captive portal.
    Edge(Page),

    /// The API's answer has no body, and this status.
    Empty(StatusCode),
    /// The API's answer has another body.
    Body {
        /// Its content type.
        content_type: HeaderValue,
        /// Itself.
        body: Bytes,
    },
    /// The API's answer has this header (too).
    Header(HeaderName, HeaderValue),
    /// The API's answer lacks this header.
    Without(HeaderName),
    /// The body is compressed, whatever the client accepts.
    Gzip,
    /// The body says it is compressed, and breaks in the middle.
    BrokenGzip,

    /// So long passes in the middle of the body.
    Pause(Duration),
    /// In the middle of the body everything stops; the connection stays open.
    Stall,
    /// The connection is closed after the headers.
    CloseAfterHeaders,
    /// The connection is closed in the middle of a body whose length was promised.
    Truncate,
    /// The body is a JSON list of at least so many bytes, written piece by piece.
    Huge(u64),
}

impl Fault {
    /// The API refuses with this code, in the documented form.
    #[must_use]
    pub fn refuse(code: &'static str) -> Self {
        Self::Refuse(Refusal::new(code))
    }

    /// Announced maintenance.
    #[must_use]
    pub fn maintenance() -> Self {
        Self::refuse("ERR-API-UNDER-MAINTENANCE")
    }

    /// HTML with status 200, as a captive portal answers.
    #[must_use]
    pub fn captive_portal() -> Self {
        Self::Edge(Page::html(StatusCode::OK))
    }

    /// HTML with this status, without `request-id`, as a proxy answers.
    #[must_use]
    pub fn edge(status: StatusCode) -> Self {
        Self::Edge(Page::html(status))
    }

    /// A redirect to another URL.
    #[must_use]
    pub fn redirect(status: StatusCode, to: HeaderValue) -> Self {
        Self::Edge(Page::html(status).header(header::LOCATION, to))
    }

    /// Bytes that are no HTTP.
    #[must_use]
    pub fn garbage() -> Self {
        Self::Raw(Bytes::from_static(b"\x00\x01\x02 this is not HTTP\r\n\r\n\xff\xfe"))
    }

    /// A body that says it is JSON, and breaks off.
    #[must_use]
    pub fn invalid_json() -> Self {
        Self::Body {
            content_type: HeaderValue::from_static("application/json"),
            body: Bytes::from_static(br#"[{"path":"/api/v1/society","meth"#),
        }
    }

    /// The usual body, under another content type.
    #[must_use]
    pub fn content_type(value: &'static str) -> Self {
        Self::Header(header::CONTENT_TYPE, HeaderValue::from_static(value))
    }
}

/// An answer that isn't the API's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Page {
    /// A page of HTML that names the status.
    #[must_use]
    pub fn html(status: StatusCode) -> Self {
        let page =
            format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n");
        Self::new(status, HeaderValue::from_static("text/html"), page)
    }

    /// Any page.
    #[must_use]
    pub fn new(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
        Self { status, headers, body: body.into() }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}
