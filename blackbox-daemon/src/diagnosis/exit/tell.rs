//! Failed calls and words as statements.

use crate::diagnosis::actor::Actor;
use crate::diagnosis::ground::{Ground, statement};
use crate::diagnosis::said::Said;
use crate::diagnosis::speech::Speaker;
use crate::record::RecordId;
use crate::report::calls::Failed;
use crate::verdict::{Grade, Statement};
use crate::words;

/// A call in words, with how often it failed so.
pub(super) fn told(ground: &Ground<'_>, call: &Failed<'_>) -> String {
    let same = alike(ground, call).count();
    let text = match call.is_under_way() {
        true => {
            let peer = words::printable(call.argument.unwrap_or("?"));
            format!("connect {peer} did not succeed")
        }
        false => call.in_words(),
    };
    match same {
        0 | 1 => text,
        times => format!("{text}, {times} times"),
    }
}

/// How often, in which time, and how long before the end.
pub(super) fn many(ground: &Ground<'_>, actor: &Actor, call: &Failed<'_>) -> Statement {
    let alike: Vec<&Failed<'_>> = alike(ground, call).collect();
    let first = alike.first().map_or(call.at, |first| first.at);
    let ago = words::duration(actor.end(ground).since(call.at));
    let mut text = format!(
        "{} of {}",
        told(ground, call),
        words::process(&call.process)
    );
    if alike.len() > 1 {
        let span = words::duration(call.at.since(first));
        text.push_str(&format!(" in {span}"));
    }
    text.push_str(&format!(", last {ago} before its end"));
    statement(Grade::Proven, text, cites(&alike, call.id))
}

/// The first and the last: what lies between is in the report as well.
fn cites(alike: &[&Failed<'_>], own: RecordId) -> Vec<RecordId> {
    let mut cites: Vec<RecordId> = alike.first().map(|first| first.id).into_iter().collect();
    cites.push(own);
    cites.sort_unstable();
    cites.dedup();
    cites
}

/// The same call with the same error, up to this one.
pub(super) fn alike<'a>(
    ground: &'a Ground<'_>,
    call: &'a Failed<'_>,
) -> impl Iterator<Item = &'a Failed<'a>> {
    ground.calls.iter().filter(move |other| {
        other.call == call.call
            && other.errno == call.errno
            && other.argument == call.argument
            && other.at <= call.at
    })
}

/// What was said.
pub(in crate::diagnosis) fn words_fact(said: &Said) -> Statement {
    // What a log says has no record that could be cited.
    let grade = match said.speaker {
        Speaker::Log => Grade::Likely,
        Speaker::Victim | Speaker::Child => Grade::Proven,
    };
    statement(grade, said.sentence(), said.cites.clone())
}
