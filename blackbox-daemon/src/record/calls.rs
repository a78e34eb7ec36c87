//! System calls: those that failed, every one of an armed container, and the one a thread was in at its end.

use serde::{Deserialize, Serialize};

use super::BootTime;

/// A system call returned an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCall {
    /// Number of the call on this architecture.
    pub nr: u32,
    pub errno: u16,
    /// First three arguments as the registers held them.
    pub args: [u64; 3],
    /// What the argument that matters points to: a path, the address of a socket.
    pub argument: Option<String>,
    /// A 32-bit call: `nr` is of the other table.
    pub compat: bool,
}

/// A system call of an armed container, whatever became of it. Its record is at the instant it returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub nr: u32,
    /// What it returned; an error is negative.
    pub ret: i64,
    /// How long it took, ns. `None`: it began before the container was armed.
    pub took: Option<u64>,
    pub args: [u64; 3],
    pub argument: Option<String>,
    pub compat: bool,
}

/// Where a thread was when its process was killed, or ended by another thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCall {
    /// `None`: in no call, it ran its program.
    pub nr: Option<u32>,
    pub args: [u64; 3],
    /// What the call returned; a code of [`LastCall::waited`]: the end interrupted it.
    pub ret: i64,
    /// When the call began, where that was recorded: in armed containers.
    pub since: Option<BootTime>,
    pub compat: bool,
}

impl LastCall {
    /// Whether the thread was waiting in that call: it was to return `EINTR`, or to be started again (include/linux/errno.h:
    /// `ERESTARTSYS`, `ERESTARTNOINTR`, `ERESTARTNOHAND`, `ERESTART_RESTARTBLOCK`), when the end came.
    #[must_use]
    pub fn waited(&self) -> bool {
        self.nr.is_some() && matches!(self.ret, -4 | -512 | -513 | -514 | -516)
    }
}

/// The calls of an armed container were read, at the end of one of its processes: those since the previous reading that
/// were not overwritten yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailRead {
    /// Calls since the previous reading, or since the container was armed.
    pub calls: u64,
    /// Of these, overwritten by later ones before they were read …
    pub overwritten: u64,
    /// … and being written while they were read.
    pub torn: u64,
}

/// From this instant on every call of the subject is kept, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arming {
    /// Until when, unless something renews it; `None`: it was disarmed.
    pub until: Option<BootTime>,
    /// Why, in our own words: `memory at 93 % of its limit`.
    pub why: String,
}

/// How many system calls of one cgroup failed since its previous such record; never throttled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCounts {
    pub attempted: u64,
    /// Of these, counted but not recorded because the cgroup's rate was used up.
    pub throttled: u64,
    /// Of these, counted but not recorded because the ring was full.
    pub ring_full: u64,
    /// `attempted` by error; error 0 stands for any above 135.
    pub by_errno: Vec<(u16, u64)>,
}
