//! Where the memory was when the OOM killer killed: a line for each level and for each process.

use std::io::{self, Write};

use super::harmless::{Cell, Cites};
use crate::report::OomLedger;
use crate::report::format::memory::{age, others, part, parts, share, used};
use crate::words;

/// Processes that a page has room for.
const PROCESSES: usize = 12;

/// Writes it.
pub(super) fn write(out: &mut impl Write, ledger: &OomLedger) -> io::Result<()> {
    for level in &ledger.levels {
        let (name, used) = (Cell(&level.name), used(level));
        write!(out, "MEMORY: {name} | {used}{}", Cites(&[level.id]))?;
        match &level.parts {
            Some(sample) => {
                let (age, parts) = (age(ledger, sample.timestamp), parts(sample));
                writeln!(out, " | {age} {parts}{}", Cites(&[sample.id]))?;
            }
            None => writeln!(out)?,
        }
    }
    for process in ledger.processes.iter().take(PROCESSES) {
        let rss = words::bytes(process.rss_bytes);
        let share = share(ledger, process).map_or(String::new(), |share| format!(", {share} %"));
        writeln!(
            out,
            "PROCESS: {} ({}) | {rss}{share} | {}{}",
            Cell(&process.comm),
            process.pid,
            part(ledger, process),
            Cites(&[process.id])
        )?;
    }
    if let Some(others) = others(ledger, PROCESSES) {
        writeln!(out, "PROCESS: {others}")?;
    }
    Ok(())
}
