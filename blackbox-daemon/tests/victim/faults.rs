//! Memory faults, each with the address its mode names.
//!
//! std handles SIGSEGV (to tell a stack overflow, and then it aborts): every mode first takes that handler away, so
//! that the signal that kills is the fault itself.
#![expect(unsafe_code, reason = "this file exists to break memory safety")]

use std::hint::black_box;

/// Writes to `address`, which is mapped in no process.
pub(crate) fn write_to(address: usize) -> std::io::Result<u8> {
    default_action();
    // SAFETY: it is not; the process dies here by SIGSEGV, which is the point. No page is mapped there.
    unsafe { std::ptr::without_provenance_mut::<u8>(address).write_volatile(1) };
    Ok(8)
}

/// Recurses until the stack's guard is hit.
pub(crate) fn overflow_stack() -> std::io::Result<u8> {
    default_action();
    Ok((recurse(0) % 2) as u8)
}

#[expect(unconditional_recursion, reason = "this is how a stack overflows")]
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(frame[0] + 1) + black_box(frame)[63]
}

fn default_action() {
    // SAFETY: SIG_DFL installs no code; nothing else in this program depends on the handler it replaces.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
}
