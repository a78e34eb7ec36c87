//! The fence around the kernel contract's bytes: the only unsafe code of this source beside its `ring`.
//!
//! Types of `blackbox-common` are plain (`repr(C)`, integers only, padded by hand), so any bytes of the right
//! length are a valid value and any value may be seen as bytes.
#![expect(
    unsafe_code,
    reason = "bytes from the kernel are read as the structs both sides share"
)]

use blackbox_common::{
    cgroup::CgroupRecord,
    crash::{CrashRecord, FatalCrashRecord},
    daemon::Daemon,
    header::Header,
    memory::OomRecord,
    offsets::Offsets,
    process::{ExecRecord, ExitRecord},
    settings::Settings,
    signal::SignalRecord,
    syscall::{SyscallAccount, SyscallArgRecord, SyscallRecord},
    tail::{ArmedSet, LastCallRecord, TailEntry},
    tally::Tally,
    words::LastWords,
};

/// A type of the kernel contract.
///
/// # Safety
/// Implementors are `repr(C)`, hold integers and arrays of them only, and have no implicit padding.
pub(super) unsafe trait Wire: Copy + 'static {}

macro_rules! wire {
    ($($ty:ty),* $(,)?) => {
        $(
            // SAFETY: defined in blackbox-common under exactly these rules, with its size asserted there.
            unsafe impl Wire for $ty {}
        )*
    };
}
wire!(
    Header,
    ExecRecord,
    ExitRecord,
    SignalRecord,
    OomRecord,
    CgroupRecord,
    CrashRecord,
    FatalCrashRecord,
    SyscallRecord,
    SyscallArgRecord,
    SyscallAccount,
    LastWords,
    LastCallRecord,
    TailEntry,
    ArmedSet,
    Tally,
    Daemon,
    Settings,
    Offsets,
);

/// A contract type as aya wants it in maps and globals.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct Plain<T>(pub(super) T);

// SAFETY: `Wire` promises what `Pod` asks for.
unsafe impl<T: Wire> aya::Pod for Plain<T> {}

/// Copies a value out of the first bytes of a record. `None`: too short.
pub(super) fn read<T: Wire>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: long enough, just checked; any bytes are a valid `Wire` value; alignment is not assumed.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}
