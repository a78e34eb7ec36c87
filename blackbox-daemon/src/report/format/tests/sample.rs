//! One small report that the formatters' tests write out in full.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::diagnosis::{Code, Diagnosis};
use crate::record::{Class, Health, LossCause, RecordId, SourceName};
use crate::report::{
    ClassCount, Completeness, ContainerInfo, Divergence, Entry, EntryKind, EntrySource, Evidence,
    FailedCalls, FoundBy, Frame, GapCount, HistoryRow, IncidentKind, IncidentSummary, LastCalls,
    LastWords, LedgerLevel, LedgerParts, LedgerProcess, LogLine, LogTail, Neighbour, NodeInfo,
    OomLedger, PodInfo, Report, Role, SCHEMA, Severity, SourceLine, Stack, Tail, TailRow,
};
use crate::verdict::{Cause, Grade, Statement, Verdict};

/// An OOM kill in a pod: one of everything a report can hold.
pub(crate) fn sample_report() -> Report {
    Report {
        schema: SCHEMA.into(),
        incident: incident(),
        verdict: verdict(),
        diagnosis: diagnosis(),
        evidence: vec![Evidence {
            id: RecordId(14),
            timestamp: at("2026-03-04T05:06:07.891Z"),
            what: "the OOM killer chose java (4711)".to_owned(),
        }],
        failed_calls: vec![FailedCalls {
            call: "connect".to_owned(),
            errno: "ECONNREFUSED".to_owned(),
            argument: Some("10.0.3.7:5432".to_owned()),
            count: 41,
            first: Some(at("2026-03-04T05:05:47.000Z")),
            last: at("2026-03-04T05:06:07.000Z"),
        }],
        completeness: completeness(),
        node: NodeInfo {
            name: "node-1".to_owned(),
            kernel: "6.18.0".to_owned(),
            arch: "x86_64".to_owned(),
            boot_id: None,
        },
        pod: Some(PodInfo {
            uid: None,
            name: Some("shop".to_owned()),
            namespace: Some("prod".to_owned()),
            owners: Vec::new(),
            qos: None,
        }),
        containers: vec![ContainerInfo {
            role: Role::Subject,
            name: "container 3f2a91b0c4d5".to_owned(),
            container_id: Some("3f2a91b0c4d5".to_owned()),
            container_name: None,
            image: None,
            image_digest: None,
            memory_limit_bytes: Some(512 << 20),
            memory_request_bytes: None,
            cpu_limit_millis: None,
            cpu_request_millis: None,
            restarts: Some(2),
            pod_uid: None,
            unit: None,
            cgroup_path: None,
            cgroup_id: 77,
        }],
        history: vec![HistoryRow {
            timestamp: at("2026-03-04T05:01:00Z"),
            container_id: "2e2a91b0c4d5".to_owned(),
            end: "died of SIGKILL, chosen by the OOM killer".to_owned(),
            reason: Some("OOMKilled".to_owned()),
            exit_code: Some(137),
        }],
        log: Some(LogTail {
            path: "/var/log/pods/prod_shop_u/app/2.log".to_owned(),
            bytes: 55,
            skipped_bytes: 0,
            sha256: "ab12".to_owned(),
            hidden: 0,
            lines: vec![LogLine {
                timestamp: Some(at("2026-03-04T05:06:07.5Z")),
                stream: "stderr".to_owned(),
                text: "allocating".to_owned(),
            }],
        }),
        last_words: vec![LastWords {
            id: RecordId(13),
            timestamp: at("2026-03-04T05:06:07.6Z"),
            pid: 4711,
            comm: "java".to_owned(),
            stream: "stderr".to_owned(),
            text: "allocating\n".to_owned(),
            cut_bytes: 0,
        }],
        last_calls: vec![LastCalls {
            id: RecordId(15),
            pid: 4711,
            thread: "worker".to_owned(),
            tid: 4713,
            threads: 3,
            call: Some("futex".to_owned()),
            what: Some("futex(0x7f10, 0x80, 0x2)".to_owned()),
            returned: None,
            since: None,
        }],
        tail: Some(Tail {
            kept: 41,
            calls: 977,
            rows_left_out: 0,
            rows: vec![TailRow {
                id: RecordId(11),
                timestamp: at("2026-03-04T05:06:07.7Z"),
                pid: 4711,
                tid: 4711,
                thread: "java".to_owned(),
                what: "connect 10.0.3.7:5432".to_owned(),
                returned: "ECONNREFUSED".to_owned(),
                times: 41,
                longest: Some("1.2 ms".to_owned()),
            }],
        }),
        stack: Some(Stack {
            id: RecordId(12),
            notes: vec!["the stack ends here: an address is in no file that was found".to_owned()],
            frames: vec![
                Frame {
                    address: "0x401234".to_owned(),
                    function: Some("Heap::grow(unsigned long)".to_owned()),
                    function_offset: Some(0x1c),
                    source: Some("heap.cc:17".to_owned()),
                    module: Some("/usr/bin/shop".to_owned()),
                    build_id: None,
                    file_offset: Some("0x1234".to_owned()),
                    found_by: FoundBy::InstructionPointer,
                },
                Frame {
                    address: "0x7f0000001234".to_owned(),
                    function: None,
                    function_offset: None,
                    source: None,
                    module: None,
                    build_id: None,
                    file_offset: None,
                    found_by: FoundBy::FramePointer,
                },
            ],
        }),
        divergence: Some(Divergence {
            summary: "after exec /usr/bin/shop this run had openat /etc/shop.yaml → ENOENT"
                .to_owned(),
            kind: "image sha256:ab as container app in namespace prod".to_owned(),
            started: at("2026-03-04T05:05:50Z"),
            healthy_started: at("2026-03-03T05:05:50Z"),
            after: Some("exec /usr/bin/shop".to_owned()),
            here: Some("openat /etc/shop.yaml → ENOENT".to_owned()),
            healthy: None,
            cites: vec![RecordId(12)],
            notes: vec!["compared are 2 steps".to_owned()],
        }),
        oom_ledger: Some(ledger()),
        neighbours: vec![Neighbour {
            namespace: "prod".to_owned(),
            pod: "hog".to_owned(),
            memory_bytes: 96 << 20,
            requested_bytes: 32 << 20,
            cites: vec![RecordId(12)],
        }],
        telemetry: vec![
            entry(12, "2026-03-04T05:06:06.5Z", json!(97.5)),
            Entry {
                kind: EntryKind::Process,
                name: "oom_kill".into(),
                tags: [("pod_name", "shop"), ("pid", "4711")]
                    .map(|(key, value)| (key.into(), value.to_owned()))
                    .into(),
                ..entry(14, "2026-03-04T05:06:07.8919Z", json!("java"))
            },
        ]
        .into(),
        generated_at: at("2026-03-04T05:06:09Z"),
    }
}

fn ledger() -> OomLedger {
    OomLedger {
        killed_at: at("2026-03-04T05:06:07.891Z"),
        levels: vec![LedgerLevel {
            name: "container 3f2a91b0c4d5".to_owned(),
            cgroup_id: 77,
            cgroup_path: None,
            usage_bytes: 512 << 20,
            limit_bytes: Some(512 << 20),
            hit: true,
            oom_group: false,
            id: RecordId(14),
            parts: Some(LedgerParts {
                id: RecordId(12),
                timestamp: at("2026-03-04T05:06:07.391Z"),
                current_bytes: 500 << 20,
                anon_bytes: Some(480 << 20),
                file_bytes: Some(16 << 20),
                shmem_bytes: Some(0),
                mapped_bytes: None,
                dirty_bytes: None,
                kernel_bytes: Some(4 << 20),
                slab_bytes: None,
                sock_bytes: None,
            }),
        }],
        processes: vec![
            LedgerProcess {
                pid: 4711,
                comm: "java".to_owned(),
                rss_bytes: 490 << 20,
                victim: true,
                id: RecordId(14),
                timestamp: at("2026-03-04T05:06:07.891Z"),
            },
            LedgerProcess {
                pid: 4700,
                comm: "sh".to_owned(),
                rss_bytes: 1 << 20,
                victim: false,
                id: RecordId(12),
                timestamp: at("2026-03-04T05:06:07.894Z"),
            },
        ],
        others: Some(7),
        others_rss_bytes: Some(3 << 20),
    }
}

fn diagnosis() -> Diagnosis {
    Diagnosis {
        code: Code::OomLimit,
        grade: Grade::Proven,
        summary: "its memory cgroup reached its limit of 512 MiB".to_owned(),
        facts: vec![Statement {
            grade: Grade::Proven,
            text: "the OOM killer chose java (4711)".to_owned(),
            cites: vec![RecordId(14)],
        }],
        ruled_out: Vec::new(),
        fix: Code::OomLimit.fix().to_owned(),
        page: Code::OomLimit.page(),
    }
}

fn incident() -> IncidentSummary {
    IncidentSummary {
        id: "oom-1".to_owned(),
        timestamp: at("2026-03-04T05:06:07.891Z"),
        opened_at: at("2026-03-04T05:06:07.891Z"),
        severity: Severity::Critical,
        kind: IncidentKind::Oom,
        message: "java was killed".to_owned(),
        pod_name: Some("shop".to_owned()),
        namespace: Some("prod".to_owned()),
        container_id: None,
        context: BTreeMap::new(),
        repeats: 3,
    }
}

fn verdict() -> Verdict {
    Verdict {
        grade: Grade::Proven,
        cause: Cause::MemoryLimit,
        headline: "java (4711) reached its memory limit of 512 MiB".to_owned(),
        statements: vec![
            Statement {
                grade: Grade::Proven,
                text: "the kernel's OOM killer sent SIGKILL".to_owned(),
                cites: vec![RecordId(12), RecordId(14)],
            },
            Statement {
                grade: Grade::Unknown,
                text: "what had grown is not recorded".to_owned(),
                cites: Vec::new(),
            },
        ],
        facts: BTreeMap::new(),
    }
}

fn completeness() -> Completeness {
    Completeness {
        complete: true,
        summary: "nothing that could change the verdict was lost".to_owned(),
        window_requested_start: at("2026-03-04T05:05:07.891Z"),
        window_end: at("2026-03-04T05:06:08Z"),
        decisive_start: Some(at("2026-03-04T05:05:07.9Z")),
        bulk_start: None,
        classes: vec![ClassCount {
            class: Class::FailedCall,
            attempted: 10,
            recorded: 6,
            lost: [(LossCause::Throttled, 2), (LossCause::RingFull, 1)].into(),
            in_flight: 1,
            evicted: 4,
        }],
        gaps: vec![GapCount {
            class: Class::FailedCall,
            cause: LossCause::Throttled,
            count: 2,
        }],
        secrets_hidden: 3,
        durability: Vec::new(),
        sources: vec![
            SourceLine {
                source: SourceName::Ebpf,
                health: Health::Ok,
            },
            SourceLine {
                source: SourceName::Kube,
                health: Health::Disabled("no API server".to_owned()),
            },
        ],
        notes: vec!["the clock was set at 05:05:30".to_owned()],
    }
}

fn entry(id: u64, time: &str, value: Value) -> Entry {
    Entry {
        id: RecordId(id),
        timestamp: at(time),
        source: EntrySource::System,
        kind: EntryKind::Memory,
        name: "memory_usage_percent".into(),
        value,
        tags: BTreeMap::new(),
        metadata: BTreeMap::new(),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
