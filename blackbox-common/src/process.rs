//! Programs started and processes that died.

use crate::header::{Header, Task};
use crate::signal::SignalFacts;

/// Longest path of an executable that is kept; longer ones are cut.
pub const EXE_LEN: usize = 256;

/// A process replaced its program (tracepoint `sched_process_exec`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExecRecord {
    pub header: Header,
    /// Its parent at that moment.
    pub parent: Task,
    /// Bytes used of `exe`.
    pub exe_len: u32,
    /// Unused, zero.
    pub pad: u32,
    /// The path given to `execve`; only the first `exe_len` bytes mean anything.
    pub exe: [u8; EXE_LEN],
}
const _: () = assert!(size_of::<ExecRecord>() == 368);

/// [`ExitRecord::flags`]: the OOM killer chose this process.
pub const EXIT_OOM_VICTIM: u32 = 1;
/// [`ExitRecord::flags`]: `killer` is filled; the fatal signal was seen when it was sent.
pub const EXIT_KILLER_KNOWN: u32 = 2;

/// A process died: its last thread ended (tracepoint `sched_process_exit`).
///
/// The first fatal signal and the OOM mark ride on this record, so that losing another record cannot lose
/// the verdict.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExitRecord {
    pub header: Header,
    /// Its parent at that moment (`real_parent`).
    pub parent: Task,
    /// The wait status: bits 0–6 the signal, 0x80 a core dump, bits 8–15 the exit code (wait(2)).
    pub status: u32,
    /// `EXIT_*` bits.
    pub flags: u32,
    /// Its pid in its innermost pid namespace.
    pub ns_pid: u32,
    /// Depth of that namespace; 0 is the initial one.
    pub ns_level: u32,
    /// Peak resident size in pages (`signal_struct.maxrss`), or `ABSENT_U64`.
    pub peak_rss_pages: u64,
    /// The first fatal signal of the kind in `status`; valid when `EXIT_KILLER_KNOWN` is set.
    pub killer: SignalFacts,
}
const _: () = assert!(size_of::<ExitRecord>() == 216);
