//! What the tests are made of: a small node with a few cgroups, its processes, and records about them.
//!
//! Times are milliseconds after [`BOOT`]; nothing here reads a clock, except `daemon`, which runs the real tasks.

#![allow(
    dead_code,
    reason = "each test binary has its own copy and needs a part of it"
)]

pub(crate) mod daemon;

use std::collections::BTreeSet;
use std::time::Duration;

use blackbox_daemon::clock::WallOffset;
use blackbox_daemon::incident::{self, trigger::Rules};
use blackbox_daemon::record::{
    BootTime, CgroupId, Comm, Event, Exit, FailedCall, Health, MemoryLevel, Oom, Process,
    ProcessKey, Record, Signal, SignalSent, SourceName, SourceState, Subject, WaitStatus,
};
use blackbox_daemon::recorder::{self, Core};
use blackbox_daemon::report::NodeInfo;
use blackbox_daemon::report::format::Format;
use blackbox_daemon::report::{build::build, case::Case};
use blackbox_daemon::window;
use serde_json::Value;

/// Seconds after boot at which every test begins.
pub(crate) const BOOT: u64 = 1_000;
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// 2026-03-04T05:06:07Z is `BOOT`.
pub(crate) const WALL: i64 = (1_772_600_767 - BOOT.cast_signed()) * 1_000_000_000;

pub(crate) const ROOT: CgroupId = CgroupId(1);
pub(crate) const DEMO: CgroupId = CgroupId(10);
pub(crate) const INNER: CgroupId = CgroupId(11);
pub(crate) const OTHER: CgroupId = CgroupId(20);
pub(crate) const UNIT: CgroupId = CgroupId(30);

pub(crate) const SIGABRT: u32 = 6;
pub(crate) const SIGKILL: u32 = 9;
pub(crate) const SIGSEGV: u32 = 11;
pub(crate) const SIGTERM: u32 = 15;
pub(crate) const SI_USER: i32 = 0;
pub(crate) const SI_KERNEL: i32 = 0x80;
pub(crate) const SI_TKILL: i32 = -6;
pub(crate) const SEGV_MAPERR: i32 = 1;

pub(crate) const MIB: u64 = 1 << 20;

pub(crate) fn at(ms: u64) -> BootTime {
    BootTime((BOOT * 1_000 + ms) * 1_000_000)
}

pub(crate) fn wall() -> WallOffset {
    WallOffset::from_nanos(WALL)
}

pub(crate) fn config() -> recorder::Config {
    recorder::Config {
        window: WINDOW,
        storage: window::Config {
            retention: WINDOW + SETTLE,
            ..window::Config::default()
        },
        incidents: incident::Config {
            settle: SETTLE,
            throttle: INTERVAL,
        },
        rules: Rules::default(),
        node: NodeInfo {
            name: "node-1".to_owned(),
            ..NodeInfo::default()
        },
    }
}

/// A recorder that knows the node's cgroups and has a working kernel source.
pub(crate) fn core(config: recorder::Config) -> Core {
    let mut core = Core::new(config, cgroups());
    core.take(&source(0, SourceName::Ebpf, Health::Ok), at(0), wall());
    core
}

pub(crate) fn cgroups() -> Vec<(CgroupId, String)> {
    [
        (ROOT, "/"),
        (DEMO, "/demo"),
        (INNER, "/demo/inner"),
        (OTHER, "/other"),
        (UNIT, "/system.slice/killer.service"),
    ]
    .map(|(id, path)| (id, path.to_owned()))
    .into()
}

pub(crate) fn process(pid: u32, comm: &str, cgroup: CgroupId) -> Process {
    Process {
        key: ProcessKey {
            tgid: pid,
            start: BootTime(900_000_000_000 + u64::from(pid) * 1_000_000),
        },
        tid: pid,
        comm: Comm::from_text(comm),
        cgroup,
    }
}

pub(crate) fn victim() -> Process {
    process(100, "victim", DEMO)
}

/// The victim's parent, outside its cgroup.
pub(crate) fn shell() -> Process {
    process(50, "shell", ROOT)
}

pub(crate) fn killer() -> Process {
    process(70, "killer", UNIT)
}

pub(crate) fn about(process: Process, ms: u64, event: Event) -> Record {
    noted(Subject::Process(process), ms, event)
}

pub(crate) fn noted(subject: Subject, ms: u64, event: Event) -> Record {
    Record {
        at: at(ms),
        subject,
        event,
    }
}

pub(crate) fn source(ms: u64, source: SourceName, health: Health) -> Record {
    let state = SourceState { source, health };
    noted(Subject::Node, ms, Event::Source(state))
}

/// A death by wait status; nobody seen sending anything.
pub(crate) fn exit(status: u32) -> Exit {
    Exit {
        parent: shell(),
        status: WaitStatus(status),
        killer: None,
        oom_victim: false,
        ns_pid: 100,
        ns_level: 0,
        peak_rss: Some(70 * MIB),
    }
}

/// The exit of a container's main process.
pub(crate) fn main_exit(code: u32) -> Exit {
    Exit {
        ns_pid: 1,
        ns_level: 1,
        ..exit(code << 8)
    }
}

pub(crate) fn signal(ms: u64, sender: Process, number: u32, code: i32) -> Signal {
    Signal {
        at: at(ms),
        sender,
        number,
        code,
        fault_addr: None,
        ip: None,
        sp: None,
        error_code: None,
    }
}

pub(crate) fn sent(target: Process, ms: u64, signal: Signal, fatal: bool) -> Record {
    about(
        target,
        ms,
        Event::Signal(SignalSent {
            signal,
            fatal,
            ignored: false,
        }),
    )
}

/// A fatal signal at `ms` and the death by it a millisecond later.
pub(crate) fn death_by(target: Process, ms: u64, signal: Signal) -> Vec<Record> {
    let exit = Exit {
        killer: Some(signal),
        ..exit(signal.number)
    };
    vec![
        sent(target, ms, signal, true),
        about(target, ms + 1, Event::Exit(exit)),
    ]
}

pub(crate) fn level(cgroup: CgroupId, usage: u64, limit: Option<u64>) -> MemoryLevel {
    MemoryLevel {
        cgroup,
        usage,
        limit,
        oom_group: false,
        oom_events: None,
    }
}

pub(crate) fn oom(allocator: Process, levels: Vec<MemoryLevel>) -> Oom {
    Oom {
        allocator,
        killed: true,
        total_vm: Some(100 * MIB),
        anon_rss: Some(60 * MIB),
        file_rss: Some(2 * MIB),
        shmem_rss: Some(MIB),
        page_tables: Some(4096),
        oom_score_adj: Some(0),
        levels,
    }
}

/// The mark, the SIGKILL and the death of one OOM kill.
pub(crate) fn oom_death(target: Process, ms: u64, oom: Oom) -> Vec<Record> {
    let kill = signal(ms, oom.allocator, SIGKILL, SI_KERNEL);
    let exit = Exit {
        killer: Some(kill),
        oom_victim: true,
        ..exit(SIGKILL)
    };
    vec![
        about(target, ms, Event::Oom(oom)),
        sent(target, ms, kill, true),
        about(target, ms + 5, Event::Exit(exit)),
    ]
}

pub(crate) fn failed_call(process: Process, ms: u64, errno: u16) -> Record {
    let call = FailedCall {
        nr: 257,
        errno,
        args: [ms, 0, 0],
        argument: None,
        compat: false,
    };
    about(process, ms, Event::FailedCall(call))
}

/// Feeds records as they happened: `now` is the newest time so far. Returns it.
pub(crate) fn take(core: &mut Core, records: &[Record]) -> BootTime {
    let mut now = at(0);
    for record in records {
        now = now.max(record.at);
        core.take(record, now, wall());
    }
    now
}

/// What a recorder makes of these records once everything has settled: its closed cases.
pub(crate) fn cases(records: &[Record]) -> Vec<Case> {
    let mut core = core(config());
    let now = take(&mut core, records);
    let mut cases = core.turn(now.plus(SETTLE), wall(), false);
    // An OOM victim whose death was not seen is waited for a little longer.
    cases.extend(core.turn(now.plus(SETTLE * 10), wall(), false));
    cases
}

/// The one report about these records.
pub(crate) fn report(records: &[Record]) -> Value {
    let cases = cases(records);
    assert_eq!(cases.len(), 1, "one incident");
    json(&cases[0])
}

pub(crate) fn json(case: &Case) -> Value {
    serde_json::from_slice(&render(case, Format::Json)).expect("reports are JSON")
}

pub(crate) fn text(case: &Case) -> String {
    String::from_utf8(render(case, Format::Default)).expect("reports are UTF-8")
}

pub(crate) fn render(case: &Case, format: Format) -> Vec<u8> {
    format.render(&build(case)).expect("every report renders")
}

/// A JSON list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// A JSON number that is not negative.
pub(crate) fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no count"))
}

/// The sum of a JSON object's numbers.
pub(crate) fn sum(object: &Value) -> u64 {
    let object = object.as_object().expect("an object");
    object.values().map(number).sum()
}

/// The deaths a set of reports speaks for.
pub(crate) fn deaths_told(cases: &[Case]) -> u64 {
    cases.iter().map(|case| 1 + case.incident.repeats).sum()
}

/// Every id the verdict cites.
pub(crate) fn cited(report: &Value) -> BTreeSet<String> {
    let statements = report["verdict"]["statements"].as_array();
    statements
        .into_iter()
        .flatten()
        .flat_map(|statement| ids(&statement["cites"]))
        .collect()
}

fn ids(list: &Value) -> Vec<String> {
    let id = |id: &Value| id.as_str().expect("an id").to_owned();
    self::list(list).iter().map(id).collect()
}

/// Every id among the entries of a list of the report: `telemetry` or `evidence`.
pub(crate) fn listed(report: &Value, list: &str) -> BTreeSet<String> {
    let id = |entry: &Value| entry["id"].as_str().expect("an id").to_owned();
    self::list(&report[list]).iter().map(id).collect()
}

/// The telemetry entries of one name.
pub(crate) fn entries<'a>(report: &'a Value, name: &str) -> Vec<&'a Value> {
    list(&report["telemetry"])
        .iter()
        .filter(|entry| entry["name"] == name)
        .collect()
}

/// The statement of the verdict that contains `text`.
pub(crate) fn statement<'a>(report: &'a Value, text: &str) -> &'a Value {
    let statements = list(&report["verdict"]["statements"]);
    let says = |statement: &&Value| statement["text"].as_str().is_some_and(|t| t.contains(text));
    statements
        .iter()
        .find(says)
        .unwrap_or_else(|| panic!("no statement says {text:?}: {statements:#?}"))
}
