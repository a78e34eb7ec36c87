//! What does a reported incident rest on? The report is a claim; deaths recorded in the pod's containers are facts.
//! That one caused the other is not proven by their nearness, so the grade stays unknown.

use std::collections::BTreeSet;

use super::{Cause, Grade, Verdict};
use crate::identity::Names;
use crate::record::{CgroupId, Event, Record, RecordId, Reported};
use crate::words;

/// Deaths told in one verdict: the latest.
const MAX_DEATHS: usize = 3;
/// Characters of a message that a headline has room for.
const MESSAGE: usize = 200;

/// A reported incident, and the decisive records around it.
#[derive(Debug)]
pub struct Claim<'a> {
    pub reported: &'a Reported,
    /// The record that holds it.
    pub id: RecordId,
    /// The cgroups of its pod, as far as they are known.
    pub cgroups: &'a BTreeSet<CgroupId>,
    /// The decisive records of the slice, in order of arrival.
    pub records: &'a [(RecordId, Record)],
    pub names: &'a Names,
}

/// Decides about a reported incident.
#[must_use]
pub fn explain(claim: &Claim<'_>) -> Verdict {
    let reported = claim.reported;
    let pod = reported.pod.as_ref();
    let whose = pod.map_or(String::new(), |pod| format!(" about {pod}"));
    let message: String = reported.message.chars().take(MESSAGE).collect();
    let said = if message.trim().is_empty() {
        format!("({}), without a message", reported.kind)
    } else {
        format!("({}): {message}", reported.kind)
    };
    let said = words::printable(&said);
    let by = words::reporter(&reported.submission.by);
    let by = words::printable(&by);
    let headline = format!("{by} reported{whose} {said}");
    let mut verdict = Verdict::new(Cause::Reported, Grade::Unknown, headline);
    let text = format!("{by} says so; nothing recorded proves or refutes it");
    verdict.state(Grade::Proven, text, vec![claim.id]);
    deaths(claim, &mut verdict);
    if let Some(pod) = pod {
        verdict.fact("pod", pod.to_string());
    }
    verdict.fact("reported_by", by.into_owned());
    verdict
}

fn deaths(claim: &Claim<'_>, verdict: &mut Verdict) {
    let bad = |record: &Record| match (&record.event, record.subject.process()) {
        (Event::Exit(exit), Some(process)) => {
            let bad = exit.status.signal().is_some() || exit.status.code() != Some(0);
            (bad && claim.cgroups.contains(&process.cgroup)).then_some((*process, exit.status))
        }
        _ => None,
    };
    let found: Vec<_> = claim
        .records
        .iter()
        .filter_map(|(id, record)| bad(record).map(|death| (*id, record.at, death)))
        .collect();
    for (id, at, (process, status)) in found.iter().rev().take(MAX_DEATHS).rev() {
        let received = claim.reported.submission.received;
        let when = if *at <= received {
            format!("{} before the report", words::duration(received.since(*at)))
        } else {
            format!("{} after the report", words::duration(at.since(received)))
        };
        let place = claim.names.describe(process.cgroup);
        let text = format!(
            "{when}, {} in {place} {}",
            words::process(process),
            words::ending(*status)
        );
        verdict.state(Grade::Proven, text, vec![*id]);
    }
    if claim.cgroups.is_empty() {
        let text = "no container id was given, by the report or by telemetry of this pod: its containers are not here";
        verdict.state(Grade::Unknown, text.to_owned(), Vec::new());
    } else if found.is_empty() {
        let text = "no bad end of a process in its containers is recorded in this window";
        verdict.state(Grade::Unknown, text.to_owned(), Vec::new());
    }
}
