//! Signals: who sent what to whom, and where a fault happened.

use crate::header::{Header, Task};

/// `SEND_SIG_PRIV`: the kernel itself sent it (`SI_KERNEL`, include/uapi/asm-generic/siginfo.h).
pub const SI_KERNEL: i32 = 0x80;
/// Sent by `kill(2)`.
pub const SI_USER: i32 = 0;
/// Sent by `tgkill(2)`, as `raise` and `abort` do.
pub const SI_TKILL: i32 = -6;

/// What is known of one signal at the moment it was sent.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SignalFacts {
    /// When it was sent, ns of boot time.
    pub at: u64,
    /// The task that was running then: the sender when `code` <= 0, otherwise the task in whose context
    /// the kernel sent it (for an OOM kill, the task whose allocation failed).
    pub sender: Task,
    /// Fault address (`si_addr`), or `ABSENT_U64` when this signal carries none.
    pub fault_addr: u64,
    /// User instruction pointer of the faulting thread, or `ABSENT_U64`.
    pub ip: u64,
    /// User stack pointer of the faulting thread, or `ABSENT_U64`.
    pub sp: u64,
    /// Signal number, 1–64.
    pub sig: u32,
    /// `si_code`.
    pub code: i32,
    /// x86 page-fault error code of the faulting thread (arch/x86/include/asm/trap_pf.h), or `u32::MAX`.
    pub error_code: u32,
    /// Unused, zero.
    pub pad: u32,
}
const _: () = assert!(size_of::<SignalFacts>() == 88);

/// The target handles it itself.
pub const EFFECT_HANDLED: u32 = 0;
/// The target would die of it: default action, and that action is to terminate.
pub const EFFECT_FATAL: u32 = 1;
/// The kernel dropped it: the target ignores it, or is the first process of its pid namespace and has no handler.
pub const EFFECT_IGNORED: u32 = 2;

/// A signal was sent (tracepoint `signal_generate`). The header's subject is the target.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SignalRecord {
    pub header: Header,
    pub facts: SignalFacts,
    /// One of `EFFECT_HANDLED`, `EFFECT_FATAL`, `EFFECT_IGNORED`.
    pub effect: u32,
    /// Unused, zero.
    pub pad: u32,
}
const _: () = assert!(size_of::<SignalRecord>() == 160);
