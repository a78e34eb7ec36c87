//! An OOM victim whose death is told before the kernel's mark of it, as seen on 6.18: one incident, an OOM kill.

use std::time::Duration;

use blackbox_daemon::clock::WallOffset;
use blackbox_daemon::incident;
use blackbox_daemon::incident::trigger::Rules;
use blackbox_daemon::record::{
    BootTime, CgroupId, Comm, Event, Exit, MemoryLevel, Oom, Process, ProcessKey, Record, Signal,
    Subject, WaitStatus,
};
use blackbox_daemon::recorder::{Config, Core};
use blackbox_daemon::report::build::build;
use blackbox_daemon::report::{IncidentKind, NodeInfo, Report};
use blackbox_daemon::verdict::Cause;
use blackbox_daemon::window;

const SECOND: u64 = 1_000_000_000;
const CGROUP: CgroupId = CgroupId(7);

fn process(tgid: u32, comm: &str) -> Process {
    let start = BootTime(SECOND);
    Process {
        key: ProcessKey { tgid, start },
        tid: tgid,
        comm: Comm::from_text(comm),
        cgroup: CGROUP,
    }
}

fn of_victim(at: u64, event: Event) -> Record {
    Record {
        at: BootTime(at),
        subject: Subject::Process(process(10, "large")),
        event,
    }
}

/// SIGKILL from the kernel, in the context of the process that allocates.
fn exit(ns_level: u32) -> Event {
    let killer = Signal {
        at: BootTime(5 * SECOND),
        sender: process(11, "small"),
        number: 9,
        code: 0x80,
        fault_addr: None,
        ip: None,
        sp: None,
        error_code: None,
    };
    Event::Exit(Exit {
        parent: process(1, "init"),
        status: WaitStatus(9),
        killer: Some(killer),
        oom_victim: false,
        ns_pid: 10,
        ns_level,
        peak_rss: None,
    })
}

fn mark(killed: bool) -> Event {
    let level = MemoryLevel {
        cgroup: CGROUP,
        usage: 64 << 20,
        limit: Some(64 << 20),
        oom_group: false,
        oom_events: Some(1),
    };
    Event::Oom(Oom {
        allocator: process(11, "small"),
        killed,
        total_vm: None,
        anon_rss: None,
        file_rss: None,
        shmem_rss: None,
        page_tables: None,
        oom_score_adj: Some(0),
        levels: vec![level],
    })
}

/// The only report after these two records.
fn report(first: Event, second: Event) -> Report {
    let config = Config {
        window: Duration::from_secs(60),
        storage: window::Config::default(),
        incidents: incident::Config {
            settle: Duration::from_secs(2),
            throttle: Duration::from_secs(60),
        },
        rules: Rules::default(),
        node: NodeInfo::default(),
    };
    let mut core = Core::new(config, [(CGROUP, "/box".to_owned())]);
    let now = BootTime(6 * SECOND);
    let wall = WallOffset::from_nanos(0);
    core.take(&of_victim(5 * SECOND + 1, first), now, wall);
    core.take(&of_victim(5 * SECOND + 2, second), now, wall);
    let closed = core.turn(BootTime(9 * SECOND), wall, false);
    assert_eq!(closed.len(), 1);
    build(&closed[0])
}

#[test]
fn a_mark_that_comes_late_is_the_cause() {
    for ns_level in [0, 1] {
        let report = report(exit(ns_level), mark(true));
        assert_eq!(report.verdict.cause, Cause::MemoryLimit);
        assert_eq!(report.incident.kind, IncidentKind::Oom);
        assert!(report.incident.id.starts_with("oom-10-"));
    }
}

#[test]
fn a_mark_without_a_kill_is_not() {
    let report = report(exit(0), mark(false));
    assert_eq!(report.verdict.cause, Cause::KernelSignal);
    assert_eq!(report.incident.kind, IncidentKind::Crash);
}
