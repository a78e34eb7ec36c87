//! The page's head: v1's lines, where it happened, who or what ended it, and why.

use std::io::{self, Write};

use super::TIME;
use super::harmless::{Cites, Line};
use crate::diagnosis::Diagnosis;
use crate::report::{Report, Role, Verdict};

/// v1's header, and where it happened.
pub(super) fn incident(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let incident = &report.incident;
    writeln!(out, "=== INCIDENT REPORT ===")?;
    writeln!(out, "ID: {}", Line(&incident.id))?;
    writeln!(out, "TIMESTAMP: {}", incident.timestamp.strftime(TIME))?;
    writeln!(out, "SEVERITY: {}", incident.severity.name())?;
    writeln!(out, "TYPE: {}", Line(incident.kind.name()))?;
    writeln!(out, "MESSAGE: {}", Line(&incident.message))?;
    if let Some(pod) = incident.pod_name.as_deref().filter(|pod| !pod.is_empty()) {
        let namespace = incident.namespace.as_deref().unwrap_or_default();
        writeln!(out, "POD: {}/{}", Line(namespace), Line(pod))?;
    }
    writeln!(out, "NODE: {}", Line(&report.node.name))?;
    let subject = report
        .containers
        .iter()
        .find(|part| part.role == Role::Subject);
    if let Some(subject) = subject {
        writeln!(out, "CONTAINER: {}", Line(&subject.name))?;
    }
    Ok(())
}

pub(super) fn verdict(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    let grade = verdict.grade.name();
    writeln!(out, "VERDICT: {grade} - {}", Line(&verdict.headline))?;
    writeln!(out, "CAUSE: {}", verdict.cause.name())?;
    for statement in &verdict.statements {
        let (grade, text) = (statement.grade.name(), Line(&statement.text));
        writeln!(out, "WHY: [{grade}] {text}{}", Cites(&statement.cites))?;
    }
    Ok(())
}

/// Why that came about, and what to try.
pub(super) fn diagnosis(out: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    let (code, grade) = (diagnosis.code, diagnosis.grade.name());
    writeln!(
        out,
        "DIAGNOSIS: {code} ({grade}) - {}",
        Line(&diagnosis.summary)
    )?;
    for fact in &diagnosis.facts {
        let (grade, text) = (fact.grade.name(), Line(&fact.text));
        writeln!(out, "FACT: [{grade}] {text}{}", Cites(&fact.cites))?;
    }
    for out_of_question in &diagnosis.ruled_out {
        let (code, because) = (out_of_question.code, &out_of_question.because);
        let (text, cites) = (Line(&because.text), Cites(&because.cites));
        writeln!(out, "NOT: {code} - {text}{cites}")?;
    }
    writeln!(out, "TRY: {} ({})", Line(&diagnosis.fix), diagnosis.page)
}
