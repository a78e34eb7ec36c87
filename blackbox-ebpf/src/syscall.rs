//! Failing system calls (`sys_exit`): the only program that runs on every call of the node, so its first test
//! is the one that ends it for a call that succeeded.
//!
//! For each cgroup an account counts every failure by error, whatever happens to its record; a token bucket
//! keeps one cgroup from filling the ring.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::warn;
use blackbox_common::{
    header::Kind,
    offsets::ABSENT,
    settings::ERRNO_WORDS,
    syscall::{ERRNO_SLOTS, SYSCALL_COMPAT, SyscallAccount, SyscallRecord},
};
use core::arch::asm;

use crate::{
    emit,
    maps::{ACCOUNTS, EMPTY_ACCOUNT},
    offsets::{Ptr, SETTINGS, Task, frozen, offset, setting},
};

/// Errors above this are the kernel's own (restart codes, 512 and up); no program ever sees them.
const ERRNO_MAX: u64 = 255;
/// `TS_COMPAT` (arch/x86/include/asm/thread_info.h): a 32-bit call is under way.
const TS_COMPAT: u32 = 2;

#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let ret: i64 = ctx.arg(1);
    let errno = (ret as u64).wrapping_neg();
    // One test for "a success or no errno": 1..=255 passes. Successes end here.
    if errno.wrapping_sub(1) >= ERRNO_MAX || ignored(errno) {
        return 0;
    }
    let regs: *const u8 = ctx.arg(0);
    failed(&ctx, Ptr(regs), errno);
    0
}

#[inline(always)]
fn ignored(errno: u64) -> bool {
    let word = (errno as usize / 64) & (ERRNO_WORDS - 1);
    let mask = frozen(&SETTINGS.errno_ignored[word]);
    mask >> (errno % 64) & 1 != 0
}

#[inline(always)]
fn failed(ctx: &BtfTracePointContext, regs: Ptr, errno: u64) {
    let task = Task::current();
    if task.tgid() == setting!(own_tgid) {
        return;
    }
    let subject = task.wire();
    let at = emit::now();
    let mut account = account(ctx, subject.cgroup);
    if let Some(account) = &mut account {
        add(&raw mut account.attempted);
        let slot = if errno < ERRNO_SLOTS as u64 {
            errno as usize
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
    let Some(mut reserved) = emit::bulk::<SyscallRecord>(Kind::Syscall, at, subject) else {
        if let Some(account) = account {
            add(&raw mut account.ring_full);
        }
        return;
    };
    let record = reserved.record();
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
    reserved.submit_quietly();
}

#[inline(always)]
fn is_compat(task: Task) -> bool {
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
