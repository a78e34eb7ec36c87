//! From a case to a report: decode the slice, decide, select what concerns the death, state what is missing.
//!
//! Pure: no clock, no IO. The same case gives the same report, byte for byte.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde_json::Value;

use super::case::Case;
use super::cast::Cast;
use super::completeness::{self, Unread};
use super::sentence::sentence;
use super::{
    Entry, Evidence, FailedCalls, IncidentKind, IncidentSummary, Report, SCHEMA, Severity, entries,
};
use crate::incident::trigger::{About, Reason, Trigger};
use crate::record::{BootTime, Event, LaneName, ProcessKey, Record, RecordId};
use crate::verdict::reported::Claim;
use crate::verdict::{self, Scene, Verdict};
use crate::words;

/// Most records of failed calls in one report; beyond, the newest are kept and a note says so.
const MAX_CALLS: usize = 20_000;

/// Makes the report.
#[must_use]
pub fn build(case: &Case) -> Report {
    let mut records = case.slice.records(LaneName::Decisive);
    let decisive: Vec<(RecordId, Record)> = records.by_ref().collect();
    let mut unread = Unread {
        decisive: records.malformed(),
        ..Unread::default()
    };
    let (verdict, cast) = decide(case, &decisive, &unread);
    let cited: BTreeSet<RecordId> = verdict.cited().into_iter().collect();
    let bulk = bulk(case, &cast, &mut unread);
    let mut telemetry: Vec<(u64, Entry)> = Vec::new();
    for (id, record) in decisive.iter().chain(&bulk) {
        let wanted = cited.contains(id) || cast.concerns(record);
        if wanted {
            let made = entries::project(*id, record, &case.names, case.wall);
            telemetry.extend(made.into_iter().map(|entry| (record.at.0, entry)));
        }
    }
    telemetry.sort_by_key(|(at, entry)| (*at, entry.id));
    Report {
        schema: SCHEMA.into(),
        incident: summary(case, &decisive, &verdict, &cast),
        evidence: evidence(case, &decisive, &cited),
        failed_calls: failed_calls(case, &bulk),
        completeness: completeness::state(case, &decisive, &unread, &cast),
        node: case.node.clone(),
        pod: cast.pod(&case.names),
        containers: cast.containers,
        telemetry: telemetry.into_iter().map(|(_, entry)| entry).collect(),
        generated_at: case.wall.wall(case.closed),
        verdict,
    }
}

/// Who or what ended it, and who plays a part.
fn decide(case: &Case, decisive: &[(RecordId, Record)], unread: &Unread) -> (Verdict, Cast) {
    match &case.incident.first.about {
        About::Process(victim) => {
            let scene = Scene {
                victim: *victim,
                records: decisive,
                names: &case.names,
                complete: completeness::decisive_is_whole(case, decisive, unread),
            };
            (verdict::decide(&scene), Cast::of_death(case, &scene))
        }
        About::Reported(reported) => {
            let cast = Cast::of_report(case, reported);
            let claim = Claim {
                reported,
                id: case.incident.first.record,
                cgroups: &cast.subjects,
                records: decisive,
                names: &case.names,
            };
            (verdict::reported::explain(&claim), cast)
        }
    }
}

/// Bulk records that concern the death.
fn bulk(case: &Case, cast: &Cast, unread: &mut Unread) -> Vec<(RecordId, Record)> {
    let mut kept = Vec::new();
    let mut calls = VecDeque::new();
    let mut records = case.slice.records(LaneName::Bulk);
    for (id, record) in records.by_ref() {
        if !cast.concerns(&record) {
            continue;
        }
        if let Event::CallCounts(counts) = &record.event {
            unread.own_calls_lost += counts.throttled + counts.ring_full;
        }
        if matches!(record.event, Event::FailedCall(_)) {
            if calls.len() == MAX_CALLS {
                calls.pop_front();
                unread.calls_left_out += 1;
            }
            calls.push_back((id, record));
        } else {
            kept.push((id, record));
        }
    }
    unread.bulk = records.malformed();
    kept.extend(calls);
    kept
}

/// Folds failing calls by name and error, most frequent first.
fn failed_calls(case: &Case, bulk: &[(RecordId, Record)]) -> Vec<FailedCalls> {
    let mut folded: BTreeMap<(String, String), (u64, BootTime)> = BTreeMap::new();
    for (_, record) in bulk {
        if let Event::FailedCall(call) = &record.event {
            let key = (words::call(call), words::errno(call.errno));
            let (count, last) = folded.entry(key).or_insert((0, record.at));
            *count += 1;
            *last = (*last).max(record.at);
        }
    }
    let mut calls: Vec<FailedCalls> = folded
        .into_iter()
        .map(|((call, errno), (count, last))| FailedCalls {
            call,
            errno,
            count,
            last: case.wall.wall(last),
        })
        .collect();
    calls.sort_by_key(|calls| std::cmp::Reverse(calls.count));
    calls
}

fn summary(
    case: &Case,
    decisive: &[(RecordId, Record)],
    verdict: &Verdict,
    cast: &Cast,
) -> IncidentSummary {
    let incident = &case.incident;
    let (at, container_id) = match &incident.first.about {
        About::Process(victim) => {
            let container = case.names.cgroup(victim.cgroup);
            let exit = death(decisive, victim.key);
            (
                exit.map_or(incident.first.at, |record| record.at),
                container.and_then(|known| known.place.container_id().map(str::to_owned)),
            )
        }
        About::Reported(reported) => (incident.first.at, reported.container_id.clone()),
    };
    IncidentSummary {
        id: incident.id(),
        timestamp: case.wall.wall(at),
        severity: severity(&incident.first),
        kind: match &incident.first.about {
            About::Reported(reported) => IncidentKind::Reported(reported.kind.clone()),
            About::Process(_) if incident.first.reason == Reason::Oom => IncidentKind::Oom,
            About::Process(_) => IncidentKind::Crash,
        },
        message: match &incident.first.about {
            About::Process(_) => verdict.headline.clone(),
            About::Reported(reported) => reported.message.clone(),
        },
        pod_name: cast.pod.as_ref().map(|pod| pod.name.clone()),
        namespace: cast.pod.as_ref().map(|pod| pod.namespace.clone()),
        container_id,
        context: context(case, verdict),
        repeats: incident.repeats,
    }
}

/// The exit of a process.
fn death(decisive: &[(RecordId, Record)], key: ProcessKey) -> Option<&Record> {
    let of = |record: &&Record| record.subject.process().is_some_and(|p| p.key == key);
    let exits = decisive.iter().map(|(_, record)| record);
    exits
        .filter(|record| matches!(record.event, Event::Exit(_)))
        .find(of)
}

/// What a reporter gave, and the verdict's facts: those are ours, so they win.
fn context(case: &Case, verdict: &Verdict) -> BTreeMap<String, Value> {
    let incident = &case.incident;
    let mut context = BTreeMap::new();
    if let About::Reported(reported) = &incident.first.about {
        let given: BTreeMap<String, Value> =
            serde_json::from_str(&reported.context).unwrap_or_default();
        context.extend(given);
        for (key, value) in &reported.tags {
            context.insert(format!("tag_{key}"), Value::from(value.clone()));
        }
        if let Some(claimed) = reported.submission.claimed {
            context.insert("claimed_timestamp".to_owned(), entries::claimed(claimed));
        }
    }
    let facts = verdict.facts.iter();
    context.extend(facts.map(|(name, fact)| (name.clone().into_owned(), fact.clone())));
    let own = incident.process().map(|process| process.key.tgid);
    let others: BTreeSet<u32> = incident
        .joined
        .iter()
        .filter_map(|trigger| Some(trigger.about.process()?.key.tgid))
        .filter(|tgid| Some(*tgid) != own)
        .collect();
    if !others.is_empty() {
        context.insert("also_killed_pids".to_owned(), others.into_iter().collect());
    }
    context
}

/// v1's table: 130 low, 1, 2 and 143 medium, 125–127 and 137 high; OOM kills critical; faults and aborts high.
fn severity(first: &Trigger) -> Severity {
    if let About::Reported(reported) = &first.about {
        return reported.severity;
    }
    match first.reason {
        Reason::Oom => Severity::Critical,
        Reason::Signal(1 | 2 | 13) | Reason::ExitCode(130) => Severity::Low,
        Reason::Signal(14 | 15) => Severity::Medium,
        Reason::ExitCode(125..=127 | 137) | Reason::Signal(_) => Severity::High,
        Reason::ExitCode(_) | Reason::Reported => Severity::Medium,
    }
}

fn evidence(
    case: &Case,
    decisive: &[(RecordId, Record)],
    cited: &BTreeSet<RecordId>,
) -> Vec<Evidence> {
    let wall = |record: &Record| -> Timestamp { case.wall.wall(record.at) };
    decisive
        .iter()
        .filter(|(id, _)| cited.contains(id))
        .map(|(id, record)| Evidence {
            id: *id,
            timestamp: wall(record),
            what: words::printable(&sentence(record, &case.names)),
        })
        .collect()
}
