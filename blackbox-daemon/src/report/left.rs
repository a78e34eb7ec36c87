//! What a process left, as a report has it: the end of its log, its last words, the stack of the thread that crashed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::record::RecordId;

/// The end of a container's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogTail {
    pub path: String,
    /// Bytes of the file that are here …
    pub bytes: u64,
    /// … and that were left out before them.
    pub skipped_bytes: u64,
    /// SHA-256 of the bytes that are here, in hex.
    pub sha256: String,
    /// Secrets that were hidden in the lines; missing, if none.
    #[serde(default, skip_serializing_if = "is_none_hidden")]
    pub hidden: u32,
    pub lines: Vec<LogLine>,
}

fn is_none_hidden(hidden: &u32) -> bool {
    *hidden == 0
}

/// A line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    #[schema(required = true)]
    pub timestamp: Option<Timestamp>,
    /// `stdout` or `stderr`; empty where the line does not say.
    pub stream: String,
    pub text: String,
}

/// Something a process wrote before the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastWords {
    /// The record that holds it.
    pub id: RecordId,
    pub timestamp: Timestamp,
    pub pid: u32,
    pub comm: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// As written, secrets hidden.
    pub text: String,
    /// Bytes at its end that were not kept.
    pub cut_bytes: u64,
}

/// The stack of one thread, innermost frame first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stack {
    /// The record it was made from.
    pub id: RecordId,
    /// Why frames have no name, or why the stack ends where it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub frames: Vec<Frame>,
}

/// One function call of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Frame {
    /// Address in the process, hexadecimal.
    pub address: String,
    /// The function, demangled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Bytes from the function's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_offset: Option<u64>,
    /// `src/main.rs:17`, where debug information says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The file it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// GNU build id of that file, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Offset in that file, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_offset: Option<String>,
    /// How it was found.
    pub found_by: FoundBy,
}

/// How a frame was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// It is where the thread was.
    InstructionPointer,
    /// The kernel followed frame pointers.
    FramePointer,
    /// Call frame information (`.eh_frame`) and the copy of the stack.
    CallFrameInformation,
}
