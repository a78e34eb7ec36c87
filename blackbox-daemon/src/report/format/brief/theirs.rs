//! What others did and wrote, in a brief: records in words, calls, last words, the stack, the log and earlier ends.
//!
//! All of it is quoted. Each line says first, in words of ours, what it is: a log line that looks like a record stays one
//! of the log. Of what was written, the last lines tell most and have room first.

use super::page::Page;
use super::section::Section;
use crate::report::Report;
use crate::report::format::line::frame;
use crate::words;

const TIME: &str = "%H:%M:%S.%3f";

/// The cited records, and who used the node's memory.
pub(super) fn evidence(page: &mut Page, report: &Report) {
    for (index, row) in report.evidence.iter().enumerate() {
        let before = format!("[{}] {} ", row.id, row.timestamp.strftime(TIME));
        page.quote((Section::Evidence, 22 + index), &before, &row.what);
    }
    for (index, pod) in report.neighbours.iter().enumerate() {
        let used = words::bytes(pod.memory_bytes);
        let asked = words::bytes(pod.requested_bytes);
        let ids: Vec<String> = pod.cites.iter().map(|id| format!("[{id}] ")).collect();
        let before = format!("{}used {used} of memory, requests {asked}: ", ids.concat());
        let text = format!("pod {}/{}", pod.namespace, pod.pod);
        page.quote((Section::Evidence, 50 + index), &before, &text);
    }
}

/// The failing calls.
pub(super) fn calls(page: &mut Page, report: &Report) {
    for (index, calls) in report.failed_calls.iter().enumerate() {
        let before = format!("{}x ", calls.count);
        let argument = calls.argument.as_deref().unwrap_or_default();
        let text = format!("{} {} {argument}", calls.call, calls.errno);
        page.quote((Section::Calls, 26 + 2 * index), &before, text.trim_end());
    }
}

/// Where its threads were.
pub(super) fn threads(page: &mut Page, report: &Report) {
    for (index, row) in report.last_calls.iter().enumerate() {
        let before = format!("[{}] ", row.id);
        page.quote((Section::Threads, 27 + 3 * index), &before, &row.in_words());
    }
}

/// What it called last.
pub(super) fn tail(page: &mut Page, report: &Report) {
    let rows = report.tail.as_ref().map_or(&[][..], |tail| &tail.rows);
    for (index, row) in rows.iter().enumerate() {
        let before = format!("[{}] {} ", row.id, row.timestamp.strftime(TIME));
        let text = format!("{}: {}", row.thread, row.in_words());
        let later = rows.len() - 1 - index;
        page.quote((Section::Tail, 30 + 2 * later), &before, &text);
    }
}

/// What its processes wrote last.
pub(super) fn last_words(page: &mut Page, report: &Report) {
    let lines = report.last_words.iter().flat_map(|said| {
        let lines = said.text.lines().filter(|line| !line.trim().is_empty());
        lines.map(move |line| (said, line))
    });
    let lines: Vec<_> = lines.collect();
    for (index, (said, line)) in lines.iter().enumerate() {
        let before = format!("[{}] ", said.id);
        let text = format!("{} of {}: {line}", said.stream, said.comm);
        let later = lines.len() - 1 - index;
        page.quote((Section::LastWords, 22 + later), &before, &text);
    }
}

/// The calls its thread was in.
pub(super) fn stack(page: &mut Page, report: &Report) {
    let Some(stack) = &report.stack else {
        return;
    };
    for (index, found) in stack.frames.iter().enumerate() {
        let before = format!("frame {index}: ");
        page.quote((Section::Stack, 23 + 2 * index), &before, &frame(found));
    }
    for note in &stack.notes {
        page.quote((Section::Stack, 70), "note: ", note);
    }
}

/// The end of its log.
pub(super) fn log(page: &mut Page, report: &Report) {
    let lines = report.log.as_ref().map(|log| log.lines.as_slice());
    let lines = lines.unwrap_or_default();
    for (index, line) in lines.iter().enumerate() {
        let text = match line.stream.as_str() {
            "" => line.text.clone(),
            stream => format!("{stream}: {}", line.text),
        };
        let later = lines.len() - 1 - index;
        page.quote((Section::Log, 32 + 2 * later), "log ", &text);
    }
}

/// How earlier instances ended.
pub(super) fn history(page: &mut Page, report: &Report) {
    for (index, row) in report.history.iter().rev().enumerate() {
        let before = format!("{} ", row.timestamp.strftime("%F %T"));
        let reason = row.reason.as_deref().unwrap_or_default();
        let text = format!("{} {reason}", row.end);
        page.quote((Section::History, 55 + index), &before, text.trim_end());
    }
}
