//! A report that has one text wherever a process, a client or the cluster chooses the text.

use serde_json::json;

use crate::diagnosis::{Code, RuledOut};
use crate::record::Health;
use crate::report::{IncidentKind, Report};

/// Puts `evil` into each such place.
pub(in crate::report) fn poison(report: &mut Report, evil: &str) {
    let text = || Some(evil.to_owned());
    report.diagnosis.ruled_out = vec![RuledOut {
        code: Code::OomNode,
        because: report.diagnosis.facts[0].clone(),
    }];
    let (incident, verdict) = (&mut report.incident, &mut report.verdict);
    let (diagnosis, completeness) = (&mut report.diagnosis, &mut report.completeness);
    let (words, calls) = (&mut report.last_words[0], &mut report.failed_calls[0]);
    let neighbour = &mut report.neighbours[0];
    for place in [
        &mut incident.id,
        &mut incident.message,
        &mut report.node.name,
        &mut report.node.kernel,
        &mut verdict.headline,
        &mut verdict.statements[0].text,
        &mut diagnosis.summary,
        &mut diagnosis.facts[0].text,
        &mut diagnosis.ruled_out[0].because.text,
        &mut diagnosis.fix,
        &mut completeness.summary,
        &mut completeness.notes[0],
        &mut calls.call,
        &mut calls.errno,
        &mut words.text,
        &mut words.comm,
        &mut words.stream,
        &mut neighbour.pod,
        &mut neighbour.namespace,
        &mut report.evidence[0].what,
        &mut report.containers[0].name,
        report.telemetry.to_mut()[0].name.to_mut(),
        &mut report.history[0].end,
    ] {
        evil.clone_into(place);
    }
    let thread = &mut report.last_calls[0];
    (thread.call, thread.what, thread.returned) = (text(), text(), text());
    evil.clone_into(&mut thread.thread);
    if let Some(tail) = &mut report.tail {
        let row = &mut tail.rows[0];
        for place in [&mut row.thread, &mut row.what, &mut row.returned] {
            evil.clone_into(place);
        }
    }
    calls.argument = text();
    incident.kind = IncidentKind::Reported(evil.to_owned());
    // No name that Kubernetes allows begins so: what is shown does not depend on the text.
    (incident.pod_name, incident.namespace) = (Some(format!("_{evil}")), text());
    report.history[0].reason = text();
    if let Some(stack) = &mut report.stack {
        let frame = &mut stack.frames[0];
        (frame.function, frame.source, frame.module) = (text(), text(), text());
        evil.clone_into(&mut stack.notes[0]);
    }
    if let Some(divergence) = &mut report.divergence {
        let (summary, kind) = (&mut divergence.summary, &mut divergence.kind);
        for place in [summary, kind, &mut divergence.notes[0]] {
            evil.clone_into(place);
        }
        (divergence.after, divergence.here, divergence.healthy) = (text(), text(), text());
    }
    if let Some(ledger) = &mut report.oom_ledger {
        evil.clone_into(&mut ledger.levels[0].name);
        ledger.levels[0].cgroup_path = text();
        evil.clone_into(&mut ledger.processes[0].comm);
    }
    if let Some(log) = &mut report.log {
        let line = &mut log.lines[0];
        for place in [&mut log.path, &mut line.text, &mut line.stream] {
            evil.clone_into(place);
        }
    }
    completeness.sources[1].health = Health::Failed(evil.to_owned());
    report.telemetry.to_mut()[1].value = json!(evil);
    report.telemetry.to_mut()[1].tags = [(evil.to_owned().into(), evil.to_owned())].into();
    report.telemetry.to_mut()[0].value = json!({ evil: [evil] });
}
