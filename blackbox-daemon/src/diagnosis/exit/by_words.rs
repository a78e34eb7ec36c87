//! Its words name a cause; is there a call that bears them out, or the lack of one that contradicts them?
//!
//! Of several causes in one line ("TLS setup failed: no such file") that one counts which a call bears out. Contradicted where the words speak of something that leaves a failed call, every failed call is known, and there is none
//! such: they may speak of another machine.

use std::time::Duration;

use super::tell::{many, told, words_fact};
use crate::diagnosis::actor::Actor;
use crate::diagnosis::ground::{Ground, LATELY, statement};
use crate::diagnosis::said::Said;
use crate::diagnosis::speech::Speaker;
use crate::diagnosis::{Code, Diagnosis, crash, refused};
use crate::record::BootTime;
use crate::report::calls::Failed;
use crate::verdict::Grade;

/// How well a peer must be named by words that only hint: by its port or host.
const NAMES_PEER: u8 = 2;
/// A call that failed so shortly before it was spoken of.
const SPOKEN_OF: Duration = Duration::from_millis(20);

/// What the words name, with the call that bears them out.
pub(in crate::diagnosis) fn by_words(
    ground: &Ground<'_>,
    actor: &Actor,
    said: Said,
) -> Option<Diagnosis> {
    let said = borne_out(ground, actor, said);
    let calls = fitting(ground, said.code);
    if calls.is_empty() && refused::leaves_a_call(said.code) && ground.calls_whole {
        return said.uncaught.map(|_| uncaught(ground, said));
    }
    let call = spoken_of(&calls, actor, &said);
    let names_peer = |call: &Failed<'_>| refused::named(&said.context, call) >= NAMES_PEER;
    if said.hinted && !call.is_some_and(names_peer) {
        return None;
    }
    let own = call.is_some_and(|call| actor.is(&call.process));
    let shown = call.is_some_and(|call| !call.is_under_way());
    let sure = own && shown && !said.mixed && said.speaker == Speaker::Victim;
    let grade = if sure { Grade::Proven } else { Grade::Likely };
    let summary = match call {
        Some(call) => format!("{}: {}", said.code.title(), told(ground, call)),
        None => format!("{}: {}", said.code.title(), said.sentence()),
    };
    let mut diagnosis = Diagnosis::new(said.code, grade, summary);
    if let Some(call) = call {
        diagnosis.facts.push(many(ground, actor, call));
    }
    diagnosis.facts.push(words_fact(&said));
    diagnosis.facts.extend(ground.first_statement());
    diagnosis.facts.extend(crash::stack(ground));
    Some(diagnosis)
}

/// Of the causes that the line names, the first that a call of the actor's bears out; else the first.
fn borne_out(ground: &Ground<'_>, actor: &Actor, said: Said) -> Said {
    let shown = |code: &Code| {
        let call = spoken_of(&fitting(ground, *code), actor, &said);
        call.is_some_and(|call| actor.is(&call.process) && !call.is_under_way())
    };
    let causes = [said.code].into_iter().chain(said.also.iter().copied());
    match causes.clone().find(shown) {
        Some(code) => Said { code, ..said },
        None => said,
    }
}

/// The calls that failed for such a cause lately.
fn fitting<'a>(ground: &'a Ground<'_>, code: Code) -> Vec<&'a Failed<'a>> {
    let fits = |call: &&Failed<'_>| refused::fits(call, code) && !refused::is_by_the_way(call);
    ground.late_calls().filter(fits).collect()
}

/// The call that the words are about: what they name best, the newest of these; else one that can be no other.
fn spoken_of<'a>(calls: &[&'a Failed<'a>], actor: &Actor, said: &Said) -> Option<&'a Failed<'a>> {
    let named = |call: &&&Failed<'_>| refused::named(&said.context, call);
    let best = calls
        .iter()
        .max_by_key(|call| (named(call), call.at, call.id));
    if let Some(best) = best.filter(|call| named(call) > 0) {
        return Some(best);
    }
    let own = calls
        .iter()
        .filter(|call| actor.is(&call.process) && before(call, said.at));
    let last = own.clone().next_back()?;
    let near = said.at.since(last.at);
    let only = own.clone().all(|call| call.argument == last.argument);
    let fits = (only && near <= LATELY) || near <= SPOKEN_OF || refused::is_shared(said.code);
    fits.then_some(*last)
}

/// An error that nobody caught, whatever it speaks of.
fn uncaught(ground: &Ground<'_>, said: Said) -> Diagnosis {
    let summary = format!("{}: {}", Code::Uncaught.title(), said.sentence());
    let mut diagnosis = Diagnosis::new(Code::Uncaught, Grade::Likely, summary);
    diagnosis.facts.push(words_fact(&said));
    let text = format!(
        "no failed call of this kind ({}) is among the records, and none is missing: the words may speak of another machine",
        said.code
    );
    diagnosis
        .facts
        .push(statement(Grade::Proven, text, Vec::new()));
    diagnosis.facts.extend(ground.first_statement());
    diagnosis
}

/// Before, or as good as: words and calls are ordered by the clocks of two processors.
fn before(call: &Failed<'_>, at: BootTime) -> bool {
    call.at <= at.plus(Duration::from_millis(1))
}
