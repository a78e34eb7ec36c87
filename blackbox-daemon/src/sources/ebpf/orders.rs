//! Orders to arm and disarm containers: from the recorder to the ring reader, which is woken for them.
//!
//! Bounded: an order that finds 256 others waiting is not taken, and who gave it is told.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use rustix::event::{EventfdFlags, eventfd};

use crate::arming::Order;

/// Orders that may wait.
const MOST: usize = 256;

/// The end of whoever gives orders. Clones speak to the same reader.
#[derive(Clone, Debug)]
pub struct Orders {
    queue: SyncSender<Order>,
    bell: Bell,
}

/// The reader's end.
#[derive(Debug)]
pub(super) struct Taken {
    queue: Receiver<Order>,
    bell: Bell,
}

/// Wakes the reader from its wait for the rings.
#[derive(Clone, Debug)]
struct Bell(Arc<OwnedFd>);

/// Both ends.
///
/// # Errors
/// The kernel has no descriptor left.
pub(super) fn orders() -> io::Result<(Orders, Taken)> {
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    let bell = Bell(Arc::new(eventfd(0, flags)?));
    let (orders, queue) = sync_channel(MOST);
    let taken = Taken {
        queue,
        bell: bell.clone(),
    };
    let orders = Orders {
        queue: orders,
        bell,
    };
    Ok((orders, taken))
}

impl Orders {
    /// Gives one, and wakes the reader.
    ///
    /// # Errors
    /// Too many wait, or the reader has ended.
    pub fn give(&self, order: Order) -> Result<(), TrySendError<Order>> {
        self.queue.try_send(order)?;
        self.wake();
        Ok(())
    }

    /// Wakes the reader, so that it looks whether it is to stop.
    pub fn wake(&self) {
        // An error: the count is full, and so it has been rung.
        if let Err(error) = rustix::io::write(&self.bell.0, &1_u64.to_ne_bytes()) {
            tracing::debug!(%error, "the ring reader's bell");
        }
    }
}

impl Taken {
    /// Those that wait.
    pub(super) fn each(&self) -> impl Iterator<Item = Order> + '_ {
        self.queue.try_iter()
    }
}

/// Readable since it was rung for the first time: to be watched for its edges.
impl AsFd for Taken {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.0.as_fd()
    }
}
