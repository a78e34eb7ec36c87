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
use crate::identity::Place;
use crate::incident::trigger::Reason;
use crate::record::{BootTime, Event, LaneName, Record, RecordId};
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
    let scene = Scene {
        victim: case.incident.first.process,
        records: &decisive,
        names: &case.names,
        complete: completeness::decisive_is_whole(case, &decisive, &unread),
    };
    let verdict = verdict::decide(&scene);
    let cast = Cast::of(case, &decisive, &scene);
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
        schema: SCHEMA,
        incident: summary(case, &scene, &verdict),
        evidence: evidence(case, &decisive, &cited),
        failed_calls: failed_calls(case, &bulk),
        completeness: completeness::state(case, &decisive, &unread),
        node: case.node.clone(),
        pod: cast.pod(),
        containers: cast.containers,
        telemetry: telemetry.into_iter().map(|(_, entry)| entry).collect(),
        generated_at: case.wall.wall(case.closed),
        verdict,
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

fn summary(case: &Case, scene: &Scene<'_>, verdict: &Verdict) -> IncidentSummary {
    let incident = &case.incident;
    let at = scene
        .exit()
        .map_or(incident.first.at, |(_, record, _)| record.at);
    let mut context: BTreeMap<String, Value> = verdict
        .facts
        .iter()
        .map(|(name, fact)| ((*name).to_owned(), fact.clone()))
        .collect();
    if !incident.joined.is_empty() {
        let others: BTreeSet<u32> = incident
            .joined
            .iter()
            .map(|trigger| trigger.process.key.tgid)
            .filter(|tgid| *tgid != incident.process().tgid)
            .collect();
        if !others.is_empty() {
            context.insert("also_killed_pids".to_owned(), others.into_iter().collect());
        }
    }
    let container_id = match case.names.cgroup(incident.first.process.cgroup) {
        Some(known) => match &known.place {
            Place::Container { id, .. } => Some(id.clone()),
            _ => None,
        },
        None => None,
    };
    IncidentSummary {
        id: incident.id(),
        timestamp: case.wall.wall(at),
        severity: severity(incident.first.reason),
        kind: match incident.first.reason {
            Reason::Oom => IncidentKind::Oom,
            Reason::Signal(_) | Reason::ExitCode(_) => IncidentKind::Crash,
        },
        message: verdict.headline.clone(),
        pod_name: None,
        namespace: None,
        container_id,
        context,
        repeats: incident.repeats,
    }
}

/// v1's table: 130 low, 1, 2 and 143 medium, 125–127 and 137 high; OOM kills critical; faults and aborts high.
fn severity(reason: Reason) -> Severity {
    match reason {
        Reason::Oom => Severity::Critical,
        Reason::Signal(1 | 2 | 13) | Reason::ExitCode(130) => Severity::Low,
        Reason::Signal(14 | 15) => Severity::Medium,
        Reason::ExitCode(125..=127 | 137) | Reason::Signal(_) => Severity::High,
        Reason::ExitCode(_) => Severity::Medium,
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
