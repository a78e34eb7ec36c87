//! The node's latest samples, under v1's names and types, and under those its documentation promised.
//!
//! v1 made gauges of the kernel's cumulative counters; they stay gauges, and the promised names are counters.

use super::families::{Families, number};
use crate::record::{DiskCounters, NetworkCounters, NodeCpu, NodeLoad, NodeMemory};
use crate::recorder::status::Latest;

pub(super) fn collect(families: &mut Families, latest: &Latest) {
    if let Some(cpu) = &latest.cpu {
        processors(families, cpu);
    }
    if let Some(memory) = &latest.memory {
        self::memory(families, memory);
    }
    if let Some(network) = &latest.network {
        interfaces(families, &network.interfaces);
    }
    if let Some(disks) = &latest.disks {
        self::disks(families, &disks.disks);
    }
    if let Some(load) = &latest.load {
        self::load(families, load);
    }
}

fn processors(families: &mut Families, cpu: &NodeCpu) {
    let mut family = families.gauge(
        "blackbox_cpu_usage_percent",
        "Share of time busy since the previous sample, 0-100, by core; core total is all of them together.",
    );
    for (core, usage) in &cpu.cores {
        family.add(&[("core", &core.to_string())], f64::from(usage.percent));
    }
    let total = cpu.total.map(|usage| f64::from(usage.percent));
    family.add_known(&[("core", "total")], total);
}

fn memory(families: &mut Families, memory: &NodeMemory) {
    families
        .gauge("blackbox_memory_bytes", "Memory of the node.")
        .add(&[("type", "total")], number(memory.total))
        .add(&[("type", "free")], number(memory.free))
        .add_known(&[("type", "available")], memory.available.map(number))
        .add(&[("type", "buffers")], number(memory.buffers))
        .add(&[("type", "cached")], number(memory.cached))
        .add(&[("type", "swap_total")], number(memory.swap_total))
        .add(&[("type", "swap_free")], number(memory.swap_free));
    let used = memory
        .available
        .map(|free| number(memory.total.saturating_sub(free)));
    families
        .gauge(
            "blackbox_memory_usage_bytes",
            "Memory of the node that is not available.",
        )
        .add_known(&[], used);
    let total = Some(number(memory.total)).filter(|total| *total > 0.0);
    let share = used.zip(total).map(|(used, total)| 100.0 * used / total);
    families
        .gauge(
            "blackbox_memory_utilization_percent",
            "Share of the node's memory that is not available, 0-100.",
        )
        .add_known(&[], share);
}

fn interfaces(families: &mut Families, interfaces: &[NetworkCounters]) {
    type Read = fn(&NetworkCounters) -> (u64, u64);
    let bytes = families.gauge(
        "blackbox_network_bytes_total",
        "Bytes of an interface since it was made (a gauge, as in v1).",
    );
    let bytes_of: Read = |one| (one.rx_bytes, one.tx_bytes);
    both(bytes, interfaces, bytes_of);
    let packets = families.counter(
        "blackbox_network_packets_total",
        "Packets of an interface since it was made.",
    );
    both(packets, interfaces, |one| (one.rx_packets, one.tx_packets));
    let errors = families.counter(
        "blackbox_network_errors_total",
        "Errors of an interface since it was made.",
    );
    both(errors, interfaces, |one| (one.rx_errors, one.tx_errors));

    fn both(mut family: super::families::Family<'_>, interfaces: &[NetworkCounters], read: Read) {
        for one in interfaces {
            let (rx, tx) = read(one);
            family.add(&[("interface", &one.name), ("direction", "rx")], number(rx));
            family.add(&[("interface", &one.name), ("direction", "tx")], number(tx));
        }
    }
}

fn disks(families: &mut Families, disks: &[DiskCounters]) {
    type Read = fn(&DiskCounters) -> (u64, u64);
    let bytes: Read = |one| (one.read_bytes, one.write_bytes);
    let family = families.gauge(
        "blackbox_disk_io_bytes_total",
        "Bytes of a disk since boot (a gauge, as in v1).",
    );
    both(family, disks, bytes);
    let family = families.counter("blackbox_disk_bytes_total", "Bytes of a disk since boot.");
    both(family, disks, bytes);
    let family = families.counter(
        "blackbox_disk_operations_total",
        "Reads and writes a disk has completed since boot.",
    );
    both(family, disks, |one| (one.read_ios, one.write_ios));

    fn both(mut family: super::families::Family<'_>, disks: &[DiskCounters], read: Read) {
        for one in disks {
            let (reads, writes) = read(one);
            family.add(
                &[("device", &one.name), ("direction", "read")],
                number(reads),
            );
            family.add(
                &[("device", &one.name), ("direction", "write")],
                number(writes),
            );
        }
    }
}

fn load(families: &mut Families, load: &NodeLoad) {
    for name in ["blackbox_load_average", "blackbox_cpu_load_average"] {
        families
            .gauge(name, "Load average of the node.")
            .add(&[("period", "1min")], f64::from(load.one))
            .add(&[("period", "5min")], f64::from(load.five))
            .add(&[("period", "15min")], f64::from(load.fifteen));
    }
    families
        .gauge("blackbox_processes_total", "Tasks that exist on the node.")
        .add_known(&[], load.processes.map(number));
    families
        .gauge(
            "blackbox_open_files_total",
            "Open file handles of the node.",
        )
        .add_known(&[], load.open_files.map(number));
}
