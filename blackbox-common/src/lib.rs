//! The contract between BlackBox's kernel programs and its daemon.
//!
//! Reads nothing and decides nothing: these are the bytes that cross the rings, mirrored by both sides.
//! Every struct is `repr(C)`, padded by hand and its size asserted at compile time, so a layout can only
//! change in both programs at once. The kernel crate has a file of the same name for each family here.
//!
//! Units: times are nanoseconds of `CLOCK_BOOTTIME`; sizes are bytes unless a name says pages; ids are the
//! kernel's. A value the kernel did not give is [`ABSENT_U64`] (or the sentinel its field names), never 0.
#![no_std]

pub mod cgroup;
pub mod crash;
pub mod daemon;
pub mod header;
pub mod memory;
pub mod offsets;
pub mod process;
pub mod settings;
pub mod signal;
pub mod syscall;
pub mod tail;
pub mod tally;
pub mod words;

/// What a 64-bit field holds when the kernel did not say. (`u64::MAX` is no valid address, size or id.)
pub const ABSENT_U64: u64 = u64::MAX;
