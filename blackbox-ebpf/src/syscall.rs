//! Failing system calls (`sys_exit`): the only program that runs on every call of the node, so it counts it, and its first
//! test is the one that ends it for a call that succeeded.
//!
//! For each cgroup an account counts every failure by error, whatever happens to its record; a token bucket
//! keeps one cgroup from filling the ring.

use aya_ebpf::{
    helpers::{bpf_probe_read_user_str_bytes, generated::bpf_probe_read_user},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use aya_log_ebpf::warn;
use blackbox_common::{
    header::{Kind, Task as WireTask},
    offsets::ABSENT,
    settings::ERRNO_WORDS,
    syscall::{
        ARG_ADDRESS_1, ARG_LEN, ARG_NONE, ARG_PATH_0, ARG_TOLD, ERRNO_SLOTS, SYSCALL_COMPAT,
        SyscallAccount, SyscallArgRecord, SyscallRecord,
    },
};
use core::arch::asm;

use crate::{
    emit,
    maps::{ACCOUNTS, ARGUMENTS, EMPTY_ACCOUNT},
    offsets::{Ptr, SETTINGS, Task, frozen, offset, setting},
    tail, words,
};

/// Errors above this are the kernel's own (restart codes, 512 and up); no program ever sees them.
const ERRNO_MAX: u64 = 255;
/// `TS_COMPAT` (arch/x86/include/asm/thread_info.h): a 32-bit call is under way.
const TS_COMPAT: u32 = 2;

#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    if let Some(tally) = emit::tally() {
        tally.calls += 1;
    }
    let ret: i64 = ctx.arg(1);
    let errno = (ret as u64).wrapping_neg();
    let regs = Ptr(ctx.arg::<*const u8>(0));
    let nr: u32 = regs.direct(offset!(regs_nr));
    let error = if errno.wrapping_sub(1) < ERRNO_MAX {
        let kind = ARGUMENTS.get(nr).map_or(ARG_NONE, |kind| *kind);
        (!ignored(errno) || kind & ARG_TOLD != 0).then_some((errno, kind & !ARG_TOLD))
    } else if nr == setting!(nr_getsockopt) {
        handed_out(regs).map(|errno| (errno, ARG_NONE))
    } else {
        words::heard(regs, nr, ret);
        None
    };
    if let Some((errno, kind)) = error {
        failed(&ctx, regs, errno, kind);
    }
    tail::go_on(&ctx);
    0
}

/// `SOL_SOCKET` and `SO_ERROR` (include/uapi/asm-generic/socket.h).
const SOL_SOCKET: u64 = 1;
const SO_ERROR: u64 = 4;

/// `getsockopt(SO_ERROR)` succeeded: the error that it handed out is one of the socket, mostly of a `connect` that did not
/// wait. `None`: another option, or no error.
#[inline(always)]
fn handed_out(regs: Ptr) -> Option<u64> {
    let level: u64 = regs.direct(offset!(regs_arg1));
    let option: u64 = regs.direct(offset!(regs_arg2));
    if level != SOL_SOCKET || option != SO_ERROR {
        return None;
    }
    let mut error = 0_u32;
    let from: u64 = regs.direct(offset!(regs_arg3));
    // SAFETY: the helper checks the user's address and writes four bytes.
    let read = unsafe {
        bpf_probe_read_user((&raw mut error).cast(), 4, from as *const core::ffi::c_void)
    };
    let errno = u64::from(error);
    (read == 0 && errno.wrapping_sub(1) < ERRNO_MAX).then_some(errno)
}

#[inline(always)]
fn ignored(errno: u64) -> bool {
    let word = (errno as usize / 64) & (ERRNO_WORDS - 1);
    let mask = frozen(&SETTINGS.errno_ignored[word]);
    mask >> (errno % 64) & 1 != 0
}

/// The same value, of which the compiler knows nothing any more.
#[inline(always)]
fn opaque(mut value: u64) -> u64 {
    // SAFETY: no instruction at all; the register keeps its value.
    unsafe { asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

#[inline(always)]
fn failed(ctx: &BtfTracePointContext, regs: Ptr, errno: u64, kind: u32) {
    let task = Task::current();
    let at = emit::now();
    if emit::is_daemon(task.tgid()) || emit::silent(at) {
        return;
    }
    let subject = task.wire();
    let mut account = account(ctx, subject.cgroup);
    if let Some(account) = &mut account {
        add(&raw mut account.attempted);
        // Compared and used as one value of 64 bits: of a copy of its lower half, Linux 6.1 does not know the bound.
        let slot = opaque(errno);
        let slot = if slot < ERRNO_SLOTS as u64 {
            slot as usize
        } else {
            0
        };
        add(&raw mut account.by_errno[slot]);
        if !admit(account, at) {
            add(&raw mut account.throttled);
            if let Some(tally) = emit::tally() {
                tally.throttled += 1;
            }
            return;
        }
    } else if let Some(tally) = emit::tally() {
        tally.unaccounted += 1;
    }
    let told = if kind == ARG_NONE {
        plain(regs, task, errno, at, subject)
    } else {
        with_argument(regs, task, errno, at, subject, kind)
    };
    if told.is_none()
        && let Some(account) = account
    {
        add(&raw mut account.ring_full);
    }
}

/// Tells a call. `None`: the ring was full; counted.
#[inline(always)]
fn plain(regs: Ptr, task: Task, errno: u64, at: u64, subject: WireTask) -> Option<()> {
    let mut reserved = emit::bulk::<SyscallRecord>(Kind::Syscall, at, subject)?;
    write(reserved.record(), regs, task, errno);
    reserved.submit_quietly();
    Some(())
}

/// Tells a call with what its argument points to. The kernel has just read that memory, so it is there.
#[inline(always)]
fn with_argument(
    regs: Ptr,
    task: Task,
    errno: u64,
    at: u64,
    subject: WireTask,
    kind: u32,
) -> Option<()> {
    let mut reserved = emit::bulk::<SyscallArgRecord>(Kind::Syscall, at, subject)?;
    let record = reserved.record();
    // SAFETY: `record` is the reserved room for a whole `SyscallArgRecord`, which begins with a `SyscallRecord`.
    let room: &mut [u8; ARG_LEN] = unsafe {
        write(&raw mut (*record).call, regs, task, errno);
        (&raw mut (*record).kind).write(kind);
        &mut *(&raw mut (*record).arg)
    };
    let len = match kind {
        ARG_ADDRESS_1 => {
            let address: u64 = regs.direct(offset!(regs_arg1));
            let len: u64 = regs.direct(offset!(regs_arg2));
            // The longest that is told: struct sockaddr_un (110 bytes).
            let len = if len < 110 { len as u32 } else { 110 };
            // SAFETY: `room` has ARG_LEN bytes, more than `len`; the helper checks the user's address.
            let read = unsafe {
                bpf_probe_read_user(
                    room.as_mut_ptr().cast(),
                    len,
                    address as *const core::ffi::c_void,
                )
            };
            if read == 0 { len } else { 0 }
        }
        _ => {
            let address: u64 = if kind == ARG_PATH_0 {
                regs.direct(offset!(regs_arg0))
            } else {
                regs.direct(offset!(regs_arg1))
            };
            // SAFETY: the helper checks the user's address.
            unsafe { bpf_probe_read_user_str_bytes(address as *const u8, room) }
                .map_or(0, |text| text.len() as u32)
        }
    };
    // SAFETY: as above.
    unsafe { (&raw mut (*record).len).write(len) };
    reserved.submit_quietly();
    Some(())
}

/// Fills a record but for its header.
#[inline(always)]
fn write(record: *mut SyscallRecord, regs: Ptr, task: Task, errno: u64) {
    let args = [
        regs.direct(offset!(regs_arg0)),
        regs.direct(offset!(regs_arg1)),
        regs.direct(offset!(regs_arg2)),
    ];
    // SAFETY: `record` is the reserved room for a whole `SyscallRecord`.
    unsafe {
        (&raw mut (*record).args).write(args);
        (&raw mut (*record).nr).write(regs.direct(offset!(regs_nr)));
        (&raw mut (*record).errno).write(errno as u16);
        (&raw mut (*record).flags).write(if is_compat(task) { SYSCALL_COMPAT } else { 0 });
    }
}

#[inline(always)]
pub(crate) fn is_compat(task: Task) -> bool {
    offset!(task_status) != ABSENT && task.0.direct::<u32>(offset!(task_status)) & TS_COMPAT != 0
}

/// The cgroup's account, made on its first failure. `None`: the table is full.
#[inline(always)]
fn account(ctx: &BtfTracePointContext, cgroup: u64) -> Option<&'static mut SyscallAccount> {
    if ACCOUNTS.get_ptr_mut(&cgroup).is_none() {
        let empty = EMPTY_ACCOUNT.get(0)?;
        // Losing the race to another CPU is fine: the account is there then.
        if ACCOUNTS.insert(&cgroup, empty, 1).is_err() && ACCOUNTS.get_ptr(&cgroup).is_none() {
            if emit::tally().is_some_and(|tally| tally.unaccounted == 0) {
                warn!(
                    ctx,
                    "the table of cgroup accounts is full; cgroup {} has none", cgroup
                );
            }
            return None;
        }
    }
    // SAFETY: the entry lives as long as this program runs; every field but `bucket` is only added to,
    // atomically, and a lost update of `bucket` admits a few records too many, which are counted as any.
    ACCOUNTS
        .get_ptr_mut(&cgroup)
        .map(|entry| unsafe { &mut *entry })
}

/// Takes one record's cost from the bucket, if it holds that much (generic cell rate algorithm).
#[inline(always)]
fn admit(account: &mut SyscallAccount, now: u64) -> bool {
    let bucket = if account.bucket > now {
        account.bucket
    } else {
        now
    };
    let after = bucket + setting!(syscall_cost);
    if after - now > setting!(syscall_burst) {
        return false;
    }
    account.bucket = after;
    true
}

/// Adds one, exactly, whatever other CPUs do. (The `bpf` target of rustc has no `fetch_add`: its atomics ask
/// for compare-and-swap, which older BPF lacks.)
#[inline(always)]
fn add(counter: *mut u64) {
    // SAFETY: `counter` points to an aligned u64 of a map value, which lives as long as this program runs.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) 1_u64) }
}
