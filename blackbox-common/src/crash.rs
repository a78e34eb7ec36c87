//! Where a thread was when it faulted or aborted: registers, the frames that frame pointers led to, and its stack.

use crate::header::Header;

/// Most frames kept.
pub const FRAMES: usize = 32;
/// Bytes of the stack that are kept, from the stack pointer upwards.
pub const STACK_LEN: usize = 8192;

/// A frame's place in its file, as the kernel gives it (`struct bpf_stack_build_id`, include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FramePlace {
    /// 1: `build_id` and `offset` are valid; 2: `offset` is an address in the process.
    pub status: i32,
    /// GNU build id, filled up with zeros.
    pub build_id: [u8; 20],
    /// Offset in the file, or the address.
    pub offset: u64,
}
const _: () = assert!(size_of::<FramePlace>() == 32);

/// [`FramePlace::status`]: the file is known.
pub const PLACE_IN_FILE: i32 = 1;

/// [`CrashRecord::flags`]: the program handles this signal itself.
pub const CRASH_HANDLED: u32 = 1;

/// A thread got a signal for a fault, or aborted (tracepoint `signal_generate`). The header's subject is its process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CrashRecord {
    pub header: Header,
    /// Instruction, stack and frame pointer, then the registers that functions must keep; `ABSENT_U64` where unknown.
    pub registers: [u64; 8],
    /// `mm_struct.start_code`, or `ABSENT_U64`.
    pub start_code: u64,
    /// Signal number.
    pub sig: u32,
    /// `CRASH_*` bits.
    pub flags: u32,
    /// Used entries of `ips` …
    pub ip_count: u32,
    /// … and of `places`.
    pub place_count: u32,
    /// Addresses, innermost first.
    pub ips: [u64; FRAMES],
    /// The same frames' places in files.
    pub places: [FramePlace; FRAMES],
}
const _: () = assert!(size_of::<CrashRecord>() == 1432);

/// The same with the stack's bytes: of a signal that ends the process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FatalCrashRecord {
    pub crash: CrashRecord,
    /// Used bytes of `stack`.
    pub stack_len: u64,
    pub stack: [u8; STACK_LEN],
}
const _: () = assert!(size_of::<FatalCrashRecord>() == 1440 + STACK_LEN);
