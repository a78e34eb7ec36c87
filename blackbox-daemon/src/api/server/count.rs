//! What the server counts about its connections. Written by the server, read by the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection was closed before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its address had all its connections, and each was at work.
    Peer,
    /// The server had all its connections, and none could make room.
    Total,
    /// It made room: it had sent no request while others came.
    MadeRoom,
}

impl Refusal {
    /// Every cause, in the order metrics list them.
    pub const ALL: [Self; 3] = [Self::Peer, Self::Total, Self::MadeRoom];

    /// The name used as a metric's label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Total => "total",
            Self::MadeRoom => "made_room",
        }
    }
}

/// Counts of one listener's connections.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicU64,
    accepted: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    handshakes_failed: AtomicU64,
    timed_out: AtomicU64,
}

impl Connections {
    /// Connections held at the moment.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections taken from the kernel since start, refused ones included.
    #[must_use]
    pub fn accepted_total(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections closed for `cause` since start.
    #[must_use]
    pub fn refused_total(&self, cause: Refusal) -> u64 {
        self.refused[cause as usize].load(Ordering::Relaxed)
    }

    /// TLS handshakes that failed or took too long, since start.
    #[must_use]
    pub fn handshake_failures_total(&self) -> u64 {
        self.handshakes_failed.load(Ordering::Relaxed)
    }

    /// Connections closed since start because the client did not send its request, or read its answer, in time.
    #[must_use]
    pub fn timed_out_total(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }

    pub(super) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, cause: Refusal) {
        self.refused[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
