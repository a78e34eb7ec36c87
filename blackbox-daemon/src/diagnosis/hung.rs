//! It hung: where the threads were of a process that somebody ended, or that ended itself for making no progress.
//!
//! A fact beside the cause, proven by the kernel: the call each thread was waiting in. What it waited for is not in it.

use std::collections::BTreeMap;

use super::ground::{Ground, statement};
use super::{Code, Diagnosis};
use crate::record::{Event, RecordId};
use crate::verdict::{Grade, Statement};
use crate::words;

/// Calls that are named in the sentence.
const NAMED: usize = 3;

/// Adds it to a diagnosis of an end that may have been one of patience.
pub(super) fn add(ground: &Ground<'_>, diagnosis: &mut Diagnosis) {
    let patience = matches!(
        diagnosis.code,
        Code::Watchdog
            | Code::Deadlock
            | Code::KilledByProcess
            | Code::GraceExpired
            | Code::ProbeKill
            | Code::CpuStarved
    );
    if patience {
        diagnosis.facts.extend(waits(ground));
    }
}

fn waits(ground: &Ground<'_>) -> Option<Statement> {
    let victim = ground.scene?.victim.key;
    let (mut threads, mut waiting) = (0_usize, BTreeMap::<String, (usize, RecordId)>::new());
    for (id, record) in ground.decisive {
        let Event::LastCall(last) = &record.event else {
            continue;
        };
        if record.subject.process()?.key != victim {
            continue;
        }
        threads += 1;
        if let Some(nr) = last.nr.filter(|_| last.waited()) {
            let call = words::call(nr, last.compat).into_owned();
            waiting.entry(call).or_insert((0, *id)).0 += 1;
        }
    }
    let count: usize = waiting.values().map(|(threads, _)| threads).sum();
    let mut rows: Vec<_> = waiting.into_iter().collect();
    rows.sort_by_key(|(_, (threads, id))| (std::cmp::Reverse(*threads), *id));
    rows.truncate(NAMED);
    let calls: Vec<String> = rows
        .iter()
        .map(|(call, (threads, _))| format!("{threads} in {call}"))
        .collect();
    let text = match (threads, count) {
        (0, _) => return None,
        (1, 0) => "its thread was not waiting in a call when the end came".to_owned(),
        (_, 0) => format!("none of {threads} threads was waiting in a call when the end came"),
        _ => format!(
            "{count} of {threads} threads were waiting in a call when the end came: {}",
            calls.join(", ")
        ),
    };
    let cites = rows.iter().map(|(_, (_, id))| *id).collect();
    Some(statement(Grade::Proven, text, cites))
}
