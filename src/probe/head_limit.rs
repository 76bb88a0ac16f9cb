//! Limits how much a server can send before its response: status line, headers, and the interim responses (status 100 to 199)
//! that may precede it. The library limits one head, but reads interim responses without end, as fast as they come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};

/// In bytes. curl has the same limit. It is below the library's own limit for one head, which does not count.
pub(super) const MAX_HEAD_LEN: u64 = 300 << 10;

/// How many more bytes may be read from a stream. The stream and its user share it.
#[derive(Clone, Debug)]
pub(super) struct Allowance(Arc<AtomicU64>);

impl Allowance {
    pub(super) fn for_a_head() -> Self {
        Self(Arc::new(AtomicU64::new(MAX_HEAD_LEN)))
    }

    /// Starts again, for the head of the next response.
    pub(super) fn restart(&self) {
        self.set_left(MAX_HEAD_LEN);
    }

    /// Allows any number of bytes: the head is complete.
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
