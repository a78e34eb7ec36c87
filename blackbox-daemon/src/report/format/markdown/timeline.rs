//! The last decisive records, oldest first. Samples and calls are only counted: the json has them.

use std::collections::VecDeque;
use std::io::{self, Write};

use super::{TIME, left};
use crate::report::format::plain;
use crate::report::format::quote::Inline;
use crate::report::{Entry, EntrySource, Report};

/// Records that a page has room for.
pub(super) const TIMELINE: usize = 60;

/// Entries of decisive records, by name; `kind` and `name` of `report/entries` make them.
const DECISIVE: [&str; 14] = [
    "process_exec",
    "process_exit",
    "signal",
    "oom_kill",
    "crash_stack",
    "last_words",
    "cgroup_created",
    "cgroup_removed",
    "records_lost",
    "incident_reported",
    "pod",
    "container_ended",
    "pod_condition",
    "kube_event",
];

/// Writes the section.
pub(super) fn timeline(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "## Timeline\n")?;
    let (mut last, mut left_out, mut others) = (VecDeque::with_capacity(TIMELINE), 0, 0);
    let calls = report.telemetry.beside_calls(|entry| {
        if !is_decisive(&entry) {
            others += 1;
            return;
        }
        if last.len() == TIMELINE {
            last.pop_front();
            left_out += 1;
        }
        last.push_back(entry);
    });
    let others: u64 = others + calls;
    left(out, left_out, "earlier records")?;
    for entry in last {
        writeln!(
            out,
            "- `{}` at {}: {}, {}",
            entry.id,
            entry.timestamp.strftime(TIME),
            Inline(&entry.name),
            Inline(&plain(&entry.value))
        )?;
    }
    writeln!(
        out,
        "\n{others} entries of samples and calls are in this report's json, under `telemetry`."
    )
}

fn is_decisive(entry: &Entry) -> bool {
    entry.source == EntrySource::System && DECISIVE.contains(&&*entry.name)
}
