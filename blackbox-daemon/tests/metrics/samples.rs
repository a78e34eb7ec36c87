//! A node's samples whose values are all different, so that none can be taken for another.

use blackbox_daemon::record::{
    CpuUsage, DiskCounters, Event, NetworkCounters, NodeCpu, NodeDisks, NodeLoad, NodeMemory,
    NodeNetwork,
};

/// What a node's samples would say.
pub(crate) fn samples() -> [Event; 5] {
    let usage = |percent| CpuUsage { percent };
    let network = NetworkCounters {
        name: "eth0".to_owned(),
        rx_bytes: 1,
        rx_packets: 2,
        rx_errors: 3,
        tx_bytes: 4,
        tx_packets: 5,
        tx_errors: 6,
    };
    let disk = DiskCounters {
        name: "vda".to_owned(),
        read_ios: 7,
        read_bytes: 8,
        write_ios: 9,
        write_bytes: 10,
    };
    [
        Event::NodeCpu(NodeCpu {
            total: Some(usage(50.0)),
            cores: vec![(0, usage(25.0)), (1, usage(75.0))],
        }),
        Event::NodeMemory(NodeMemory {
            total: 1000,
            free: 100,
            available: Some(400),
            buffers: 50,
            cached: 200,
            swap_total: 300,
            swap_free: 299,
        }),
        Event::NodeNetwork(NodeNetwork {
            interfaces: vec![network],
        }),
        Event::NodeDisks(NodeDisks { disks: vec![disk] }),
        Event::NodeLoad(NodeLoad {
            one: 0.5,
            five: 1.5,
            fifteen: 2.5,
            processes: Some(321),
            open_files: Some(4321),
        }),
    ]
}
