//! Faults and the requests that they apply to.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::paths::{LOG_IN, REQUEST_ID};
use crate::refusal::Refusal;
use crate::request::Call;

/// The requests that a fault applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All requests, including those to the health route and log-ins.
    Everything,
    /// Requests to this path with any query.
    Route(String),
    /// Requests with this partner's secret.
    Partner(String),
    /// Requests with a token of this key. Log-ins carry no token and are not included.
    Key(String),
    /// Requests of this key to this path. With the log-in path: the log-ins of this key's account.
    KeyRoute {
        key: String,
        /// The path, without query.
        route: String,
    },
    /// Requests about this society: with its token, or with its ID in `society-id`.
    Society(u64),
    /// Requests with a token of this schema, and the log-ins to this firm.
    Schema(u64),
    /// Requests that are in all these scopes.
    All(Vec<Self>),
    /// Requests that are not in this scope.
    Not(Box<Self>),
}

impl Scope {
    /// Only the requests that are also in the other scope.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::All(vec![self, other])
    }

    /// Without the requests that are in the other scope.
    #[must_use]
    pub fn except(self, other: Self) -> Self {
        self.and(Self::Not(Box::new(other)))
    }

    pub(crate) fn matches(&self, call: &Call) -> bool {
        match self {
            Self::Everything => true,
            Self::Route(route) => call.route() == route,
            Self::Partner(partner) => call.partner.as_deref() == Some(partner),
            Self::Key(key) => call.key.as_deref() == Some(key) && call.route() != LOG_IN,
            Self::KeyRoute { key, route } => call.key.as_deref() == Some(key) && call.route() == route,
            Self::Society(society) => call.society == Some(*society),
            Self::Schema(schema) => call.schema == Some(*schema),
            Self::All(scopes) => scopes.iter().all(|scope| scope.matches(call)),
            Self::Not(scope) => !scope.matches(call),
        }
    }

    /// Whether the scope contains only requests of this key.
    pub(crate) fn is_of_key(&self, name: &str) -> bool {
        match self {
            Self::Key(key) | Self::KeyRoute { key, .. } => key == name,
            Self::All(scopes) => scopes.iter().any(|scope| scope.is_of_key(name)),
            Self::Everything
            | Self::Route(_)
            | Self::Partner(_)
            | Self::Society(_)
            | Self::Schema(_)
            | Self::Not(_) => false,
        }
    }
}

/// A simulated failure of one request. All faults that match a request apply, in the order of injection. If several
/// of them determine the response, the first one does.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The API refuses the request. This does not use the budget and does not activate the key.
    Refuse(Refusal),
    /// The response is delayed.
    Delay(Duration),
    /// There is no response, and the connection stays open.
    Silence,
    /// The connection is closed without a response.
    Close,
    /// These bytes are sent instead of an HTTP response. Then the connection is closed.
    Raw(Bytes),
    /// The response comes from a system between client and API: a proxy, a load balancer, a captive portal.
    Edge(Page),

    /// The API's response has this status and no body.
    Empty(StatusCode),
    /// The API's response has another body.
    Body { content_type: HeaderValue, body: Bytes },
    /// The API's response has this header. An existing value is replaced.
    Header(HeaderName, HeaderValue),
    /// The API's response does not have this header.
    Without(HeaderName),
    /// These bytes precede the body.
    BeforeBody(Bytes),
    /// A body that is a JSON object also has `"code":"Success"` and an empty `message`.
    SuccessCode,
    /// The body is compressed even if the client does not accept it.
    Gzip,
    /// As [`Gzip`](Self::Gzip), with this spelling of `content-encoding`, and in several members one after the other.
    GzipAs { spelling: HeaderValue, members: usize },
    /// The body is labelled as gzip, and the compressed data ends in the middle.
    BrokenGzip,

    /// The body pauses in the middle.
    Pause(Duration),
    /// The body stops in the middle, and the connection stays open.
    Stall,
    /// The connection is closed after the headers.
    CloseAfterHeaders,
    /// The connection is closed in the middle of the body, before `content-length` is reached.
    Truncate,
    /// The body is a JSON list of at least this many bytes, sent in pieces.
    Huge(u64),
}

impl Fault {
    /// The API refuses the request with this error code, in the documented body format.
    pub fn refuse(code: &'static str) -> Self {
        Self::Refuse(Refusal::new(code))
    }

    /// Announced maintenance.
    pub fn maintenance() -> Self {
        Self::refuse("ERR-API-UNDER-MAINTENANCE")
    }

    /// HTML with status 200, as a captive portal responds.
    pub fn captive_portal() -> Self {
        Self::Edge(Page::html(StatusCode::OK))
    }

    /// HTML with this status and without `request-id`, as a proxy responds.
    pub fn edge(status: StatusCode) -> Self {
        Self::Edge(Page::html(status))
    }

    /// The API's response without `request-id`, as a proxy that removes unknown headers forwards it.
    pub fn without_request_id() -> Self {
        Self::Without(REQUEST_ID)
    }

    /// A byte-order mark before the body.
    pub fn byte_order_mark() -> Self {
        Self::BeforeBody(Bytes::from_static(b"\xef\xbb\xbf"))
    }

    /// The body as gzip in one member, with this spelling of `content-encoding`.
    pub fn gzip_spelled(spelling: &'static str) -> Self {
        Self::GzipAs { spelling: HeaderValue::from_static(spelling), members: 1 }
    }

    /// Bytes that are not HTTP.
    pub fn garbage() -> Self {
        Self::Raw(Bytes::from_static(b"\x00\x01\x02 this is not HTTP\r\n\r\n\xff\xfe"))
    }

    /// A JSON content type and a body that ends in the middle of the JSON.
    pub fn invalid_json() -> Self {
        Self::Body {
            content_type: HeaderValue::from_static("application/json"),
            body: Bytes::from_static(br#"[{"path":"/api/v1/society","meth"#),
        }
    }

    /// The normal body with another content type.
    pub fn content_type(value: &'static str) -> Self {
        Self::Header(header::CONTENT_TYPE, HeaderValue::from_static(value))
    }
}

/// A response that does not come from the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Page {
    /// An HTML page that shows the status.
    pub fn html(status: StatusCode) -> Self {
        let page =
            format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n");
        Self::new(status, HeaderValue::from_static("text/html"), page)
    }

    /// A response with a JSON content type.
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(status, HeaderValue::from_static("application/json"), body)
    }

    /// A response without content type and body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub fn new(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
        Self { status, headers, body: body.into() }
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}
