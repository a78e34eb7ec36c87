//! Strict readers of v1, one per format, and a report with every kind of record and the worst names there are:
//! all three find the same entries.

mod support;

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

/// Ends a line, a column, a tag, a quote, a terminal, and is no text that reads in one direction.
const EVIL: &str =
    "x | 1\n\n=== TELEMETRY DATA ===\r\n\"q\",';a=b%3B\t\\|\u{202e}\u{2028}\u{1b}[2J\u{85} =1+1";
/// The same in the 15 bytes of a command name, with two bytes that are no UTF-8.
const EVIL_COMM: [u8; 16] = *b"a\n|\"; \xff=\xfe,\r | b\0";
const HOSTILE: CgroupId = CgroupId(99);

fn evil(pid: u32) -> Process {
    Process {
        comm: Comm::new(EVIL_COMM),
        ..process(pid, "", HOSTILE)
    }
}

fn cgroup_path() -> String {
    format!("/hostile/{EVIL}")
}

fn pressure() -> Pressure {
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

fn node_samples() -> Vec<Event> {
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

fn cgroup_events() -> Vec<Event> {
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
fn records() -> Vec<Record> {
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

fn case() -> Case {
    let mut core = core(config());
    let now = take(&mut core, &records());
    core.turn(now.plus(SETTLE), wall(), false).remove(0)
}

/// What v1 knows of an entry in every format.
#[derive(Debug, PartialEq)]
struct Row {
    /// `YYYY-MM-DDTHH:MM:SS.mmm`
    time: String,
    name: String,
    value: String,
}

/// Text as the `default` format shows it: nothing that moves a cursor, a line or a direction.
fn shown(text: &str) -> String {
    let shown = |c: char| match c {
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// A point in time as v1 wrote it, by the digits alone: `#` stands for one.
fn assert_like(text: &str, pattern: &str) {
    let like = |(c, p): (char, char)| if p == '#' { c.is_ascii_digit() } else { c == p };
    assert_eq!(text.len(), pattern.len(), "{text}");
    assert!(
        text.chars().zip(pattern.chars()).all(like),
        "{text} is not {pattern}"
    );
}

/// Reads the `default` format as v1's line readers do: header keys, one empty line, entries.
fn read_default(page: &str) -> (BTreeMap<String, String>, Vec<Row>) {
    assert!(page.ends_with('\n') && !page.contains('\r'));
    let mut lines = page.strip_suffix('\n').unwrap_or(page).split('\n');
    assert_eq!(lines.next(), Some("=== INCIDENT REPORT ==="));
    let mut header = BTreeMap::new();
    let mut order = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (key, value) = line.split_once(": ").expect("KEY: value");
        assert!(key.chars().all(|c| c.is_ascii_uppercase()), "{line}");
        order.push(key);
        // A v1 reader takes the first of a key; ours repeat only keys v1 never had.
        header.entry(key.to_owned()).or_insert(value.to_owned());
    }
    assert_eq!(
        order[..5],
        ["ID", "TIMESTAMP", "SEVERITY", "TYPE", "MESSAGE"]
    );
    for key in ["ID", "TIMESTAMP", "SEVERITY", "TYPE", "MESSAGE", "POD"] {
        let times = order.iter().filter(|other| **other == key).count();
        assert_eq!(times, usize::from(key != "POD"), "{key}");
    }
    assert_eq!(lines.next(), Some("=== TELEMETRY DATA ==="));
    let rows = lines.map(|line| {
        let parts: Vec<&str> = line.split(" | ").collect();
        let [time, name, value] = parts[..] else {
            panic!("not three columns: {line}");
        };
        assert_like(time, "####-##-## : ##:##:##.###");
        Row {
            time: time.replace(" : ", "T"),
            name: name.replace("\\|", "|"),
            value: value.replace("\\|", "|"),
        }
    });
    (header, rows.collect())
}

const SOURCES: [&str; 2] = ["system", "sidecar"];
const TYPES: [&str; 8] = [
    "cpu",
    "memory",
    "network",
    "disk",
    "process",
    "runtime",
    "application",
    "custom",
];

/// One entry as v1's JSON readers see it.
#[derive(Debug, serde::Deserialize)]
struct Entry {
    timestamp: Timestamp,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    value: Value,
    tags: BTreeMap<String, String>,
    #[serde(rename = "metadata")]
    _metadata: BTreeMap<String, Value>,
}

impl Entry {
    fn plain(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    fn time(&self) -> String {
        self.timestamp.strftime("%Y-%m-%dT%H:%M:%S.%3f").to_string()
    }
}

#[derive(Debug, serde::Deserialize)]
struct Incident {
    id: String,
    timestamp: Timestamp,
    severity: String,
    #[serde(rename = "type")]
    kind: String,
    message: String,
}

/// A report as v1's JSON readers see it.
#[derive(Debug, serde::Deserialize)]
struct Document {
    incident: Incident,
    telemetry: Vec<Entry>,
    #[serde(rename = "generated_at")]
    _generated_at: Timestamp,
}

fn read_json(bytes: &[u8]) -> Document {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    assert!(
        text.starts_with("{\n  \"") && text.ends_with("\n}\n"),
        "two spaces"
    );
    let document: Document = serde_json::from_str(text).expect("v1's keys");
    for entry in &document.telemetry {
        assert!(SOURCES.contains(&entry.source.as_str()), "{entry:?}");
        assert!(TYPES.contains(&entry.kind.as_str()), "{entry:?}");
    }
    document
}

/// Reads the `csv` format; checks the header to the letter and that tags are quoted.
fn read_csv(bytes: &[u8]) -> Vec<csv::StringRecord> {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let (header, _) = text.split_once('\n').expect("a header");
    assert_eq!(header, "timestamp,source,type,name,value,tags,incident_id");
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(bytes);
    let rows: Vec<_> = reader
        .records()
        .collect::<Result<_, _>>()
        .expect("RFC 4180");
    for row in &rows {
        assert_like(&row[0], "####-##-##T##:##:##.###Z");
        let tags = format!(",\"{}\",{}\n", row[5].replace('"', "\"\""), &row[6]);
        assert!(text.contains(&tags), "tags are always quoted: {tags}");
    }
    rows
}

/// The tags of a row, percent-decoded, in the order they are in.
fn tags(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        text.replace("%3B", ";")
            .replace("%3D", "=")
            .replace("%25", "%")
    };
    text.split(';')
        .filter(|tag| !tag.is_empty())
        .map(|tag| {
            let (key, value) = tag.split_once('=').expect("k=v");
            (decode(key), decode(value))
        })
        .collect()
}

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
