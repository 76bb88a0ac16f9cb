//! Compresses responses for clients that accept it, and streams large ones.

use std::convert::Infallible;

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
        yield_now().await;
        Ok::<_, Infallible>(piece.into())
    });
    Body::from_stream(pieces)
}
