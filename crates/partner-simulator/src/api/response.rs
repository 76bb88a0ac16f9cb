//! A response that is not sent yet, the faults that change it, and how its body is sent.

use std::future::{pending, ready};
use std::io::Write;
use std::iter;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::fault::{Fault, Page};

/// A response that is not sent yet.
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

/// How a body is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    /// The body pauses in the middle.
    Pause(Duration),
    /// Half of the body is sent, and then nothing.
    Stall,
    /// Half of the body is sent. Then the connection is closed.
    Truncate,
    /// The connection is closed after the headers.
    HeadersOnly,
    /// A list of at least this many bytes is sent instead.
    Huge(u64),
}

/// Applies the faults that change the response. Returns how its body is encoded and sent.
pub(crate) fn apply_response_faults(
    draft: &mut ResponseDraft,
    faults: &[Fault],
    compress: bool,
) -> (ContentCoding, Delivery) {
    let mut coding = if compress { ContentCoding::gzip() } else { ContentCoding::Plain };
    // The last delivery fault wins.
    let mut delivery = Delivery::Whole;
    for fault in faults {
        match fault {
            Fault::Empty(status) => {
                draft.status = *status;
                draft.body = Bytes::new();
                draft.headers.remove(header::CONTENT_TYPE);
            }
            Fault::Body { content_type, body } => {
                draft.headers.insert(header::CONTENT_TYPE, content_type.clone());
                draft.body = body.clone();
            }
            Fault::Header(name, value) => {
                draft.headers.insert(name, value.clone());
            }
            Fault::Without(name) => {
                draft.headers.remove(name);
            }
            Fault::BeforeBody(bytes) => draft.body = [bytes.as_ref(), &draft.body].concat().into(),
            Fault::SuccessCode => draft.body = with_success_code(&draft.body),
            Fault::Gzip => coding = ContentCoding::gzip(),
            Fault::GzipAs { spelling, members } => {
                coding = ContentCoding::Gzip { spelling: spelling.clone(), members: *members };
            }
            Fault::BrokenGzip => coding = ContentCoding::BrokenGzip,
            Fault::Pause(pause) => delivery = Delivery::Pause(*pause),
            Fault::Stall => delivery = Delivery::Stall,
            Fault::CloseAfterHeaders => delivery = Delivery::HeadersOnly,
            Fault::Truncate => delivery = Delivery::Truncate,
            Fault::Huge(bytes) => delivery = Delivery::Huge(*bytes),
            // The middleware applies these faults before there is a response.
            Fault::Refuse(_)
            | Fault::Delay(_)
            | Fault::Silence
            | Fault::Close
            | Fault::Raw(_)
            | Fault::Edge(_) => {}
        }
    }
    (coding, delivery)
}

/// Adds a code to a body that is a JSON object. Other bodies stay as they are.
fn with_success_code(body: &Bytes) -> Bytes {
    let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(body) else { return body.clone() };
    object.insert("code".into(), "Success".into());
    object.insert("message".into(), "".into());
    Value::Object(object).to_string().into()
}

/// How a body is compressed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum ContentCoding {
    Plain,
    Gzip { spelling: HeaderValue, members: usize },
    BrokenGzip,
}

impl ContentCoding {
    fn gzip() -> Self {
        Self::Gzip { spelling: HeaderValue::from_static("gzip"), members: 1 }
    }
}

/// Compresses the body and sets `content-length`. Compressed responses are chunked, others have a length: both
/// were seen in real responses.
pub(crate) fn encode(draft: &mut ResponseDraft, coding: ContentCoding, delivery: Delivery) {
    draft.headers.remove(header::CONTENT_LENGTH);
    if matches!(draft.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || matches!(delivery, Delivery::Huge(_))
    {
        return;
    }
    let is_compressed = coding != ContentCoding::Plain && !draft.body.is_empty();
    if is_compressed {
        compress(draft, coding);
    }
    // A truncated body also has a length, so that the client can see that bytes are missing.
    if !is_compressed || delivery == Delivery::Truncate {
        draft.headers.insert(header::CONTENT_LENGTH, draft.body.len().into());
    }
}

fn compress(draft: &mut ResponseDraft, coding: ContentCoding) {
    let (spelling, body) = match coding {
        ContentCoding::Plain => return,
        ContentCoding::Gzip { spelling, members } => (spelling, gzip(&draft.body, members)),
        ContentCoding::BrokenGzip => {
            // The HTTP framing stays correct. Only the compressed data is incomplete.
            let mut body = gzip(&draft.body, 1);
            body.truncate(body.len() / 2);
            (HeaderValue::from_static("gzip"), body)
        }
    };
    draft.headers.insert(header::CONTENT_ENCODING, spelling);
    draft.body = body.into();
}

/// Compresses the bytes in this number of members, or in fewer members if there are too few bytes.
fn gzip(bytes: &[u8], members: usize) -> Vec<u8> {
    let member_len = bytes.len().div_ceil(members.max(1)).max(1);
    bytes.chunks(member_len).flat_map(gzip_member).collect()
}

fn gzip_member(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a vector cannot fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Streams the body. The stream owns `in_flight_guard`, so the request counts as in flight until the stream is
/// dropped.
pub(crate) fn body<T: Send + 'static>(bytes: Bytes, delivery: Delivery, in_flight_guard: T) -> Body {
    Body::from_stream(pieces(bytes, delivery).inspect(move |_| {
        let _ = &in_flight_guard;
    }))
}

type Piece = Result<Bytes, ConnectionClosed>;

/// If a body stream returns this error, hyper closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("connection closed by an injected fault")]
struct ConnectionClosed;

fn pieces(whole: Bytes, delivery: Delivery) -> BoxStream<'static, Piece> {
    let (first_half, second_half) = (whole.slice(..whole.len() / 2), whole.slice(whole.len() / 2..));
    match delivery {
        Delivery::Whole => stream::iter((!whole.is_empty()).then_some(Ok(whole))).boxed(),
        Delivery::Pause(pause) => send_then(first_half, async move {
            sleep(pause).await;
            Ok(second_half)
        }),
        Delivery::Stall => send_then(first_half, pending()),
        Delivery::Truncate => send_then(first_half, ready(Err(ConnectionClosed))),
        Delivery::HeadersOnly => send_then(Bytes::new(), ready(Err(ConnectionClosed))),
        Delivery::Huge(min_bytes) => huge(min_bytes),
    }
}

/// Sends the first piece, lets hyper write it to the socket, and then waits for the last piece.
fn send_then(first: Bytes, last: impl Future<Output = Piece> + Send + 'static) -> BoxStream<'static, Piece> {
    let last = async {
        yield_now().await;
        last.await
    };
    stream::once(ready(Ok(first))).chain(stream::once(last)).boxed()
}

fn huge(min_bytes: u64) -> BoxStream<'static, Piece> {
    const RECORD: &str = r#"{"society_id":1,"name":"ACCOUNTING-CANARY-huge"},"#;
    let records = Bytes::from(RECORD.repeat(1_000));
    let times = min_bytes.div_ceil(records.len() as u64).max(1);
    let records = (0..times).map(move |_| records.clone());
    let list = iter::once(Bytes::from_static(b"[")).chain(records).chain([Bytes::from_static(b"{}]")]);
    stream::iter(list.map(Ok)).boxed()
}
