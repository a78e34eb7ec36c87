//! Last words: what processes of a container wrote to their standard output and error, kept by overwriting.
//!
//! Not a ring buffer for a reader but a memory: the daemon looks at it when a process of the container ends.

/// Bytes kept of one call, and of calls that are one piece.
pub const PIECE_LEN: usize = 2048;
/// Bytes kept of one container.
pub const WORDS_LEN: usize = 8192;
/// Pieces kept of one container.
pub const PIECES: usize = 256;
/// Calls of one thread to one stream, nothing between them and no longer apart than this, are one piece: runtimes write a
/// line in many calls.
pub const TOGETHER_NS: u64 = 50_000_000;
/// Bytes kept of the beginning of what is said at once on standard error: a trace that is longer than all that is kept
/// names the error in its first line.
pub const HEAD_LEN: usize = 1024;
/// What is said after a silence of this length is a beginning.
pub const SILENCE_NS: u64 = 100_000_000;

/// One call that wrote, or some that followed each other at once.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// When the last one returned, ns of boot time.
    pub at: u64,
    /// Start of the writer's process, ns of boot time.
    pub start: u64,
    /// Where it begins, counted in kept bytes since the container's first word.
    pub position: u64,
    /// Bytes written.
    pub written: u64,
    /// The writer's process id.
    pub tgid: u32,
    /// The writing thread.
    pub tid: u32,
    /// Bytes kept.
    pub kept: u32,
    /// 1 or 2.
    pub fd: u32,
    /// The writer's command name.
    pub comm: [u8; 16],
}
const _: () = assert!(size_of::<Piece>() == 64);

/// The last words of one container. A piece never wraps: it may run on into the room behind `WORDS_LEN`, of which there is
/// twice what it takes, as of the head's: the verifier sees no more than the bounds of a place and of a length.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LastWords {
    /// Pieces so far; the next one's place is this modulo [`PIECES`].
    pub count: u64,
    /// Kept bytes so far; the next piece begins at this modulo [`WORDS_LEN`].
    pub position: u64,
    /// When something was last written to standard error, ns of boot time.
    pub stderr_at: u64,
    /// The beginning of what was said last on standard error. Its bytes are a copy of those at its position.
    pub head: Piece,
    pub head_bytes: [u8; 2 * HEAD_LEN],
    pub pieces: [Piece; PIECES],
    pub bytes: [u8; WORDS_LEN + 2 * PIECE_LEN],
}
const _: () =
    assert!(size_of::<LastWords>() == 88 + 2 * HEAD_LEN + 64 * PIECES + WORDS_LEN + 2 * PIECE_LEN);
