//! A stream that can fail below HTTP.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes that are sent instead of what hyper writes. `None`: hyper's bytes are sent.
///
/// Cloning is cheap. A request finds the control of its connection among its extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionControl(Arc<Mutex<Option<Bytes>>>);

impl ConnectionControl {
    /// Sends these bytes instead of the response. Then the connection is closed.
    pub(crate) fn replace_output(&self, bytes: Bytes) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }
}

/// A stream that the [`ConnectionControl`] can make fail.
pub(crate) struct FaultStream<S> {
    pub(crate) stream: S,
    pub(crate) control: ConnectionControl,
}

impl<S: AsyncRead + Unpin> AsyncRead for FaultStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FaultStream<S> {
    /// Sends the replacement, if there is one, and then returns an error. hyper drops the connection.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, control } = self.get_mut();
        let mut replacement = control.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unsent) = &mut *replacement else { return Pin::new(stream).poll_write(cx, bytes) };
        while unsent.has_remaining() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => unsent.advance(written),
            }
        }
        ready!(Pin::new(stream).poll_flush(cx))?;
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
