//! What the verdict rests on, and what happened around the death: records, calls, words, history, logs, the stack.

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;

use super::harmless::{Cell, Cites, Line, Start};
use super::{TIME, memory};
use crate::report::{FailedCalls, LogTail, Report, Stack};
use crate::words;

/// Kinds of failing calls that a page has room for; the json has them all.
const CALLS: usize = 8;
/// Rows of threads that a page has room for.
const THREADS: usize = 8;
/// Rows of its last calls that a page has room for.
const TAIL: usize = 24;
/// Last words that a page has room for.
const SAID: usize = 40;
/// Lines of a container's log that a page has room for.
const LOG_LINES: usize = 20;
/// Frames of a stack that a page has room for.
const FRAMES: usize = 32;

/// Writes it.
pub(super) fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for row in &report.evidence {
        let (time, what) = (row.timestamp.strftime(TIME), Cell(&row.what));
        writeln!(out, "EVIDENCE: {} | {time} | {what}", row.id)?;
    }
    if let Some(ledger) = &report.oom_ledger {
        memory::write(out, ledger)?;
    }
    if let Some(it) = &report.divergence {
        let (summary, cites) = (Line(&it.summary), Cites(&it.cites));
        writeln!(out, "DIVERGENCE: {summary}{cites}")?;
        for note in &it.notes {
            writeln!(out, "DIVERGENCE: note: {}", Line(note))?;
        }
    }
    calls(out, report)?;
    last_calls(out, report)?;
    tail(out, report)?;
    last_words(out, report)?;
    around(out, report)?;
    if let Some(log) = &report.log {
        self::log(out, log)?;
    }
    if let Some(stack) = &report.stack {
        self::stack(out, stack)?;
    }
    Ok(())
}

/// Failed calls, folded.
fn calls(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for calls in report.failed_calls.iter().take(CALLS) {
        let last = calls.last.strftime(TIME);
        writeln!(
            out,
            "CALLS: {}{} → {} × {}{}, last at {last}",
            calls.call,
            Cell(
                &calls
                    .argument
                    .as_deref()
                    .map_or(String::new(), |what| format!(" {what}"))
            ),
            calls.errno,
            calls.count,
            within(calls)
        )?;
    }
    Ok(())
}

/// In which time, of more than one.
fn within(calls: &FailedCalls) -> String {
    let since = |first: Timestamp| Duration::try_from(calls.last.duration_since(first)).ok();
    match calls.first.and_then(since).filter(|_| calls.count > 1) {
        Some(span) => format!(" in {}", words::duration(span)),
        None => String::new(),
    }
}

/// Where its threads were.
fn last_calls(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for row in report.last_calls.iter().take(THREADS) {
        writeln!(out, "THREAD: {} | {}", row.id, Cell(&row.in_words()))?;
    }
    Ok(())
}

/// What it called last, if every call was kept.
fn tail(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let Some(tail) = &report.tail else {
        return Ok(());
    };
    let left_out = tail.rows.len().saturating_sub(TAIL);
    writeln!(
        out,
        "TAIL: the last {} of {} calls while every call was kept{}",
        tail.kept,
        tail.calls,
        match left_out as u64 + tail.rows_left_out {
            0 => String::new(),
            rows => format!(" ({rows} rows more in json)"),
        }
    )?;
    for row in tail.rows.iter().skip(left_out) {
        let (time, who) = (row.timestamp.strftime(TIME), Cell(&row.thread));
        let what = row.in_words();
        writeln!(
            out,
            "TAIL: {} | {time} | {who} ({}) | {}",
            row.id,
            row.tid,
            Cell(&what)
        )?;
    }
    Ok(())
}

/// What its processes wrote, a line each.
fn last_words(out: &mut impl Write, report: &Report) -> io::Result<()> {
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
    Ok(())
}

/// How often before, and who else used memory.
fn around(out: &mut impl Write, report: &Report) -> io::Result<()> {
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
