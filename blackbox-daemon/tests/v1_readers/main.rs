//! Strict readers of v1, one per format, and a report with every kind of record and the worst names there are:
//! all three find the same entries.

#[path = "../support/mod.rs"]
mod support;

mod readers;
mod records;

use std::collections::BTreeMap;

use blackbox_daemon::record::{
    CallCounts, CgroupId, CgroupSample, Class, Comm, CpuTimes, CpuUsage, DiskCounters, Event, Exec,
    Gap, Health, IoCounters, KernelTally, LossCause, MemoryUse, NetworkCounters, NodeCpu,
    NodeDisks, NodeLoad, NodeMemory, NodeNetwork, Pids, Pressure, Process, Record, SourceName,
    Stall, Subject, Throttling,
};
use blackbox_daemon::report::format::Format;
use blackbox_daemon::report::{build::build, case::Case};
use jiff::Timestamp;
use serde_json::Value;
use support::{
    MIB, SETTLE, SI_USER, SIGTERM, about, at, config, core, failed_call, level, noted, oom,
    oom_death, process, render, sent, signal, source, take, wall,
};

use readers::*;
use records::*;

#[test]
fn three_readers_find_the_same_entries() {
    let case = case();
    let page = String::from_utf8(render(&case, Format::Default)).unwrap();
    let (_, lines) = read_default(&page);
    let document = read_json(&render(&case, Format::Json));
    let rows = read_csv(&render(&case, Format::Csv));
    assert!(
        document.telemetry.len() > 60,
        "{}",
        document.telemetry.len()
    );
    assert_eq!(lines.len(), document.telemetry.len());
    assert_eq!(rows.len(), document.telemetry.len());
    for ((entry, line), row) in document.telemetry.iter().zip(lines).zip(rows) {
        let (time, value) = (entry.time(), entry.plain());
        let expected = Row {
            time: time.clone(),
            name: shown(&entry.name),
            value: shown(&value),
        };
        assert_eq!(line, expected);
        assert_eq!(row[0], format!("{time}Z"));
        let fields = [&row[1], &row[2], &row[3], &row[4], &row[6]];
        let incident = document.incident.id.as_str();
        assert_eq!(
            fields,
            [&entry.source, &entry.kind, &entry.name, &value, incident]
        );
        let tagged: Vec<(String, String)> = entry.tags.clone().into_iter().collect();
        assert_eq!(tags(&row[5]), tagged, "sorted, and none forged");
    }
}

#[test]
fn the_header_is_v1s_and_says_what_the_document_says() {
    let case = case();
    let page = String::from_utf8(render(&case, Format::Default)).unwrap();
    let (header, _) = read_default(&page);
    let Document { incident, .. } = read_json(&render(&case, Format::Json));
    assert_like(&header["TIMESTAMP"], "####-##-## ##:##:##.###");
    let time = incident.timestamp.strftime("%Y-%m-%d %H:%M:%S.%3f");
    assert_eq!(header["TIMESTAMP"], time.to_string());
    assert_eq!(header["ID"], incident.id);
    assert_eq!(header["SEVERITY"], incident.severity);
    assert_eq!(header["TYPE"], incident.kind);
    assert_eq!(header["MESSAGE"], shown(&incident.message));
    assert_eq!(
        (header["SEVERITY"].as_str(), header["TYPE"].as_str()),
        ("critical", "oom")
    );
}

#[test]
fn every_kind_of_record_has_its_entries() {
    let document = read_json(&render(&case(), Format::Json));
    let named = |name: &str| document.telemetry.iter().filter(|e| e.name == name).count();
    for (name, count) in [
        ("process_exec", 1),
        ("process_exit", 1),
        ("signal", 2),
        ("oom_kill", 1),
        ("cgroup_created", 1),
        ("cgroup_removed", 1),
        ("syscall_failed", 1),
        ("syscall_errors", 2),
        ("syscall_errors_throttled", 1),
        ("syscall_errors_ring_full", 1),
        ("records_lost", 1),
        ("source_state", 2),
        ("cpu_usage_percent", 1),
        ("cpu1_usage_percent", 1),
        ("memory_usage_percent", 1),
        ("load_15min", 1),
        ("open_files_total", 1),
        ("pressure_io_full_avg10", 1),
        ("container_cpu_usage_percent", 1),
        ("container_cpu_throttled_ns", 1),
        ("container_memory_limit_hits", 1),
        ("container_io_write_ios", 1),
        ("container_pids_limit", 1),
        ("container_pressure_memory_some_avg10", 1),
        ("sample", 0),
    ] {
        assert_eq!(named(name), count, "{name}");
    }
    // Names of devices are the kernel's, and come back as they were.
    assert_eq!(named(&format!("network_tx_errors_{EVIL}")), 1);
    assert_eq!(named(&format!("disk_write_bytes_{EVIL}")), 1);
}

#[test]
fn no_format_lets_a_name_move_the_cursor() {
    let case = case();
    let page = String::from_utf8(render(&case, Format::Default)).unwrap();
    assert!(
        page.chars()
            .all(|c| c == '\n' || shown(&c.to_string()) == c.to_string())
    );
    // Two bytes of the command name were no UTF-8, two were control characters.
    let report = build(&case);
    let victim = report.verdict.facts["comm"].as_str().unwrap();
    assert_eq!(victim, "a\u{fffd}|\"; \u{fffd}=\u{fffd},\u{fffd} | b");
    assert_eq!(report.generated_at, wall().wall(at(11).plus(SETTLE)));
}
