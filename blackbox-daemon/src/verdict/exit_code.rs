//! What did it say? An exit code is the process's own word, and what it means is a convention.

use super::{Cause, Grade, Scene, Verdict};
use crate::record::{Event, Exit, Record, RecordId};
use crate::words;

pub(super) fn explain(scene: &Scene<'_>, exit_id: RecordId, exit: &Exit) -> Verdict {
    let code = exit.status.code().unwrap_or_default();
    let victim = words::process(&scene.victim);
    let meaning = words::exit_code(code);
    let aside = meaning
        .as_ref()
        .map_or(String::new(), |meaning| format!(" ({meaning})"));
    let headline = format!("{victim} ended itself with exit code {code}{aside}");
    let mut verdict = Verdict::new(Cause::ExitCode, Grade::Proven, headline);
    let text =
        format!("its wait status says that it called exit with code {code}; no signal ended it");
    verdict.state(Grade::Proven, text, vec![exit_id]);
    if let Some(meaning) = meaning {
        verdict.state(
            Grade::Likely,
            format!("code {code} means: {meaning}"),
            vec![exit_id],
        );
    }
    children(scene, &mut verdict, exit_id);
    asked_to_stop(scene, &mut verdict, exit_id);
    verdict.fact("exit_code", code);
    verdict
}

/// Children of it that were killed in this window: often the reason.
fn children(scene: &Scene<'_>, verdict: &mut Verdict, exit_id: RecordId) {
    let killed = scene
        .records
        .iter()
        .filter_map(|(id, record): &(RecordId, Record)| {
            let Event::Exit(exit) = &record.event else {
                return None;
            };
            let signal = exit.status.signal()?;
            let child = record.subject.process()?;
            (exit.parent.key == scene.victim.key).then_some((*id, child, signal, exit.oom_victim))
        });
    for (id, child, signal, oom) in killed.take(3) {
        let how = if oom { "by the OOM killer" } else { "" };
        let child = words::process(child);
        let text = format!(
            "its child {child} was killed {how} ({})",
            words::signal(signal)
        );
        verdict.state(Grade::Proven, text.replace("  ", " "), vec![id, exit_id]);
    }
}

/// A signal that asked it to stop, before it exited.
fn asked_to_stop(scene: &Scene<'_>, verdict: &mut Verdict, exit_id: RecordId) {
    let asked = scene.asked_to_stop().filter(|(_, sent)| !sent.ignored);
    if let Some((id, sent)) = asked {
        let signal = sent.signal;
        let name = words::signal(signal.number);
        let sender = scene.who(&signal.sender);
        let text = format!("{sender} had sent it {name}, which it handles itself");
        verdict.state(Grade::Proven, text, vec![id, exit_id]);
    }
}
