//! An HTTP connection that makes progress only while somebody waits for it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::runtime::{self, Handle};
use tokio::task::coop;
use tokio::time::Instant;

use super::head_limit::{Allowance, Limited};
use super::transport_error::TransportError;

/// For how many headers of a response, and for how many trailers, there is room. More of them are an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MaxHeaders {
    /// The library's default: the room is on the stack.
    Hundred,
    /// Go and curl accept thousands of headers, and a chain of proxies can write more than a hundred. This room takes 64 kB on
    /// the heap for each response.
    Thousand,
}

/// A TCP connection, or TLS on one, or TLS in a tunnel.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
pub(super) type BoxStream = Box<dyn Stream>;

type Connection = http1::Connection<TokioIo<Limited<BoxStream>>, Full<Bytes>>;

/// A connection over which one request at a time is sent.
///
/// hyper expects a task for each connection. Here the task of the probe reads and writes itself: a second task would have to
/// be woken for each step of the exchange, and would wake the first one.
pub(super) struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    /// `None` if it has ended.
    connection: Option<Box<Connection>>,
    /// How many more bytes may be read from the stream.
    allowance: Allowance,
    opened: Instant,
    runtime: runtime::Id,
    max_headers: MaxHeaders,
}

impl HttpConnection {
    /// Prepares a stream that was opened now. Sends nothing.
    pub(super) async fn new(stream: BoxStream, max_headers: MaxHeaders) -> Result<Self, hyper::Error> {
        let mut builder = http1::Builder::new();
        builder
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true);
        match max_headers {
            MaxHeaders::Hundred => {}
            MaxHeaders::Thousand => {
                builder.max_headers(1_000);
            }
        }
        let allowance = Allowance::default();
        let stream = Limited::new(stream, allowance.clone());
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            connection: Some(Box::new(connection)),
            allowance,
            opened: Instant::now(),
            runtime: Handle::current().id(),
            max_headers,
        })
    }

    pub(super) const fn opened(&self) -> Instant {
        self.opened
    }

    /// The runtime that watches its socket.
    pub(super) const fn runtime(&self) -> runtime::Id {
        self.runtime
    }

    pub(super) const fn max_headers(&self) -> MaxHeaders {
        self.max_headers
    }

    /// Sends the first request, and reads the head of the response.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TransportError> {
        let Self { sender, connection, allowance, .. } = self;
        send_and_read_head(connection, allowance, sender.send_request(request)).await
    }

    /// Sends another request, after the previous response was read to its end.
    pub(super) async fn send_again(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TransportError> {
        let Self { sender, connection, allowance, .. } = self;
        let exchange = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        send_and_read_head(connection, allowance, exchange).await
    }

    /// Waits for a part of the exchange, and reads and writes until it is there.
    pub(super) async fn drive<T>(&mut self, part: impl Future<Output = T>) -> T {
        drive(&mut self.connection, part).await
    }
}

impl Drop for HttpConnection {
    /// Tells the server that this connection ends, as TLS demands. A socket that takes no more bytes at this moment is closed
    /// without it.
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let mut stream = connection.into_parts().io.into_inner();
            let _ = stream.shutdown().now_or_never();
        }
    }
}

/// Sends a request and reads the head of its response. Gives up if the server sends too much before the body.
async fn send_and_read_head(
    connection: &mut Option<Box<Connection>>,
    allowance: &Allowance,
    exchange: impl Future<Output = hyper::Result<Response<Incoming>>>,
) -> Result<Response<Incoming>, TransportError> {
    let mut exchange = pin!(drive(connection, exchange));
    allowance.start();
    let response = poll_fn(|context| match exchange.as_mut().poll(context) {
        // A task that has run for too long is told to wait even if the response is there. It is woken at once.
        Poll::Pending if allowance.is_used_up() && coop::has_budget_remaining() => {
            Poll::Ready(Err(TransportError::HeadTooLong))
        }
        polled => polled.map_err(TransportError::from),
    })
    .await?;
    allowance.lift();
    Ok(response)
}

async fn drive<T>(connection: &mut Option<Box<Connection>>, part: impl Future<Output = T>) -> T {
    let mut part = pin!(part);
    poll_fn(|context| {
        if let Poll::Ready(result) = part.as_mut().poll(context) {
            return Poll::Ready(result);
        }
        // The error of the connection is also the error of the exchange.
        if let Some(running) = connection
            && running.poll_unpin(context).is_ready()
        {
            *connection = None;
        }
        part.as_mut().poll(context)
    })
    .await
}
