//! The front of the simulated API: every call comes in and goes out here, so faults are applied at this one place.

use std::sync::Arc;

use axum::Extension;
use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::time::Instant;

use crate::api::auth::{admit, attribute, used};
use crate::api::delivery::{Pace, body};
use crate::api::in_flight::InFlight;
use crate::api::intercept::{Meddling, meddle};
use crate::api::login::mail_in;
use crate::api::request_id::request_id;
use crate::api::response_draft::{Draft, REQUEST_ID};
use crate::api::response_faults::reshape;
use crate::clock::iso;
use crate::fault::Fault;
use crate::paths::{AUTHENTICATED, LOG_IN};
use crate::refusal::{CallContext, Refusal};
use crate::request_info::Asked;
use crate::shared::World;
use crate::state::request_log::{Answered, Call};
use crate::transport::fault_stream::Orders;

/// The outermost layer.
pub(crate) async fn answer(
    Shared(world): Shared<Arc<World>>,
    Extension(orders): Extension<Orders>,
    request: Request,
    next: Next,
) -> Response {
    let (asked, request) = read(request).await;
    let (call, faults) = Incoming::note(&world, asked);
    let mut draft = match meddle(&faults, &orders).await {
        Meddling::None => call.ask(request, next).await,
        Meddling::Refused(refusal) => call.refuse(&refusal),
        Meddling::Answered(page) => Draft::from(page),
        Meddling::Spoilt => return Response::default(),
    };
    draft.headers.entry(header::DATE).or_insert_with(|| world.clock.date_header());
    let compress = world.compress && call.asked.accepts_gzip && call.is_from_api(&draft);
    let (draft, pace) = reshape(draft, &faults, compress);
    call.deliver(draft, pace)
}

/// More than any log-in needs.
const LARGEST_LOG_IN: usize = 64 * 1024;

/// Reads who asks what. For a log-in that stands in the body, which is put back.
async fn read(request: Request) -> (Asked, Request) {
    let mut asked = Asked::of(&request);
    if asked.route != LOG_IN {
        return (asked, request);
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_LOG_IN).await.unwrap_or_default();
    asked.mail = mail_in(&body);
    (asked, Request::from_parts(parts, body.into()))
}

/// A call that was noted.
struct Incoming {
    asked: Asked,
    context: CallContext,
    in_flight: InFlight,
}

impl Incoming {
    /// Writes the call down, counts it, and says what will happen to it.
    fn note(world: &Arc<World>, mut asked: Asked) -> (Self, Vec<Fault>) {
        let at = world.clock.now();
        let mut state = world.lock();
        attribute(&state, &mut asked);
        let context = CallContext {
            method: asked.method.clone(),
            url: asked.url.clone(),
            requested_at: iso(at),
            request_id: request_id(world.next_call()),
        };
        state.traffic.begin(&asked.route);
        if let Some(key) = asked.key.as_ref().and_then(|key| state.keys.get_mut(key)) {
            key.traffic.begin(&asked.route);
        }
        let number = state.journal.open(Call {
            at,
            started: Instant::now(),
            method: asked.method.clone(),
            url: asked.url.clone(),
            key: asked.key.clone(),
            partner: asked.partner.clone(),
            society_id: asked.society_id.clone(),
            answer: None,
        });
        let faults = state.commands.for_call(&asked);
        drop(state);
        let in_flight = InFlight::new(Arc::clone(world), number, asked.key.clone(), asked.route.clone());
        (Self { asked, context, in_flight }, faults)
    }

    /// Asks the API itself.
    async fn ask(&self, mut request: Request, next: Next) -> Draft {
        let world = self.in_flight.world();
        // A HEAD is answered as a GET is; its body goes when the length is known.
        if request.method() == Method::HEAD {
            *request.method_mut() = Method::GET;
        }
        if !self.asked.route.starts_with(AUTHENTICATED) {
            return self.draft(next.run(request).await).await;
        }
        let mut rate = HeaderMap::new();
        let mut draft = match admit(world, &self.asked, &mut rate) {
            Err(refusal) => self.refuse(&refusal),
            Ok(caller) => {
                request.extensions_mut().insert(caller.clone());
                let draft = self.draft(next.run(request).await).await;
                if draft.code.is_none() {
                    used(world, &self.asked, &caller);
                }
                draft
            }
        };
        draft.headers.extend(rate);
        draft
    }

    async fn draft(&self, response: Response) -> Draft {
        let (parts, body) = response.into_parts();
        if let Some(refusal) = parts.extensions.get::<Refusal>() {
            return self.refuse(refusal);
        }
        // What the handlers answer stands whole in memory: reading it can't fail.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let mut headers = self.headers();
        headers.extend(parts.headers);
        Draft { status: parts.status, headers, body, code: None }
    }

    fn refuse(&self, refusal: &Refusal) -> Draft {
        let mut headers = self.headers();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        Draft {
            status: refusal.http_status(),
            headers,
            body: refusal.body(&self.context).to_string().into(),
            code: Some(refusal.code().to_owned()),
        }
    }

    /// What stands on every answer of the API itself, as seen on real ones.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::SERVER, HeaderValue::from_static("Microsoft-IIS/10.0"));
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert("keep-alive", HeaderValue::from_static("timeout=5"));
        if let Ok(id) = HeaderValue::from_str(&self.context.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers
    }

    fn is_from_api(&self, draft: &Draft) -> bool {
        draft.headers.get(REQUEST_ID).is_some_and(|id| id.as_bytes() == self.context.request_id.as_bytes())
    }

    /// Writes the answer down and lets it go.
    fn deliver(self, draft: Draft, pace: Pace) -> Response {
        let request_id = draft.headers.get(REQUEST_ID);
        let request_id = request_id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let answered = Answered { status: draft.status.as_u16(), code: draft.code, request_id };
        self.in_flight.world().lock().journal.answer(self.in_flight.number(), answered);
        let mut response = Response::new(body(draft.body, pace, self.in_flight));
        *response.status_mut() = draft.status;
        *response.headers_mut() = draft.headers;
        response
    }
}
