//! Limits how much a server can send before the body of its response: status line, headers, and the interim responses
//! (status 100 to 199, except 101) that may precede them. The library limits one head, but skips interim responses without end,
//! as fast as they come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};

/// In bytes. curl has the same limit for all headers together. The library's own limit for one head, 408 KiB, is never reached.
pub(super) const MAX_LEN_BEFORE_BODY: u64 = 300 << 10;

/// How many more bytes may be read from a stream: none at first. The stream and its user share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowance(Arc<AtomicU64>);

impl Allowance {
    /// Allows what may precede the body of the next response.
    pub(super) fn start(&self) {
        self.set_left(MAX_LEN_BEFORE_BODY);
    }

    /// Allows any number of bytes, for the body.
    pub(super) fn lift(&self) {
        self.set_left(u64::MAX);
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.left() == 0
    }

    fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set_left(&self, left: u64) {
        self.0.store(left, Ordering::Relaxed);
    }
}

/// A stream that reads no more once its allowance is used up. Then nothing wakes the task that reads: it must look at the
/// allowance.
pub(super) struct Limited<S> {
    stream: Take<S>,
    allowance: Allowance,
}

impl<S: AsyncRead> Limited<S> {
    pub(super) fn new(stream: S, allowance: Allowance) -> Self {
        Self { stream: stream.take(allowance.left()), allowance }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Limited<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.allowance.left();
        if left == 0 {
            return Poll::Pending;
        }
        self.stream.set_limit(left);
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.allowance.set_left(self.stream.limit());
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Limited<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream.get_mut()).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream.get_mut()).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }
}
