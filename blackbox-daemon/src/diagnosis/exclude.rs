//! What it was not: causes that the records exclude. Only what a complete record shows is denied.

use super::ground::{Ground, statement};
use super::{Code, RuledOut};
use crate::record::Event;
use crate::verdict::{Grade, Statement};
use crate::words;

/// Causes people suspect first, and why they are out.
pub(super) fn ruled_out(ground: &Ground<'_>) -> Vec<RuledOut> {
    let mut out = Vec::new();
    out.extend(no_oom(ground).map(|because| RuledOut {
        code: Code::OomLimit,
        because,
    }));
    out.extend(no_killer(ground).map(|because| RuledOut {
        code: Code::KilledByProcess,
        because,
    }));
    out
}

/// The exit record carries the OOM killer's mark or does not; that no other process of the container was killed needs a
/// complete window.
fn no_oom(ground: &Ground<'_>) -> Option<Statement> {
    let scene = ground.scene?;
    let (id, _, exit) = ground.exit()?;
    let killed = |event: &Event| matches!(event, Event::Oom(_));
    let own = ground.decisive.iter().any(|(_, record)| {
        let cgroup = record.subject.cgroup();
        killed(&record.event) && cgroup.is_some_and(|cgroup| ground.subjects.contains(&cgroup))
    });
    if exit.oom_victim || own || !scene.complete {
        return None;
    }
    let text = format!(
        "it {}; neither it nor another process of its container was killed for want of memory in this window",
        words::ending(exit.status)
    );
    Some(statement(Grade::Proven, text, vec![id]))
}

fn no_killer(ground: &Ground<'_>) -> Option<Statement> {
    let (id, _, exit) = ground.exit()?;
    let code = exit.status.code()?;
    let text = format!("it exited by itself, with code {code}: no signal ended it");
    Some(statement(Grade::Proven, text, vec![id]))
}
