//! What the report may be missing: losses, sources that are down, and the counts of every class.

use std::io::{self, Write};

use super::TIME;
use super::harmless::{Line, Start, State};
use crate::report::{ClassCount, Completeness};

/// What may be missing, and the counts.
pub(super) fn write(out: &mut impl Write, completeness: &Completeness) -> io::Result<()> {
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
    if completeness.secrets_hidden > 0 {
        writeln!(out, "HIDDEN: {} secrets", completeness.secrets_hidden)?;
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
