//! Signals as they are sent (`signal_generate`): who, to whom, and for faults where.
//!
//! Kept: what can end a process. Skipped: signals whose default is harmless, and signals the target handles itself, except
//! those people send to stop a process (TERM, INT, HUP, QUIT). What the target ignores is skipped too, except what the first
//! process of a container ignores for having no handler: TERM, because it is killed when its grace period is over, and its
//! own ABRT, because `abort()` then ends it by an instruction that faults.

use aya_ebpf::{
    EbpfContext as _, helpers::generated::bpf_task_pt_regs, macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use blackbox_common::{
    ABSENT_U64,
    header::Kind,
    signal::{
        EFFECT_FATAL, EFFECT_HANDLED, EFFECT_IGNORED, SI_KERNEL, SI_USER, SignalFacts, SignalRecord,
    },
};

use crate::{
    crash, emit,
    maps::{FATAL, Fatal, FatalKey},
    memory,
    offsets::{Ptr, Task, offset},
};

const SIGHUP: u32 = 1;
const SIGINT: u32 = 2;
const SIGQUIT: u32 = 3;
const SIGILL: u32 = 4;
const SIGABRT: u32 = 6;
const SIGBUS: u32 = 7;
const SIGFPE: u32 = 8;
const SIGKILL: u32 = 9;
const SIGSEGV: u32 = 11;
const SIGTERM: u32 = 15;
const SIGCHLD: u32 = 17;
const SIGURG: u32 = 23;
const SIGWINCH: u32 = 28;
/// `TRACE_SIGNAL_IGNORED` (include/trace/events/signal.h).
const RESULT_IGNORED: i32 = 1;
/// `SEND_SIG_NOINFO` and `SEND_SIG_PRIV` are not addresses (include/linux/sched/signal.h).
const SEND_SIG_PRIV: u64 = 1;

#[btf_tracepoint(function = "signal_generate")]
pub(crate) fn signal_generate(ctx: BtfTracePointContext) -> i32 {
    let sig: u32 = ctx.arg(0);
    let info: u64 = ctx.arg(1);
    let target: *const u8 = ctx.arg(2);
    let result: i32 = ctx.arg(4);
    let ignored = result == RESULT_IGNORED;
    if harmless(sig) {
        return 0;
    }
    let target = Task(Ptr(target));
    let aborts = sig == SIGABRT && Task::current().tgid() == target.tgid();
    if ignored && sig != SIGTERM && !aborts {
        return 0;
    }
    let fatal = !ignored && (sig == SIGKILL || handler(target, sig) == Some(0));
    if !fatal && !ignored && !sent_to_stop(sig) && !is_fault(sig) {
        return 0;
    }
    let effect = match (fatal, ignored) {
        (true, _) => EFFECT_FATAL,
        (false, true) => EFFECT_IGNORED,
        (false, false) => EFFECT_HANDLED,
    };
    let facts = facts(sig, Ptr(info as *const u8));
    let subject = target.wire();
    if sig == SIGKILL && facts.code == SI_KERNEL {
        memory::condemn(target);
    }
    if fatal {
        remember(&facts, subject.tgid, subject.start);
    }
    if !ignored && is_crash(&facts, subject.tgid) {
        crash::tell(ctx.as_ptr(), subject, sig, fatal);
    }
    if !fatal && !ignored && !sent_to_stop(sig) {
        return 0;
    }
    if let Some(mut reserved) = emit::crit::<SignalRecord>(Kind::Signal, subject) {
        let record = reserved.record();
        // SAFETY: `record` is the reserved room for a whole `SignalRecord`.
        unsafe {
            (&raw mut (*record).facts).write(facts);
            (&raw mut (*record).effect).write(effect);
            (&raw mut (*record).pad).write(0);
        }
        reserved.submit();
    }
    0
}

/// Signals that end nobody by default: CHLD (17), CONT, STOP, TSTP, TTIN, TTOU, URG (23), WINCH, and 0.
#[inline(always)]
fn harmless(sig: u32) -> bool {
    sig == 0 || sig > 64 || (SIGCHLD..=SIGURG).contains(&sig) || sig == SIGWINCH
}

#[inline(always)]
fn sent_to_stop(sig: u32) -> bool {
    sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT
}

/// The target's handler for a signal: 0 is `SIG_DFL`.
#[inline(always)]
fn handler(target: Task, sig: u32) -> Option<u64> {
    let action = offset!(sighand_action)
        .wrapping_add((sig - 1).wrapping_mul(offset!(action_size)))
        .wrapping_add(offset!(action_handler));
    target.0.follow(offset!(task_sighand)).read(action)
}

#[inline(always)]
fn facts(sig: u32, info: Ptr) -> SignalFacts {
    let sender = Task::current();
    let mut facts = SignalFacts {
        at: emit::now(),
        sender: sender.wire(),
        fault_addr: ABSENT_U64,
        ip: ABSENT_U64,
        sp: ABSENT_U64,
        sig,
        code: SI_USER,
        error_code: u32::MAX,
        pad: 0,
    };
    let raw = info.0 as u64;
    if raw == SEND_SIG_PRIV {
        facts.code = SI_KERNEL;
    } else if raw > SEND_SIG_PRIV {
        facts.code = info.read(offset!(info_code)).unwrap_or(SI_USER);
    }
    if facts.code > 0 && is_fault(sig) {
        fault(&mut facts, info, sender);
    }
    facts
}

/// A fault of the running thread, or its own abort.
#[inline(always)]
fn is_crash(facts: &SignalFacts, target: u32) -> bool {
    (facts.code > 0 && is_fault(facts.sig)) || (facts.sig == SIGABRT && facts.sender.tgid == target)
}

#[inline(always)]
fn is_fault(sig: u32) -> bool {
    sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE
}

/// Adds where the running thread faulted. `SI_KERNEL` (a general protection fault) carries no address.
#[inline(always)]
fn fault(facts: &mut SignalFacts, info: Ptr, thread: Task) {
    if facts.code != SI_KERNEL {
        facts.fault_addr = info.read(offset!(info_addr)).unwrap_or(ABSENT_U64);
    }
    // SAFETY: the helper takes a task known by BTF and returns its saved user registers.
    let regs = Ptr(unsafe { bpf_task_pt_regs(thread.0.0.cast_mut().cast()) } as *const u8);
    facts.ip = regs.read(offset!(regs_ip)).unwrap_or(ABSENT_U64);
    facts.sp = regs.read(offset!(regs_sp)).unwrap_or(ABSENT_U64);
    facts.error_code = match thread.0.read::<u64>(offset!(task_error_code)) {
        Some(code) => code as u32,
        None => u32::MAX,
    };
}

/// Keeps the first fatal signal of its number for the exit record. A later one cannot have been the cause;
/// an entry of an earlier process with this pid is replaced.
#[inline(always)]
fn remember(facts: &SignalFacts, tgid: u32, start: u64) {
    let key = FatalKey {
        tgid,
        sig: facts.sig,
    };
    // SAFETY: the entry stays valid while this program runs; a torn read could only come from another fatal
    // signal to the same process at this instant, and `target_start` is written once.
    if let Some(known) = unsafe { FATAL.get(&key) } {
        if known.target_start == start {
            return;
        }
    }
    let fatal = Fatal {
        target_start: start,
        facts: *facts,
    };
    // A failure here is an LRU without room for one more, which a preallocated LRU does not have.
    let _ = FATAL.insert(&key, &fatal, 0);
}
