//! A cgroup's sample as entries.

use super::{Made, percent};
use crate::record::{CgroupSample, MemoryUse};
use crate::report::EntryKind;

pub(super) fn cgroup(made: &mut Made<'_>, sample: &CgroupSample) {
    if let Some(cpu) = sample.cpu {
        made.add_known(EntryKind::Cpu, "container_cpu_usage_ns", Some(cpu.usage));
        if let Some(share) = cpu.percent {
            made.add(
                EntryKind::Cpu,
                "container_cpu_usage_percent",
                percent(share),
                &[],
            );
        }
    }
    if let Some(throttling) = sample.throttling {
        let periods = Some(throttling.throttled_periods);
        made.add_known(EntryKind::Cpu, "container_cpu_throttled_periods", periods);
        made.add_known(
            EntryKind::Cpu,
            "container_cpu_throttled_ns",
            Some(throttling.throttled),
        );
    }
    if let Some(memory) = sample.memory {
        self::memory(made, &memory);
    }
    if let Some(io) = sample.io {
        for (name, value) in [
            ("container_io_read_bytes", io.read_bytes),
            ("container_io_write_bytes", io.write_bytes),
            ("container_io_read_ios", io.read_ios),
            ("container_io_write_ios", io.write_ios),
        ] {
            made.add_known(EntryKind::Disk, name, Some(value));
        }
    }
    if let Some(pids) = sample.pids {
        made.add_known(
            EntryKind::Process,
            "container_pids_current",
            Some(pids.current),
        );
        made.add_known(EntryKind::Process, "container_pids_limit", pids.max);
    }
    if let Some(pressure) = sample.pressure {
        for (what, stall) in [
            ("cpu", pressure.cpu),
            ("memory", pressure.memory),
            ("io", pressure.io),
        ] {
            made.add_stall(what, &format!("container_pressure_{what}"), stall);
        }
    }
}

fn memory(made: &mut Made<'_>, memory: &MemoryUse) {
    for (name, value) in [
        ("container_memory_current_bytes", Some(memory.current)),
        ("container_memory_limit_bytes", memory.max),
        ("container_memory_anon_bytes", memory.anon),
        ("container_memory_file_bytes", memory.file),
        ("container_memory_shmem_bytes", memory.shmem),
        ("container_memory_mapped_bytes", memory.mapped),
        ("container_memory_dirty_bytes", memory.dirty),
        ("container_memory_kernel_bytes", memory.kernel),
        ("container_memory_slab_bytes", memory.slab),
        ("container_memory_sock_bytes", memory.sock),
        ("container_memory_oom_kills", memory.oom_kills),
        ("container_memory_limit_hits", memory.limit_hits),
    ] {
        made.add_known(EntryKind::Memory, name, value);
    }
}
