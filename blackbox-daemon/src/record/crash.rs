//! What a process left at its end: its last words, and the stack of the thread that faulted.

use serde::{Deserialize, Serialize};

use super::BootTime;

/// Something that the subject wrote to its standard output or error: redacted before it was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    pub stream: Stream,
    /// What is kept of it; bytes that are no UTF-8 are `U+FFFD`.
    pub text: String,
    /// Bytes that one call wrote …
    pub bytes: u64,
    /// … of which those at its end are not kept.
    pub cut: u64,
    /// Secrets hidden in `text`.
    pub hidden: u32,
}

/// Where a process writes what people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// The name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The thread of the subject that got a fault (or aborted), at that instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashStack {
    /// When the signal was sent.
    pub at: BootTime,
    /// Its number: 4 ILL, 6 ABRT, 7 BUS, 8 FPE, 11 SEGV …
    pub signal: u32,
    /// The program handles this signal itself (Go and the JVM do), so it need not have been its end.
    pub handled: bool,
    pub registers: Registers,
    /// Where the text of its executable begins (`mm_struct.start_code`).
    pub start_code: Option<u64>,
    /// From the faulting instruction outwards, as far as frame pointers led.
    pub frames: Vec<RawFrame>,
    /// The bytes of the stack from the stack pointer upwards, bounded.
    pub stack: Vec<u8>,
}

/// User registers of a thread that call frame information needs. Which they are depends on the machine; absent is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registers {
    /// Instruction pointer.
    pub ip: Option<u64>,
    /// Stack pointer.
    pub sp: Option<u64>,
    /// Frame pointer (x86-64 `rbp`, arm64 `x29`).
    pub fp: Option<u64>,
    /// x86-64 `rbx`, `r12`–`r15`, which functions must keep; arm64: `x30` (the link register) in the first place.
    pub kept: [Option<u64>; 5],
}

/// One frame, as the kernel names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFrame {
    /// The address in the process: of the faulting instruction, or a return address.
    pub ip: u64,
    /// The GNU build id of the file mapped there, and the offset in that file; `None`: the kernel found none.
    pub file: Option<FilePlace>,
}

/// A place in a file that is known by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlace {
    /// GNU build id; shorter ones are filled up with zeros.
    pub build_id: [u8; 20],
    /// Offset in the file, bytes.
    pub offset: u64,
}
