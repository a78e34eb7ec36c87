//! Programs started (`sched_process_exec`) and processes that died (`sched_process_exit`, its last thread).

use aya_ebpf::{
    helpers::bpf_probe_read_kernel_str_bytes, macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use blackbox_common::{
    ABSENT_U64,
    header::Kind,
    process::{EXE_LEN, EXIT_KILLER_KNOWN, EXIT_OOM_VICTIM, ExecRecord, ExitRecord},
    signal::{SI_KERNEL, SignalFacts},
};

use crate::{
    emit,
    maps::{FATAL, FatalKey, THREADS, TOLD},
    memory,
    offsets::{Ptr, Task, offset},
    tail,
};

/// `SIGNAL_GROUP_EXIT` (include/linux/sched/signal.h).
const SIGNAL_GROUP_EXIT: u32 = 4;
/// BPF_NOEXIST: insert only what is not there.
const NO_EXIST: u64 = 1;

#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn process_exec(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    let bprm: *const u8 = ctx.arg(2);
    let task = Task(Ptr(task));
    let Some(mut reserved) = emit::crit::<ExecRecord>(Kind::Exec, task.wire()) else {
        return 0;
    };
    let record = reserved.record();
    let filename = Ptr(bprm).follow(offset!(bprm_filename));
    // SAFETY: `record` is the reserved room for a whole `ExecRecord`; of `exe` only `exe_len` bytes are read.
    unsafe {
        (&raw mut (*record).parent).write(task.parent().wire());
        let exe: &mut [u8; EXE_LEN] = &mut *(&raw mut (*record).exe);
        let len = bpf_probe_read_kernel_str_bytes(filename.0, exe).map_or(0, <[u8]>::len);
        (&raw mut (*record).exe_len).write(len as u32);
        (&raw mut (*record).pad).write(0);
    }
    reserved.submit();
    0
}

/// For kernels whose tracepoint says whether the whole process died.
#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn process_exit_told(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    let task = Task(Ptr(task));
    let group_dead: u64 = ctx.arg(1);
    tail::last(task);
    if group_dead & 0xff == 0 {
        return 0;
    }
    died(task)
}

/// For the others: the last thread finds `live` at 0. Two threads that end together can both find it so;
/// the first one tells.
#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn process_exit_live(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    let task = Task(Ptr(task));
    tail::last(task);
    if task.signal().direct::<u32>(offset!(signal_live)) != 0 {
        return 0;
    }
    let (tgid, start) = (task.tgid(), task.start());
    // SAFETY: the entry stays valid while this program runs.
    if let Some(told) = unsafe { TOLD.get(&tgid) } {
        if *told == start {
            return 0;
        }
        // The pid was reused; make room for the new one. Already gone is as good as removed.
        let _ = TOLD.remove(&tgid);
    }
    if TOLD.insert(&tgid, &start, NO_EXIST).is_err() {
        return 0;
    }
    died(task)
}

#[inline(always)]
fn died(task: Task) -> i32 {
    let status = status(task);
    if status != 0 {
        // Its threads were counted; a process that gets its pid has threads of its own. Already gone is as good as removed.
        let _ = THREADS.remove(&task.tgid());
    }
    // The leader names the process; the thread that ended last may have another name.
    let subject = task.leader().wire();
    let mut flags = 0;
    if memory::was_victim(subject.tgid, subject.start) {
        flags |= EXIT_OOM_VICTIM;
    }
    let killer = killer(subject.tgid, subject.start, status & 0x7f);
    if killer.is_some() {
        flags |= EXIT_KILLER_KNOWN;
    }
    let (ns_pid, ns_level) = namespace_pid(task.leader());
    let Some(mut reserved) = emit::crit::<ExitRecord>(Kind::Exit, subject) else {
        return 0;
    };
    let record = reserved.record();
    // SAFETY: `record` is the reserved room for a whole `ExitRecord`.
    unsafe {
        (&raw mut (*record).parent).write(task.leader().parent().wire());
        (&raw mut (*record).status).write(status);
        (&raw mut (*record).flags).write(flags);
        (&raw mut (*record).ns_pid).write(ns_pid);
        (&raw mut (*record).ns_level).write(ns_level);
        let peak = task
            .signal()
            .read::<u64>(offset!(signal_maxrss))
            .unwrap_or(ABSENT_U64);
        (&raw mut (*record).peak_rss_pages).write(peak);
        match killer {
            Some(facts) => (&raw mut (*record).killer).write(*facts),
            None => (&raw mut (*record).killer).write(core::mem::zeroed()),
        }
    }
    reserved.submit();
    if killer.is_some_and(|facts| facts.code != SI_KERNEL) {
        // Already gone is as good as removed. One from the kernel stays until it is the least recently used:
        // `mark_victim` may come after the death it is about, and asks for it.
        let _ = FATAL.remove(&FatalKey {
            tgid: subject.tgid,
            sig: status & 0x7f,
        });
    }
    0
}

/// The wait status of a dying process, as `wait_task_zombie` computes it (kernel/exit.c).
#[inline(always)]
fn status(task: Task) -> u32 {
    let signal = task.signal();
    if signal.direct::<u32>(offset!(signal_flags)) & SIGNAL_GROUP_EXIT != 0 {
        signal.direct(offset!(signal_group_exit_code))
    } else {
        task.leader().0.direct(offset!(task_exit_code))
    }
}

/// The first fatal signal of this number that was sent to this very process.
#[inline(always)]
fn killer(tgid: u32, start: u64, sig: u32) -> Option<&'static SignalFacts> {
    if sig == 0 {
        return None;
    }
    // SAFETY: the entry stays valid while this program runs.
    let fatal = unsafe { FATAL.get(&FatalKey { tgid, sig }) }?;
    if fatal.target_start == start {
        Some(&fatal.facts)
    } else {
        None
    }
}

/// Pid in the innermost pid namespace, and that namespace's depth.
#[inline(always)]
fn namespace_pid(task: Task) -> (u32, u32) {
    let pid = Ptr(task.0.direct::<*const u8>(offset!(task_thread_pid)));
    let Some(level) = pid.read::<u32>(offset!(pid_level)) else {
        return (0, 0);
    };
    // MAX_PID_NS_LEVEL is 32 (include/linux/pid_namespace.h).
    let level = level & 63;
    let at = offset!(pid_numbers)
        .wrapping_add(level.wrapping_mul(offset!(upid_size)))
        .wrapping_add(offset!(upid_nr));
    (pid.read(at).unwrap_or(0), level)
}
