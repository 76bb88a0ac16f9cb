//! How a body is sent: whole, with a pause, or incomplete.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::api::in_flight::InFlightGuard;

/// How a body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

enum Step {
    Send(Bytes),
    /// Sends the bytes this many times, at least once.
    Repeat(Bytes, u64),
    Pause(Duration),
    /// Lets hyper write the bytes sent so far to the socket.
    Flush,
    Close,
    Stall,
}

/// Streams the body. The request counts as in flight until the stream is dropped.
pub(crate) fn body(bytes: Bytes, delivery: Delivery, in_flight: InFlightGuard) -> Body {
    let steps = VecDeque::from(steps(bytes, delivery));
    Body::from_stream(stream::unfold((steps, in_flight), |(mut steps, in_flight)| async move {
        let piece = next_piece(&mut steps).await?;
        Some((piece, (steps, in_flight)))
    }))
}

fn steps(mut rest: Bytes, delivery: Delivery) -> Vec<Step> {
    let whole = rest.clone();
    let half = rest.split_to(rest.len() / 2);
    match delivery {
        Delivery::Whole if whole.is_empty() => Vec::new(),
        Delivery::Whole => vec![Step::Send(whole)],
        Delivery::Pause(pause) => vec![Step::Send(half), Step::Flush, Step::Pause(pause), Step::Send(rest)],
        Delivery::Stall => vec![Step::Send(half), Step::Flush, Step::Stall],
        Delivery::Truncate => vec![Step::Send(half), Step::Flush, Step::Close],
        Delivery::HeadersOnly => vec![Step::Flush, Step::Close],
        Delivery::Huge(least) => huge(least),
    }
}

fn huge(least: u64) -> Vec<Step> {
    const RECORD: &str = r#"{"society_id":1,"name":"ACCOUNTING-CANARY-huge"},"#;
    let piece = Bytes::from(RECORD.repeat(1_000));
    let times = least.div_ceil(piece.len() as u64);
    vec![
        Step::Send(Bytes::from_static(b"[")),
        Step::Repeat(piece, times),
        Step::Send(Bytes::from_static(b"{}]")),
    ]
}

/// Runs the steps up to the next bytes to send. Returns `None` at the end.
async fn next_piece(steps: &mut VecDeque<Step>) -> Option<Result<Bytes, ConnectionClosed>> {
    loop {
        match steps.pop_front()? {
            Step::Send(bytes) => return Some(Ok(bytes)),
            Step::Repeat(bytes, times) => {
                if times > 1 {
                    steps.push_front(Step::Repeat(bytes.clone(), times - 1));
                }
                return Some(Ok(bytes));
            }
            Step::Pause(pause) => tokio::time::sleep(pause).await,
            Step::Flush => tokio::task::yield_now().await,
            Step::Close => return Some(Err(ConnectionClosed)),
            Step::Stall => std::future::pending().await,
        }
    }
}

/// As the error of a body, it makes hyper close the connection.
#[derive(Debug, thiserror::Error)]
#[error("connection closed by an injected fault")]
struct ConnectionClosed;
