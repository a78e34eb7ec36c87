//! Last words: what processes of a container wrote to their standard output and error, kept by overwriting.
//!
//! Not a ring buffer for a reader but a memory: the daemon looks at it when a process of the container ends.

/// Bytes kept of one call.
pub const PIECE_LEN: usize = 512;
/// Bytes kept of one container.
pub const WORDS_LEN: usize = 8192;
/// Calls kept of one container.
pub const PIECES: usize = 256;

/// One call that wrote.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// When it returned, ns of boot time.
    pub at: u64,
    /// Start of the writer's process, ns of boot time.
    pub start: u64,
    /// Where it begins, counted in kept bytes since the container's first word.
    pub position: u64,
    /// Bytes the call wrote.
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

/// The last words of one container. A piece never wraps: it may run on into the room behind `WORDS_LEN`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LastWords {
    /// Pieces so far; the next one's place is this modulo [`PIECES`].
    pub count: u64,
    /// Kept bytes so far; the next piece begins at this modulo [`WORDS_LEN`].
    pub position: u64,
    pub pieces: [Piece; PIECES],
    pub bytes: [u8; WORDS_LEN + PIECE_LEN],
}
const _: () = assert!(size_of::<LastWords>() == 16 + 64 * PIECES + WORDS_LEN + PIECE_LEN);
