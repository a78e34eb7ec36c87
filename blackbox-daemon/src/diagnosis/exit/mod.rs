//! It ended by itself: which failed call, or which error of its own, did it give up on?
//!
//! Needs the program's own words (`by_words`), a shell's answer to a program that is not there (`not_executed`), or a refusal
//! right before its end (`by_calls`). `Proven` where the kernel saw the call fail of which the words speak; `Likely` where
//! only one of the two is there, or where it was a child whose failure was passed on.

mod by_calls;
mod by_words;
mod not_executed;
mod tell;

use super::Diagnosis;
use super::actor::Actor;
use super::ground::Ground;
use super::said;
use super::speech::Speech;
use crate::verdict::Grade;

pub(super) use by_calls::by_calls;
pub(super) use by_words::by_words;
pub(super) use tell::words_fact;

/// Why it gave up. `None`: the records do not say.
pub(super) fn explain(ground: &Ground<'_>) -> Option<Diagnosis> {
    of(ground, Actor::victim(ground)).or_else(|| of(ground, Actor::child(ground)?))
}

fn of(ground: &Ground<'_>, actor: Actor) -> Option<Diagnosis> {
    let speech = Speech::of(ground, &actor);
    let said = said::last_error(&speech, ground.exit_code());
    let mut found = not_executed::explain(ground, &actor, said.as_ref())
        .or_else(|| by_words(ground, &actor, said?))
        .or_else(|| by_calls(ground, &actor, &speech))?;
    if let Some(fact) = actor.fact(ground) {
        found.grade = found.grade.min(Grade::Likely);
        found.facts.push(fact);
    }
    Some(found)
}
