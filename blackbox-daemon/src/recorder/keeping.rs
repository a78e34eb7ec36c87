//! Keeping the window on disk: hands the journal what is new, at its pace, and a checkpoint now and then.
//!
//! Never waits: while the journal has no room, what is new stays in the window. An incident that opens makes the next flush
//! urgent, for what led to it must not be lost with the node.

use super::checkpoint::Checkpoint;
use super::core::Core;
use crate::clock::WallOffset;
use crate::journal::budget::Budget;
use crate::journal::{self, Flush, Journal};
use crate::record::{BootTime, ProcessKey};

/// See the module.
pub struct Keeper {
    journal: Journal,
    pace: journal::Pace,
    budget: Budget,
    /// This daemon.
    daemon: Option<ProcessKey>,
    /// Records that were not written and never will be.
    skipped: u64,
    flushed: BootTime,
    checkpointed: BootTime,
    /// Incidents that were opened by the last flush.
    opened: u64,
}

impl Keeper {
    /// Keeps with `journal`, which was started with `config`, a window that reaches back `reach`.
    #[must_use]
    pub fn new(
        journal: Journal,
        config: &journal::Config,
        reach: std::time::Duration,
        daemon: Option<ProcessKey>,
    ) -> Self {
        Self {
            budget: Budget::new(config.size, reach, config.pace.bulk_percent),
            pace: config.pace,
            journal,
            daemon,
            skipped: 0,
            flushed: BootTime(0),
            checkpointed: BootTime(0),
            opened: 0,
        }
    }

    /// Hands on what is new, if it is time to.
    pub fn turn(&mut self, core: &mut Core, now: BootTime, wall: WallOffset) {
        self.journal.watch(now);
        for id in self.journal.take_told() {
            core.tell(&id);
        }
        let opened = core.opened != self.opened;
        let due = now.since(self.flushed) >= self.pace.write;
        if (due || opened) && self.journal.has_room() {
            self.flush(core, now, wall);
        }
    }

    /// The last of it, when the recorder ends.
    pub fn finish(&mut self, core: &mut Core, now: BootTime, wall: WallOffset) {
        self.checkpointed = BootTime(0);
        self.flush(core, now, wall);
    }

    fn flush(&mut self, core: &mut Core, now: BootTime, wall: WallOffset) {
        if self.journal.is_anew() {
            core.window.set_taken(false);
            self.checkpointed = BootTime(0);
        }
        let bulk = usize::try_from(self.budget.left(now)).unwrap_or(usize::MAX);
        let fresh = core.window.take_fresh(bulk);
        let bytes: usize = fresh.pieces.iter().map(|piece| piece.bytes.len()).sum();
        self.budget.spend(bytes as u64);
        self.skipped += fresh.skipped;
        let due = now.since(self.checkpointed) >= self.pace.checkpoint;
        let checkpoint = due.then(|| {
            self.checkpointed = now;
            let checkpoint = Checkpoint::of(core, self.daemon);
            Box::new(move || checkpoint.encode()) as journal::Checkpoint
        });
        let urgent = core.opened != self.opened;
        (self.flushed, self.opened) = (now, core.opened);
        if fresh.pieces.is_empty() && checkpoint.is_none() {
            return;
        }
        self.journal.write(Flush {
            at: now,
            wall,
            pieces: fresh.pieces,
            checkpoint,
            skipped: self.skipped,
            urgent,
        });
    }
}
