//! Faults that change a response.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, StatusCode, header};

use crate::api::delivery::Delivery;
use crate::api::response_draft::ResponseDraft;
use crate::fault::Fault;

/// Applies the faults that change the response. Also returns how the body is sent.
pub(crate) fn apply_response_faults(
    mut draft: ResponseDraft,
    faults: &[Fault],
    compress: bool,
) -> (ResponseDraft, Delivery) {
    let mut coding = if compress { ContentCoding::Gzip } else { ContentCoding::Plain };
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
            Fault::Gzip => coding = ContentCoding::Gzip,
            Fault::BrokenGzip => coding = ContentCoding::BrokenGzip,
            Fault::Pause(pause) => delivery = Delivery::Pause(*pause),
            Fault::Stall => delivery = Delivery::Stall,
            Fault::CloseAfterHeaders => delivery = Delivery::HeadersOnly,
            Fault::Truncate => delivery = Delivery::Truncate,
            Fault::Huge(bytes) => delivery = Delivery::Huge(*bytes),
            // The middleware applies these faults before the API handles the request.
            Fault::Refuse(_)
            | Fault::Delay(_)
            | Fault::Silence
            | Fault::Close
            | Fault::Raw(_)
            | Fault::Edge(_) => {}
        }
    }
    encode(&mut draft, coding, delivery);
    (draft, delivery)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ContentCoding {
    Plain,
    Gzip,
    BrokenGzip,
}

/// Compresses the body and sets `content-length`. Compressed responses are chunked, others have a length: both
/// were seen in real responses.
fn encode(draft: &mut ResponseDraft, coding: ContentCoding, delivery: Delivery) {
    draft.headers.remove(header::CONTENT_LENGTH);
    if matches!(draft.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || matches!(delivery, Delivery::Huge(_))
    {
        return;
    }
    let coded = coding != ContentCoding::Plain && !draft.body.is_empty();
    if coded {
        draft.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        draft.body = gzip(&draft.body);
    }
    if coding == ContentCoding::BrokenGzip {
        // The HTTP framing stays correct. Only the compressed data is incomplete.
        draft.body.truncate(draft.body.len() / 2);
    }
    if !coded || delivery == Delivery::Truncate {
        draft.headers.insert(header::CONTENT_LENGTH, draft.body.len().into());
    }
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a vector cannot fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default().into()
}
