//! OOM kills: the victim, whose allocation failed, and the memory limits above the victim at that moment.

use crate::header::{Header, Task};

/// [`OomRecord::oom_score_adj`] when the kernel did not say.
pub const ABSENT_SCORE: i32 = i32::MIN;

/// How many memory cgroups, from the victim's own upwards, are recorded.
pub const LEVELS: usize = 8;

/// One memory cgroup on the way from the victim to the root.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MemoryLevel {
    /// Its cgroup id.
    pub cgroup: u64,
    /// Pages charged to it (`mem_cgroup.memory.usage`).
    pub usage_pages: u64,
    /// Its limit in pages (`mem_cgroup.memory.max`); the kernel's "no limit" is `PAGE_COUNTER_MAX`, left as is.
    pub limit_pages: u64,
    /// 1 when `memory.oom.group` is set on it.
    pub oom_group: u64,
    /// Times this very cgroup ran out (`memory.events.local` `oom`), or `ABSENT_U64`. The kernel counts before it
    /// chooses a victim, so 0 excludes this limit.
    pub oom_events: u64,
}
const _: () = assert!(size_of::<MemoryLevel>() == 40);

/// The OOM killer marked a victim (tracepoint `mark_victim`). The header's subject is the victim.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OomRecord {
    pub header: Header,
    /// The task whose allocation could not be met: the one running when the victim was marked.
    pub allocator: Task,
    /// Virtual size in pages, or `ABSENT_U64`; likewise the sizes below.
    pub total_vm_pages: u64,
    /// Resident file pages.
    pub file_rss_pages: u64,
    /// Resident anonymous pages.
    pub anon_rss_pages: u64,
    /// Resident shared-memory pages.
    pub shmem_rss_pages: u64,
    /// Page tables, bytes.
    pub page_tables: u64,
    /// `oom_score_adj` of the victim, -1000–1000, or `ABSENT_SCORE`.
    pub oom_score_adj: i32,
    /// 1 when the kernel sent the victim SIGKILL just before: killed, not merely found dying.
    pub killed: u32,
    /// Used entries of `levels`.
    pub level_count: u32,
    /// Unused, zero.
    pub pad: u32,
    /// From the victim's own memory cgroup upwards; only the first `level_count` mean anything.
    pub levels: [MemoryLevel; LEVELS],
}
const _: () = assert!(size_of::<OomRecord>() == 480);
