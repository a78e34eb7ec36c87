//! What the recorder found of its former life when it began.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BootTime, ProcessKey};

/// The recorder began, and its journal tells of a life before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// How that life ended.
    pub former: LifeEnd,
    /// The daemon of that life, if it told.
    pub daemon: Option<ProcessKey>,
    /// When it wrote last, on the clock of its own boot.
    pub last: BootTime,
    /// Wall clock time that passed from then to this beginning, ns; negative if the clock was set back. After a reboot it is
    /// all there is to measure by.
    pub away: i64,
    /// The kernel programs went on recording meanwhile, and what they recorded is here.
    pub kernel_kept: bool,
    /// Records that were read again.
    pub records: u64,
    /// Records that it did not write, for want of room or time.
    pub skipped: u64,
    /// Pieces that are missing between others: the disk had not kept them.
    pub holes: u64,
    /// What the kernel left of its own end in pstore, if it did.
    pub panic: Option<String>,
}

/// The daemon knows its own start to the 10 ms that `/proc/self/stat` has.
const TICK: Duration = Duration::from_millis(10);

impl Began {
    /// Whether a process that the kernel tells of is the daemon of the former life.
    #[must_use]
    pub fn is_daemon(&self, process: ProcessKey) -> bool {
        self.daemon.is_some_and(|daemon| {
            daemon.tgid == process.tgid
                && daemon.start <= process.start
                && process.start.since(daemon.start) < TICK
        })
    }
}

/// How a life of the recorder ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LifeEnd {
    /// It was asked to stop.
    Stopped,
    /// It died, and the node lived on.
    Died,
    /// The node went down under it.
    NodeDown,
}
