//! What faults make of an answer.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, StatusCode, header};

use crate::api::delivery::Pace;
use crate::api::response_draft::Draft;
use crate::fault::Fault;

/// Applies the faults that concern the answer itself; says how what is left is to be delivered.
pub(crate) fn reshape(mut draft: Draft, faults: &[Fault], compress: bool) -> (Draft, Pace) {
    let mut coding = if compress { Coding::Gzip } else { Coding::Plain };
    let mut pace = Pace::Whole;
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
            Fault::Gzip => coding = Coding::Gzip,
            Fault::BrokenGzip => coding = Coding::BrokenGzip,
            Fault::Pause(pause) => pace = Pace::Pause(*pause),
            Fault::Stall => pace = Pace::Stall,
            Fault::CloseAfterHeaders => pace = Pace::HeadersOnly,
            Fault::Truncate => pace = Pace::Truncate,
            Fault::Huge(bytes) => pace = Pace::Huge(*bytes),
            // Those came before the API: an answer that they gave needs no other.
            Fault::Refuse(_)
            | Fault::Delay(_)
            | Fault::Silence
            | Fault::Close
            | Fault::Raw(_)
            | Fault::Edge(_) => {}
        }
    }
    encode(&mut draft, coding, pace);
    (draft, pace)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    BrokenGzip,
}

/// Compresses the body and promises its length. Compressed answers come in chunks, others with a length: both were
/// seen on real answers.
fn encode(draft: &mut Draft, coding: Coding, pace: Pace) {
    draft.headers.remove(header::CONTENT_LENGTH);
    if matches!(draft.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || matches!(pace, Pace::Huge(_))
    {
        return;
    }
    let coded = coding != Coding::Plain && !draft.body.is_empty();
    if coded {
        draft.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        draft.body = gzip(&draft.body);
    }
    if coding == Coding::BrokenGzip {
        // HTTP stays in order: what is broken is the compressed data.
        draft.body.truncate(draft.body.len() / 2);
    }
    if !coded || pace == Pace::Truncate {
        draft.headers.insert(header::CONTENT_LENGTH, draft.body.len().into());
    }
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Neither can fail: a vector takes whatever is written.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default().into()
}
