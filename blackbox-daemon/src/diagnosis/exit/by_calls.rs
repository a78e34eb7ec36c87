//! Nothing that it said names a cause: is there a refusal right before the end that no program shrugs off?
//!
//! Of a full disk, of limits, of a taken port and of memory, half a second before will do; of a peer that refused each time,
//! the last seconds, if the last it said is about connections. Of a file that it opened to read, only the very last thing it
//! did before it ended: programs look for many files that need not be there.

use std::time::Duration;

use super::tell::{alike, many, told};
use crate::diagnosis::actor::Actor;
use crate::diagnosis::ground::{Ground, LATELY, statement};
use crate::diagnosis::phrases::{self, Weight};
use crate::diagnosis::speech::Speech;
use crate::diagnosis::{Code, Diagnosis, refused};
use crate::report::calls::Failed;
use crate::verdict::Grade;
use crate::words;

/// Between a call that no program shrugs off and an end for which nothing else is said.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Between the last thing it did and its end.
const LAST: Duration = Duration::from_millis(2);
/// A peer that refused as often as this was tried again and again.
const OFTEN: usize = 3;
/// What programs say when they give up on a peer.
const GIVING_UP: &[&str] = &[
    "connect",
    "giving up",
    "unreachable",
    "unavailable",
    "upstream",
    "retries",
];

/// Why it ended, by its calls alone: never more than likely.
pub(in crate::diagnosis) fn by_calls(
    ground: &Ground<'_>,
    actor: &Actor,
    speech: &Speech,
) -> Option<Diagnosis> {
    let end = actor.end(ground);
    let own: Vec<&Failed<'_>> = ground
        .late_calls()
        .filter(|call| actor.is(&call.process) && call.at <= end && !refused::is_by_the_way(call))
        .collect();
    let newest: Vec<&str> = speech.newest(3).map(|line| line.text.as_str()).collect();
    let last = own.last().map(|call| call.id);
    let speaks = |call: &Failed<'_>, code: Code| {
        let ago = end.since(call.at);
        let named = newest
            .iter()
            .any(|line| phrases::weight(line) == Weight::Error && refused::named(line, call) > 0);
        (is_grave(code) && ago <= AT_ONCE)
            || (named && code != Code::ExecFailed && ago <= AT_ONCE)
            || (gave_up(ground, call, code, &newest) && ago <= LATELY)
            || (last == Some(call.id) && call.opens_to_read() && ago <= LAST)
    };
    let causes = own
        .iter()
        .rev()
        .filter_map(|call| Some((refused::cause(call)?, *call)));
    let (code, call) = causes
        .into_iter()
        .find(|(code, call)| speaks(call, *code))?;
    let summary = format!("{}: {}", code.title(), told(ground, call));
    let mut diagnosis = Diagnosis::new(code, Grade::Likely, summary);
    diagnosis.facts.push(many(ground, actor, call));
    let left = words::duration(end.since(call.at));
    let text = format!("it ended {left} after that call failed, and named no other cause");
    let exit = ground.exit().map(|(id, _, _)| id);
    let cites = exit.into_iter().chain([call.id]).collect();
    diagnosis.facts.push(statement(Grade::Likely, text, cites));
    diagnosis.facts.extend(ground.first_statement());
    Some(diagnosis)
}

/// Limits that were reached: nothing goes on after them.
fn is_grave(code: Code) -> bool {
    matches!(
        code,
        Code::DiskFull
            | Code::FdExhausted
            | Code::ThreadLimit
            | Code::PortInUse
            | Code::ConnRefused
            | Code::AllocFailed
    )
}

/// Whether it tried a peer again and again, and what it said last is about that.
fn gave_up(ground: &Ground<'_>, call: &Failed<'_>, code: Code, newest: &[&str]) -> bool {
    let peer = matches!(
        code,
        Code::ConnRefused | Code::ConnTimeout | Code::Unreachable
    );
    let said = newest.iter().any(|line| {
        let line = line.to_lowercase();
        GIVING_UP.iter().any(|text| line.contains(text))
    });
    peer && said && alike(ground, call).count() >= OFTEN
}
