//! Exact counts the kernel programs keep, one per CPU, so that every loss is known.

use crate::header::Kind;

/// Per-CPU counters. For each kind: `attempted = tried + throttled` (or `untold`, of crashes; `threads_untold`, of last calls), `tried = recorded + ring_full`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records for which room in a ring was asked, by kind.
    pub tried: [u64; Kind::COUNT],
    /// Of these, refused because the ring was full.
    pub ring_full: [u64; Kind::COUNT],
    /// Failing system calls not recorded because their cgroup's bucket was empty.
    pub throttled: u64,
    /// Failing system calls (recorded or not) whose cgroup found no place in the accounts.
    pub unaccounted: u64,
    /// Writes of containers whose last words found no place.
    pub unheard: u64,
    /// Faults that programs handle, not told because one was told just before.
    pub untold: u64,
    /// Threads of ended processes, not told because as many of their process were as are.
    pub threads_untold: u64,
    /// Calls of the node that `sys_exit` saw; no record is missing by it.
    pub calls: u64,
}
const _: () = assert!(size_of::<Tally>() == 192);
