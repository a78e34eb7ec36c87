//! It could not execute something, and ended as shells do: 126 or 127 (POSIX, Shell Command Language, 2.8.2).
//!
//! The loader ends a program with 127, too; then its words name a library or a symbol.

use super::tell::{many, told, words_fact};
use crate::diagnosis::actor::Actor;
use crate::diagnosis::ground::Ground;
use crate::diagnosis::said::Said;
use crate::diagnosis::{Code, Diagnosis, refused};
use crate::verdict::Grade;

const NOT_EXECUTABLE: u32 = 126;
const NOT_FOUND: u32 = 127;

/// What could not be executed, with the call that was refused.
pub(super) fn explain(
    ground: &Ground<'_>,
    actor: &Actor,
    said: Option<&Said>,
) -> Option<Diagnosis> {
    let code = ground.exit_code()?;
    let by_loader = said.is_some_and(|said| said.quote.contains("shared librar"));
    if !matches!(code, NOT_EXECUTABLE | NOT_FOUND) || by_loader {
        return None;
    }
    let refused = ground
        .late_calls()
        .rfind(|call| actor.is(&call.process) && refused::cause(call) == Some(Code::ExecFailed));
    let said = said.filter(|said| {
        said.code == Code::ExecFailed || said.quote.contains("not found") || refused.is_some()
    });
    if refused.is_none() && said.is_none() {
        return None;
    }
    let grade = match refused {
        Some(_) => Grade::Proven,
        None => Grade::Likely,
    };
    let title = Code::ExecFailed.title();
    let summary = match (refused, said) {
        (Some(call), _) => format!("{title}: {}", told(ground, call)),
        (None, Some(said)) => format!("{title}: {}", said.sentence()),
        (None, None) => String::new(),
    };
    let mut diagnosis = Diagnosis::new(Code::ExecFailed, grade, summary);
    let call = refused.map(|call| many(ground, actor, call));
    diagnosis.facts.extend(call);
    diagnosis.facts.extend(said.map(words_fact));
    diagnosis.facts.extend(ground.first_statement());
    Some(diagnosis)
}
