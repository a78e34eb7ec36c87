//! What the report may lack, as its completeness statement says: the window, losses, notes, and sources that are not well.

use std::fmt;
use std::io::{self, Write};

use jiff::Timestamp;

use super::TIME;
use crate::report::Completeness;
use crate::report::format::line::trouble;
use crate::report::format::quote::Inline;

/// Writes the section.
pub(super) fn missing(out: &mut impl Write, completeness: &Completeness) -> io::Result<()> {
    writeln!(out, "## What may be missing\n")?;
    writeln!(out, "{}\n", Inline(&completeness.summary))?;
    writeln!(
        out,
        "- window: {} to {} UTC; decisive records from {}, bulk records from {}",
        completeness.window_requested_start.strftime(TIME),
        completeness.window_end.strftime(TIME),
        Start(completeness.decisive_start),
        Start(completeness.bulk_start)
    )?;
    for gap in &completeness.gaps {
        let (class, cause) = (gap.class.name(), gap.cause.name());
        writeln!(out, "- lost: {} `{class}`, `{cause}`", gap.count)?;
    }
    for note in &completeness.notes {
        writeln!(out, "- {}", Inline(note))?;
    }
    for line in &completeness.sources {
        if let Some((state, why)) = trouble(&line.health) {
            let source = line.source.name();
            writeln!(out, "- source `{source}` is {state}: {}", Inline(why))?;
        }
    }
    writeln!(out)
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
