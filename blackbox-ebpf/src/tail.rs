//! Every call of armed containers, kept by overwriting; and the call each thread was in at its end.
//!
//! `tail_enter` is attached to `sys_enter` only while a container is armed: even an empty program taxes every call of the
//! node. `tail_exit` is attached to nothing: while a container is armed, `sys_exit` ends by jumping to it, which costs
//! less than a second program there. A daemon that was killed leaves that so: without one for long, nothing is kept.
//!
//! A call's place is given by an atomic count of its container, so calls of several CPUs never share one. Its number goes out
//! last: who finds it there, and afterwards a count that has not come round to the place again, has read a whole entry.

use aya_ebpf::{
    helpers::{
        bpf_probe_read_user_str_bytes,
        generated::{bpf_probe_read_user, bpf_task_pt_regs},
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use blackbox_common::{
    ABSENT_U64,
    header::Kind,
    syscall::{ARG_ADDRESS_1, ARG_NONE, ARG_PATH_0, ARG_TOLD},
    tail::{
        ARMED_SETS, LastCallRecord, NO_CALL, STARTED_LEN, Started, TAIL_ARG_LEN, TAIL_COMPAT,
        TAIL_LEN, THREADS_TOLD,
    },
};
use core::{arch::asm, ffi::c_void};

use crate::{
    emit,
    maps::{AFTER_CALL, ARGUMENTS, ARMED, STARTED, TAIL, TAIL_HEADS, THREADS},
    offsets::{Ptr, Task, offset, setting},
    syscall::is_compat,
};

/// `SIGNAL_GROUP_EXIT` (include/linux/sched/signal.h).
const SIGNAL_GROUP_EXIT: u32 = 4;

#[btf_tracepoint(function = "sys_enter")]
pub(crate) fn tail_enter(ctx: BtfTracePointContext) -> i32 {
    let task = Task::current();
    if armed(task.cgroup()).is_none() {
        return 0;
    }
    let nr: u64 = ctx.arg(1);
    let tid = task.tid();
    if let Some(started) = STARTED.get_ptr_mut(tid & (STARTED_LEN - 1)) {
        let now = Started {
            tid,
            nr: nr as u32,
            at: emit::now(),
        };
        // SAFETY: the entry is of this thread alone, but for one whose id has the same lowest bits; readers check the id.
        unsafe { started.write(now) };
    }
    0
}

/// Jumps to [`tail_exit`] if it is there; then this does not return.
#[inline(always)]
pub(crate) fn go_on(ctx: &BtfTracePointContext) {
    // SAFETY: nothing of the caller is left to drop.
    unsafe { AFTER_CALL.tail_call(ctx, 0) };
}

#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn tail_exit(ctx: BtfTracePointContext) -> i32 {
    let task = Task::current();
    let Some(slot) = armed(task.cgroup()) else {
        return 0;
    };
    let at = emit::now();
    if emit::silent(at) {
        return 0;
    }
    let Some(head) = TAIL_HEADS.get_ptr_mut(slot) else {
        return 0;
    };
    let number = next(head);
    let Some(entry) = TAIL.get_ptr_mut(slot * TAIL_LEN + (number as u32 & (TAIL_LEN - 1))) else {
        return 0;
    };
    let regs = Ptr(ctx.arg::<*const u8>(0));
    let nr: u32 = regs.direct(offset!(regs_nr));
    let tid = task.tid();
    let args = [
        regs.direct(offset!(regs_arg0)),
        regs.direct(offset!(regs_arg1)),
        regs.direct(offset!(regs_arg2)),
    ];
    let kind = ARGUMENTS.get(nr).map_or(ARG_NONE, |kind| *kind) & !ARG_TOLD;
    // SAFETY: the place is this call's own until 2,048 more calls have ended.
    unsafe {
        (&raw mut (*entry).at).write(at);
        (&raw mut (*entry).took).write(since(tid, nr).map_or(ABSENT_U64, |since| at - since));
        (&raw mut (*entry).ret).write(ctx.arg(1));
        (&raw mut (*entry).args).write(args);
        (&raw mut (*entry).start).write(task.start());
        (&raw mut (*entry).tgid).write(task.tgid());
        (&raw mut (*entry).tid).write(tid);
        (&raw mut (*entry).comm).write(task.comm());
        (&raw mut (*entry).nr).write(nr);
        (&raw mut (*entry).flags).write(flags(task));
        (&raw mut (*entry).kind).write(kind);
        let room: &mut [u8; TAIL_ARG_LEN] = &mut *(&raw mut (*entry).arg);
        (&raw mut (*entry).len).write(argument(room, kind, args));
        (&raw mut (*entry).number).write_volatile(number);
    }
    0
}

/// The slot of a container among the tails. `None`: it is not armed.
#[inline(always)]
fn armed(cgroup: u64) -> Option<u32> {
    let set = ARMED.get(cgroup as u32 & (ARMED_SETS - 1))?;
    let way = set.cgroups.iter().position(|armed| *armed == cgroup)?;
    set.slots.get(way).copied()
}

/// When the call that this thread is in began.
#[inline(always)]
fn since(tid: u32, nr: u32) -> Option<u64> {
    let started = STARTED.get(tid & (STARTED_LEN - 1))?;
    (started.tid == tid && started.nr == nr).then_some(started.at)
}

#[inline(always)]
fn flags(task: Task) -> u32 {
    if is_compat(task) { TAIL_COMPAT } else { 0 }
}

/// Copies what the argument that matters points to; returns its length.
#[inline(always)]
fn argument(room: &mut [u8; TAIL_ARG_LEN], kind: u32, args: [u64; 3]) -> u32 {
    match kind {
        ARG_NONE => 0,
        ARG_ADDRESS_1 => {
            let len = if args[2] < TAIL_ARG_LEN as u64 {
                args[2] as u32
            } else {
                TAIL_ARG_LEN as u32
            };
            let from = args[1] as *const c_void;
            // SAFETY: `room` has no fewer than `len` bytes; the helper checks the user's address.
            let read = unsafe { bpf_probe_read_user(room.as_mut_ptr().cast(), len, from) };
            if read == 0 { len } else { 0 }
        }
        _ => {
            let from = if kind == ARG_PATH_0 { args[0] } else { args[1] };
            // SAFETY: the helper checks the user's address.
            unsafe { bpf_probe_read_user_str_bytes(from as *const u8, room) }
                .map_or(0, |text| text.len() as u32)
        }
    }
}

/// A thread ends: tells where it was, if its process was killed or another thread ended it with a code other than 0.
#[inline(always)]
pub(crate) fn last(task: Task) {
    let signal = task.signal();
    if signal.direct::<u32>(offset!(signal_flags)) & SIGNAL_GROUP_EXIT == 0
        || signal.direct::<u32>(offset!(signal_group_exit_code)) == 0
    {
        return;
    }
    // SAFETY: the helper takes a task known by BTF and returns its saved user registers.
    let regs = Ptr(unsafe { bpf_task_pt_regs(task.0.0.cast_mut().cast()) } as *const u8);
    // -1, as 32 bits, is how both architectures say "in no call".
    let nr = regs.read::<u32>(offset!(regs_nr)).unwrap_or(NO_CALL);
    if nr == setting!(nr_exit_group) || !may_tell(task.tgid()) {
        return;
    }
    let Some(mut reserved) = emit::crit::<LastCallRecord>(Kind::LastCall, task.wire()) else {
        return;
    };
    let record = reserved.record();
    let read = |at: u32| regs.read::<u64>(at).unwrap_or(0);
    let args = [
        read(offset!(regs_arg0)),
        read(offset!(regs_arg1)),
        read(offset!(regs_arg2)),
    ];
    // SAFETY: `record` is the reserved room for a whole `LastCallRecord`.
    unsafe {
        (&raw mut (*record).args).write(args);
        (&raw mut (*record).ret).write(read(offset!(regs_ret)) as i64);
        (&raw mut (*record).since).write(since(task.tid(), nr).unwrap_or(ABSENT_U64));
        (&raw mut (*record).nr).write(nr);
        (&raw mut (*record).flags).write(flags(task));
    }
    reserved.submit();
}

/// Whether one more thread of this process may be told.
#[inline(always)]
fn may_tell(tgid: u32) -> bool {
    if let Some(told) = THREADS.get_ptr_mut(&tgid) {
        // SAFETY: the entry stays valid while this program runs; threads that end at once may both count as one, which
        // lets a few more be told.
        let told = unsafe { &mut *told };
        if *told >= THREADS_TOLD {
            if let Some(tally) = emit::tally() {
                tally.threads_untold += 1;
            }
            return false;
        }
        *told += 1;
    } else {
        // Without a place it is told: the table only bounds.
        let _ = THREADS.insert(&tgid, &1, 0);
    }
    true
}

/// Adds one and returns the sum. (rustc's `bpf` target has no `fetch_add`.)
#[inline(always)]
fn next(counter: *mut u64) -> u64 {
    let mut one = 1_u64;
    // SAFETY: `counter` points to an aligned u64 of a map value, which lives as long as this program runs.
    unsafe {
        asm!("{1} = atomic_fetch_add((u64 *)({0} + 0), {1})", in(reg) counter, inout(reg) one);
    }
    one + 1
}
