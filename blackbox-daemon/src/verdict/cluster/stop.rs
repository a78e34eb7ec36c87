//! Why was it stopped? Eviction, a probe that failed, a deletion, a deadline, or a grace period that ran out.

use std::time::Duration;

use super::Word;
use crate::record::{BootTime, Condition, KubeEvent, RecordId};
use crate::verdict::{Cause, Grade, Statement};
use crate::words;

/// How long after an end the cluster's reason for it may still arrive.
const LATE: Duration = Duration::from_secs(15);
/// What a kubelet may need between its decision and the kill, beyond the grace period (hooks, and a runtime that is slow).
const SLOW: Duration = Duration::from_secs(60);
/// Kubernetes' default grace period.
const GRACE: i64 = 30;

/// The end that is to be explained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopped {
    /// When the instance began, as far as that is known.
    pub(super) started: Option<BootTime>,
    pub(super) ended: BootTime,
    /// It died of SIGKILL.
    pub(super) killed: bool,
}

/// Why something was stopped, by the cluster's word.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub(super) cause: Cause,
    /// What the cluster did and why, as the end of a sentence: `the kubelet evicted pod shop/web`.
    pub(super) because: String,
    /// The records that say so.
    pub(super) cites: Vec<RecordId>,
    /// The kubelet says it of this container, and of what it did itself.
    pub(super) certain: bool,
    pub(super) details: Vec<Statement>,
}

impl Stop {
    fn new(cause: Cause, because: String, id: RecordId) -> Self {
        Self {
            cause,
            because,
            cites: vec![id],
            certain: true,
            details: Vec::new(),
        }
    }

    fn detail(&mut self, text: String, id: RecordId) {
        self.details.push(Statement {
            grade: Grade::Proven,
            text,
            cites: vec![id],
        });
    }
}

/// Looks for the reason. `None`: the cluster does not say.
pub(super) fn why(word: &Word<'_>, end: &Stopped) -> Option<Stop> {
    let mut stop = pod_ended(word)
        .or_else(|| probe(word, end))
        .or_else(|| deleted(word, end))
        .or_else(|| killing(word, end))?;
    if !stop.certain
        && stop.cause != Cause::ProbeFailed
        && let Some(killing) = killing(word, end)
    {
        // What the API server wanted is what the kubelet says it does.
        stop.certain = killing.certain;
        stop.cites.extend(killing.cites);
    }
    hooks(word, end, &mut stop);
    Some(stop)
}

/// The whole pod was to end: evicted, out of time, or disrupted.
fn pod_ended(word: &Word<'_>) -> Option<Stop> {
    let pod = || match word.facts {
        Some(facts) => format!("pod {}", facts.pod),
        None => "the pod".to_owned(),
    };
    let evicted = word
        .conditions()
        .find(|(_, _, it)| it.what == Condition::Evicted);
    if let Some((id, _, condition)) = evicted {
        let because = format!(
            "the kubelet evicted {}{}",
            pod(),
            said(condition.message.as_deref())
        );
        return Some(Stop::new(Cause::Evicted, because, id));
    }
    if let Some((id, _, event)) = word.events().find(|(_, _, it)| it.reason == "Evicted") {
        let because = format!(
            "the kubelet evicted {}{}",
            pod(),
            said(Some(&event.message))
        );
        return Some(Stop::new(Cause::Evicted, because, id));
    }
    word.conditions().find_map(|(id, _, condition)| {
        let message = said(condition.message.as_deref());
        let (cause, because) = match &condition.what {
            Condition::DeadlineExceeded => (
                Cause::DeadlineExceeded,
                format!(
                    "{} ran for longer than its activeDeadlineSeconds allows",
                    pod()
                ),
            ),
            Condition::Disrupted { reason } => (
                Cause::Disrupted,
                format!("{} {}{message}", pod(), disruption(reason)),
            ),
            _ => return None,
        };
        let mut stop = Stop::new(cause, because, id);
        stop.certain = false;
        Some(stop)
    })
}

/// Reasons of the condition `DisruptionTarget` (Kubernetes documentation, "Pod disruption conditions").
pub(super) fn disruption(reason: &str) -> String {
    match reason {
        "PreemptionByScheduler" => "had to make room for a pod of higher priority".to_owned(),
        "DeletionByTaintManager" => "does not tolerate a taint its node was given".to_owned(),
        "DeletionByPodGC" => "was on a node that is gone, or was never bound".to_owned(),
        "EvictionByEvictionAPI" => "was evicted through the API, as a drain does".to_owned(),
        "TerminationByKubelet" => {
            "was ended by the kubelet, for pressure on the node or its shutdown".to_owned()
        }
        other => format!("was to end ({other})"),
    }
}

/// A probe failed, and the kubelet says that it killed this container for it.
fn probe(word: &Word<'_>, end: &Stopped) -> Option<Stop> {
    let killing = word.events().filter(|(_, at, event)| {
        event.reason == "Killing" && in_time(word, end, *at) && probe_name(&event.message).is_some()
    });
    let unhealthy = || {
        let failed = word.events().filter(|(_, at, event)| {
            event.reason == "Unhealthy" && in_time(word, end, *at) && lethal(event)
        });
        failed.last()
    };
    let mut stop = match killing.last() {
        Some((id, _, event)) => {
            let probe = probe_name(&event.message)?;
            let because = format!(
                "the kubelet stopped {} because its {probe} probe failed",
                word.name()
            );
            let mut stop = Stop::new(Cause::ProbeFailed, because, id);
            stop.certain = event.container.is_some();
            stop
        }
        None => {
            // The kubelet may have stopped it for this; it does not say so.
            let (id, _, event) = unhealthy()?;
            let probe = event.message.split_whitespace().next()?.to_lowercase();
            let because = format!(
                "its {probe} probe had failed, for which the kubelet stops {}",
                word.name()
            );
            let mut stop = Stop::new(Cause::ProbeFailed, because, id);
            stop.certain = false;
            stop
        }
    };
    if let Some((id, _, event)) = unhealthy() {
        let times = match event.count {
            0 | 1 => String::new(),
            count => format!(", {count} times so far"),
        };
        let message = words::printable(event.message.trim());
        stop.detail(format!("the kubelet's probe{times}: {message}"), id);
        if !stop.cites.contains(&id) {
            stop.cites.push(id);
        }
    }
    Some(stop)
}

/// `Container app failed liveness probe, will be restarted` (pkg/kubelet/kuberuntime of Kubernetes).
fn probe_name(message: &str) -> Option<&'static str> {
    let failed = |probe: &str| message.contains(&format!("failed {probe} probe"));
    ["liveness", "startup"]
        .into_iter()
        .find(|probe| failed(probe))
}

/// A failed readiness probe kills nobody.
fn lethal(event: &KubeEvent) -> bool {
    event.message.starts_with("Liveness probe") || event.message.starts_with("Startup probe")
}

/// Its pod was deleted, and maybe its grace period ran out.
fn deleted(word: &Word<'_>, end: &Stopped) -> Option<Stop> {
    let (id, at, deletion) =
        word.conditions()
            .find_map(|(id, at, condition)| match &condition.what {
                Condition::Deleting(deletion) => Some((id, at, *deletion)),
                _ => None,
            })?;
    if at > end.ended.plus(LATE) {
        return None;
    }
    // Of a second deletion (`--force`) the facts know, and the first record does not.
    let grace = word
        .facts
        .and_then(|facts| facts.deletion)
        .unwrap_or(deletion)
        .grace_seconds;
    let pod = word
        .facts
        .map_or("its pod".to_owned(), |facts| format!("pod {}", facts.pod));
    let waited = end.ended.since(at);
    // The API server counts whole seconds.
    let span = grace
        .and_then(|grace| u64::try_from(grace).ok())
        .filter(|grace| *grace > 0);
    let over = span.filter(|grace| {
        end.killed && waited + Duration::from_secs(1) >= Duration::from_secs(*grace)
    });
    let Some(grace) = over else {
        let because = format!("{pod} was being deleted");
        let mut stop = Stop::new(Cause::Deleted, because, id);
        stop.certain = false;
        return Some(stop);
    };
    let because = format!("the grace period of {grace} s ran out after {pod} was deleted");
    let mut stop = Stop::new(Cause::GraceExpired, because, id);
    stop.certain = false;
    let waited = words::duration(waited);
    stop.detail(
        format!("the deletion was seen {waited} before the end; its grace period is {grace} s"),
        id,
    );
    Some(stop)
}

/// The kubelet says that it stops the container, and no more.
fn killing(word: &Word<'_>, end: &Stopped) -> Option<Stop> {
    let own = word
        .events()
        .filter(|(_, at, event)| event.reason == "Killing" && in_time(word, end, *at));
    let (id, _, event) = own.last()?;
    let message = words::printable(event.message.trim());
    let because = format!("the kubelet was stopping {}: {message}", word.name());
    let mut stop = Stop::new(Cause::StoppedByKubelet, because, id);
    stop.certain = event.container.is_some();
    Some(stop)
}

/// Hooks that failed before the stop, for they use up its grace period.
fn hooks(word: &Word<'_>, end: &Stopped, stop: &mut Stop) {
    let failed = word
        .events()
        .find(|(_, at, event)| event.reason == "FailedPreStopHook" && in_time(word, end, *at));
    if let Some((id, _, event)) = failed {
        let message = words::printable(event.message.trim());
        stop.detail(format!("its pre-stop hook failed: {message}"), id);
    }
}

/// Whether what was told at `at` can be about this end, and not about an earlier instance's.
fn in_time(word: &Word<'_>, end: &Stopped, at: BootTime) -> bool {
    let grace = word
        .facts
        .and_then(|facts| facts.grace_seconds)
        .unwrap_or(GRACE);
    let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    let earliest = end.ended.minus(grace + SLOW);
    let earliest = end
        .started
        .map_or(earliest, |started| started.max(earliest));
    at >= earliest && at <= end.ended.plus(LATE)
}

fn said(message: Option<&str>) -> String {
    let message = message.map(str::trim).filter(|message| !message.is_empty());
    message.map_or(String::new(), |message| {
        format!(": {}", words::printable(message))
    })
}
