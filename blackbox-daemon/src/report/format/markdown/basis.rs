//! What the verdict rests on: its statements, the cited records in words, who used the node's memory, the difference to a healthy run,
//! and earlier ends.

use std::io::{self, Write};

use super::head::statement;
use super::{Cites, TIME};
use crate::report::format::line::statements;
use crate::report::format::quote::Inline;
use crate::report::{Divergence, Report};
use crate::words;

/// The statements of the verdict that the diagnosis does not repeat.
pub(super) fn why(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if statements(report).next().is_none() {
        return Ok(());
    }
    writeln!(out, "## Why\n")?;
    for row in statements(report) {
        statement(out, row)?;
    }
    writeln!(out)
}

/// The records that are cited.
pub(super) fn evidence(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if report.evidence.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Evidence\n")?;
    for row in &report.evidence {
        let (time, what) = (row.timestamp.strftime(TIME), Inline(&row.what));
        writeln!(out, "- `{}` at {time}: {what}", row.id)?;
    }
    writeln!(out)
}

/// Where its run left the way of the last healthy one.
pub(super) fn divergence(out: &mut impl Write, divergence: &Divergence) -> io::Result<()> {
    let (summary, cites) = (Inline(&divergence.summary), Cites(&divergence.cites));
    writeln!(out, "## First difference to the last healthy run\n")?;
    writeln!(out, "- {summary}{cites}")?;
    for note in &divergence.notes {
        writeln!(out, "- {}", Inline(note))?;
    }
    writeln!(out)
}

/// Where the node's memory was.
pub(super) fn neighbours(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if report.neighbours.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Neighbours\n")?;
    for pod in &report.neighbours {
        let (namespace, name) = (Inline(&pod.namespace), Inline(&pod.pod));
        let used = words::bytes(pod.memory_bytes);
        let asked = words::bytes(pod.requested_bytes);
        let cites = Cites(&pod.cites);
        writeln!(
            out,
            "- pod {namespace}/{name} used {used} of memory, requests {asked}{cites}"
        )?;
    }
    writeln!(out)
}

/// How instances of its container ended so far.
pub(super) fn history(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if report.history.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Ends of its container so far\n")?;
    for row in &report.history {
        let (time, end) = (row.timestamp.strftime(TIME), Inline(&row.end));
        write!(out, "- {time}: {end}")?;
        if let Some(reason) = &row.reason {
            write!(out, ", {}", Inline(reason))?;
        }
        if let Some(code) = row.exit_code {
            write!(out, ", exit code {code}")?;
        }
        writeln!(out)?;
    }
    writeln!(out)
}
