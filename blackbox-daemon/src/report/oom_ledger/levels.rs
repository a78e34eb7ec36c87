//! The line of memory cgroups above a victim: the kernel's numbers of the instant, and the last sample of each.

use super::super::case::Case;
use super::{LedgerLevel, LedgerParts};
use crate::record::{BootTime, CgroupId, Event, MemoryLevel, MemoryUse, Record, RecordId};
use crate::verdict::Kill;

/// From the victim's own cgroup to the one that ran out.
pub(super) fn line(case: &Case, kill: &Kill<'_>, bulk: &[(RecordId, Record)]) -> Vec<LedgerLevel> {
    let row = |level: &MemoryLevel| LedgerLevel {
        name: case.names.describe(level.cgroup),
        cgroup_id: level.cgroup.0,
        cgroup_path: case.names.cgroup(level.cgroup).map(|it| it.path.clone()),
        usage_bytes: level.usage,
        limit_bytes: level.limit,
        hit: kill.hit == Some(level.cgroup),
        oom_group: level.oom_group,
        id: kill.id,
        parts: newest(bulk, level.cgroup, kill.at).map(|(id, at, memory)| LedgerParts {
            id,
            timestamp: case.wall.wall(at),
            current_bytes: memory.current,
            anon_bytes: memory.anon,
            file_bytes: memory.file,
            shmem_bytes: memory.shmem,
            mapped_bytes: memory.mapped,
            dirty_bytes: memory.dirty,
            kernel_bytes: memory.kernel,
            slab_bytes: memory.slab,
            sock_bytes: memory.sock,
        }),
    };
    kill.line().map(row).collect()
}

/// The last sample of a cgroup's memory before the kill. A later one no longer has what the victim had.
fn newest(
    bulk: &[(RecordId, Record)],
    cgroup: CgroupId,
    kill: BootTime,
) -> Option<(RecordId, BootTime, MemoryUse)> {
    let samples = bulk.iter().filter_map(|(id, record)| match &record.event {
        Event::Cgroup(sample) if record.subject.cgroup() == Some(cgroup) => {
            Some((*id, record.at, sample.memory?))
        }
        _ => None,
    });
    samples
        .filter(|(_, at, _)| *at < kill)
        .max_by_key(|(id, at, _)| (*at, *id))
}
