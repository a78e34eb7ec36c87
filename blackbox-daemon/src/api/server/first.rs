//! A connection's first request head, read before hyper gives the connection its buffers.
//!
//! Reads up to the end of the head, and perhaps some of the body; makes a stream that begins with these bytes. hyper
//! takes 16 KiB for each connection it serves; who sends its head one byte a second has what it has sent, and
//! [`FIRST`] bytes at least. Whether the head is right is hyper's to say, so what cannot be one goes to it at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// Room for a first read, bytes: most heads, whole.
const FIRST: usize = 1 << 10;
/// Most bytes of a later read: less than hyper's first buffer, so that it makes no larger one. It holds up to three of
/// them for each body that waits for room or for its client.
const READ: usize = (8 << 10) - 1;

/// A stream whose first bytes were read before.
#[derive(Debug)]
pub(super) struct Begun<S> {
    /// Empty once they were read again.
    bytes: Vec<u8>,
    read: usize,
    stream: S,
}

impl<S: AsyncRead + Unpin> Begun<S> {
    /// Waits for a whole head, for `most` bytes of one, or for something that is none. `None`: the client has gone.
    pub(super) async fn read(mut stream: S, most: usize) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut looked = 0;
        while bytes.len() < most && !is_over(&bytes, &mut looked) {
            if bytes.len() == bytes.capacity() {
                bytes.reserve_exact(bytes.len().max(FIRST));
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Self {
            bytes,
            read: 0,
            stream,
        }))
    }
}

/// Whether `bytes` hold an empty line after a request line, or no request line. What is before `looked` holds none.
fn is_over(bytes: &[u8], looked: &mut usize) -> bool {
    let Some(begin) = bytes.iter().position(|byte| !b"\r\n".contains(byte)) else {
        return false;
    };
    let from = begin.max(*looked);
    // The last two bytes may be the beginning of an empty line's end.
    *looked = bytes.len().saturating_sub(2);
    let is_end = |at: &[u8]| at.starts_with(b"\n\n") || at.starts_with(b"\n\r\n");
    let ends = || (from..bytes.len()).any(|at| is_end(&bytes[at..]));
    !bytes[begin].is_ascii_uppercase() || ends()
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            bytes,
            read,
            stream,
        } = &mut *self;
        if bytes.is_empty() {
            let most = buffer.remaining().min(READ);
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
            ready!(Pin::new(stream).poll_read(context, &mut part))?;
            let size = part.filled().len();
            buffer.advance(size);
            return Poll::Ready(Ok(()));
        }
        let rest = &bytes[*read..];
        let size = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..size]);
        *read += size;
        if *read == bytes.len() {
            *bytes = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    async fn all(sent: &[&[u8]], most: usize) -> Option<(usize, Vec<u8>)> {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let sent: Vec<Vec<u8>> = sent.iter().map(|part| part.to_vec()).collect();
        tokio::spawn(async move {
            for part in sent {
                client.write_all(&part).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut begun = Begun::read(server, most).await.unwrap()?;
        let before = begun.bytes.len();
        let mut bytes = Vec::new();
        begun.read_to_end(&mut bytes).await.unwrap();
        Some((before, bytes))
    }

    #[tokio::test]
    async fn a_head_is_waited_for_and_nothing_is_lost() {
        let head: &[u8] = b"\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n";
        for parts in [
            vec![head],
            head.chunks(1).collect(),
            vec![b"GET / HTTP/1.1\nA: b\n\n"],
        ] {
            let whole = parts.concat();
            let sent: Vec<&[u8]> = parts.into_iter().chain([b"body".as_slice()]).collect();
            let (before, bytes) = all(&sent, 1 << 10).await.unwrap();
            assert!(before >= whole.len());
            assert_eq!(bytes, [&whole, b"body".as_slice()].concat());
        }
    }

    #[tokio::test]
    async fn what_is_no_head_or_too_large_is_handed_on_and_who_has_gone_is_not() {
        assert!(all(&[b"GET / HTTP/1.1\r\nA"], 1 << 10).await.is_none());
        assert!(all(&[b""], 1 << 10).await.is_none());
        assert_eq!(all(&[b"\x16\x03\x01"], 1 << 10).await.unwrap().0, 3);
        let large = [b'A'; 5000];
        let (before, bytes) = all(&[&large], 4096).await.unwrap();
        assert!(before >= 4096);
        assert_eq!(bytes, large);
    }
}
