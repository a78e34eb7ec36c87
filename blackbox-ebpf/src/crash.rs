//! Where a thread was when it faulted or aborted: told beside the signal, from the thread's own context.
//!
//! Of a signal that the program handles itself only a few a second and CPU are told, and without the stack's bytes:
//! runtimes use faults as a means (the JVM's null checks).

use aya_ebpf::bindings::{BPF_F_USER_BUILD_ID, BPF_F_USER_STACK};
use aya_ebpf::helpers::generated::{bpf_get_stack, bpf_probe_read_user, bpf_task_pt_regs};
use blackbox_common::{
    ABSENT_U64,
    crash::{CRASH_HANDLED, CrashRecord, FRAMES, FatalCrashRecord, FramePlace, STACK_LEN},
    header::{Kind, Task as WireTask},
};
use core::ffi::c_void;

use crate::{
    emit,
    maps::HANDLED,
    offsets::{Ptr, Task, offset},
};

/// Between two told faults that programs handle, on one CPU.
const HANDLED_EVERY_NS: u64 = 100_000_000;

/// Tells where the running thread is, whose process is `subject`. (A thread may abort its process by a signal to
/// another thread; what is told is where the one that did so is.)
#[inline(always)]
pub(crate) fn tell(ctx: *mut c_void, subject: WireTask, sig: u32, fatal: bool) {
    let thread = Task::current();
    if fatal {
        let Some(mut reserved) = emit::crit::<FatalCrashRecord>(Kind::Crash, subject) else {
            return;
        };
        let record = reserved.record();
        // SAFETY: `record` is the reserved room for a whole `FatalCrashRecord`.
        unsafe {
            let sp = fill(ctx, &raw mut (*record).crash, thread, sig, 0);
            let len = stack(&raw mut (*record).stack, sp);
            (&raw mut (*record).stack_len).write(len);
        }
        reserved.submit();
    } else if may_tell_handled() {
        let Some(mut reserved) = emit::crit::<CrashRecord>(Kind::Crash, subject) else {
            return;
        };
        fill(ctx, reserved.record(), thread, sig, CRASH_HANDLED);
        reserved.submit();
    } else if let Some(tally) = emit::tally() {
        tally.untold += 1;
    }
}

#[inline(always)]
fn may_tell_handled() -> bool {
    let Some(last) = HANDLED.get_ptr_mut(0) else {
        return false;
    };
    let now = emit::now();
    // SAFETY: the entry is this CPU's own.
    unsafe {
        if now - *last < HANDLED_EVERY_NS {
            return false;
        }
        *last = now;
    }
    true
}

/// Fills a record but for its header; returns the stack pointer.
#[inline(always)]
fn fill(ctx: *mut c_void, record: *mut CrashRecord, thread: Task, sig: u32, flags: u32) -> u64 {
    // SAFETY: the helper takes a task known by BTF and returns its saved user registers.
    let regs = Ptr(unsafe { bpf_task_pt_regs(thread.0.0.cast_mut().cast()) } as *const u8);
    let read = |at: u32| regs.read::<u64>(at).unwrap_or(ABSENT_U64);
    let registers = [
        read(offset!(regs_ip)),
        read(offset!(regs_sp)),
        read(offset!(regs_fp)),
        read(offset!(regs_kept0)),
        read(offset!(regs_kept1)),
        read(offset!(regs_kept2)),
        read(offset!(regs_kept3)),
        read(offset!(regs_kept4)),
    ];
    let mm = thread.0.follow(offset!(task_mm));
    // SAFETY: `record` is reserved room; the helpers write no more than the sizes they are given. `ctx` of the
    // raw-tracepoint variant of `bpf_get_stack` is the program's own context.
    unsafe {
        (&raw mut (*record).registers).write(registers);
        (&raw mut (*record).start_code)
            .write(mm.read(offset!(mm_start_code)).unwrap_or(ABSENT_U64));
        (&raw mut (*record).sig).write(sig);
        (&raw mut (*record).flags).write(flags);
    }
    frames(ctx, record);
    registers[1]
}

/// Adds the frames that frame pointers lead to.
#[inline(always)]
fn frames(ctx: *mut c_void, record: *mut CrashRecord) {
    let of = |len: i64, size: usize| if len > 0 { len as u32 / size as u32 } else { 0 };
    // SAFETY: as above.
    unsafe {
        let ips = (&raw mut (*record).ips).cast::<c_void>();
        let len = bpf_get_stack(ctx, ips, (FRAMES * 8) as u32, u64::from(BPF_F_USER_STACK));
        (&raw mut (*record).ip_count).write(of(len, 8));
        let places = (&raw mut (*record).places).cast::<c_void>();
        let flags = u64::from(BPF_F_USER_STACK | BPF_F_USER_BUILD_ID);
        let room = (FRAMES * size_of::<FramePlace>()) as u32;
        let len = bpf_get_stack(ctx, places, room, flags);
        (&raw mut (*record).place_count).write(of(len, size_of::<FramePlace>()));
    }
}

/// Copies the stack from `sp` upwards: as much as is mapped, in halves. Returns the length.
#[inline(always)]
fn stack(out: *mut [u8; STACK_LEN], sp: u64) -> u64 {
    let mut len = STACK_LEN as u32;
    for _ in 0..6 {
        // SAFETY: `out` has STACK_LEN bytes and `len` is never more; the helper checks the user's address.
        if unsafe { bpf_probe_read_user(out.cast(), len, sp as *const c_void) } == 0 {
            return u64::from(len);
        }
        len /= 2;
    }
    0
}
