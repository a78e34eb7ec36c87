//! What it was doing: calls that failed, as a table, and the stack of the thread that ended it, in a fence.

use std::io::{self, Write};

use super::{TIME, left};
use crate::report::format::line::frame;
use crate::report::format::quote::{Inline, fence};
use crate::report::{LastCalls, Report, Stack, Tail};

/// Kinds of failing calls that a page has room for.
const CALLS: usize = 15;
/// Rows of threads that a page has room for.
const THREADS: usize = 15;
/// Rows of its last calls that a page has room for.
const TAIL: usize = 40;
/// Frames that a page has room for.
const FRAMES: usize = 40;

/// The failing calls, most frequent first.
pub(super) fn failed_calls(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if report.failed_calls.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Failed calls\n")?;
    writeln!(out, "| call | error | argument | times | last |")?;
    writeln!(out, "| --- | --- | --- | ---: | --- |")?;
    for calls in report.failed_calls.iter().take(CALLS) {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            Inline(&calls.call),
            Inline(&calls.errno),
            Inline(calls.argument.as_deref().unwrap_or_default()),
            calls.count,
            calls.last.strftime(TIME)
        )?;
    }
    writeln!(out)?;
    let left_out = report.failed_calls.len().saturating_sub(CALLS);
    left(out, left_out, "rarer kinds")
}

/// Where its threads were at the end.
pub(super) fn last_calls(out: &mut impl Write, rows: &[LastCalls]) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Threads at the end\n")?;
    for row in rows.iter().take(THREADS) {
        writeln!(out, "- {} `{}`", Inline(&row.in_words()), row.id)?;
    }
    writeln!(out)?;
    left(out, rows.len().saturating_sub(THREADS), "more rows")
}

/// What it called last, if every call was kept.
pub(super) fn tail(out: &mut impl Write, tail: &Tail) -> io::Result<()> {
    writeln!(out, "## Last calls\n")?;
    writeln!(
        out,
        "The last {} of {} calls while every call was kept.\n",
        tail.kept, tail.calls
    )?;
    let left_out = tail.rows.len().saturating_sub(TAIL);
    let rows: Vec<(String, String)> = tail.rows[left_out..]
        .iter()
        .map(|row| {
            let before = format!("{} {:>7}  ", row.timestamp.strftime(TIME), row.tid);
            (before, row.in_words())
        })
        .collect();
    fence(
        out,
        rows.iter()
            .map(|(before, what)| (Some(before.clone()), what.as_str())),
    )?;
    writeln!(out)?;
    left(
        out,
        left_out + usize::try_from(tail.rows_left_out).unwrap_or(usize::MAX),
        "earlier rows",
    )
}

/// The calls that its thread was in, innermost first.
pub(super) fn stack(out: &mut impl Write, stack: &Stack) -> io::Result<()> {
    writeln!(out, "## Stack\n")?;
    writeln!(out, "Made from `{}`.\n", stack.id)?;
    let frames: Vec<String> = stack.frames.iter().take(FRAMES).map(frame).collect();
    let numbered = frames.iter().enumerate();
    fence(
        out,
        numbered.map(|(number, text)| (Some(format!("{number:>2}  ")), text.as_str())),
    )?;
    writeln!(out)?;
    let left_out = stack.frames.len().saturating_sub(FRAMES);
    left(out, left_out, "outer frames")?;
    if !stack.notes.is_empty() {
        for note in &stack.notes {
            writeln!(out, "- {}", Inline(note))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
