//! Where the memory was when the OOM killer killed: a table of levels, and one of processes.

use std::io::{self, Write};

use crate::report::OomLedger;
use crate::report::format::memory::{age, marks, others, part, share};
use crate::report::format::quote::Inline;
use crate::words;

/// Processes that a page has room for.
const PROCESSES: usize = 16;

/// Writes the section.
pub(super) fn ledger(out: &mut impl Write, ledger: &OomLedger) -> io::Result<()> {
    writeln!(out, "## Memory at the kill\n")?;
    writeln!(
        out,
        "| level | usage | limit | anon | file | shmem | kernel | sampled |"
    )?;
    writeln!(
        out,
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    )?;
    let size = |size: Option<u64>| size.map_or("–".to_owned(), words::bytes);
    for level in &ledger.levels {
        let parts = level.parts.as_ref();
        let sampled = parts.map_or("never".to_owned(), |parts| {
            format!("{} `{}`", age(ledger, parts.timestamp), parts.id)
        });
        writeln!(
            out,
            "| {}{} `{}` | {} | {} | {} | {} | {} | {} | {sampled} |",
            Inline(&level.name),
            marks(level),
            level.id,
            words::bytes(level.usage_bytes),
            size(level.limit_bytes),
            size(parts.and_then(|it| it.anon_bytes)),
            size(parts.and_then(|it| it.file_bytes)),
            size(parts.and_then(|it| it.shmem_bytes)),
            size(parts.and_then(|it| it.kernel_bytes)),
        )?;
    }
    writeln!(out)?;
    processes(out, ledger)
}

/// Who had it, largest first.
fn processes(out: &mut impl Write, ledger: &OomLedger) -> io::Result<()> {
    if ledger.processes.is_empty() {
        return Ok(());
    }
    writeln!(out, "| process | pid | resident | share | when |")?;
    writeln!(out, "| --- | ---: | ---: | ---: | --- |")?;
    for process in ledger.processes.iter().take(PROCESSES) {
        let share = share(ledger, process).map_or("–".to_owned(), |it| format!("{it} %"));
        writeln!(
            out,
            "| {} | {} | {} | {share} | {} `{}` |",
            Inline(&process.comm),
            process.pid,
            words::bytes(process.rss_bytes),
            part(ledger, process),
            process.id
        )?;
    }
    writeln!(out)?;
    match others(ledger, PROCESSES) {
        Some(others) => writeln!(out, "({others}.)\n"),
        None => Ok(()),
    }
}
