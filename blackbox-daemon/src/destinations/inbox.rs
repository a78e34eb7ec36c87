//! An inbox: what one destination's task reads from.
//!
//! Gives what is queued until it is closed and empty: closing only stops more from coming in.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Document;
use super::room::Taken;
use super::state::State;

/// The reading end of a destination's queue.
pub(super) struct Inbox {
    pub(super) queue: mpsc::Receiver<(Document, Taken)>,
    pub(super) state: Arc<State>,
    pub(super) closing: CancellationToken,
}

impl Inbox {
    /// The next document with the room it takes; `None` once it is closed and empty. Dropped before it is done, nothing
    /// is lost.
    pub(super) async fn next(&mut self) -> Option<(Document, Taken)> {
        if let Some(next) = self.closing.run_until_cancelled(self.queue.recv()).await {
            return next;
        }
        self.queue.close();
        self.queue.recv().await
    }
}
