//! A stream that waits neither too long nor too short for its client.
//!
//! Not too long: hyper bounds how long a client may take to send, not how long it may take to read; an answer nobody
//! reads would hold its connection, and what is behind it, until the client chose to go. Not too short: a socket
//! closed with bytes unread resets the connection, and the client may never see the answer that said why (413), so
//! at the end some of what it still sends is read and dropped: at most [`LINGER_BYTES`] and for [`LINGER`].

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::slot::{Phase, Slot};

/// How long the end of a connection may take when its client is still sending.
const LINGER: Duration = Duration::from_millis(500);
/// How much of what it sends then is read.
const LINGER_BYTES: usize = 256 << 10;

/// A stream that fails with `TimedOut` when nothing could be written for `limit`.
#[derive(Debug)]
pub(super) struct Patience<S> {
    stream: S,
    limit: Duration,
    slot: Arc<Slot>,
    /// Runs while a write waits.
    wait: Option<Pin<Box<Sleep>>>,
    end: Option<End>,
}

/// The end of a connection whose client may be sending.
#[derive(Debug)]
struct End {
    until: Pin<Box<Sleep>>,
    dropped: usize,
}

impl<S> Patience<S> {
    pub(super) fn new(stream: S, limit: Duration, slot: Arc<Slot>) -> Self {
        Self {
            stream,
            limit,
            slot,
            wait: None,
            end: None,
        }
    }

    /// Hands through what a write came to, unless it has waited too long.
    fn bound<T>(
        &mut self,
        context: &mut Context<'_>,
        came_to: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if came_to.is_ready() {
            self.wait = None;
            return came_to;
        }
        let limit = self.limit;
        let wait = self.wait.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(wait.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read its answer",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bound(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.bound(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.bound(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end.is_none() {
            let shut = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.bound(context, shut))?;
            // A head that was refused was not read to its end either.
            if !self.slot.has_unread_body() && self.slot.phase() != Phase::Head {
                return Poll::Ready(Ok(()));
            }
        }
        let Self { stream, end, .. } = &mut *self;
        let end = end.get_or_insert_with(|| End {
            until: Box::pin(sleep(LINGER)),
            dropped: 0,
        });
        let mut scratch = [0; 4096];
        while end.dropped < LINGER_BYTES && end.until.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => end.dropped += buffer.filled().len(),
                // It has gone, one way or another.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const LIMIT: Duration = Duration::from_millis(50);

    fn slot() -> Arc<Slot> {
        Arc::new(Slot::new(crate::record::BootTime(0)))
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(4);
        let mut ours = Patience::new(ours, LIMIT, slot());
        let error = ours.write_all(b"more than four").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_client_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(4);
        let reader = tokio::spawn(async move {
            let mut read = [0; 4];
            for _ in 0..6 {
                tokio::time::sleep(LIMIT / 3).await;
                theirs.read_exact(&mut read).await.unwrap();
            }
        });
        let mut ours = Patience::new(ours, LIMIT, slot());
        ours.write_all(&[7; 24]).await.unwrap();
        reader.await.unwrap();
    }
}
