//! Last words: what processes in pid namespaces (containers) write to their standard output and error, kept by
//! overwriting. Called for every system call that succeeded, so its first test is the call's number.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use blackbox_common::words::{LastWords, PIECE_LEN, PIECES, Piece, WORDS_LEN};
use core::{arch::asm, ffi::c_void};

use crate::{
    emit,
    maps::{EMPTY_WORDS, WORDS},
    offsets::{Ptr, Task, offset, setting},
};

/// Pieces of one `writev` that are looked at: C libraries write a line in two.
const VECTORS: u64 = 2;

/// The system call `nr` returned `ret`, no error.
#[inline(always)]
pub(crate) fn heard(regs: Ptr, nr: u32, ret: i64) {
    if (nr != setting!(nr_write) && nr != setting!(nr_writev)) || setting!(words) == 0 {
        return;
    }
    let fd: u64 = regs.direct(offset!(regs_arg0));
    if ret <= 0 || (fd != 1 && fd != 2) {
        return;
    }
    let task = Task::current();
    let pid = Ptr(task.0.direct::<*const u8>(offset!(task_thread_pid)));
    if pid.read::<u32>(offset!(pid_level)).unwrap_or(0) == 0 {
        return;
    }
    let Some(words) = of(task.cgroup()) else {
        if let Some(tally) = emit::tally() {
            tally.unheard += 1;
        }
        return;
    };
    let from: u64 = regs.direct(offset!(regs_arg1));
    if nr == setting!(nr_write) {
        keep(words, task, fd as u32, from, ret as u64);
        return;
    }
    let mut left = ret as u64;
    for index in 0..VECTORS {
        let mut vector = [0_u64; 2];
        // SAFETY: the helper checks the user's address and writes one `struct iovec`, two words.
        let read = unsafe {
            bpf_probe_read_user(
                vector.as_mut_ptr().cast(),
                16,
                (from + 16 * index) as *const c_void,
            )
        };
        if read != 0 || left == 0 {
            return;
        }
        let len = if vector[1] < left { vector[1] } else { left };
        if len > 0 {
            keep(words, task, fd as u32, vector[0], len);
        }
        left -= len;
        if regs.direct::<u64>(offset!(regs_arg2)) <= index + 1 {
            return;
        }
    }
}

/// The container's memory, made at its first word. `None`: the table is full.
#[inline(always)]
fn of(cgroup: u64) -> Option<*mut LastWords> {
    if let Some(words) = WORDS.get_ptr_mut(&cgroup) {
        return Some(words);
    }
    let empty = EMPTY_WORDS.get(0)?;
    // Losing the race to another CPU is fine: the entry is there then.
    let _ = WORDS.insert(&cgroup, empty, 1);
    WORDS.get_ptr_mut(&cgroup)
}

/// Keeps the beginning of what was written.
#[inline(always)]
fn keep(words: *mut LastWords, task: Task, fd: u32, from: u64, written: u64) {
    let kept = if written < PIECE_LEN as u64 {
        written
    } else {
        PIECE_LEN as u64
    };
    // SAFETY: `words` is a map value, which lives as long as this program runs; a piece begins below WORDS_LEN and has
    // room for PIECE_LEN bytes; places are handed out by atomic additions, so no two writers share one.
    unsafe {
        let position = fetch_add(&raw mut (*words).position, kept);
        let at = (position & (WORDS_LEN as u64 - 1)) as usize;
        let to = (&raw mut (*words).bytes).cast::<u8>().add(at);
        if bpf_probe_read_user(to.cast(), kept as u32, from as *const c_void) != 0 {
            return;
        }
        let index = fetch_add(&raw mut (*words).count, 1) & (PIECES as u64 - 1);
        let wire = task.wire();
        (&raw mut (*words).pieces)
            .cast::<Piece>()
            .add(index as usize)
            .write(Piece {
                at: emit::now(),
                start: wire.start,
                position,
                written,
                tgid: wire.tgid,
                tid: wire.tid,
                kept: kept as u32,
                fd,
                comm: wire.comm,
            });
    }
}

/// Adds, and returns what was there before. (The `bpf` target of rustc has no `fetch_add`; BPF has since 5.12.)
#[inline(always)]
fn fetch_add(counter: *mut u64, add: u64) -> u64 {
    let mut value = add;
    // SAFETY: `counter` points to an aligned u64 of a map value.
    unsafe {
        asm!("{1} = atomic_fetch_add((u64 *)({0} + 0), {1})", in(reg) counter, inout(reg) value)
    }
    value
}
