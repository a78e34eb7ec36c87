//! It ended by itself: which failed call, or which error of its own, did it give up on?
//!
//! Needs the program's own words, or a refusal that no program shrugs off right before its end. `Proven` where the kernel
//! saw the call fail of which the words speak; `Likely` where only one of the two is there. Contradicted where the words
//! speak of something that leaves a failed call, every failed call is known, and there is none such: they may speak of
//! another machine.

use super::ground::{Ground, LATELY, statement};
use super::said::{self, Said};
use super::speech::{Speaker, Speech};
use super::{Code, Diagnosis, crash, refused};
use crate::record::{BootTime, RecordId};
use crate::report::calls::Failed;
use crate::verdict::{Grade, Statement};
use crate::words;

use std::time::Duration;

/// Between a call that no program shrugs off and an end for which nothing else is said.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Exit codes of shells (and of programs that run another) for what cannot be executed, and is not there.
const NOT_EXECUTABLE: u32 = 126;
const NOT_FOUND: u32 = 127;

/// Why it gave up. `None`: the records do not say.
pub(super) fn explain(ground: &Ground<'_>) -> Option<Diagnosis> {
    let speech = Speech::of(ground);
    let said = said::last_error(&speech, ground.exit_code());
    let found = not_executed(ground, said.as_ref());
    found
        .or_else(|| by_words(ground, said?))
        .or_else(|| by_calls(ground, &speech))
}

/// What the words name, with the call that bears them out.
pub(super) fn by_words(ground: &Ground<'_>, said: Said) -> Option<Diagnosis> {
    let calls: Vec<&Failed<'_>> = ground
        .late_calls()
        .filter(|call| refused::fits(call, said.code))
        .collect();
    let named = |call: &&&Failed<'_>| refused::names(&said.context, call);
    let call = calls
        .iter()
        .rfind(named)
        .or(calls.iter().rfind(|call| before(call, said.at)))
        .copied();
    if call.is_none() && refused::leaves_a_call(said.code) && ground.calls_whole {
        return said.uncaught.map(|_| uncaught(ground, said));
    }
    let own = call.is_some_and(|call| ground.is_victim(&call.process));
    // The words name what the call was about, or it can be about nothing else.
    let only = calls
        .windows(2)
        .all(|two| two[0].argument == two[1].argument);
    let shown = call.is_some_and(|call| {
        let near = said.at.since(call.at) <= LATELY;
        let named = refused::names(&said.context, call);
        !call.is_under_way() && (named || (near && (only || refused::is_shared(said.code))))
    });
    let sure = own && shown && !said.mixed && said.speaker == Speaker::Victim;
    let grade = if sure { Grade::Proven } else { Grade::Likely };
    let summary = match call {
        Some(call) => format!("{}: {}", said.code.title(), told(ground, call)),
        None => format!("{}: {}", said.code.title(), said.sentence()),
    };
    let mut diagnosis = Diagnosis::new(said.code, grade, summary);
    if let Some(call) = call {
        diagnosis.facts.push(many(ground, call));
    }
    diagnosis.facts.push(words_fact(&said));
    diagnosis.facts.extend(ground.first_statement());
    diagnosis.facts.extend(crash::stack(ground));
    Some(diagnosis)
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

/// It could not execute something, and ended as shells do.
fn not_executed(ground: &Ground<'_>, said: Option<&Said>) -> Option<Diagnosis> {
    let code = ground.exit_code()?;
    if !matches!(code, NOT_EXECUTABLE | NOT_FOUND) {
        return None;
    }
    // The loader ends a program with 127, too: then its words name a library, which no exec was refused for.
    let refused = ground.late_calls().rfind(|call| {
        ground.is_victim(&call.process) && refused::cause(call) == Some(Code::ExecFailed)
    });
    let not_found = said.is_some_and(|said| said.quote.contains("not found"));
    let exec = said.is_some_and(|said| said.code == Code::ExecFailed) || not_found;
    if refused.is_none() && !exec {
        return None;
    }
    let grade = match refused {
        Some(_) => Grade::Proven,
        None => Grade::Likely,
    };
    let summary = match refused {
        Some(call) => format!("{}: {}", Code::ExecFailed.title(), told(ground, call)),
        None => String::new(),
    };
    let mut diagnosis = Diagnosis::new(Code::ExecFailed, grade, summary);
    diagnosis
        .facts
        .extend(refused.map(|call| many(ground, call)));
    diagnosis.facts.extend(said.map(words_fact));
    diagnosis.facts.extend(ground.first_statement());
    Some(diagnosis)
}

/// Nothing that it said names a cause: a refusal that no program shrugs off, right before the end.
fn by_calls(ground: &Ground<'_>, speech: &Speech) -> Option<Diagnosis> {
    let own = ground
        .late_calls()
        .rev()
        .filter(|call| ground.is_victim(&call.process));
    let grave = |code: Code| {
        matches!(
            code,
            Code::DiskFull
                | Code::FdExhausted
                | Code::ThreadLimit
                | Code::PortInUse
                | Code::ConnRefused
        )
    };
    let newest: Vec<&str> = speech.newest(3).map(|line| line.text.as_str()).collect();
    let mut causes = own.filter_map(|call| Some((refused::cause(call)?, call)));
    let (code, call) = causes.find(|(code, call)| {
        let named = newest.iter().any(|line| {
            super::phrases::weight(line) == super::phrases::Weight::Error
                && refused::names(line, call)
        });
        (grave(*code) || (named && *code != Code::ExecFailed))
            && ground.end().since(call.at) <= AT_ONCE
    })?;
    let summary = format!("{}: {}", code.title(), told(ground, call));
    let mut diagnosis = Diagnosis::new(code, Grade::Likely, summary);
    diagnosis.facts.push(many(ground, call));
    let left = words::duration(ground.end().since(call.at));
    let text = format!("it ended {left} after that call failed");
    let exit = ground.exit().map(|(id, _, _)| id);
    let cites = exit.into_iter().chain([call.id]).collect();
    diagnosis.facts.push(statement(Grade::Proven, text, cites));
    diagnosis.facts.extend(ground.first_statement());
    Some(diagnosis)
}

/// Before, or as good as: words and calls are ordered by the clocks of two processors.
fn before(call: &Failed<'_>, at: BootTime) -> bool {
    call.at <= at.plus(Duration::from_millis(1))
}

/// A call in words, with how often it failed so.
fn told(ground: &Ground<'_>, call: &Failed<'_>) -> String {
    let same = alike(ground, call).count();
    let text = match call.is_under_way() {
        true => format!(
            "connect {} did not succeed",
            words::printable(call.argument.unwrap_or("?"))
        ),
        false => call.in_words(),
    };
    match same {
        0 | 1 => text,
        times => format!("{text}, {times} times"),
    }
}

fn many(ground: &Ground<'_>, call: &Failed<'_>) -> Statement {
    let alike: Vec<&Failed<'_>> = alike(ground, call).collect();
    let first = alike.first().map_or(call.at, |first| first.at);
    let ago = words::duration(ground.end().since(call.at));
    let mut text = format!(
        "{} of {}",
        told(ground, call),
        words::process(&call.process)
    );
    if alike.len() > 1 {
        text.push_str(&format!(" in {}", words::duration(call.at.since(first))));
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

fn alike<'a>(ground: &'a Ground<'_>, call: &'a Failed<'_>) -> impl Iterator<Item = &'a Failed<'a>> {
    ground.calls.iter().filter(move |other| {
        let same =
            other.call == call.call && other.errno == call.errno && other.argument == call.argument;
        same && other.at <= call.at
    })
}

pub(super) fn words_fact(said: &Said) -> Statement {
    // What a log says has no record that could be cited.
    let grade = match said.speaker {
        Speaker::Log => Grade::Likely,
        Speaker::Victim | Speaker::Container => Grade::Proven,
    };
    statement(grade, said.sentence(), said.cites.clone())
}
