//! What the daemon tells the programs while they run, and leaves for the daemon after it.

use crate::tally::Tally;

/// Without a daemon for so long, ns, the programs fall silent: nobody will read what they write. Five minutes.
pub const SILENT_AFTER: u64 = 300_000_000_000;

/// The daemon that reads the rings.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Daemon {
    /// When it was last seen alive, ns of boot time.
    pub alive: u64,
    /// Its pid: its own failing calls are not recorded, or its map walks would fill the window.
    pub tgid: u32,
    /// 1: every program that this kernel takes is attached, and pinned.
    pub complete: u32,
    /// The counts of all CPUs together, of which it has told every loss.
    pub told: Tally,
}
const _: () = assert!(size_of::<Daemon>() == 16 + size_of::<Tally>());
