//! Memory ran out: whose, how fast, and what it was made of.
//!
//! The verdict proves which limit was hit; here is how it came to that, from the samples of the container's cgroup.

use super::ground::{Ground, statement};
use super::{Code, Diagnosis};
use crate::record::{BootTime, MemoryUse, RecordId};
use crate::verdict::{Cause, Grade, Statement};
use crate::words;

const NEAR: u64 = MemoryUse::NEAR;

/// What ran out. `None`: it is not recorded which memory it was.
pub(super) fn explain(ground: &Ground<'_>) -> Option<Diagnosis> {
    let code = match ground.verdict.cause {
        Cause::MemoryLimit => Code::OomLimit,
        Cause::NodeOom => Code::OomNode,
        _ => return None,
    };
    let samples: Vec<_> = ground.memory().collect();
    let slope = slope(ground, &samples);
    let summary = match &slope {
        Some(slope) => format!("{}: {}", code.title(), slope.text),
        None => String::new(),
    };
    let mut diagnosis = Diagnosis::new(code, ground.verdict.grade, summary);
    diagnosis
        .facts
        .extend(ground.verdict.statements.iter().take(2).cloned());
    diagnosis.facts.extend(slope);
    diagnosis.facts.extend(near(ground, &samples));
    diagnosis.facts.extend(parts(&samples));
    Some(diagnosis)
}

type Sample<'a> = (RecordId, BootTime, &'a MemoryUse);

/// How fast it grew.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is told with one decimal"
)]
fn slope(ground: &Ground<'_>, samples: &[Sample<'_>]) -> Option<Statement> {
    let least = samples.iter().min_by_key(|(_, _, memory)| memory.current)?;
    let last = samples.last()?;
    let span = last.1.since(least.1);
    let grown = last.2.current.checked_sub(least.2.current)?;
    if grown == 0 || span.is_zero() {
        let peak = ground.verdict.facts.get("peak_rss_bytes")?.as_u64()?;
        let text = format!(
            "it grew between two samples: {} at the last one, {} resident at its peak",
            words::bytes(last.2.current),
            words::bytes(peak)
        );
        return Some(statement(Grade::Proven, text, vec![last.0]));
    }
    let rate = (grown as f64 / span.as_secs_f64()) as u64;
    let text = format!(
        "its container's memory grew from {} to {} in {}, {} a second",
        words::bytes(least.2.current),
        words::bytes(last.2.current),
        words::duration(span),
        words::bytes(rate)
    );
    Some(statement(Grade::Proven, text, vec![least.0, last.0]))
}

/// How long it was near its limit.
fn near(ground: &Ground<'_>, samples: &[Sample<'_>]) -> Option<Statement> {
    let is_near = |memory: &MemoryUse| {
        let limit = memory.max?;
        Some(memory.current / 100 * 100 >= limit / 100 * NEAR)
    };
    let far = samples
        .iter()
        .rposition(|(_, _, memory)| is_near(memory) == Some(false));
    let first = samples.get(far.map_or(0, |far| far + 1))?;
    is_near(first.2).filter(|near| *near)?;
    let left = ground.end().since(first.1);
    let limit = first.2.max?;
    let text = format!(
        "it was above {NEAR} % of the limit of {} for the last {} at least",
        words::bytes(limit),
        words::duration(left)
    );
    Some(statement(Grade::Proven, text, vec![first.0]))
}

/// What it was made of, if the last sample is of its full size: half of the limit and more.
fn parts(samples: &[Sample<'_>]) -> Option<Statement> {
    let (id, _, memory) = samples.last()?;
    if memory.max.is_none_or(|limit| memory.current < limit / 2) {
        return None;
    }
    let (anon, file) = (memory.anon?, memory.file?);
    let share = (file.saturating_mul(100)).checked_div(anon + file)?;
    let text = format!(
        "of its memory at the last sample {} were its own and {} files that can be dropped ({share} %)",
        words::bytes(anon),
        words::bytes(file)
    );
    Some(statement(Grade::Proven, text, vec![*id]))
}
