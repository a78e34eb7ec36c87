//! System calls that failed, and the account each cgroup has for them.

use crate::header::Header;

/// [`SyscallRecord::flags`]: a 32-bit (compat) call; `nr` is of the other table.
pub const SYSCALL_COMPAT: u16 = 1;

/// A system call returned an error that passed the filter (tracepoint `sys_exit`). The only kind in BULK. So is an error
/// that `getsockopt(SO_ERROR)` handed out: what became of a `connect` that did not wait; its `errno` is that error.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SyscallRecord {
    pub header: Header,
    /// The first three arguments as the registers held them; pointers are not followed.
    pub args: [u64; 3],
    /// Number of the call on this architecture.
    pub nr: u32,
    /// The error, 1–255.
    pub errno: u16,
    /// `SYSCALL_*` bits.
    pub flags: u16,
}
const _: () = assert!(size_of::<SyscallRecord>() == 96);

/// Calls whose argument is looked at: the length of the table of `ARG_*`, by number of the call.
pub const CALLS: u32 = 512;
/// Bytes kept of a call's argument; longer ones are cut.
pub const ARG_LEN: usize = 128;
/// How the table says which argument matters: none …
pub const ARG_NONE: u32 = 0;
/// … the first is a path …
pub const ARG_PATH_0: u32 = 1;
/// … the second is a path (`openat` and its like) …
pub const ARG_PATH_1: u32 = 2;
/// … the second is the address of a socket, the third its length.
pub const ARG_ADDRESS_1: u32 = 3;
/// A bit beside them: this call is told whatever its error, though others with that error are not. `EAGAIN` is how a
/// program waits, but not what `clone` answers; and `EINPROGRESS` of `connect` says which peer a late error is about.
pub const ARG_TOLD: u32 = 1 << 8;

/// The same with what the argument that matters points to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SyscallArgRecord {
    pub call: SyscallRecord,
    /// One of `ARG_*`.
    pub kind: u32,
    /// Used bytes of `arg`.
    pub len: u32,
    pub arg: [u8; ARG_LEN],
}
const _: () = assert!(size_of::<SyscallArgRecord>() == 232);

/// Errors counted one by one: 0 is "any larger", 1–135 are themselves (Linux's own end at 133).
pub const ERRNO_SLOTS: usize = 136;

/// What one cgroup's failing system calls cost and met, since its first one. Shared by all CPUs.
/// `attempted` never stops; the difference to what was recorded is counted by cause.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SyscallAccount {
    /// Token bucket as a "theoretical arrival time", ns of boot time (GCRA, ITU-T I.371).
    pub bucket: u64,
    /// Failures that passed the errno filter.
    pub attempted: u64,
    /// Of these, not recorded because the bucket was empty.
    pub throttled: u64,
    /// Of these, not recorded because the ring was full.
    pub ring_full: u64,
    /// `attempted`, by error.
    pub by_errno: [u64; ERRNO_SLOTS],
}
const _: () = assert!(size_of::<SyscallAccount>() == 1120);
