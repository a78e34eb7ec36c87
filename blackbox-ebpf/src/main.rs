//! BlackBox's kernel programs: tracepoints in, records out. They filter, join and count; they decide nothing.
//!
//! A file here has the name of the file in `blackbox-common` that defines its records. `offsets` reads kernel
//! structs, `emit` puts records into rings and keeps the tally, `maps` is the complete list of kernel memory.
//! Off the `bpf` target this is an empty program, so that the workspace builds without a BPF toolchain.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod cgroup;
#[cfg(target_arch = "bpf")]
mod crash;
#[cfg(target_arch = "bpf")]
mod emit;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod memory;
#[cfg(target_arch = "bpf")]
mod offsets;
#[cfg(target_arch = "bpf")]
mod process;
#[cfg(target_arch = "bpf")]
mod signal;
#[cfg(target_arch = "bpf")]
mod syscall;
#[cfg(target_arch = "bpf")]
mod tail;
#[cfg(target_arch = "bpf")]
mod words;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Several helpers are for programs with a GPL-compatible licence only.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
