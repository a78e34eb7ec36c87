//! Another process killed it: a stop that ran out of patience, its own watchdog, or somebody else?
//!
//! The kernel proves who. That it was a stop needs a SIGTERM before the SIGKILL, from the same process or also from outside
//! its container; that it was a watchdog needs the words of one in its container.

use std::time::Duration;

use super::ground::{Ground, LATELY, statement};
use super::said::quote;
use super::{Code, Diagnosis};
use crate::record::{Event, Signal};
use crate::verdict::{Grade, Statement};
use crate::words;

const SIGKILL: u32 = 9;
/// SIGALRM, SIGVTALRM, SIGPROF.
const TIMERS: [u32; 3] = [14, 26, 27];
/// Less than this between asking and killing is no grace.
const GRACE: Duration = Duration::from_millis(900);
/// What those who watch over others say when they end them.
const WATCHFUL: &[&str] = &[
    "watchdog",
    "no progress",
    "not respond",
    "unresponsive",
    "heartbeat",
    "timed out",
    "timeout",
    "hung",
    "stuck",
    "deadlock",
    "not making progress",
    "health check failed",
];

/// Who killed it, and what for.
pub(super) fn explain(ground: &Ground<'_>) -> Option<Diagnosis> {
    let scene = ground.scene?;
    let (_, _, exit) = ground.exit()?;
    let killer = exit.killer?;
    let found = grace(ground, &killer).or_else(|| watchdog(ground, &killer));
    Some(found.unwrap_or_else(|| {
        let who = words::process(&killer.sender);
        let place = scene.names.describe(killer.sender.cgroup);
        let name = words::signal(killer.number);
        let summary = format!(
            "{}: {who} in {place} sent {name}",
            Code::KilledByProcess.title()
        );
        let mut diagnosis = Diagnosis::new(Code::KilledByProcess, ground.verdict.grade, summary);
        diagnosis.facts.extend(ground.first_statement());
        diagnosis
    }))
}

/// Its own timer ran out (`alarm`, `setitimer`), and it has no handler for that.
pub(super) fn by_timer(ground: &Ground<'_>) -> Option<Diagnosis> {
    let (_, _, exit) = ground.exit()?;
    let number = exit
        .status
        .signal()
        .filter(|number| TIMERS.contains(number))?;
    let summary = format!(
        "{}: its own timer ran out ({})",
        Code::Watchdog.title(),
        words::signal(number)
    );
    let mut diagnosis = Diagnosis::new(Code::Watchdog, Grade::Likely, summary);
    diagnosis.facts.extend(ground.first_statement());
    Some(diagnosis)
}

/// It was asked to stop and had its time.
fn grace(ground: &Ground<'_>, killer: &Signal) -> Option<Diagnosis> {
    let scene = ground.scene?;
    let (asked_id, asked) = scene.asked_to_stop()?;
    let waited = killer.at.since(asked.signal.at);
    if killer.number != SIGKILL || waited < GRACE {
        return None;
    }
    let own = |signal: &Signal| signal.sender.cgroup == scene.victim.cgroup;
    let same = asked.signal.sender.key == killer.sender.key;
    if !same && (own(&asked.signal) || own(killer)) {
        return None;
    }
    let grade = if same { Grade::Proven } else { Grade::Likely };
    let name = words::signal(asked.signal.number);
    let summary = format!(
        "{}: {name} came {} before SIGKILL",
        Code::GraceExpired.title(),
        words::duration(waited)
    );
    let mut diagnosis = Diagnosis::new(Code::GraceExpired, grade, summary);
    let did = match asked.ignored {
        true => "ignored it, as the first process of a container does that has no handler",
        false => "went on: it handles or blocks that signal",
    };
    let text = format!(
        "{} sent {name}; it {did}",
        words::process(&asked.signal.sender)
    );
    diagnosis
        .facts
        .push(statement(Grade::Proven, text, vec![asked_id]));
    diagnosis.facts.extend(ground.first_statement());
    Some(diagnosis)
}

/// A process of its own container ended it, and said what for.
fn watchdog(ground: &Ground<'_>, killer: &Signal) -> Option<Diagnosis> {
    let scene = ground.scene?;
    if killer.sender.cgroup != scene.victim.cgroup {
        return None;
    }
    let said = reason(ground, killer)?;
    let summary = format!("{}: {}", Code::Watchdog.title(), said.text);
    let mut diagnosis = Diagnosis::new(Code::Watchdog, Grade::Likely, summary);
    diagnosis.facts.push(said);
    diagnosis.facts.extend(ground.first_statement());
    Some(diagnosis)
}

/// What the killer said around the kill.
fn reason(ground: &Ground<'_>, killer: &Signal) -> Option<Statement> {
    let (from, until) = (killer.at.minus(LATELY), killer.at.plus(LATELY));
    let mut said = ground.decisive.iter().filter_map(|(id, record)| {
        let Event::Words(words) = &record.event else {
            return None;
        };
        let own = record.subject.process()?.key == killer.sender.key;
        let near = record.at >= from && record.at <= until;
        (own && near).then_some((*id, words))
    });
    said.find_map(|(id, words)| {
        let line = words.text.lines().find(|line| {
            let line = line.to_lowercase();
            WATCHFUL.iter().any(|word| line.contains(word))
        })?;
        let who = words::process(&killer.sender);
        let text = format!("{who}, which killed it, said: \"{}\"", quote(line));
        Some(statement(Grade::Proven, text, vec![id]))
    })
}
