//! Where one connection is in its life, shared by the connection and the door.
//!
//! ```text
//!            head read        body read
//!   Head ──────┬─────► Body ─────┬────► Busy
//!              └──── no body ────┘        │ answer handed over
//!                     ▲                   ▼
//!                     └──── head read ── Idle
//! ```
//!
//! Any of them but `Busy` may become `Evicted`, for good. A phase changes under its lock, so a connection either
//! begins a request or is evicted, never both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::record::BootTime;

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not sent one whole request head yet (nor, perhaps, shaken hands).
    Head,
    /// Its request's body is on the way.
    Body,
    /// Its request is worked on or being answered.
    Busy,
    /// Between two requests.
    Idle,
    /// Told to go.
    Evicted,
}

/// One connection, as the door sees it.
#[derive(Debug)]
pub(super) struct Slot {
    phase: Mutex<Phase>,
    /// When it was accepted.
    pub(super) since: BootTime,
    gone: CancellationToken,
    /// A request was answered before all of its body was read.
    unread: AtomicBool,
}

impl Slot {
    pub(super) fn new(since: BootTime) -> Self {
        Self {
            phase: Mutex::new(Phase::Head),
            since,
            gone: CancellationToken::new(),
            unread: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> Phase {
        *self.lock()
    }

    /// A request's head was read. False: the connection is evicted and must not serve it.
    pub(super) fn begin(&self, has_body: bool) -> bool {
        let mut phase = self.lock();
        if *phase == Phase::Evicted {
            return false;
        }
        *phase = if has_body { Phase::Body } else { Phase::Busy };
        true
    }

    /// Nothing more will be read of the request's body; `whole` says whether all of it was.
    pub(super) fn body_over(&self, whole: bool) {
        if !whole {
            self.unread.store(true, Ordering::Relaxed);
        }
        let mut phase = self.lock();
        if *phase == Phase::Body {
            *phase = Phase::Busy;
        }
    }

    /// Whether some request's body was left unread.
    pub(super) fn has_unread_body(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// The answer was handed over.
    pub(super) fn answered(&self) {
        let mut phase = self.lock();
        if *phase != Phase::Evicted {
            *phase = Phase::Idle;
        }
    }

    /// Tells the connection to go, if it is (still) in `expected`.
    pub(super) fn evict(&self, expected: Phase) -> bool {
        let mut phase = self.lock();
        if *phase != expected {
            return false;
        }
        *phase = Phase::Evicted;
        self.gone.cancel();
        true
    }

    /// Waits until the connection is told to go.
    pub(super) async fn evicted(&self) {
        self.gone.cancelled().await;
    }
}
