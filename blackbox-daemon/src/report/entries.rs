//! Projections: records as v1 telemetry entries, under v1's names.
//!
//! Nothing is stored this way; entries are made for a report. What a kernel did not offer has no entry.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::sentence::sentence;
use super::{Entry, EntryKind, EntrySource};
use crate::clock::WallOffset;
use crate::identity::Names;
use crate::record::{CgroupSample, Event, Record, RecordId, Stall, Telemetry};
use crate::words;

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
                let name = format!("cpu{core}_usage_percent");
                made.add(
                    EntryKind::Cpu,
                    &name,
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
            let sentence = words::printable(&sentence(record, names));
            made.add(kind(event), name(event), Value::from(sentence), &[]);
        }
    }
    made.entries
}

/// The v1 type of a record that is told as a sentence.
fn kind(event: &Event) -> EntryKind {
    match event {
        Event::Oom(_) => EntryKind::Memory,
        Event::Gap(_) | Event::Source(_) | Event::KernelTally(_) | Event::Reported(_) => {
            EntryKind::Custom
        }
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
        Event::CgroupCreated { .. } => "cgroup_created",
        Event::CgroupRemoved { .. } => "cgroup_removed",
        Event::FailedCall(_) => "syscall_failed",
        Event::Gap(_) => "records_lost",
        Event::Source(_) => "source_state",
        Event::Reported(_) => "incident_reported",
        _ => "sample",
    }
}

/// v1's type of a sidecar's key: the first of its lists with a word that occurs in it.
fn sidecar_kind(key: &str) -> EntryKind {
    const KINDS: [(EntryKind, &[&str]); 5] = [
        (EntryKind::Memory, &["memory", "heap", "gc"]),
        (EntryKind::Cpu, &["cpu", "thread", "processor"]),
        (EntryKind::Network, &["network", "socket", "connection"]),
        (EntryKind::Runtime, &["runtime", "jvm", "clr", "vm"]),
        (EntryKind::Application, &["exception", "error", "panic"]),
    ];
    let fits = |words: &[&str]| words.iter().any(|word| key.contains(word));
    let found = KINDS.iter().find(|(_, words)| fits(words));
    found.map_or(EntryKind::Custom, |(kind, _)| *kind)
}

/// How a sidecar's entry is called in answers and reports.
#[must_use]
pub fn entry_id(entry: u64) -> String {
    format!("e{entry:x}")
}

/// The time a sidecar claimed, as text.
pub(super) fn claimed(nanos: i64) -> Value {
    json!(Timestamp::from_nanosecond(nanos.into()).ok())
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
    fn add(&mut self, kind: EntryKind, name: &str, value: Value, tags: &[(&str, &str)]) {
        let mut all: BTreeMap<String, String> = tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut metadata = BTreeMap::new();
        if let Some(id) = self.record.subject.cgroup() {
            all.insert(
                "cgroup".to_owned(),
                words::printable(&self.names.describe(id)),
            );
            metadata.insert("cgroup_id".to_owned(), json!(id.0));
        }
        if let Some(process) = self.record.subject.process() {
            all.insert("pid".to_owned(), process.key.tgid.to_string());
            all.insert("comm".to_owned(), process.comm.to_string());
            metadata.insert("start_boottime_ns".to_owned(), json!(process.key.start.0));
        }
        metadata.insert("boottime_ns".to_owned(), json!(self.record.at.0));
        self.entries.push(Entry {
            id: self.id,
            timestamp: self.wall.wall(self.record.at),
            source: EntrySource::System,
            kind,
            name: name.to_owned(),
            value,
            tags: all,
            metadata,
        });
    }

    /// Each key of the data is one entry, as in v1.
    fn sidecar(&mut self, telemetry: &Telemetry) {
        let data: BTreeMap<String, Value> =
            serde_json::from_str(&telemetry.data).unwrap_or_default();
        let mut tags: BTreeMap<String, String> = telemetry.tags.iter().cloned().collect();
        tags.insert("pod_name".to_owned(), telemetry.pod.name.clone());
        tags.insert("namespace".to_owned(), telemetry.pod.namespace.clone());
        tags.insert("runtime".to_owned(), telemetry.runtime.clone());
        if let Some(id) = &telemetry.container_id {
            tags.insert("container_id".to_owned(), id.clone());
        }
        let submission = &telemetry.submission;
        let mut metadata = BTreeMap::from([
            ("sidecar_runtime", json!(telemetry.runtime)),
            ("entry_id", json!(entry_id(telemetry.entry))),
            ("submitted_by", json!(submission.by)),
            (
                "received_timestamp",
                json!(self.wall.wall(submission.received)),
            ),
            ("boottime_ns", json!(self.record.at.0)),
        ]);
        if let Some(at) = submission.claimed {
            metadata.insert("claimed_timestamp", claimed(at));
        }
        let metadata: BTreeMap<String, Value> = metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        for (name, value) in data {
            self.entries.push(Entry {
                id: self.id,
                timestamp: self.wall.wall(self.record.at),
                source: EntrySource::Sidecar,
                kind: sidecar_kind(&name),
                name,
                value,
                tags: tags.clone(),
                metadata: metadata.clone(),
            });
        }
    }

    fn add_known(&mut self, kind: EntryKind, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.add(kind, name, json!(value), &[]);
        }
    }

    fn add_loss(&mut self, name: &str, count: u64) {
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
                &format!("{prefix}_some_avg10"),
                percent(stall.some_avg10),
                &[],
            );
            if let Some(full) = stall.full_avg10 {
                self.add(kind, &format!("{prefix}_full_avg10"), percent(full), &[]);
            }
        }
    }
}

fn node_memory(made: &mut Made<'_>) {
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

fn devices(made: &mut Made<'_>) {
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
        made.add(kind, &name, json!(value), &[(tag, &device)]);
    }
}

fn cgroup(made: &mut Made<'_>, sample: &CgroupSample) {
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
        for (name, value) in [
            ("container_memory_current_bytes", Some(memory.current)),
            ("container_memory_limit_bytes", memory.max),
            ("container_memory_anon_bytes", memory.anon),
            ("container_memory_file_bytes", memory.file),
            ("container_memory_kernel_bytes", memory.kernel),
            ("container_memory_oom_kills", memory.oom_kills),
            ("container_memory_limit_hits", memory.limit_hits),
        ] {
            made.add_known(EntryKind::Memory, name, value);
        }
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
