//! What was read from `/proc` and the cgroup file systems: one sample is one record.
//!
//! Counters are the kernel's cumulative values; percentages are deltas since the previous sample, so the
//! first sample after start has none. Sizes in bytes. `None`: this kernel or cgroup does not offer it.

use serde::{Deserialize, Serialize};

use super::{BootTime, Comm};

/// Share of time busy since the previous sample, 0–100.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuUsage {
    pub percent: f32,
}

/// The node's processors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeCpu {
    /// All together.
    pub total: Option<CpuUsage>,
    /// Each one: (its number, its usage).
    pub cores: Vec<(u32, CpuUsage)>,
}

/// The node's memory, from `/proc/meminfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMemory {
    pub total: u64,
    pub free: u64,
    pub available: Option<u64>,
    pub buffers: u64,
    pub cached: u64,
    pub swap_total: u64,
    pub swap_free: u64,
}

/// The node's interfaces (loopback left out), cumulative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeNetwork {
    pub interfaces: Vec<NetworkCounters>,
}

/// One interface, from `/proc/net/dev`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkCounters {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
}

/// The node's whole disks (no partitions, no ram or loop devices), cumulative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDisks {
    pub disks: Vec<DiskCounters>,
}

/// One disk, from `/proc/diskstats`; bytes are sectors of 512.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskCounters {
    pub name: String,
    pub read_ios: u64,
    pub read_bytes: u64,
    pub write_ios: u64,
    pub write_bytes: u64,
}

/// Load averages, processes and open files.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeLoad {
    pub one: f32,
    pub five: f32,
    pub fifteen: f32,
    /// Tasks that exist (`/proc/loadavg`, the number behind the slash).
    pub processes: Option<u64>,
    /// Open file handles (`/proc/sys/fs/file-nr`).
    pub open_files: Option<u64>,
}

/// Pressure stall information of the node or a cgroup (Documentation/accounting/psi.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    pub cpu: Option<Stall>,
    pub memory: Option<Stall>,
    pub io: Option<Stall>,
}

/// One resource's stalls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// Share of the last 10 s in which some task stalled, 0–100.
    pub some_avg10: f32,
    /// Total time some task stalled, µs.
    pub some_total: u64,
    /// Share of the last 10 s in which all tasks stalled; the node's CPU has none.
    pub full_avg10: Option<f32>,
    /// Total time all tasks stalled, µs.
    pub full_total: Option<u64>,
}

/// One cgroup's resources, from v1 or v2 files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CgroupSample {
    pub cpu: Option<CpuTimes>,
    pub throttling: Option<Throttling>,
    pub memory: Option<MemoryUse>,
    pub io: Option<IoCounters>,
    pub pids: Option<Pids>,
    pub pressure: Option<Pressure>,
    /// It has child cgroups, and what they use is part of this. Sampled for its memory limit: only `memory` is there.
    pub inner: bool,
}

/// CPU time of a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuTimes {
    /// Cumulative, ns.
    pub usage: u64,
    /// Share of one processor since the previous sample; 250 means two and a half processors.
    pub percent: Option<f32>,
}

/// CFS bandwidth throttling of a cgroup, cumulative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttling {
    pub periods: u64,
    pub throttled_periods: u64,
    /// Time throttled, ns.
    pub throttled: u64,
}

/// Memory of a cgroup, what its children use included. The parts are those of `memory.stat`: of v2, or the `total_` rows
/// of v1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    pub current: u64,
    /// `None`: no limit.
    pub max: Option<u64>,
    /// Of processes: not backed by files.
    pub anon: Option<u64>,
    /// Page cache, `shmem` included.
    pub file: Option<u64>,
    /// Shared memory and tmpfs: counted with `file`, but cannot be dropped.
    pub shmem: Option<u64>,
    /// What can be dropped first: files not used lately, without `shmem`.
    pub inactive_file: Option<u64>,
    /// Of `file`, mapped by processes.
    pub mapped: Option<u64>,
    /// Of `file`, not yet written back.
    pub dirty: Option<u64>,
    /// The kernel's for it: stacks, page tables, `slab`.
    pub kernel: Option<u64>,
    /// v2 only.
    pub slab: Option<u64>,
    /// Buffers of sockets; of v1 those of TCP.
    pub sock: Option<u64>,
    /// Kills of the OOM killer in this cgroup itself (`memory.events.local` `oom_kill`, v1 `memory.oom_control`).
    pub oom_kills: Option<u64>,
    /// Times the limit was about to be exceeded (`memory.events.local` `max`, v1 `memory.failcnt`).
    pub limit_hits: Option<u64>,
}

impl MemoryUse {
    /// From this share of its limit on a cgroup is near its end, per cent.
    pub const NEAR: u64 = 80;

    /// Whether what it uses and cannot drop at once is near its limit: the kubelet's working set. A cgroup that only has
    /// files in its page cache always fills its limit, and is not near its end.
    #[must_use]
    pub fn is_near(&self) -> bool {
        let held = self
            .current
            .saturating_sub(self.inactive_file.unwrap_or_default());
        self.max
            .is_some_and(|limit| held / Self::NEAR >= limit / 100)
    }
}

/// The processes in a cgroup and below it, by resident memory. Only of a cgroup that is near its limit, or in which the
/// OOM killer has just killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMemory {
    /// The largest, largest first; 32 at most.
    pub largest: Vec<Resident>,
    /// Those that were read and are not among them …
    pub others: u32,
    /// … and what these have together.
    pub others_rss: u64,
    /// Those that were not read, for there were too many.
    pub unread: u32,
}

/// A process and its resident memory, from `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resident {
    /// Thread group id in the initial pid namespace.
    pub tgid: u32,
    /// When it started, cut to a whole clock tick (10 ms): not its [`ProcessKey`](super::ProcessKey).
    pub start: BootTime,
    pub comm: Comm,
    /// Files and shared memory included, which may be charged elsewhere.
    pub rss: u64,
}

/// Block IO of a cgroup, all devices, cumulative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoCounters {
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub read_ios: u64,
    pub write_ios: u64,
}

/// Tasks in a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pids {
    pub current: u64,
    /// `None`: no limit.
    pub max: Option<u64>,
}
