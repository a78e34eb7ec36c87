//! The head of a report: what went wrong, in v1's words. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::case::Case;
use super::cast::Cast;
use super::{IncidentKind, IncidentSummary, Severity, entries};
use crate::incident::trigger::{About, Reason, Trigger, Trouble};
use crate::record::{Event, ProcessKey, Record, RecordId};
use crate::verdict::Verdict;

pub(super) fn summary(
    case: &Case,
    decisive: &[(RecordId, Record)],
    verdict: &Verdict,
    cast: &Cast,
) -> IncidentSummary {
    let incident = &case.incident;
    let first = &incident.first;
    let exit = first
        .about
        .process()
        .and_then(|victim| death(decisive, victim.key));
    IncidentSummary {
        id: incident.id(),
        timestamp: case.wall.wall(exit.map_or(first.at, |record| record.at)),
        opened_at: case.wall.wall(incident.opened),
        severity: severity(case),
        kind: kind(first),
        message: match &first.about {
            About::Reported(reported) => reported.message.clone(),
            _ => verdict.headline.clone(),
        },
        pod_name: cast.pod.as_ref().map(|pod| pod.name.clone()),
        namespace: cast.pod.as_ref().map(|pod| pod.namespace.clone()),
        container_id: first.location.container.clone(),
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
    let reported = incident
        .triggers()
        .find_map(|trigger| match &trigger.about {
            About::Reported(reported) => Some(reported),
            _ => None,
        });
    if let Some(reported) = reported {
        let given: BTreeMap<String, Value> =
            serde_json::from_str(&reported.context).unwrap_or_default();
        context.extend(given);
        for (key, value) in &reported.tags {
            context.insert(format!("tag_{key}"), Value::from(value.clone()));
        }
        if let Some(claimed) = reported.submission.claimed {
            context.insert("claimed_timestamp".to_owned(), entries::claimed(claimed));
        }
        if incident.process().is_some() {
            let message = Value::from(reported.message.clone());
            context.insert("reported_message".to_owned(), message);
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

fn kind(first: &Trigger) -> IncidentKind {
    match (&first.about, first.reason) {
        (About::Reported(reported), _) => IncidentKind::Reported(reported.kind.clone()),
        (_, Reason::Oom) => IncidentKind::Oom,
        // Names of their own: v1 has none for them.
        (_, Reason::Trouble(Trouble::Recorder)) => {
            IncidentKind::Reported("daemon_crash".to_owned())
        }
        (_, Reason::Trouble(Trouble::NodeDown)) => {
            IncidentKind::Reported("node_unclean_reboot".to_owned())
        }
        (_, Reason::Trouble(Trouble::Image | Trouble::Start)) => {
            IncidentKind::Reported("error".to_owned())
        }
        (_, Reason::Trouble(Trouble::Pending | Trouble::Node)) => {
            IncidentKind::Reported("degraded".to_owned())
        }
        _ => IncidentKind::Crash,
    }
}

/// That of what happened; for the end of a container in Kubernetes high at least, as v1 has it; and more the more often
/// the container was restarted.
fn severity(case: &Case) -> Severity {
    let incident = &case.incident;
    let ends = || {
        incident
            .triggers()
            .filter_map(|trigger| trigger.about.ended())
    };
    let kubernetes = ends().next().map(|_| match incident.first.reason {
        Reason::Restarts(_) => Severity::Low,
        _ => Severity::High,
    });
    let restarts = ends().filter_map(|ended| by_restarts(ended.restarts)).max();
    // Whatever was told first: a pod's end and a sidecar's word count as much when they join.
    let told = incident
        .joined
        .iter()
        .filter(|it| it.about.process().is_none());
    let told = told
        .filter(|it| it.about.ended().is_none())
        .map(own_severity);
    let least = kubernetes.max(restarts).max(told.max());
    own_severity(&incident.first).max(least.unwrap_or(Severity::Low))
}

/// 3 restarts medium, 5 high, 10 critical.
fn by_restarts(restarts: u32) -> Option<Severity> {
    Some(match restarts {
        0..3 => return None,
        3..5 => Severity::Medium,
        5..10 => Severity::High,
        10.. => Severity::Critical,
    })
}

/// v1's table: 130 low, 1, 2 and 143 medium, 125–127 and 137 high; OOM kills critical; faults and aborts high; a pod that
/// failed critical.
fn own_severity(first: &Trigger) -> Severity {
    if let About::Reported(reported) = &first.about {
        return reported.severity;
    }
    match first.reason {
        Reason::Oom => Severity::Critical,
        Reason::Signal(1 | 2 | 13) | Reason::ExitCode(130) | Reason::Restarts(_) => Severity::Low,
        Reason::Signal(14 | 15) => Severity::Medium,
        Reason::ExitCode(125..=127 | 137) | Reason::Signal(_) => Severity::High,
        Reason::ExitCode(_) | Reason::Reported => Severity::Medium,
        Reason::Trouble(trouble) => match trouble {
            Trouble::Evicted | Trouble::Deadline | Trouble::Failed | Trouble::NodeDown => {
                Severity::Critical
            }
            Trouble::Pending => Severity::Medium,
            Trouble::CrashLoop
            | Trouble::Image
            | Trouble::Start
            | Trouble::Disrupted
            | Trouble::Recorder
            | Trouble::Node => Severity::High,
        },
    }
}
