//! What this program says in a brief: the verdict, the diagnosis, what may be missing and what to look at next.
//!
//! Each line begins with a word of ours, so a name in it cannot be the beginning of anything; citations stand in brackets,
//! which no name has.

use super::page::Page;
use super::section::Section;
use crate::record::RecordId;
use crate::report::format::line::{statements, trouble};
use crate::report::format::memory::summary;
use crate::report::format::next::commands;
use crate::report::{Report, Role};
use crate::verdict::Statement;

/// Who or what ended it, where and when.
pub(super) fn verdict(page: &mut Page, report: &Report) {
    let (verdict, incident) = (&report.verdict, &report.incident);
    let before = format!("{} ({}): ", verdict.grade.name(), verdict.cause.name());
    page.say((Section::Verdict, 0), &before, &verdict.headline, "");
    let mut place = String::new();
    if let (Some(namespace), Some(pod)) = (&incident.namespace, &incident.pod_name) {
        place += &format!("pod {namespace}/{pod}, ");
    }
    let subjects = report.containers.iter();
    for part in subjects.filter(|part| part.role == Role::Subject) {
        place += &format!("{}, ", part.name);
    }
    place += &format!("node {}, incident {}", report.node.name, incident.id);
    let before = format!("At {} UTC, ", incident.timestamp.strftime("%F %T"));
    page.say((Section::Verdict, 10), &before, &place, "");
    for (index, statement) in statements(report).enumerate() {
        self::statement(page, (Section::Verdict, 40 + index), statement);
    }
}

/// Why, as a code, and what that rests on.
pub(super) fn diagnosis(page: &mut Page, report: &Report) {
    let diagnosis = &report.diagnosis;
    let before = format!("{} ({}): ", diagnosis.code, diagnosis.grade.name());
    page.say((Section::Diagnosis, 1), &before, &diagnosis.summary, "");
    for (index, fact) in diagnosis.facts.iter().enumerate() {
        statement(page, (Section::Diagnosis, 20 + index), fact);
    }
    if let Some(it) = &report.divergence {
        let place = (Section::Diagnosis, 22);
        page.say(
            place,
            "- first difference: ",
            &it.summary,
            &cites(&it.cites),
        );
    }
    if let Some(ledger) = &report.oom_ledger
        && let Some(text) = summary(ledger)
    {
        let parts = ledger.full().and_then(|full| full.parts.as_ref());
        let processes = ledger.processes.iter().take(3).map(|it| it.id);
        let mut ids: Vec<_> = parts.map(|it| it.id).into_iter().chain(processes).collect();
        ids.sort_unstable();
        ids.dedup();
        page.say((Section::Diagnosis, 21), "- memory: ", &text, &cites(&ids));
    }
    for (index, row) in diagnosis.ruled_out.iter().enumerate() {
        let (before, because) = (format!("- not {}: ", row.code), &row.because);
        let place = (Section::Diagnosis, 60 + index);
        page.say(place, &before, &because.text, &cites(&because.cites));
    }
}

fn statement(page: &mut Page, place: (Section, usize), statement: &Statement) {
    let before = format!("- {}: ", statement.grade.name());
    page.say(place, &before, &statement.text, &cites(&statement.cites));
}

/// What the report may lack.
pub(super) fn missing(page: &mut Page, report: &Report) {
    let completeness = &report.completeness;
    let before = match completeness.complete {
        true => "- complete: ",
        false => "- not complete: ",
    };
    page.say((Section::Missing, 3), before, &completeness.summary, "");
    for gap in &completeness.gaps {
        let (class, cause) = (gap.class.name(), gap.cause.name());
        let before = format!("- lost: {} {class} ({cause})", gap.count);
        page.say((Section::Missing, 27), &before, "", "");
    }
    for note in &completeness.notes {
        page.say((Section::Missing, 28), "- note: ", note, "");
    }
    for line in &completeness.sources {
        if let Some((state, why)) = trouble(&line.health) {
            let before = format!("- source {} {state}: ", line.source.name());
            page.say((Section::Missing, 29), &before, why, "");
        }
    }
}

/// What to try, to read and to run.
pub(super) fn next(page: &mut Page, report: &Report) {
    let diagnosis = &report.diagnosis;
    page.say((Section::Next, 2), "- try: ", &diagnosis.fix, "");
    page.say((Section::Next, 4), "- read: ", &diagnosis.page, "");
    for command in commands(report) {
        page.say((Section::Next, 24), "- run: ", &command, "");
    }
}

/// ` [r12, r14]`, or nothing. No more than six.
pub(super) fn cites(ids: &[RecordId]) -> String {
    match ids {
        [] => String::new(),
        ids => {
            let ids: Vec<String> = ids.iter().take(6).map(RecordId::to_string).collect();
            format!(" [{}]", ids.join(", "))
        }
    }
}
