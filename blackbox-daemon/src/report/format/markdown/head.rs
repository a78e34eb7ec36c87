//! The top of the page: the verdict as its title, where and when it was, then the diagnosis with its facts and its fix.

use std::io::{self, Write};

use super::{Cites, TIME};
use crate::diagnosis::Diagnosis;
use crate::report::format::quote::Inline;
use crate::report::{Report, Role};
use crate::verdict::Statement;

/// Who or what ended it, and the incident's place.
pub(super) fn verdict(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let (verdict, incident) = (&report.verdict, &report.incident);
    writeln!(out, "# {}\n", Inline(&verdict.headline))?;
    let (grade, cause) = (verdict.grade.name(), verdict.cause.name());
    writeln!(out, "**Verdict: {grade}**, cause `{cause}`\n")?;
    writeln!(
        out,
        "- incident {}: {}, {}, at {} UTC",
        Inline(&incident.id),
        Inline(incident.kind.name()),
        incident.severity.name(),
        incident.timestamp.strftime(TIME)
    )?;
    writeln!(out, "- message: {}", Inline(&incident.message))?;
    if let Some(pod) = incident.pod_name.as_deref().filter(|pod| !pod.is_empty()) {
        let namespace = incident.namespace.as_deref().unwrap_or_default();
        writeln!(out, "- pod {}/{}", Inline(namespace), Inline(pod))?;
    }
    for part in &report.containers {
        if part.role == Role::Subject {
            writeln!(out, "- in {}", Inline(&part.name))?;
        }
    }
    let (node, kernel) = (Inline(&report.node.name), Inline(&report.node.kernel));
    writeln!(out, "- node {node}, kernel {kernel}")?;
    if incident.repeats > 0 {
        let repeats = incident.repeats;
        writeln!(out, "- speaks for {repeats} more of the same kind")?;
    }
    writeln!(out)
}

/// Why, as a code, what that rests on, and what to try.
pub(super) fn diagnosis(out: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    let (code, grade) = (diagnosis.code, diagnosis.grade.name());
    writeln!(out, "## Diagnosis\n")?;
    writeln!(
        out,
        "**`{code}`, {grade}**: {}\n",
        Inline(&diagnosis.summary)
    )?;
    for fact in &diagnosis.facts {
        statement(out, fact)?;
    }
    for row in &diagnosis.ruled_out {
        let (because, cites) = (Inline(&row.because.text), Cites(&row.because.cites));
        writeln!(out, "- not `{}`: {because}{cites}", row.code)?;
    }
    if !(diagnosis.facts.is_empty() && diagnosis.ruled_out.is_empty()) {
        writeln!(out)?;
    }
    let (fix, page) = (Inline(&diagnosis.fix), Inline(&diagnosis.page));
    writeln!(out, "**What to try:** {fix} (See {page}.)\n")
}

/// One graded sentence with its citations.
pub(super) fn statement(out: &mut impl Write, statement: &Statement) -> io::Result<()> {
    let (grade, text) = (statement.grade.name(), Inline(&statement.text));
    writeln!(out, "- {grade}: {text}{}", Cites(&statement.cites))
}
