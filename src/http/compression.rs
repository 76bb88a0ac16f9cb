//! Compresses responses for clients that accept it, and streams large ones.

use std::convert::Infallible;
use std::thread;

use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::task::yield_now;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

/// In bytes. A smaller body would not become smaller: gzip itself needs some twenty bytes.
const MIN_SIZE: u16 = 100;

/// Compresses with gzip. The fastest level makes text ten to thirty times smaller; a better one would cost
/// several times the time of a scrape.
pub(super) fn layer() -> CompressionLayer<SizeAbove> {
    CompressionLayer::new()
        .gzip(true)
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(MIN_SIZE))
}

/// Lets the routes answer `HEAD` as `GET`, so that the response has the headers of the compressed body. The body is
/// removed outside of this.
pub(super) async fn head_as_get(mut request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        *request.method_mut() = Method::GET;
    }
    next.run(request).await
}

/// A body whose pieces are made when they are sent. Between two pieces, other tasks of the thread get their turn:
/// compressing the metrics of a large fleet takes longer than a probe should wait.
pub(crate) fn streamed<B: Into<Bytes> + Send + 'static>(
    pieces: impl Iterator<Item = B> + Send + 'static,
) -> Body {
    let pieces = stream::iter(pieces).then(async |piece| {
        take_turns().await;
        Ok::<_, Infallible>(piece.into())
    });
    Body::from_stream(pieces)
}

/// Returns after the runtime has looked at its timers and run other tasks. [`yield_now`] alone is not enough here: its
/// second poll succeeds whenever it comes, and the encoder polls twice in a row, to flush what it has. So a task of its
/// own waits, and cannot end sooner.
async fn take_turns() {
    // It fails only when the runtime shuts down.
    let _ = tokio::spawn(yield_now()).await;
    // The threads of the probes and of look-ups get this processor, too. They need it for less time than a piece takes.
    thread::yield_now();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{Duration, sleep};

    use super::thread;
    use crate::http::compressed_body;

    /// With one thread, only a turn of the runtime lets the timers run.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn timers_run_between_two_pieces_of_a_compressed_body() {
        const PIECES: usize = 100;
        let ticks = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&ticks);
        let ticking = tokio::spawn(async move {
            loop {
                sleep(Duration::from_millis(1)).await;
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let pieces = (0..PIECES).map(|number| {
            #[expect(clippy::disallowed_methods, reason = "a piece keeps its thread busy")]
            thread::sleep(Duration::from_millis(1));
            format!("sample {number}\n").repeat(2_000)
        });
        let sending = tokio::spawn(async move {
            let body = compressed_body(pieces).await;
            axum::body::to_bytes(body, usize::MAX).await.unwrap()
        });
        assert!(!sending.await.unwrap().is_empty());
        ticking.abort();
        let ticks = ticks.load(Ordering::Relaxed);
        assert!(ticks > 20, "{ticks} ticks in {PIECES} pieces of a millisecond");
    }
}
