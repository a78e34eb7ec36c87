//! What the kernel side is told: by the user's configuration, and in the words of its programs.

use std::path::PathBuf;

use blackbox_common::settings::{ERRNO_WORDS, Settings, VIA_MEMORY, VIA_UNIFIED};

use crate::sources::cgroup::{Hierarchies, Mode};

/// What the kernel side is told.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of the CRIT ring; a power of two, at least a page.
    pub crit_ring: u32,
    /// Bytes of the BULK ring; likewise.
    pub bulk_ring: u32,
    /// Failing system calls recorded per second and cgroup.
    pub calls_per_second: u32,
    /// As many may be recorded at once after a quiet time.
    pub calls_burst: u32,
    /// Errors that are neither recorded nor counted.
    pub errno_ignored: Vec<u16>,
    /// Whether last words are kept.
    pub words: bool,
    /// Containers of which every call may be kept at once; 0: of none.
    pub tails: u32,
    /// What the whole recorder may cost: a share of one processor, percent.
    pub budget: u32,
    /// A directory in a bpffs, where what outlives the daemon is pinned; `None`: nothing does.
    pub bpffs: Option<PathBuf>,
}

impl Limits {
    /// The same in the words of the kernel programs, and where they find a process's cgroup.
    pub(super) fn settings(&self, hierarchies: &Hierarchies) -> Settings {
        let mut errno_ignored = [0; ERRNO_WORDS];
        for errno in &self.errno_ignored {
            if let Some(word) = errno_ignored.get_mut(usize::from(*errno) / 64) {
                *word |= 1 << (errno % 64);
            }
        }
        let cost = 1_000_000_000 / u64::from(self.calls_per_second.max(1));
        Settings {
            errno_ignored,
            syscall_cost: cost,
            syscall_burst: cost.saturating_mul(u64::from(self.calls_burst.max(1))),
            cgroup_via: match hierarchies.mode() {
                Mode::Unified => VIA_UNIFIED,
                Mode::Memory => VIA_MEMORY,
            },
            hierarchy: hierarchies.watched_hierarchy_id(),
            nr_write: syscalls::Sysno::write.id() as u32,
            nr_writev: syscalls::Sysno::writev.id() as u32,
            words: u32::from(self.words),
            nr_getsockopt: syscalls::Sysno::getsockopt.id() as u32,
            nr_exit_group: syscalls::Sysno::exit_group.id() as u32,
            pad: 0,
        }
    }
}
