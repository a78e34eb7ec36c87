//! The cluster ended it, or does not let it run: the verdict's cause is the reason, but for two that lie deeper.
//!
//! A probe that failed while the container was throttled for most of the time is a matter of its CPU limit. A container
//! that cannot be started because its program is not there is a matter of that program.

use std::time::Duration;

use super::ground::{Ground, statement};
use super::{Code, Diagnosis};
use crate::record::{RecordId, Throttling};
use crate::verdict::{Cause, Grade, Statement};
use crate::words;

/// Throttled in so many of a hundred periods is starved.
const STARVED: u64 = 50;
/// Fewer periods than this say nothing.
const FEW_PERIODS: u64 = 20;
/// What container runtimes say of a program that is not there (runc, crun).
const NO_PROGRAM: &[&str] = &[
    "executable file not found",
    "exec format error",
    "no such file or directory: unknown",
    "permission denied: unknown",
];

/// Why the cluster ended it, or does not let it run. `None`: it gave no reason.
pub(super) fn explain(ground: &Ground<'_>) -> Option<Diagnosis> {
    let verdict = ground.verdict;
    let code = match verdict.cause {
        Cause::ProbeFailed => Code::ProbeKill,
        Cause::GraceExpired => Code::GraceExpired,
        Cause::Evicted => Code::Evicted,
        Cause::Disrupted => Code::Disrupted,
        Cause::DeadlineExceeded => Code::Deadline,
        Cause::Deleted => Code::Deleted,
        Cause::ImagePull => Code::ImagePull,
        Cause::Config => Code::Config,
        Cause::StartFailed if says(ground, NO_PROGRAM) => Code::ExecFailed,
        Cause::StartFailed => Code::StartFailed,
        Cause::Pending => Code::Pending,
        Cause::CrashLoop => Code::CrashLoop,
        Cause::NodePressure => Code::NodePressure,
        Cause::NodeDown if verdict.grade > Grade::Unknown => Code::NodePanic,
        Cause::NodeDown => return Some(plain(ground, Code::NodeDown)),
        Cause::DaemonCrash => return Some(plain(ground, Code::RecorderDied)),
        _ => return None,
    };
    if code == Code::ProbeKill
        && let Some(starved) = starved(ground)
    {
        let summary = format!("{}; its probe failed meanwhile", Code::CpuStarved.title());
        let mut diagnosis = Diagnosis::new(Code::CpuStarved, Grade::Likely, summary);
        diagnosis.facts.push(starved);
        diagnosis
            .facts
            .extend(verdict.statements.iter().take(2).cloned());
        return Some(diagnosis);
    }
    let mut diagnosis = Diagnosis::new(code, verdict.grade, verdict.headline.clone());
    diagnosis
        .facts
        .extend(verdict.statements.iter().take(3).cloned());
    Some(diagnosis)
}

/// That it is so is certain, whatever the reason.
fn plain(ground: &Ground<'_>, code: Code) -> Diagnosis {
    let mut diagnosis = Diagnosis::new(code, Grade::Proven, ground.verdict.headline.clone());
    let statements = ground.verdict.statements.iter().take(1);
    diagnosis.facts.extend(statements.cloned());
    diagnosis
}

fn says(ground: &Ground<'_>, phrases: &[&str]) -> bool {
    let statements = ground
        .verdict
        .statements
        .iter()
        .map(|said| said.text.to_lowercase());
    statements
        .chain([ground.verdict.headline.to_lowercase()])
        .any(|text| phrases.iter().any(|phrase| text.contains(phrase)))
}

/// Whether it was throttled for most of the window.
fn starved(ground: &Ground<'_>) -> Option<Statement> {
    let from = ground.end().minus(Duration::from_secs(30));
    let samples: Vec<(RecordId, Throttling)> = ground
        .samples()
        .filter(|(_, at, _)| *at >= from)
        .filter_map(|(id, _, sample)| Some((id, sample.throttling?)))
        .collect();
    let ((first_id, first), (last_id, last)) = (samples.first()?, samples.last()?);
    let periods = last.periods.checked_sub(first.periods)?;
    let throttled = last
        .throttled_periods
        .checked_sub(first.throttled_periods)?;
    let share = throttled.saturating_mul(100).checked_div(periods)?;
    if periods < FEW_PERIODS || share < STARVED {
        return None;
    }
    let lost = Duration::from_nanos(last.throttled.saturating_sub(first.throttled));
    let text = format!(
        "its CPU limit held it back in {share} % of the periods, for {} in all",
        words::duration(lost)
    );
    Some(statement(Grade::Proven, text, vec![*first_id, *last_id]))
}
