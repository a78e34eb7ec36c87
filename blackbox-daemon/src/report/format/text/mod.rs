//! The `default` formatter: a page for a person woken at night, that v1's line readers still read.
//!
//! Reads the whole report; makes v1's header, then our `KEY: value` lines, one empty line, and v1's telemetry lines. What a
//! reader needs first comes first: what and where, who and why (`head`), the evidence (`evidence`), what may be missing,
//! and the counts last (`missing`). Times are UTC.
//!
//! Processes choose their names, so no text may forge a line or a column: control characters, line separators
//! and direction overrides become `\u{fffd}`, and in a line with columns every `|` is written `\|`, so ` | `
//! is always a separator (`harmless`). The json format has the text as it was.

mod evidence;
mod harmless;
mod head;
mod memory;
mod missing;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use self::harmless::Cell;
use crate::report::format::plain;
use crate::report::format::times::Times;
use crate::report::{Entry, Report};

const TIME: &str = "%Y-%m-%d %H:%M:%S.%3f";
/// v1's, to the second.
const ENTRY_TIME: &str = "%Y-%m-%d : %H:%M:%S";

/// Writes the page.
pub(super) fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    head::incident(out, report)?;
    head::verdict(out, &report.verdict)?;
    head::diagnosis(out, &report.diagnosis)?;
    evidence::write(out, report)?;
    missing::write(out, &report.completeness)?;
    out.write_all(b"\n=== TELEMETRY DATA ===\n")?;
    let mut times = Times::new(ENTRY_TIME);
    for entry in report.telemetry.entries() {
        telemetry(out, &mut times, &entry)?;
    }
    Ok(())
}

fn telemetry(out: &mut impl Write, times: &mut Times, entry: &Entry) -> io::Result<()> {
    let time = times.show(entry.timestamp);
    let value = plain(&entry.value);
    writeln!(out, "{time} | {} | {}", Cell(&entry.name), Cell(&value))
}
