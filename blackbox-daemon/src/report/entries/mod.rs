//! Projections: records as v1 telemetry entries, under v1's names.
//!
//! Nothing is stored this way; entries are made for a report. What a kernel did not offer has no entry.

mod cgroup;
mod node;
mod sidecar;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::cgroup::cgroup;
use self::node::{devices, node_memory};
use super::sentence::sentence;
use super::{Entry, EntryKind, EntrySource, Word};
use crate::clock::WallOffset;
use crate::identity::Names;
use crate::record::{Event, Record, RecordId, Stall};
use crate::words;
pub(super) use sidecar::claimed;
pub use sidecar::entry_id;

/// Makes the entries of one record.
#[must_use]
pub fn project(id: RecordId, record: &Record, names: &Names, wall: WallOffset) -> Vec<Entry> {
    let mut made = Made {
        id,
        record,
        names,
        wall,
        entries: Vec::new(),
    };
    match &record.event {
        Event::NodeCpu(cpu) => {
            if let Some(total) = cpu.total {
                made.add(
                    EntryKind::Cpu,
                    "cpu_usage_percent",
                    percent(total.percent),
                    &[],
                );
            }
            for (core, usage) in &cpu.cores {
                made.add(
                    EntryKind::Cpu,
                    format!("cpu{core}_usage_percent"),
                    percent(usage.percent),
                    &[("core", &core.to_string())],
                );
            }
        }
        Event::NodeMemory(_) => node_memory(&mut made),
        Event::NodeNetwork(_) | Event::NodeDisks(_) => devices(&mut made),
        Event::NodeLoad(load) => {
            for (name, value) in [
                ("load_1min", load.one),
                ("load_5min", load.five),
                ("load_15min", load.fifteen),
            ] {
                made.add(EntryKind::Process, name, percent(value), &[]);
            }
            made.add_known(EntryKind::Process, "processes_total", load.processes);
            made.add_known(EntryKind::Process, "open_files_total", load.open_files);
        }
        Event::NodePressure(pressure) => {
            for (what, stall) in [
                ("cpu", pressure.cpu),
                ("memory", pressure.memory),
                ("io", pressure.io),
            ] {
                made.add_stall(what, &format!("pressure_{what}"), stall);
            }
        }
        Event::Cgroup(sample) => cgroup(&mut made, sample),
        Event::Telemetry(telemetry) => made.sidecar(telemetry),
        Event::CallCounts(counts) => {
            for (errno, count) in &counts.by_errno {
                let errno = words::errno(*errno);
                made.add(
                    EntryKind::Process,
                    "syscall_errors",
                    json!(count),
                    &[("errno", &errno)],
                );
            }
            made.add_loss("syscall_errors_throttled", counts.throttled);
            made.add_loss("syscall_errors_ring_full", counts.ring_full);
        }
        event => {
            let sentence = sentence(record, names);
            let sentence = words::printable(&sentence);
            let pod = event.kube_pod();
            let tags = pod.map(|pod| [("namespace", &*pod.namespace), ("pod_name", &*pod.name)]);
            let tags: &[_] = tags.as_ref().map_or(&[], |tags| tags);
            made.add(kind(event), name(event), Value::from(sentence), tags);
        }
    }
    made.entries
}

/// Names of the entries of calls.
const FAILED_CALL: &str = "syscall_failed";
const CALL: &str = "syscall";

/// Whether a record is of a system call, which makes one entry.
pub(super) fn is_call(event: &Event) -> bool {
    matches!(event, Event::FailedCall(_) | Event::Call(_))
}

/// Whether an entry was made from such a record.
pub(super) fn is_of_call(entry: &Entry) -> bool {
    entry.source == EntrySource::System && [FAILED_CALL, CALL].contains(&&*entry.name)
}

/// The v1 type of a record that is told as a sentence.
fn kind(event: &Event) -> EntryKind {
    match event {
        Event::Oom(_) | Event::ProcessMemory(_) => EntryKind::Memory,
        Event::Gap(_)
        | Event::Source(_)
        | Event::KernelTally(_)
        | Event::TailRead(_)
        | Event::Arming(_)
        | Event::Began(_)
        | Event::Reported(_)
        | Event::Pod(_)
        | Event::LoggedPod(_)
        | Event::ContainerEnded(_)
        | Event::PodCondition(_)
        | Event::KubeEvent(_) => EntryKind::Custom,
        _ => EntryKind::Process,
    }
}

/// The entry name of a record that is told as a sentence.
fn name(event: &Event) -> &'static str {
    match event {
        Event::Exec(_) => "process_exec",
        Event::Exit(_) => "process_exit",
        Event::Signal(_) => "signal",
        Event::Oom(_) => "oom_kill",
        Event::ProcessMemory(_) => "process_memory",
        Event::CrashStack(_) => "crash_stack",
        Event::Words(_) => "last_words",
        Event::CgroupCreated { .. } => "cgroup_created",
        Event::CgroupRemoved { .. } => "cgroup_removed",
        Event::FailedCall(_) => FAILED_CALL,
        Event::Call(_) => CALL,
        Event::LastCall(_) => "last_call",
        Event::TailRead(_) => "syscalls_read",
        Event::Arming(_) => "arming",
        Event::Began(_) => "recorder_began",
        Event::Gap(_) => "records_lost",
        Event::Source(_) => "source_state",
        Event::Reported(_) => "incident_reported",
        Event::Pod(_) | Event::LoggedPod(_) => "pod",
        Event::ContainerEnded(_) => "container_ended",
        Event::PodCondition(_) => "pod_condition",
        Event::KubeEvent(_) => "kube_event",
        _ => "sample",
    }
}

/// Two decimals: more are noise.
fn percent(value: f32) -> Value {
    json!((f64::from(value) * 100.0).round() / 100.0)
}

struct Made<'a> {
    id: RecordId,
    record: &'a Record,
    names: &'a Names,
    wall: WallOffset,
    entries: Vec<Entry>,
}

impl Made<'_> {
    fn add(
        &mut self,
        kind: EntryKind,
        name: impl Into<Word>,
        value: Value,
        tags: &[(&'static str, &str)],
    ) {
        let mut all: BTreeMap<Word, String> = tags
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).to_owned()))
            .collect();
        let mut metadata = BTreeMap::new();
        if let Some(id) = self.record.subject.cgroup() {
            let place = self.names.describe(id);
            all.insert("cgroup".into(), words::printable(&place).into_owned());
            metadata.insert("cgroup_id".into(), Value::from(id.0));
        }
        if let Some(process) = self.record.subject.process() {
            all.insert("pid".into(), process.key.tgid.to_string());
            all.insert("comm".into(), process.comm.to_string());
            metadata.insert("start_boottime_ns".into(), Value::from(process.key.start.0));
        }
        metadata.insert("boottime_ns".into(), Value::from(self.record.at.0));
        self.entries.push(Entry {
            id: self.id,
            timestamp: self.wall.wall(self.record.at),
            source: EntrySource::System,
            kind,
            name: name.into(),
            value,
            tags: all,
            metadata,
        });
    }

    fn add_known(&mut self, kind: EntryKind, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.add(kind, name, json!(value), &[]);
        }
    }

    fn add_loss(&mut self, name: &'static str, count: u64) {
        if count > 0 {
            self.add(EntryKind::Process, name, json!(count), &[]);
        }
    }

    fn add_stall(&mut self, what: &str, prefix: &str, stall: Option<Stall>) {
        let kind = match what {
            "cpu" => EntryKind::Cpu,
            "memory" => EntryKind::Memory,
            _ => EntryKind::Disk,
        };
        if let Some(stall) = stall {
            self.add(
                kind,
                format!("{prefix}_some_avg10"),
                percent(stall.some_avg10),
                &[],
            );
            if let Some(full) = stall.full_avg10 {
                self.add(kind, format!("{prefix}_full_avg10"), percent(full), &[]);
            }
        }
    }
}
