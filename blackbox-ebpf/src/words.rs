//! Last words: what processes in pid namespaces (containers) write to their standard output and error, kept by
//! overwriting. Called for every system call that succeeded, so its first test is the call's number.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};
use blackbox_common::words::{
    HEAD_LEN, LastWords, PIECE_LEN, PIECES, Piece, SILENCE_NS, TOGETHER_NS, WORDS_LEN,
};
use core::{arch::asm, ffi::c_void};

use crate::{
    emit,
    maps::{EMPTY_WORDS, WORDS},
    offsets::{Ptr, Task, offset, setting},
};

/// Parts of one `writev` that are looked at: C libraries write a line in two, the dynamic linker in ten and more.
const VECTORS: u64 = 16;

/// The system call `nr` returned `ret`, no error.
#[inline(always)]
pub(crate) fn heard(regs: Ptr, nr: u32, ret: i64) {
    if (nr != setting!(nr_write) && nr != setting!(nr_writev)) || setting!(words) == 0 {
        return;
    }
    let fd: u64 = regs.direct(offset!(regs_arg0));
    if ret <= 0 || (fd != 1 && fd != 2) || emit::silent(emit::now()) {
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
    let written = Written {
        regs,
        one: nr == setting!(nr_write),
        len: ret as u64,
        fd: fd as u32,
    };
    keep(words, task, &written);
}

/// What a call wrote.
struct Written {
    regs: Ptr,
    /// In one part, not in those of a `writev`.
    one: bool,
    len: u64,
    fd: u32,
}

impl Written {
    /// Copies the first `kept` bytes; returns how many were there to copy, or `None` if one could not be read.
    #[inline(always)]
    fn copy(&self, to: *mut u8, kept: u64) -> Option<u64> {
        let from: u64 = self.regs.direct(offset!(regs_arg1));
        if self.one {
            return read(to, kept as u32, from).map(|()| kept);
        }
        let count: u64 = self.regs.direct(offset!(regs_arg2));
        // In memory and added to atomically, so that the verifier forgets its bounds: it would follow each possible sum.
        let mut copied = 0_u64;
        for index in 0..VECTORS {
            let so_far = fetch_add(&raw mut copied, 0);
            if index >= count || so_far >= kept {
                break;
            }
            // `struct iovec`: an address and a length.
            let mut vector = [0_u64; 2];
            read(vector.as_mut_ptr().cast(), 16, from + 16 * index)?;
            let left = kept - so_far;
            let len = if vector[1] < left { vector[1] } else { left };
            // Known already, but not to the verifier.
            let len = if len < PIECE_LEN as u64 {
                len
            } else {
                PIECE_LEN as u64
            };
            // SAFETY: below PIECE_LEN; behind the place there is room for two pieces.
            let to = unsafe { to.add(so_far as usize & (PIECE_LEN - 1)) };
            read(to, len as u32, vector[0])?;
            fetch_add(&raw mut copied, len);
        }
        // No more than a piece; the verifier learns that it is less than two.
        Some(fetch_add(&raw mut copied, 0) & (2 * PIECE_LEN as u64 - 1))
    }
}

/// Copies from the user; the caller has that much room.
#[inline(always)]
fn read(to: *mut u8, len: u32, from: u64) -> Option<()> {
    // SAFETY: the helper checks the user's address, and the verifier the room.
    let failed = unsafe { bpf_probe_read_user(to.cast(), len, from as *const c_void) };
    (failed == 0).then_some(())
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
fn keep(words: *mut LastWords, task: Task, written: &Written) {
    let room = if written.len < PIECE_LEN as u64 {
        written.len
    } else {
        PIECE_LEN as u64
    };
    // SAFETY: `words` is a map value, which lives as long as this program runs; a piece begins below WORDS_LEN and has
    // room for PIECE_LEN bytes twice; places are handed out by atomic additions, so no two writers share one.
    unsafe {
        let position = fetch_add(&raw mut (*words).position, room);
        let at = (position & (WORDS_LEN as u64 - 1)) as usize;
        let to = (&raw mut (*words).bytes).cast::<u8>().add(at);
        let Some(kept) = written.copy(to, room) else {
            return;
        };
        let wire = task.wire();
        let piece = Piece {
            at: emit::now(),
            start: wire.start,
            position,
            written: written.len,
            tgid: wire.tgid,
            tid: wire.tid,
            kept: kept as u32,
            fd: written.fd,
            comm: wire.comm,
        };
        if piece.fd == 2 {
            begin(words, &piece, to);
        }
        let pieces = (&raw mut (*words).pieces).cast::<Piece>();
        let last = ((*words).count.wrapping_sub(1) & (PIECES as u64 - 1)) as usize;
        let last = pieces.add(last);
        if follows(&*last, &piece) {
            (*last).at = piece.at;
            (*last).written += piece.written;
            (*last).kept += piece.kept;
            return;
        }
        let index = fetch_add(&raw mut (*words).count, 1) & (PIECES as u64 - 1);
        pieces.add(index as usize).write(piece);
    }
}

/// Whether a piece goes on with the last one. Only the thread that wrote a piece makes it longer, and only where nobody
/// else was handed the bytes between: so there is no race.
///
/// Differences are joined, not compared one by one: each branch is one more way that the verifier walks.
#[inline(always)]
fn follows(last: &Piece, piece: &Piece) -> bool {
    let kept = u64::from(last.kept);
    let place = last.position & (WORDS_LEN as u64 - 1);
    let differ = u64::from(last.tid ^ piece.tid)
        | u64::from(last.fd ^ piece.fd)
        | (last.start ^ piece.start)
        | (last.written ^ kept)
        | ((last.position + kept) ^ piece.position)
        | ((place + kept) ^ (piece.position & (WORDS_LEN as u64 - 1)));
    differ == 0
        && kept + u64::from(piece.kept) <= PIECE_LEN as u64
        && piece.at.wrapping_sub(last.at) <= TOGETHER_NS
}

/// Keeps the beginning of what is said at once on standard error. Threads that begin in the same instant may mix their
/// bytes here: it is what is told where the bytes themselves are gone.
#[inline(always)]
fn begin(words: *mut LastWords, piece: &Piece, from: *const u8) {
    // SAFETY: as in `keep`; at most HEAD_LEN bytes are written at an offset below HEAD_LEN, into twice that room.
    unsafe {
        let silent = piece.at.wrapping_sub((*words).stderr_at);
        (*words).stderr_at = piece.at;
        let head = &raw mut (*words).head;
        if silent > SILENCE_NS {
            head.write(*piece);
            (*head).kept = 0;
            (*head).written = 0;
        }
        let filled = (*head).kept;
        if (*head).tid != piece.tid || filled >= HEAD_LEN as u32 {
            return;
        }
        let offset = (filled & (HEAD_LEN as u32 - 1)) as usize;
        let room = HEAD_LEN as u32 - offset as u32;
        let len = if piece.kept < room { piece.kept } else { room };
        let len = if len < HEAD_LEN as u32 {
            len
        } else {
            HEAD_LEN as u32
        };
        let to = (&raw mut (*words).head_bytes).cast::<u8>().add(offset);
        if bpf_probe_read_kernel(to.cast(), len, from.cast()) == 0 {
            (*head).kept = filled + len;
            (*head).written += piece.written;
        }
    }
}

/// Adds, and returns what was there before. (The `bpf` target of rustc has no `fetch_add`; BPF has since 5.12.)
#[inline(always)]
fn fetch_add(counter: *mut u64, add: u64) -> u64 {
    let mut value = add;
    // SAFETY: `counter` points to an aligned u64 of a map value or of the stack.
    unsafe {
        asm!("{1} = atomic_fetch_add((u64 *)({0} + 0), {1})", in(reg) counter, inout(reg) value)
    }
    value
}
