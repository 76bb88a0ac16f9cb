//! The middleware around all routes. It is the only place where faults are applied.

use std::sync::Arc;

use axum::Extension;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::time::Instant;

use crate::api::auth::{activate_key, authorize, identify};
use crate::api::delivery::{Delivery, body};
use crate::api::in_flight::InFlightGuard;
use crate::api::intercept::{Intercept, intercept};
use crate::api::login::mail_of;
use crate::api::request_id::request_id;
use crate::api::response_draft::{REQUEST_ID, ResponseDraft};
use crate::api::response_faults::apply_response_faults;
use crate::clock::format_utc;
use crate::fault::Fault;
use crate::fault_stream::ConnectionControl;
use crate::paths::{AUTHENTICATED_PREFIX, LOG_IN};
use crate::refusal::{ErrorDetails, Refusal};
use crate::request_info::RequestInfo;
use crate::shared::Shared;
use crate::state::request_log::{Call, LoggedResponse};

/// Handles a request from its arrival to its response.
pub(crate) async fn handle(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<ConnectionControl>,
    request: Request,
    next: Next,
) -> Response {
    let (info, request) = read_info(request).await;
    let (incoming, faults) = IncomingRequest::record(&shared, info);
    let mut draft = match intercept(&faults, &connection).await {
        Intercept::Continue => incoming.handle_request(request, next).await,
        Intercept::Refuse(refusal) => incoming.refuse(&refusal),
        Intercept::Respond(page) => ResponseDraft::from(page),
        Intercept::NoResponse => return Response::default(),
    };
    draft.headers.entry(header::DATE).or_insert_with(|| shared.clock.date_header());
    let compress = incoming.info.accepts_gzip && incoming.is_from_api(&draft);
    let (draft, delivery) = apply_response_faults(draft, &faults, compress);
    incoming.deliver(draft, delivery)
}

/// No log-in needs a larger body.
const MAX_LOG_IN_BYTES: usize = 64 * 1024;

/// Reads the request's facts. The e-mail address of a log-in is in the body, so the body is read and put back.
async fn read_info(request: Request) -> (RequestInfo, Request) {
    let mut info = RequestInfo::of(&request);
    if info.route != LOG_IN {
        return (info, request);
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_LOG_IN_BYTES).await.unwrap_or_default();
    info.mail = mail_of(&body);
    (info, Request::from_parts(parts, body.into()))
}

/// A request that has been logged and counted.
struct IncomingRequest {
    info: RequestInfo,
    error_details: ErrorDetails,
    in_flight: InFlightGuard,
}

impl IncomingRequest {
    /// Logs and counts the request. Returns the faults that apply to it.
    fn record(shared: &Arc<Shared>, mut info: RequestInfo) -> (Self, Vec<Fault>) {
        let received_at = shared.clock.now();
        let mut state = shared.lock();
        identify(&state, &mut info);
        let error_details = ErrorDetails {
            method: info.method.clone(),
            url: info.url.clone(),
            requested_at: format_utc(received_at),
            request_id: request_id(shared.next_request_number()),
        };
        state.traffic.begin(&info.route);
        if let Some(key) = info.key.as_ref().and_then(|key| state.keys.get_mut(key)) {
            key.traffic.begin(&info.route);
        }
        let log_number = state.request_log.push(Call {
            at: received_at,
            started: Instant::now(),
            method: info.method.clone(),
            url: info.url.clone(),
            key: info.key.clone(),
            partner: info.partner.clone(),
            society_id: info.society_id.clone(),
            response: None,
        });
        let faults = state.fault_rules.take_matching(&info);
        drop(state);
        let in_flight =
            InFlightGuard::new(Arc::clone(shared), log_number, info.key.clone(), info.route.clone());
        (Self { info, error_details, in_flight }, faults)
    }

    /// Lets the simulated API handle the request.
    async fn handle_request(&self, mut request: Request, next: Next) -> ResponseDraft {
        let shared = self.in_flight.shared();
        // HEAD is handled like GET. hyper drops the body later, when `content-length` is set.
        if request.method() == Method::HEAD {
            *request.method_mut() = Method::GET;
        }
        if !self.info.route.starts_with(AUTHENTICATED_PREFIX) {
            return self.draft_from(next.run(request).await).await;
        }
        let mut budget_headers = HeaderMap::new();
        let mut draft = match authorize(shared, &self.info, &mut budget_headers) {
            Err(refusal) => self.refuse(&refusal),
            Ok(caller) => {
                request.extensions_mut().insert(caller.clone());
                let draft = self.draft_from(next.run(request).await).await;
                if draft.code.is_none() {
                    activate_key(shared, &self.info, &caller);
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
        ResponseDraft {
            status: refusal.http_status(),
            headers,
            body: refusal.body(&self.error_details).to_string().into(),
            code: Some(refusal.code().to_owned()),
        }
    }

    /// The headers of all responses from the API, as seen in real responses.
    fn api_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::SERVER, HeaderValue::from_static("Microsoft-IIS/10.0"));
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert("keep-alive", HeaderValue::from_static("timeout=5"));
        if let Ok(id) = HeaderValue::from_str(&self.error_details.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers
    }

    fn is_from_api(&self, draft: &ResponseDraft) -> bool {
        draft
            .headers
            .get(REQUEST_ID)
            .is_some_and(|id| id.as_bytes() == self.error_details.request_id.as_bytes())
    }

    /// Logs the response and sends it.
    fn deliver(self, draft: ResponseDraft, delivery: Delivery) -> Response {
        let request_id = draft.headers.get(REQUEST_ID);
        let request_id = request_id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let logged = LoggedResponse { status: draft.status.as_u16(), code: draft.code, request_id };
        self.in_flight.shared().lock().request_log.set_response(self.in_flight.log_number(), logged);
        let mut response = Response::new(body(draft.body, delivery, self.in_flight));
        *response.status_mut() = draft.status;
        *response.headers_mut() = draft.headers;
        response
    }
}
