//! The page in full, and what hostile text does to it: nothing.

use serde_json::json;

use crate::record::Health;
use crate::report::format::Format;
use crate::report::format::tests::sample_report;
use crate::report::{IncidentKind, Report};

fn page(report: &Report) -> String {
    String::from_utf8(Format::Default.render(report).unwrap()).unwrap()
}

#[test]
fn a_report_in_full() {
    assert_eq!(
        page(&sample_report()),
        "\
=== INCIDENT REPORT ===
ID: oom-1
TIMESTAMP: 2026-03-04 05:06:07.891
SEVERITY: critical
TYPE: oom
MESSAGE: java was killed
POD: prod/shop
NODE: node-1
CONTAINER: container 3f2a91b0c4d5
VERDICT: proven - java (4711) reached its memory limit of 512 MiB
CAUSE: memory_limit
WHY: [proven] the kernel's OOM killer sent SIGKILL [r12, r14]
WHY: [unknown] what had grown is not recorded
DIAGNOSIS: BBX-OOM-LIMIT (proven) - its memory cgroup reached its limit of 512 MiB
FACT: [proven] the OOM killer chose java (4711) [r14]
TRY: Compare the limit with what it needs: raise the limit, or find what grows (the memory samples show how fast). \
(docs/causes/BBX-OOM-LIMIT.md)
EVIDENCE: r14 | 2026-03-04 05:06:07.891 | the OOM killer chose java (4711)
MEMORY: container 3f2a91b0c4d5 | 512.0 MiB of 512.0 MiB, its limit was hit [r14] | 500.0 ms before the kill \
500.0 MiB: anon 480.0 MiB, file 16.0 MiB, shmem 0 B, kernel 4.0 MiB [r12]
PROCESS: java (4711) | 490.0 MiB, 95 % | victim, at the kill [r14]
PROCESS: sh (4700) | 1.0 MiB, 0 % | 3.0 ms after the kill [r12]
PROCESS: 7 more, 3.0 MiB together as far as they were read
DIVERGENCE: after exec /usr/bin/shop this run had openat /etc/shop.yaml → ENOENT [r12]
DIVERGENCE: note: compared are 2 steps
CALLS: connect 10.0.3.7:5432 → ECONNREFUSED × 41 in 20.000 s, last at 2026-03-04 05:06:07.000
THREAD: r15 | 3 threads, one of them worker (4713): waiting in futex(0x7f10, 0x80, 0x2)
TAIL: the last 41 of 977 calls while every call was kept
TAIL: r11 | 2026-03-04 05:06:07.700 | java (4711) | connect 10.0.3.7:5432 → ECONNREFUSED × 41, longest 1.2 ms
SAID: r13 | 2026-03-04 05:06:07.600 | java (4711) stderr | allocating
REPEATS: 3
HISTORY: 2026-03-04 05:01:00.000 | died of SIGKILL, chosen by the OOM killer | OOMKilled
NEIGHBOUR: prod/hog used 96.0 MiB of memory, requests 32.0 MiB
LOG: 1 last lines of /var/log/pods/prod_shop_u/app/2.log (0 more in json), sha256 ab12 of 55 bytes
LOG: 2026-03-04 05:06:07.500 | stderr | allocating
STACK: #0 Heap::grow(unsigned long)+0x1c (/usr/bin/shop, heap.cc:17)
STACK: #1 0x7f0000001234
STACK: note: the stack ends here: an address is in no file that was found
COMPLETENESS: nothing that could change the verdict was lost
WINDOW: 2026-03-04 05:05:07.891 .. 2026-03-04 05:06:08.000 UTC, decisive records from \
2026-03-04 05:05:07.900, bulk records from none
LOST: failed_call throttled 2
HIDDEN: 3 secrets
NOTE: the clock was set at 05:05:30
SOURCE: ebpf ok
SOURCE: kube disabled (no API server)
COUNTS: failed_call attempted=10 recorded=6 lost=3 in_flight=1 evicted=4

=== TELEMETRY DATA ===
2026-03-04 : 05:06:06.500 | memory_usage_percent | 97.5
2026-03-04 : 05:06:07.891 | oom_kill | java
"
    );
}

#[test]
fn lines_that_have_nothing_to_say_are_left_out() {
    let mut report = sample_report();
    report.incident.pod_name = None;
    report.incident.repeats = 0;
    report.containers.clear();
    let page = page(&report);
    for key in ["POD:", "REPEATS:", "CONTAINER:"] {
        assert!(!page.contains(key), "{key}");
    }
}

#[test]
fn hostile_names_forge_no_line_and_no_column() {
    let evil = "x | 1\n\n=== TELEMETRY DATA ===\r\u{85}\u{2028}\u{202e}\u{1b}[2J\u{7f}\0|";
    let honest = page(&sample_report());
    let mut report = sample_report();
    for text in [
        &mut report.incident.id,
        &mut report.incident.message,
        &mut report.node.name,
        &mut report.verdict.headline,
        &mut report.verdict.statements[0].text,
        &mut report.diagnosis.summary,
        &mut report.diagnosis.facts[0].text,
        &mut report.evidence[0].what,
        &mut report.completeness.summary,
        &mut report.completeness.notes[0],
        &mut report.containers[0].name,
        report.telemetry.to_mut()[0].name.to_mut(),
    ] {
        evil.clone_into(text);
    }
    report.incident.pod_name = Some(evil.to_owned());
    report.incident.namespace = Some(evil.to_owned());
    report.incident.kind = IncidentKind::Reported(evil.to_owned());
    report.history[0].end = evil.to_owned();
    report.neighbours[0].pod = evil.to_owned();
    if let Some(divergence) = &mut report.divergence {
        divergence.summary = evil.to_owned();
        divergence.notes[0] = evil.to_owned();
    }
    if let Some(ledger) = &mut report.oom_ledger {
        ledger.levels[0].name = evil.to_owned();
        ledger.processes[0].comm = evil.to_owned();
    }
    if let Some(log) = &mut report.log {
        log.path = evil.to_owned();
        log.lines[0].text = evil.to_owned();
    }
    if let Some(stack) = &mut report.stack {
        stack.frames[0].function = Some(evil.to_owned());
        stack.frames[0].module = Some(evil.to_owned());
        stack.frames[0].source = Some(evil.to_owned());
        stack.notes[0] = evil.to_owned();
    }
    report.completeness.sources[0].health = Health::Failed(evil.to_owned());
    report.telemetry.to_mut()[0].value = json!(evil);
    report.telemetry.to_mut()[1].value = json!({ evil: evil });

    let page = page(&report);
    assert_eq!(page.lines().count(), honest.lines().count());
    assert_eq!(page.lines().filter(|line| line.is_empty()).count(), 1);
    assert!(
        page.chars()
            .all(|c| c == '\n' || super::harmless::harmless(c) == c)
    );
    let (_, rows) = page.split_once("\n\n=== TELEMETRY DATA ===\n").unwrap();
    for row in rows.lines() {
        assert_eq!(row.split(" | ").count(), 3, "{row}");
    }
    assert_eq!(
        rows.lines().next().unwrap(),
        "2026-03-04 : 05:06:06.500 | x \\| 1??=== TELEMETRY DATA ===?????[2J??\\| | x \\| 1??=== \
         TELEMETRY DATA ===?????[2J??\\|"
            .replace('?', "\u{fffd}")
    );
}
