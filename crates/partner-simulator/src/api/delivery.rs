//! How a body goes out: whole, with a pause, or not to its end.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::api::in_flight::InFlightGuard;

/// How a body goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    /// So long a pause in the middle.
    Pause(Duration),
    /// Half of it, and then nothing.
    Stall,
    /// Half of it, then the connection is closed.
    Truncate,
    /// Nothing of it: the connection is closed after the headers.
    HeadersOnly,
    /// A list of at least so many bytes instead.
    Huge(u64),
}

enum Step {
    Send(Bytes),
    /// So many times, at least once.
    Repeat(Bytes, u64),
    Pause(Duration),
    /// Lets what was sent so far reach the socket.
    Flush,
    /// Closes the connection.
    Close,
    Stall,
}

/// The body, which holds the call's place among those in flight.
pub(crate) fn body(bytes: Bytes, delivery: Delivery, in_flight: InFlightGuard) -> Body {
    let steps = VecDeque::from(steps(bytes, delivery));
    Body::from_stream(stream::unfold((steps, in_flight), |(mut steps, in_flight)| async move {
        let piece = next_piece(&mut steps).await?;
        Some((piece, (steps, in_flight)))
    }))
}

fn steps(bytes: Bytes, delivery: Delivery) -> Vec<Step> {
    let mut rest = bytes;
    if delivery == Delivery::Whole {
        return if rest.is_empty() { Vec::new() } else { vec![Step::Send(rest)] };
    }
    if let Delivery::Huge(least) = delivery {
        return huge(least);
    }
    let half = rest.split_to(rest.len() / 2);
    match delivery {
        Delivery::Pause(pause) => vec![Step::Send(half), Step::Flush, Step::Pause(pause), Step::Send(rest)],
        Delivery::Stall => vec![Step::Send(half), Step::Flush, Step::Stall],
        Delivery::Truncate => vec![Step::Send(half), Step::Flush, Step::Close],
        _ => vec![Step::Flush, Step::Close],
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

/// The steps until there is something to send; `None` at the end.
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

/// Makes HTTP give the connection up.
#[derive(Debug, thiserror::Error)]
#[error("closed on command")]
struct ConnectionClosed;
