//! The middleware around all routes. It is the only place where faults are applied.

use std::sync::Arc;

use axum::Extension;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::api::auth::{activate_key, authorize, identify};
use crate::api::request_id::request_id;
use crate::api::response::{Delivery, ResponseDraft, apply_response_faults, body, encode};
use crate::fault::Fault;
use crate::fault_stream::ConnectionControl;
use crate::paths::{AUTHENTICATED_PREFIX, LOG_IN, REQUEST_ID};
use crate::refusal::Refusal;
use crate::request::{LoggedResponse, RequestInfo};
use crate::state::Shared;

/// Handles a request from its arrival to its response.
pub(crate) async fn handle(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<ConnectionControl>,
    request: Request,
    next: Next,
) -> Response {
    let clock = shared.lock().clock;
    let mut info = RequestInfo::of(&request, &clock);
    let request = read_log_in(request, &mut info).await;
    let (incoming, faults) = IncomingRequest::record(shared, info);
    let Some(mut draft) = incoming.respond(request, next, &faults, &connection).await else {
        // What is returned to hyper never reaches the client.
        return Response::default();
    };
    let date = || incoming.shared.lock().clock.date_header();
    draft.headers.entry(header::DATE).or_insert_with(date);
    let is_from_api = draft.headers.get(REQUEST_ID).is_some_and(|id| *id == incoming.info.request_id);
    let compress = incoming.info.accepts_gzip && is_from_api;
    let (coding, delivery) = apply_response_faults(&mut draft, &faults, compress);
    encode(&mut draft, coding, delivery);
    incoming.deliver(draft, delivery)
}

/// No log-in needs a larger body.
const MAX_LOG_IN_BYTES: usize = 64 * 1024;

/// Reads the body of a log-in and puts it back: it says which account and firm the request is about.
async fn read_log_in(request: Request, info: &mut RequestInfo) -> Request {
    if info.call.route() != LOG_IN {
        return request;
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_LOG_IN_BYTES).await.unwrap_or_default();
    info.log_in = serde_json::from_slice(&body).ok();
    Request::from_parts(parts, body.into())
}

/// A request that has been logged. It counts as in flight until it is dropped: when the response has been sent or
/// the client has given up.
struct IncomingRequest {
    shared: Arc<Shared>,
    info: RequestInfo,
    log_number: u64,
}

impl Drop for IncomingRequest {
    fn drop(&mut self) {
        let RequestInfo { call, .. } = &self.info;
        let mut state = self.shared.lock();
        let group = state.concurrency.group(call);
        state.traffic.end(group);
        if let Some(key) = call.key.as_ref().and_then(|key| state.keys.get_mut(key)) {
            key.counts.end();
        }
    }
}

impl IncomingRequest {
    /// Logs and counts the request. Returns the faults that apply to it.
    fn record(shared: Arc<Shared>, mut info: RequestInfo) -> (Self, Vec<Fault>) {
        let mut state = shared.lock();
        identify(&state, &mut info);
        info.request_id = request_id(state.traffic.counts.calls);
        let call = &info.call;
        let group = state.concurrency.group(call);
        state.traffic.begin(group);
        if let Some(key) = call.key.as_ref().and_then(|key| state.keys.get_mut(key)) {
            key.counts.begin();
        }
        let log_number = state.request_log.push(call.clone());
        let faults = state.fault_rules.take_matching(call);
        drop(state);
        (Self { shared, info, log_number }, faults)
    }

    /// The response before the faults that change it. `None` if a fault prevents an HTTP response.
    async fn respond(
        &self,
        request: Request,
        next: Next,
        faults: &[Fault],
        connection: &ConnectionControl,
    ) -> Option<ResponseDraft> {
        for fault in faults {
            match fault {
                Fault::Delay(delay) => tokio::time::sleep(*delay).await,
                Fault::Silence => std::future::pending().await,
                Fault::Refuse(refusal) => return Some(self.refuse(refusal)),
                Fault::Edge(page) => return Some(page.clone().into()),
                Fault::Close => {
                    connection.replace_output(Bytes::new());
                    return None;
                }
                Fault::Raw(bytes) => {
                    connection.replace_output(bytes.clone());
                    return None;
                }
                // These change the response.
                Fault::Empty(_)
                | Fault::Body { .. }
                | Fault::Header(..)
                | Fault::Without(_)
                | Fault::BeforeBody(_)
                | Fault::SuccessCode
                | Fault::Gzip
                | Fault::GzipAs { .. }
                | Fault::BrokenGzip
                | Fault::Pause(_)
                | Fault::Stall
                | Fault::CloseAfterHeaders
                | Fault::Truncate
                | Fault::Huge(_) => {}
            }
        }
        Some(self.handle_request(request, next).await)
    }

    /// Lets the simulated API handle the request.
    async fn handle_request(&self, mut request: Request, next: Next) -> ResponseDraft {
        // HEAD is handled like GET. hyper drops the body later, when `content-length` is set.
        if request.method() == Method::HEAD {
            *request.method_mut() = Method::GET;
        }
        if !self.info.call.route().starts_with(AUTHENTICATED_PREFIX) {
            return self.draft_from(next.run(request).await).await;
        }
        let mut budget_headers = HeaderMap::new();
        let mut draft = match authorize(&self.shared, &self.info, &mut budget_headers) {
            Err(refusal) => self.refuse(&refusal),
            Ok(caller) => {
                request.extensions_mut().insert(caller.clone());
                let draft = self.draft_from(next.run(request).await).await;
                if draft.status.is_success() {
                    activate_key(&self.shared, &self.info, &caller);
                }
                draft
            }
        };
        draft.headers.extend(budget_headers);
        draft
    }

    async fn draft_from(&self, response: Response) -> ResponseDraft {
        let (parts, body) = response.into_parts();
        if let Some(refusal) = parts.extensions.get::<Refusal>() {
            return self.refuse(refusal);
        }
        // The handlers' bodies are complete in memory, so reading them cannot fail.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let mut headers = self.api_headers();
        headers.extend(parts.headers);
        ResponseDraft { status: parts.status, headers, body, code: None }
    }

    fn refuse(&self, refusal: &Refusal) -> ResponseDraft {
        let mut headers = self.api_headers();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        let body = refusal.body(&self.info).to_string().into();
        ResponseDraft { status: refusal.status, headers, body, code: refusal.sent_code() }
    }

    /// The headers of all responses from the API, as seen in real responses.
    fn api_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::SERVER, HeaderValue::from_static("Microsoft-IIS/10.0"));
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert("keep-alive", HeaderValue::from_static("timeout=5"));
        if let Ok(id) = HeaderValue::from_str(&self.info.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers
    }

    /// Logs the response and sends it.
    fn deliver(self, draft: ResponseDraft, delivery: Delivery) -> Response {
        let request_id = draft.headers.get(REQUEST_ID);
        let request_id = request_id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let logged = LoggedResponse { status: draft.status.as_u16(), code: draft.code, request_id };
        self.shared.lock().request_log.set_response(self.log_number, logged);
        let mut response = Response::new(body(draft.body, delivery, self));
        *response.status_mut() = draft.status;
        *response.headers_mut() = draft.headers;
        response
    }
}
