//! What the kernel programs observed: lives, deaths, signals, OOM kills, and counts.

use serde::{Deserialize, Serialize};

use super::{BootTime, Class, Process};

/// A process replaced its program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    pub parent: Process,
    /// The path given to `execve`, as far as it was kept (256 bytes).
    pub exe: String,
}

/// A process died: its last thread ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub parent: Process,
    pub status: WaitStatus,
    /// The signal that killed it, with its sender, as seen when it was sent.
    pub killer: Option<Signal>,
    /// The OOM killer had chosen it.
    pub oom_victim: bool,
    /// Its pid in its innermost pid namespace.
    pub ns_pid: u32,
    /// Depth of that namespace; 0 is the host's.
    pub ns_level: u32,
    /// Peak resident size in bytes.
    pub peak_rss: Option<u64>,
}

/// A wait status as wait(2) defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WaitStatus(pub u32);

impl WaitStatus {
    /// The signal it died of.
    #[must_use]
    pub fn signal(self) -> Option<u32> {
        match self.0 & 0x7f {
            0 => None,
            signal => Some(signal),
        }
    }

    /// The code it exited with, when it was not killed.
    #[must_use]
    pub fn code(self) -> Option<u32> {
        self.signal().is_none().then_some((self.0 >> 8) & 0xff)
    }

    /// Whether the kernel wrote (or piped) a core dump.
    #[must_use]
    pub fn core_dumped(self) -> bool {
        self.0 & 0x80 != 0
    }
}

/// One signal as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    pub at: BootTime,
    /// The task running when it was sent: the sender when [`Signal::from_user`], else the task in whose
    /// context the kernel acted.
    pub sender: Process,
    /// Number, 1–64.
    pub number: u32,
    /// `si_code`.
    pub code: i32,
    pub fault_addr: Option<u64>,
    /// User instruction pointer of the faulting thread.
    pub ip: Option<u64>,
    /// User stack pointer of the faulting thread.
    pub sp: Option<u64>,
    /// x86 page-fault error code of the faulting thread.
    pub error_code: Option<u32>,
}

impl Signal {
    /// Sent by a process: `kill` (0), `sigqueue` (-1), `tgkill` (-6). The other negative codes are timers, message
    /// queues and asynchronous IO, for which whoever ran at that instant is no sender (siginfo.h).
    #[must_use]
    pub fn from_user(&self) -> bool {
        matches!(self.code, 0 | -1 | -6)
    }

    /// One of those people send to make a program end by itself: HUP, INT, QUIT, TERM.
    #[must_use]
    pub fn asks_to_stop(&self) -> bool {
        matches!(self.number, 1 | 2 | 3 | 15)
    }
}

/// A signal that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalSent {
    pub signal: Signal,
    /// The target had the default action for it, and that is to die.
    pub fatal: bool,
    /// The kernel dropped it: the target ignores it, or is the first of its pid namespace and has no handler for it.
    pub ignored: bool,
}

/// One memory cgroup above an OOM victim, at the instant of the kill. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryLevel {
    pub cgroup: super::CgroupId,
    pub usage: u64,
    /// `None`: no limit set.
    pub limit: Option<u64>,
    pub oom_group: bool,
    /// Times this very cgroup ran out, this kill included; 0 excludes its limit.
    pub oom_events: Option<u64>,
}

/// The OOM killer chose a victim. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oom {
    /// The task whose allocation could not be met.
    pub allocator: Process,
    /// Killed (SIGKILL was sent), not merely found dying already.
    pub killed: bool,
    pub total_vm: Option<u64>,
    pub anon_rss: Option<u64>,
    pub file_rss: Option<u64>,
    pub shmem_rss: Option<u64>,
    pub page_tables: Option<u64>,
    pub oom_score_adj: Option<i32>,
    /// From the victim's own memory cgroup upwards.
    pub levels: Vec<MemoryLevel>,
}

impl Oom {
    /// Resident size: anonymous + file + shared, as the kernel's own log counts it.
    #[must_use]
    pub fn rss(&self) -> Option<u64> {
        Some(self.anon_rss? + self.file_rss? + self.shmem_rss?)
    }
}

/// Everything the kernel programs counted since they were loaded: `(class, attempted, throttled, ring_full)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelTally {
    pub rows: Vec<TallyRow>,
}

/// One class of kernel record, cumulative. `attempted - throttled - ring_full` reached the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyRow {
    pub class: Class,
    pub attempted: u64,
    pub throttled: u64,
    pub ring_full: u64,
}
