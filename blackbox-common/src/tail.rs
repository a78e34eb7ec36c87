//! The calls of armed containers, kept by overwriting, and the call each thread was in when its process was ended.

use crate::header::{COMM_LEN, Header};

/// Calls kept of one container; a power of two.
pub const TAIL_LEN: u32 = 2048;
/// Bytes kept of a call's argument in a tail; longer ones are cut.
pub const TAIL_ARG_LEN: usize = 64;
/// Slots for calls under way, by the lowest bits of the thread's id; a power of two.
pub const STARTED_LEN: u32 = 1 << 15;
/// Sets of the table of armed containers, by the lowest bits of the cgroup's id; a power of two.
pub const ARMED_SETS: u32 = 256;
/// Containers that may be armed of one set.
pub const ARMED_WAYS: usize = 4;
/// Threads of one process whose last call is told; more are counted.
pub const THREADS_TOLD: u32 = 64;

/// [`LastCallRecord::nr`]: the thread was in no call, but ran its program.
pub const NO_CALL: u32 = u32::MAX;
/// [`TailEntry::flags`], [`LastCallRecord::flags`]: a 32-bit (compat) call; `nr` is of the other table.
pub const TAIL_COMPAT: u32 = 1;

/// One call of an armed container that has returned.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TailEntry {
    /// Its number among the calls of this slot, from 1; written last. 0: never was.
    pub number: u64,
    /// When it returned, ns of boot time.
    pub at: u64,
    /// How long it took, ns, or `ABSENT_U64`: it began before the container was armed.
    pub took: u64,
    /// What it returned; an error is negative.
    pub ret: i64,
    /// The first three arguments as the registers held them.
    pub args: [u64; 3],
    /// When its process started, ns of boot time.
    pub start: u64,
    pub tgid: u32,
    pub tid: u32,
    /// The thread's name.
    pub comm: [u8; COMM_LEN],
    pub nr: u32,
    /// `TAIL_*` bits.
    pub flags: u32,
    /// One of `ARG_*` (`syscall`), without `ARG_TOLD`.
    pub kind: u32,
    /// Used bytes of `arg`.
    pub len: u32,
    pub arg: [u8; TAIL_ARG_LEN],
}
const _: () = assert!(size_of::<TailEntry>() == 168);

/// Armed containers whose ids share their lowest bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArmedSet {
    /// Ids of their cgroups; 0: free.
    pub cgroups: [u64; ARMED_WAYS],
    /// The slot of each among the tails.
    pub slots: [u32; ARMED_WAYS],
}
const _: () = assert!(size_of::<ArmedSet>() == 48);

/// When a thread began the call it is in.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Started {
    pub tid: u32,
    pub nr: u32,
    /// ns of boot time.
    pub at: u64,
}
const _: () = assert!(size_of::<Started>() == 16);

/// Where a thread was when its process was killed, or ended by another thread with a code other than 0 (tracepoint
/// `sched_process_exit`, every thread). The header's subject has the thread's own id and name.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LastCallRecord {
    pub header: Header,
    /// The first three arguments as the registers held them.
    pub args: [u64; 3],
    /// What the call returned; a restart code (512–516) or `EINTR`: it was waiting, and the end interrupted it.
    pub ret: i64,
    /// When the call began, ns of boot time, or `ABSENT_U64`.
    pub since: u64,
    /// Number of the call, or [`NO_CALL`].
    pub nr: u32,
    /// `TAIL_*` bits.
    pub flags: u32,
}
const _: () = assert!(size_of::<LastCallRecord>() == 112);
