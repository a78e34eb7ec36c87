//! Bodies whose end is noted in the connection's slot: a request's, read or not, and an answer's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::slot::Slot;

/// What a body's end means for the slot. Dropped with the body, read or not.
pub(super) trait End: Unpin {
    /// The last frame has passed.
    fn reached(&mut self);
}

/// A request's body: either all of it was read, or the rest never will be.
pub(super) struct Received {
    pub(super) whole: bool,
    pub(super) slot: Arc<Slot>,
}

impl End for Received {
    fn reached(&mut self) {
        self.whole = true;
        self.slot.body_over(true);
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.slot.body_over(self.whole);
    }
}

/// A response's body. hyper drops it when it has taken all of it, before it waits for the next request.
pub(super) struct Answered(pub(super) Arc<Slot>);

impl End for Answered {
    fn reached(&mut self) {}
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// A body whose end is noted.
pub(super) struct Following<B, E> {
    body: B,
    end: E,
}

impl<B, E> Following<B, E> {
    pub(super) fn new(body: B, end: E) -> Self {
        Self { body, end }
    }
}

impl<B, E> HttpBody for Following<B, E>
where
    B: HttpBody<Data = Bytes> + Unpin,
    E: End,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let is_last = matches!(frame, Poll::Ready(None))
            || matches!(&frame, Poll::Ready(Some(Ok(_)))) && self.body.is_end_stream();
        if is_last {
            self.end.reached();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
