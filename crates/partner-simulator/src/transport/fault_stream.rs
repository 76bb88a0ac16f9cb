//! A stream that can fail below HTTP.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What happens to the bytes that hyper writes.
#[derive(Debug, Default)]
enum OutputMode {
    #[default]
    PassThrough,
    /// These bytes are sent instead. Then the connection is aborted.
    Replace(Bytes),
    /// The bytes are lost. hyper gets an error and drops the connection.
    Abort,
}

/// Controls one connection. Cloning is cheap. A request finds the control of its connection among its extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionControl(Arc<Mutex<OutputMode>>);

impl ConnectionControl {
    /// Closes the connection as soon as hyper writes a response.
    pub(crate) fn abort(&self) {
        self.set(OutputMode::Abort);
    }

    /// Sends these bytes instead of the response and closes the connection.
    pub(crate) fn replace_output(&self, bytes: Bytes) {
        self.set(OutputMode::Replace(bytes));
    }

    fn set(&self, mode: OutputMode) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    fn take(&self) -> OutputMode {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A stream that the [`ConnectionControl`] can make fail.
#[derive(Debug)]
pub(crate) struct FaultStream<S> {
    stream: S,
    control: ConnectionControl,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FaultStream<S> {
    pub(crate) fn new(stream: S, control: ConnectionControl) -> Self {
        Self { stream, control }
    }

    /// Writes the rest of the replacement, flushes it, and then returns the same error as an aborted connection.
    fn poll_replace(&mut self, cx: &mut Context<'_>, mut bytes: Bytes) -> Poll<io::Error> {
        while bytes.has_remaining() {
            match Pin::new(&mut self.stream).poll_write(cx, &bytes) {
                Poll::Ready(Ok(written)) if written > 0 => bytes.advance(written),
                Poll::Ready(Ok(_)) => return Poll::Ready(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => {
                    self.control.set(OutputMode::Replace(bytes));
                    return Poll::Pending;
                }
            }
        }
        self.control.set(OutputMode::Replace(Bytes::new()));
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
            return Poll::Ready(error);
        }
        self.control.abort();
        Poll::Ready(io::ErrorKind::ConnectionAborted.into())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for FaultStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for FaultStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.control.take() {
            OutputMode::PassThrough => Pin::new(&mut self.stream).poll_write(cx, bytes),
            OutputMode::Replace(replacement) => self.poll_replace(cx, replacement).map(Err),
            OutputMode::Abort => {
                self.control.abort();
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
