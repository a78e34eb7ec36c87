//! A case with every kind of record and the worst names there are.

use super::*;

/// Ends a line, a column, a tag, a quote, a terminal, and is no text that reads in one direction.
pub(super) const EVIL: &str =
    "x | 1\n\n=== TELEMETRY DATA ===\r\n\"q\",';a=b%3B\t\\|\u{202e}\u{2028}\u{1b}[2J\u{85} =1+1";
/// The same in the 15 bytes of a command name, with two bytes that are no UTF-8.
pub(super) const EVIL_COMM: [u8; 16] = *b"a\n|\"; \xff=\xfe,\r | b\0";
pub(super) const HOSTILE: CgroupId = CgroupId(99);

pub(super) fn evil(pid: u32) -> Process {
    Process {
        comm: Comm::new(EVIL_COMM),
        ..process(pid, "", HOSTILE)
    }
}

pub(super) fn cgroup_path() -> String {
    format!("/hostile/{EVIL}")
}

pub(super) fn pressure() -> Pressure {
    let stall = Some(Stall {
        some_avg10: 1.25,
        some_total: 10,
        full_avg10: Some(0.5),
        full_total: Some(5),
    });
    Pressure {
        cpu: stall,
        memory: stall,
        io: stall,
    }
}

pub(super) fn node_samples() -> Vec<Event> {
    let usage = CpuUsage { percent: 12.345 };
    vec![
        Event::NodeCpu(NodeCpu {
            total: Some(usage),
            cores: vec![(0, usage), (1, usage)],
        }),
        Event::NodeMemory(NodeMemory {
            total: 1_000,
            free: 100,
            available: Some(250),
            buffers: 1,
            cached: 2,
            swap_total: 0,
            swap_free: 0,
        }),
        Event::NodeNetwork(NodeNetwork {
            interfaces: vec![NetworkCounters {
                name: EVIL.to_owned(),
                rx_bytes: 1,
                rx_packets: 2,
                rx_errors: 3,
                tx_bytes: 4,
                tx_packets: 5,
                tx_errors: u64::MAX,
            }],
        }),
        Event::NodeDisks(NodeDisks {
            disks: vec![DiskCounters {
                name: EVIL.to_owned(),
                read_ios: 1,
                read_bytes: 2,
                write_ios: 3,
                write_bytes: 4,
            }],
        }),
        Event::NodeLoad(NodeLoad {
            one: 0.1,
            five: 0.2,
            fifteen: 0.3,
            processes: Some(7),
            open_files: Some(8),
        }),
        Event::NodePressure(pressure()),
        Event::Gap(Gap {
            class: Class::FailedCall,
            cause: LossCause::Throttled,
            count: 3,
        }),
        Event::KernelTally(KernelTally::default()),
    ]
}

pub(super) fn cgroup_events() -> Vec<Event> {
    let sample = CgroupSample {
        cpu: Some(CpuTimes {
            usage: 1,
            percent: Some(250.0),
        }),
        throttling: Some(Throttling {
            periods: 1,
            throttled_periods: 2,
            throttled: 3,
        }),
        memory: Some(MemoryUse {
            current: 1,
            max: Some(2),
            anon: Some(3),
            file: Some(4),
            kernel: Some(5),
            oom_kills: Some(6),
            limit_hits: Some(7),
            ..MemoryUse::default()
        }),
        io: Some(IoCounters {
            read_bytes: 1,
            write_bytes: 2,
            read_ios: 3,
            write_ios: 4,
        }),
        pids: Some(Pids {
            current: 1,
            max: Some(2),
        }),
        pressure: Some(pressure()),
        inner: false,
    };
    vec![
        Event::CgroupCreated {
            path: cgroup_path(),
        },
        Event::Cgroup(Box::new(sample)),
        Event::CallCounts(CallCounts {
            attempted: 9,
            throttled: 2,
            ring_full: 1,
            by_errno: vec![(0, 1), (2, 8)],
        }),
        Event::CgroupRemoved {
            path: cgroup_path(),
        },
    ]
}

/// One of every kind, and the death of a process with a hostile name in a cgroup with one.
pub(super) fn records() -> Vec<Record> {
    let victim = evil(100);
    let mut events: Vec<Record> = node_samples()
        .into_iter()
        .map(|event| noted(Subject::Node, 1, event))
        .collect();
    let of_cgroup = |event| noted(Subject::Cgroup(HOSTILE), 2, event);
    events.extend(cgroup_events().into_iter().map(of_cgroup));
    let exec = Event::Exec(Exec {
        parent: evil(50),
        exe: format!("/bin/{EVIL}"),
    });
    events.push(about(victim, 3, exec));
    events.push(failed_call(victim, 4, 2));
    events.push(sent(
        victim,
        5,
        signal(5, evil(50), SIGTERM, SI_USER),
        false,
    ));
    let limit = vec![level(HOSTILE, 64 * MIB, Some(64 * MIB))];
    events.extend(oom_death(victim, 6, oom(victim, limit)));
    events.push(source(7, SourceName::Kube, Health::Failed(EVIL.to_owned())));
    events
}

pub(super) fn case() -> Case {
    let mut core = core(config());
    let now = take(&mut core, &records());
    core.turn(now.plus(SETTLE), wall(), false).remove(0)
}
