//! The journal: the window on disk, so that the recorder survives its own death, and the node's.
//!
//! ```text
//!  recorder ── Flush: what is new, soon ────────► queue ──► one thread ── pwrite ──► window.ring
//!  reporter ── Told: a report is out ──────────────┘           └ another: fdatasync each second, and when an incident opens
//!
//!  at start:   window.ring ──► scan ──► Recovered: frames, a checkpoint, what was told ──► recorder
//! ```
//!
//! Nobody waits for the thread: while it is busy, what is new stays in the window, which knows what was taken. A write or sync
//! that fails is not tried again: the file is given up, a new one takes its place as soon as the disk lets it, and everything
//! the window holds is written anew.
//!
//! `layout` is the format, `scan` finds blocks again, `ring` appends them; the three do no IO of their own. `thread` writes,
//! `file` opens and makes `window.ring`, `budget` bounds how much bulk is written.

pub mod budget;
mod file;
pub mod layout;
pub mod medium;
pub mod pstore;
mod recovered;
pub mod ring;
pub mod scan;
mod syncer;
mod thread;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use file::Error;
pub use recovered::{Batch, Recovered};
pub use thread::{Life, start};

use crate::clock::{self, WallOffset};
use crate::durability::Part;
use crate::record::BootTime;
use crate::window::Piece;

/// The file's name in the state directory.
pub const FILE: &str = "window.ring";
/// Smallest file, bytes.
pub const LEAST: u64 = 4 << 20;
/// Its size, unless configured.
pub const SIZE: u64 = 32 << 20;
/// Flushes that may wait for the disk. More stays in the window.
const QUEUE: usize = 4;
/// Told incidents that may wait beside them.
const TOLD: usize = 256;
/// The disk has not answered for so long: it is in trouble, though it has not said so.
const SLOW: Duration = Duration::from_secs(2);

/// How often is written and synced: how much may be lost, against how long the disk lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From one write to the next. What is lost when the daemon is killed.
    pub write: Duration,
    /// From one sync to the next; `None`: never. What is lost when the node goes down, at most.
    pub sync: Option<Duration>,
    /// From one checkpoint to the next.
    pub checkpoint: Duration,
    /// Share of the ring's speed that bulk may use, percent.
    pub bulk_percent: u64,
}

/// Where the window is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub directory: PathBuf,
    /// Bytes, at least [`LEAST`]; a multiple of a page.
    pub size: u64,
    pub pace: Pace,
}

/// What makes a checkpoint's bytes, on the thread that writes them.
pub type Checkpoint = Box<dyn FnOnce() -> Vec<u8> + Send>;

/// What is to be written next.
pub struct Flush {
    pub at: BootTime,
    pub wall: WallOffset,
    pub pieces: Vec<Piece>,
    /// As of the pieces, these included.
    pub checkpoint: Option<Checkpoint>,
    /// Records of this life that were not written and never will be, so far.
    pub skipped: u64,
    /// It must be durable as soon as possible.
    pub urgent: bool,
}

enum Order {
    Flush(Flush),
    Told(String),
    /// The last one. The sender waits for the receiver's end to be dropped.
    End(BootTime, WallOffset, SyncSender<()>),
}

/// What others may know of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Bytes written, padding included.
    pub written: u64,
    pub syncs: u64,
    /// Time spent in syncs.
    pub syncing: Duration,
    /// Files made because there was none, or the one there was given up.
    pub made: u64,
}

/// The others' end. Clones speak to the same thread.
#[derive(Clone, Debug)]
pub struct Journal {
    orders: SyncSender<Order>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Flushes that wait or are being written.
    flushes: AtomicUsize,
    /// There is a file to write to.
    open: AtomicBool,
    /// A new file was made: nothing of what was taken before is in it.
    anew: AtomicBool,
    /// Since when the disk has been busy with a write …
    writing: Busy,
    /// … and with a sync.
    syncing: Busy,
    state: Mutex<State>,
    /// How it fares, for everybody.
    part: Part,
    /// Incidents that were told since the recorder looked.
    told: Mutex<Vec<String>>,
}

/// Since when a thread has waited for the disk, boot time ns; 0: it does not.
#[derive(Debug, Default)]
struct Busy(AtomicU64);

impl Busy {
    /// Does something that the disk may hold up.
    fn while_doing<T>(&self, act: impl FnOnce() -> T) -> T {
        self.0.store(clock::boot_now().0, Ordering::Release);
        let done = act();
        self.0.store(0, Ordering::Release);
        done
    }

    fn since(&self) -> Option<BootTime> {
        Some(BootTime(self.0.load(Ordering::Acquire))).filter(|since| since.0 != 0)
    }
}

impl Journal {
    /// Whether a flush would be taken. If not, what is new stays where it is.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.shared.open.load(Ordering::Acquire)
            && self.shared.flushes.load(Ordering::Acquire) < QUEUE
    }

    /// Whether everything that was handed on is written, though it may not be durable.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.flushes.load(Ordering::Acquire) == 0
    }

    /// Whether a new file was made since the last time: then everything must be taken again.
    #[must_use]
    pub fn is_anew(&self) -> bool {
        self.shared.anew.swap(false, Ordering::AcqRel)
    }

    /// Hands on what is new, for which there [is room](Self::has_room). False: the thread has ended.
    pub fn write(&self, flush: Flush) -> bool {
        self.shared.flushes.fetch_add(1, Ordering::AcqRel);
        let sent = self.orders.try_send(Order::Flush(flush));
        if sent.is_err() {
            self.shared.flushes.fetch_sub(1, Ordering::AcqRel);
        }
        sent.is_ok()
    }

    /// The report of an incident is with every destination. Should this get lost, it is reported again after a crash.
    pub fn tell(&self, incident: String) {
        let mut told = self
            .shared
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        told.push(incident.clone());
        drop(told);
        if let Err(TrySendError::Full(_)) = self.orders.try_send(Order::Told(incident)) {
            tracing::debug!("the journal is busy: an incident may be reported again after a crash");
        }
    }

    /// What was told since the last time.
    #[must_use]
    pub fn take_told(&self) -> Vec<String> {
        let mut told = self
            .shared
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *told)
    }

    /// Says at `now` that the daemon was asked to stop, after all that was handed on; waits for at most `patience`.
    pub fn end(&self, (now, wall): (BootTime, WallOffset), patience: Duration) {
        let (done, ended) = std::sync::mpsc::sync_channel(1);
        if self.orders.try_send(Order::End(now, wall, done)).is_err() {
            tracing::warn!("the journal is busy: the next start will take this stop for a crash");
            return;
        }
        // An error is the thread's end, which is what is waited for.
        if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(patience) {
            tracing::warn!("the disk did not take the journal's end in time");
        }
    }

    /// What it did so far.
    #[must_use]
    pub fn state(&self) -> State {
        *self.shared.lock()
    }

    /// Says so when the disk has not answered for long, though it has not failed either. To be called now and then.
    pub fn watch(&self, now: BootTime) {
        let since = [&self.shared.writing, &self.shared.syncing].map(Busy::since);
        if since
            .into_iter()
            .flatten()
            .any(|since| now.since(since) >= SLOW)
        {
            self.shared.part.degraded("the disk does not answer");
        }
    }
}

/// Tells the journal, when it is dropped, that the report of an incident is out.
#[derive(Debug)]
pub struct Telling {
    journal: Journal,
    incident: String,
    /// A destination could not take it: it is not out.
    missed: AtomicBool,
}

impl Telling {
    /// For the report of `incident`.
    #[must_use]
    pub fn new(journal: Journal, incident: String) -> Self {
        Self {
            journal,
            incident,
            missed: AtomicBool::new(false),
        }
    }

    /// A destination had no room for it: should the recorder die, it is to be reported again.
    pub fn miss(&self) {
        self.missed.store(true, Ordering::Release);
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if !self.missed.load(Ordering::Acquire) {
            self.journal.tell(std::mem::take(&mut self.incident));
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
