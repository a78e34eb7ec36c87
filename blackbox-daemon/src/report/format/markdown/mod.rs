//! The `markdown` formatter: the report as a page for an issue, a chat or a pull request.
//!
//! Reads the whole report; makes CommonMark with GitHub's tables. What a person reads in ten seconds comes first:
//! the verdict, the diagnosis and what to try. Then what they rest on, what it said last, what may be missing, what to look
//! at next, and a timeline of the decisive records; samples stay in json. Written as it is made, whatever the telemetry's size.
//!
//! Every text that is not ours passes `quote`: no name, message or log line can become a heading, a link, HTML, code
//! or the end of its block. Ids stand in code spans, which only this program writes, so nobody can forge a citation.

mod basis;
mod crash;
mod head;
mod memory;
mod missing;
mod said;
mod timeline;

use std::fmt;
use std::io::{self, Write};

use super::next::commands;
use super::quote::fence;
use crate::record::RecordId;
use crate::report::Report;

const TIME: &str = "%Y-%m-%d %H:%M:%S.%3f";

/// Writes the page.
pub(super) fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    head::verdict(out, report)?;
    head::diagnosis(out, &report.diagnosis)?;
    basis::why(out, report)?;
    basis::evidence(out, report)?;
    if let Some(ledger) = &report.oom_ledger {
        memory::ledger(out, ledger)?;
    }
    basis::neighbours(out, report)?;
    if let Some(divergence) = &report.divergence {
        basis::divergence(out, divergence)?;
    }
    crash::failed_calls(out, report)?;
    crash::last_calls(out, &report.last_calls)?;
    if let Some(tail) = &report.tail {
        crash::tail(out, tail)?;
    }
    said::last_words(out, &report.last_words)?;
    if let Some(stack) = &report.stack {
        crash::stack(out, stack)?;
    }
    if let Some(log) = &report.log {
        said::log(out, log)?;
    }
    basis::history(out, report)?;
    missing::missing(out, &report.completeness)?;
    next(out, report)?;
    timeline::timeline(out, report)
}

/// Commands that somebody may paste.
fn next(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let commands = commands(report);
    if commands.is_empty() {
        return Ok(());
    }
    writeln!(out, "## What to look at next\n")?;
    fence(out, commands.iter().map(|line| (None, line.as_str())))?;
    writeln!(out)
}

/// Says what there is no room for.
fn left(out: &mut impl Write, count: usize, what: &str) -> io::Result<()> {
    match count {
        0 => Ok(()),
        count => writeln!(out, "({count} {what} are in the report's json.)\n"),
    }
}

/// Ids of records after a sentence, each in a code span; or nothing.
struct Cites<'a>(&'a [RecordId]);

impl fmt::Display for Cites<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|id| write!(f, " `{id}`"))
    }
}

#[cfg(test)]
mod tests;
