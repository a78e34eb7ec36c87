//! A body that is written while it is sent: bytes in on a blocking thread, chunks out to the client.
//!
//! A client that stops reading holds its writer up for a few seconds, and then loses the connection: writers are few.
//! A body that is not finished ends in an error, so that half a file never looks like a whole one.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::Stream;

use crate::clock;
use crate::record::BootTime;

/// Bytes of a chunk; an entry that is larger makes a larger one.
const CHUNK: usize = 64 << 10;
/// Chunks that may wait for the client.
const WAITING: usize = 4;
/// How long the client may take for one chunk …
const PATIENCE: Duration = Duration::from_secs(10);
/// … and for all.
const MOST: Duration = Duration::from_secs(60);

/// The two ends, since `now`.
pub(super) fn pair(now: BootTime) -> (Writer, Chunks) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let writer = Writer {
        chunk: Vec::new(),
        sender,
        started: now,
    };
    let chunks = Chunks {
        receiver,
        ended: false,
    };
    (writer, chunks)
}

enum Piece {
    Bytes(Bytes),
    /// The body is whole.
    End,
}

/// Where the body is written; waits for the client. Only for threads that may block.
pub(super) struct Writer {
    chunk: Vec<u8>,
    sender: mpsc::Sender<Piece>,
    started: BootTime,
}

impl Writer {
    /// Sends what is left, and that it was all.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.send(Piece::End)
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        let late = |what| io::Error::new(io::ErrorKind::TimedOut, what);
        if clock::boot_now().since(self.started) > MOST {
            return Err(late("the client took too long for the whole"));
        }
        let sent = async { tokio::time::timeout(PATIENCE, self.sender.send(piece)).await };
        match Handle::current().block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(late("the client stopped reading")),
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.chunk) {
            chunk if chunk.is_empty() => Ok(()),
            chunk => self.send(Piece::Bytes(chunk.into())),
        }
    }
}

/// The body.
pub(super) struct Chunks {
    receiver: mpsc::Receiver<Piece>,
    ended: bool,
}

impl Stream for Chunks {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.receiver.poll_recv(context)) {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                Some(Err(io::Error::other("the writer gave up")))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn what_is_written_arrives_and_ends_in_order() {
        let (mut writer, mut chunks) = pair(clock::boot_now());
        let writing = tokio::task::spawn_blocking(move || {
            (0..10).try_for_each(|_| writer.write_all(&[b'x'; 50_000]))?;
            writer.finish()
        });
        let mut len = 0;
        while let Some(chunk) = chunks.next().await {
            len += chunk.unwrap().len();
        }
        assert_eq!(len, 500_000);
        writing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_breaks_the_body() {
        let (mut writer, mut chunks) = pair(clock::boot_now());
        let writing = tokio::task::spawn_blocking(move || {
            writer.write_all(b"half")?;
            writer.flush()
        });
        writing.await.unwrap().unwrap();
        assert_eq!(chunks.next().await.unwrap().unwrap(), "half");
        assert!(chunks.next().await.unwrap().is_err());
        assert!(chunks.next().await.is_none());
    }

    #[tokio::test]
    async fn a_client_that_is_gone_or_too_slow_ends_the_writing() {
        let (mut writer, chunks) = pair(clock::boot_now());
        drop(chunks);
        let gone = tokio::task::spawn_blocking(move || writer.write_all(&[0; CHUNK]));
        let error = gone.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);

        let (mut writer, _chunks) = pair(BootTime(0));
        let late = tokio::task::spawn_blocking(move || writer.write_all(&[0; CHUNK]));
        let error = late.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
