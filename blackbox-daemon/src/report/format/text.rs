//! The `default` formatter: a page for a person woken at night, that v1's line readers still read.
//!
//! Reads the whole report; makes v1's header, then our `KEY: value` lines, one empty line, and v1's telemetry
//! lines. What a reader needs first comes first: what and where, the verdict, why, the evidence, what may be
//! missing, and the counts last. Times are UTC.
//!
//! Processes choose their names, so no text may forge a line or a column: control characters, line separators
//! and direction overrides become `\u{fffd}`, and in a line with columns every `|` is written `\|`, so ` | `
//! is always a separator. The json format has the text as it was.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use jiff::Timestamp;

use crate::record::{Health, RecordId};
use crate::report::format::plain;
use crate::report::{ClassCount, Completeness, Entry, LogTail, Report, Role, Stack, Verdict};
use crate::words;

const TIME: &str = "%Y-%m-%d %H:%M:%S.%3f";
/// Kinds of failing calls that a page has room for; the json has them all.
const CALLS: usize = 8;
/// Last words that a page has room for.
const SAID: usize = 40;
/// Lines of a container's log that a page has room for.
const LOG_LINES: usize = 20;
/// Frames of a stack that a page has room for.
const FRAMES: usize = 32;
const ENTRY_TIME: &str = "%Y-%m-%d : %H:%M:%S.%3f";

/// Writes the page.
pub(super) fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    incident(out, report)?;
    verdict(out, &report.verdict)?;
    for row in &report.evidence {
        let (time, what) = (row.timestamp.strftime(TIME), Cell(&row.what));
        writeln!(out, "EVIDENCE: {} | {time} | {what}", row.id)?;
    }
    for calls in report.failed_calls.iter().take(CALLS) {
        let last = calls.last.strftime(TIME);
        writeln!(
            out,
            "CALLS: {}{} → {} × {}, last at {last}",
            calls.call,
            Cell(
                &calls
                    .argument
                    .as_deref()
                    .map_or(String::new(), |what| format!(" {what}"))
            ),
            calls.errno,
            calls.count
        )?;
    }
    for said in report.last_words.iter().rev().take(SAID).rev() {
        let time = said.timestamp.strftime(TIME);
        for line in said.text.lines().filter(|line| !line.trim().is_empty()) {
            let (who, line) = (Cell(&said.comm), Cell(line));
            writeln!(
                out,
                "SAID: {} | {time} | {who} ({}) {} | {line}",
                said.id, said.pid, said.stream
            )?;
        }
    }
    if report.incident.repeats > 0 {
        writeln!(out, "REPEATS: {}", report.incident.repeats)?;
    }
    for row in &report.history {
        let time = row.timestamp.strftime(TIME);
        let reason = row.reason.as_deref().unwrap_or("-");
        writeln!(
            out,
            "HISTORY: {time} | {} | {}",
            Cell(&row.end),
            Cell(reason)
        )?;
    }
    for pod in &report.neighbours {
        let (used, asked) = (
            words::bytes(pod.memory_bytes),
            words::bytes(pod.requested_bytes),
        );
        let (namespace, name) = (Line(&pod.namespace), Line(&pod.pod));
        writeln!(
            out,
            "NEIGHBOUR: {namespace}/{name} used {used} of memory, requests {asked}"
        )?;
    }
    if let Some(log) = &report.log {
        self::log(out, log)?;
    }
    if let Some(stack) = &report.stack {
        self::stack(out, stack)?;
    }
    completeness(out, &report.completeness)?;
    out.write_all(b"\n=== TELEMETRY DATA ===\n")?;
    for entry in &report.telemetry {
        telemetry(out, entry)?;
    }
    Ok(())
}

/// The last lines a container wrote.
fn log(out: &mut impl Write, log: &LogTail) -> io::Result<()> {
    let left_out = log.lines.len().saturating_sub(LOG_LINES);
    writeln!(
        out,
        "LOG: {} last lines of {} ({left_out} more in json), sha256 {} of {} bytes",
        log.lines.len() - left_out,
        Line(&log.path),
        log.sha256,
        log.bytes
    )?;
    for line in log.lines.iter().skip(left_out) {
        let time = Start(line.timestamp);
        writeln!(
            out,
            "LOG: {time} | {} | {}",
            Cell(&line.stream),
            Cell(&line.text)
        )?;
    }
    Ok(())
}

/// The calls that a thread was in, innermost first.
fn stack(out: &mut impl Write, stack: &Stack) -> io::Result<()> {
    for (number, frame) in stack.frames.iter().take(FRAMES).enumerate() {
        write!(out, "STACK: #{number} ")?;
        match &frame.function {
            Some(function) => write!(out, "{}", Line(function))?,
            None => write!(out, "{}", frame.address)?,
        }
        if let Some(offset) = frame.function_offset {
            write!(out, "+{offset:#x}")?;
        }
        let place: Vec<&str> = [&frame.module, &frame.source]
            .into_iter()
            .filter_map(Option::as_deref)
            .collect();
        match place.is_empty() {
            true => writeln!(out)?,
            false => writeln!(out, " ({})", Line(&place.join(", ")))?,
        }
    }
    let left_out = stack.frames.len().saturating_sub(FRAMES);
    if left_out > 0 {
        writeln!(out, "STACK: {left_out} more in json")?;
    }
    for note in &stack.notes {
        writeln!(out, "STACK: note: {}", Line(note))?;
    }
    Ok(())
}

/// v1's header, and where it happened.
fn incident(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let incident = &report.incident;
    writeln!(out, "=== INCIDENT REPORT ===")?;
    writeln!(out, "ID: {}", Line(&incident.id))?;
    writeln!(out, "TIMESTAMP: {}", incident.timestamp.strftime(TIME))?;
    writeln!(out, "SEVERITY: {}", incident.severity.name())?;
    writeln!(out, "TYPE: {}", incident.kind.name())?;
    writeln!(out, "MESSAGE: {}", Line(&incident.message))?;
    if let Some(pod) = incident.pod_name.as_deref().filter(|pod| !pod.is_empty()) {
        let namespace = incident.namespace.as_deref().unwrap_or_default();
        writeln!(out, "POD: {}/{}", Line(namespace), Line(pod))?;
    }
    writeln!(out, "NODE: {}", Line(&report.node.name))?;
    let subject = report
        .containers
        .iter()
        .find(|part| part.role == Role::Subject);
    if let Some(subject) = subject {
        writeln!(out, "CONTAINER: {}", Line(&subject.name))?;
    }
    Ok(())
}

fn verdict(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    let grade = verdict.grade.name();
    writeln!(out, "VERDICT: {grade} - {}", Line(&verdict.headline))?;
    writeln!(out, "CAUSE: {}", verdict.cause.name())?;
    for statement in &verdict.statements {
        let (grade, text) = (statement.grade.name(), Line(&statement.text));
        writeln!(out, "WHY: [{grade}] {text}{}", Cites(&statement.cites))?;
    }
    Ok(())
}

fn completeness(out: &mut impl Write, completeness: &Completeness) -> io::Result<()> {
    writeln!(out, "COMPLETENESS: {}", Line(&completeness.summary))?;
    writeln!(
        out,
        "WINDOW: {} .. {} UTC, decisive records from {}, bulk records from {}",
        completeness.window_requested_start.strftime(TIME),
        completeness.window_end.strftime(TIME),
        Start(completeness.decisive_start),
        Start(completeness.bulk_start),
    )?;
    for gap in &completeness.gaps {
        let (class, cause) = (gap.class.name(), gap.cause.name());
        writeln!(out, "LOST: {class} {cause} {}", gap.count)?;
    }
    for note in &completeness.notes {
        writeln!(out, "NOTE: {}", Line(note))?;
    }
    for line in &completeness.sources {
        let (source, health) = (line.source.name(), State(&line.health));
        writeln!(out, "SOURCE: {source} {health}")?;
    }
    for class in &completeness.classes {
        counts(out, class)?;
    }
    Ok(())
}

fn counts(out: &mut impl Write, count: &ClassCount) -> io::Result<()> {
    writeln!(
        out,
        "COUNTS: {} attempted={} recorded={} lost={} in_flight={} evicted={}",
        count.class.name(),
        count.attempted,
        count.recorded,
        count.lost.values().sum::<u64>(),
        count.in_flight,
        count.evicted,
    )
}

fn telemetry(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let time = entry.timestamp.strftime(ENTRY_TIME);
    let value = plain(&entry.value);
    writeln!(out, "{time} | {} | {}", Cell(&entry.name), Cell(&value))
}

/// Text that can't end its line or disturb a terminal.
struct Line<'a>(&'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| f.write_char(harmless(c)))
    }
}

/// Text that can't end its line or its column.
struct Cell<'a>(&'a str);

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '|' => f.write_str("\\|"),
            other => f.write_char(harmless(other)),
        })
    }
}

/// U+2028 and U+2029 break lines for some readers; the direction overrides (Unicode TR9, section 2) make a
/// line look like another one.
fn harmless(c: char) -> char {
    match c {
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// ` [r12, r14]`, or nothing.
struct Cites<'a>(&'a [RecordId]);

impl fmt::Display for Cites<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if index == 0 { " [" } else { ", " })?;
        }
        f.write_str(if self.0.is_empty() { "" } else { "]" })
    }
}

/// Since when a lane has records; a lane may have none.
struct Start(Option<Timestamp>);

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(at) => write!(f, "{}", at.strftime(TIME)),
            None => f.write_str("none"),
        }
    }
}

/// `state`, or `state (why)`.
struct State<'a>(&'a Health);

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Health::Ok => f.write_str("ok"),
            Health::Degraded(why) => write!(f, "degraded ({})", Line(why)),
            Health::Disabled(why) => write!(f, "disabled ({})", Line(why)),
            Health::Failed(why) => write!(f, "failed ({})", Line(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::report::format::Format;
    use crate::report::format::tests::sample_report;

    fn page(report: &super::Report) -> String {
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
EVIDENCE: r14 | 2026-03-04 05:06:07.891 | the OOM killer chose java (4711)
CALLS: connect 10.0.3.7:5432 → ECONNREFUSED × 41, last at 2026-03-04 05:06:07.000
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
            &mut report.evidence[0].what,
            &mut report.completeness.summary,
            &mut report.completeness.notes[0],
            &mut report.containers[0].name,
            &mut report.telemetry[0].name,
        ] {
            evil.clone_into(text);
        }
        report.incident.pod_name = Some(evil.to_owned());
        report.incident.namespace = Some(evil.to_owned());
        report.history[0].end = evil.to_owned();
        report.neighbours[0].pod = evil.to_owned();
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
        report.completeness.sources[0].health = super::Health::Failed(evil.to_owned());
        report.telemetry[0].value = json!(evil);
        report.telemetry[1].value = json!({ evil: evil });

        let page = page(&report);
        assert_eq!(page.lines().count(), honest.lines().count());
        assert_eq!(page.lines().filter(|line| line.is_empty()).count(), 1);
        assert!(page.chars().all(|c| c == '\n' || super::harmless(c) == c));
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
}
