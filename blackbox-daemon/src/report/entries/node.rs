//! The node's memory, interfaces and disks as entries.

use serde_json::json;

use super::Made;
use crate::record::Event;
use crate::report::EntryKind;

pub(super) fn node_memory(made: &mut Made<'_>) {
    let Event::NodeMemory(memory) = &made.record.event else {
        return;
    };
    made.add_known(EntryKind::Memory, "memory_total_bytes", Some(memory.total));
    made.add_known(EntryKind::Memory, "memory_free_bytes", Some(memory.free));
    made.add_known(
        EntryKind::Memory,
        "memory_available_bytes",
        memory.available,
    );
    made.add_known(
        EntryKind::Memory,
        "memory_buffers_bytes",
        Some(memory.buffers),
    );
    made.add_known(
        EntryKind::Memory,
        "memory_cached_bytes",
        Some(memory.cached),
    );
    made.add_known(
        EntryKind::Memory,
        "swap_total_bytes",
        Some(memory.swap_total),
    );
    made.add_known(EntryKind::Memory, "swap_free_bytes", Some(memory.swap_free));
    if let Some(available) = memory.available.filter(|_| memory.total > 0) {
        let used = memory.total.saturating_sub(available);
        #[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
        let share = used as f64 / memory.total as f64 * 100.0;
        made.add(
            EntryKind::Memory,
            "memory_usage_percent",
            json!((share * 100.0).round() / 100.0),
            &[],
        );
    }
}

pub(super) fn devices(made: &mut Made<'_>) {
    let rows: Vec<(EntryKind, &'static str, String, u64, String)> = match &made.record.event {
        Event::NodeNetwork(network) => network
            .interfaces
            .iter()
            .flat_map(|i| {
                [
                    ("rx_bytes", i.rx_bytes),
                    ("rx_packets", i.rx_packets),
                    ("rx_errors", i.rx_errors),
                    ("tx_bytes", i.tx_bytes),
                    ("tx_packets", i.tx_packets),
                    ("tx_errors", i.tx_errors),
                ]
                .map(|(what, value)| {
                    let name = format!("network_{what}_{}", i.name);
                    (EntryKind::Network, "interface", name, value, i.name.clone())
                })
            })
            .collect(),
        Event::NodeDisks(disks) => disks
            .disks
            .iter()
            .flat_map(|d| {
                [
                    ("read_ios", d.read_ios),
                    ("read_bytes", d.read_bytes),
                    ("write_ios", d.write_ios),
                    ("write_bytes", d.write_bytes),
                ]
                .map(|(what, value)| {
                    (
                        EntryKind::Disk,
                        "device",
                        format!("disk_{what}_{}", d.name),
                        value,
                        d.name.clone(),
                    )
                })
            })
            .collect(),
        _ => Vec::new(),
    };
    for (kind, tag, name, value, device) in rows {
        made.add(kind, name, json!(value), &[(tag, &device)]);
    }
}
