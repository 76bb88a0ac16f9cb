//! A connection that can be told to misbehave below HTTP.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What becomes of the bytes that HTTP writes.
#[derive(Debug, Default)]
enum Order {
    #[default]
    Obey,
    /// These go out instead; then as with `Cut`.
    Replace(Bytes),
    /// Everything is lost, and HTTP sees a broken connection, which it drops.
    Cut,
}

/// Tells one connection what to do. Cheap to clone; a call finds the one of its connection among its extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders(Arc<Mutex<Order>>);

impl Orders {
    /// Closes the connection as soon as an answer is due.
    pub(crate) fn cut(&self) {
        self.set(Order::Cut);
    }

    /// Writes these bytes instead of the answer, and closes.
    pub(crate) fn replace(&self, bytes: Bytes) {
        self.set(Order::Replace(bytes));
    }

    fn set(&self, order: Order) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = order;
    }

    fn take(&self) -> Order {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A stream that follows orders.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    orders: Orders,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S, orders: Orders) -> Self {
        Self { stream, orders }
    }

    /// Writes what is left of the replacement, flushes it, then fails as a cut connection does.
    fn poll_replace(&mut self, cx: &mut Context<'_>, mut bytes: Bytes) -> Poll<io::Error> {
        while bytes.has_remaining() {
            match Pin::new(&mut self.stream).poll_write(cx, &bytes) {
                Poll::Ready(Ok(written)) if written > 0 => bytes.advance(written),
                Poll::Ready(Ok(_)) => return Poll::Ready(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => {
                    self.orders.set(Order::Replace(bytes));
                    return Poll::Pending;
                }
            }
        }
        self.orders.set(Order::Replace(Bytes::new()));
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
            return Poll::Ready(error);
        }
        self.orders.cut();
        Poll::Ready(io::ErrorKind::ConnectionAborted.into())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.orders.take() {
            Order::Obey => Pin::new(&mut self.stream).poll_write(cx, bytes),
            Order::Replace(replacement) => self.poll_replace(cx, replacement).map(Err),
            Order::Cut => {
                self.orders.cut();
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
