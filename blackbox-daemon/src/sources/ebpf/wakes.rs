//! What wakes the ring reader: CRIT at once, BULK and orders on their edges, and a timer.
//!
//! BULK is watched edge-triggered: its programs wake once per many records, and a level-triggered watch would
//! make the reader spin for as long as a single record waits. What wakes nobody is found by the timer: a node that idles
//! makes a few such records a second, and each look for them wakes a processor, and then the recorder.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};

/// The longest a record of BULK waits for a reader that has nothing else to do.
const TIMER: Duration = Duration::from_millis(250);

/// See the module.
pub(super) struct Wakes {
    epoll: OwnedFd,
}

impl Wakes {
    pub(super) fn new(crit: impl AsFd, edges: [BorrowedFd<'_>; 2]) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            crit,
            epoll::EventData::new_u64(0),
            epoll::EventFlags::IN,
        )?;
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        for watched in edges {
            epoll::add(&epoll, watched, epoll::EventData::new_u64(1), edge)?;
        }
        Ok(Self { epoll })
    }

    /// Waits until there is something to read, for the timer, or for `most`.
    pub(super) fn wait(&self, most: Duration) {
        let mut events = [MaybeUninit::uninit(); 3];
        let timer = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(TIMER.min(most).subsec_nanos()),
        };
        if epoll::wait(&self.epoll, &mut events, Some(&timer)).is_err() {
            // A signal, most likely: the turn comes early. The pause keeps any other error from spinning.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
