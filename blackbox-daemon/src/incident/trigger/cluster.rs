//! What the API server says: which statement is worth an incident.
//!
//! An end of a container that was not a success; a success that had to be repeated too often; what keeps a pod from
//! running or ends it; and a node that is short of something. Each is a record once, when it begins (see
//! `sources/kube/edges`), so a trigger fires once.

use std::sync::Arc;

use super::{About, Location, Reason, Trigger, Trouble, story};
use crate::identity::{Names, Place};
use crate::record::{
    Condition, ContainerEnded, ContainerKind, ContainerState, KubeEvent, PodCondition, PodFacts,
    PodIdentity, Record, RecordId, RestartPolicy, WaitCause,
};

/// Restarts at which a container that ends well each time is an incident all the same.
pub(super) const RESTARTS: [u32; 3] = [3, 5, 10];
/// What the kubelet says of a node that is short of something, or kills for it
/// (pkg/kubelet/events/event.go of Kubernetes).
const PRESSURE: [&str; 6] = [
    "EvictionThresholdMet",
    "NodeHasInsufficientMemory",
    "NodeHasDiskPressure",
    "NodeHasInsufficientPID",
    "FreeDiskSpaceFailed",
    "SystemOOM",
];
/// A disruption that somebody wanted: a drain, or an eviction through the API.
const WANTED: &str = "EvictionByEvictionAPI";
/// What a shell calls a death by a signal: 128 and its number.
const SIGNALLED: std::ops::RangeInclusive<i32> = 129..=192;

pub(super) fn ended(
    record: &Record,
    id: RecordId,
    ended: &ContainerEnded,
    names: &Names,
) -> Option<Trigger> {
    let facts = names.pod_by_uid(&ended.pod.uid);
    let reason = end_reason(ended, facts)?;
    let about = About::Container(Arc::new(ended.clone()));
    let mut trigger = Trigger::new(record, id, about, reason);
    trigger.ends_container = true;
    // What stopped it is not said; whoever asks wants to know whether the pod was to end.
    trigger.from_outside = matches!(reason, Reason::Signal(9 | 15));
    trigger.signature.place = story(&ended.pod, Some(&ended.container), facts);
    trigger.location = Location {
        container: ended.end.container_id.clone(),
        ..of(&ended.pod)
    };
    Some(trigger)
}

fn end_reason(ended: &ContainerEnded, facts: Option<&PodFacts>) -> Option<Reason> {
    if ended.end.reason.as_deref() == Some("OOMKilled") {
        return Some(Reason::Oom);
    }
    match ended.end.exit_code {
        // Somebody looked around in the pod, and left.
        _ if ended.kind == ContainerKind::Ephemeral => None,
        0 => repeated(ended, facts),
        code if SIGNALLED.contains(&code) => Some(Reason::Signal(code.unsigned_abs() - 128)),
        code => Some(Reason::ExitCode(code.unsigned_abs())),
    }
}

/// A main container that is to run for ever, ends well, and has to be started again and again.
fn repeated(ended: &ContainerEnded, facts: Option<&PodFacts>) -> Option<Reason> {
    let facts = facts?;
    let for_ever = facts.restart_policy == Some(RestartPolicy::Always)
        && ended.kind == ContainerKind::Main
        || ended.kind == ContainerKind::Sidecar;
    let counts = for_ever && facts.deletion.is_none() && RESTARTS.contains(&ended.restarts);
    counts.then_some(Reason::Restarts(ended.restarts))
}

pub(super) fn condition(
    record: &Record,
    id: RecordId,
    condition: &PodCondition,
    names: &Names,
) -> Option<Trigger> {
    let facts = names.pod_by_uid(&condition.pod.uid);
    let trouble = trouble(condition, facts)?;
    // A pod that is to end may wait for whatever it likes.
    if facts.is_some_and(|facts| facts.deletion.is_some()) && !trouble.ends_pod() {
        return None;
    }
    let about = About::Pod(Arc::new(condition.clone()));
    let mut trigger = Trigger::new(record, id, about, Reason::Trouble(trouble));
    let container = match &condition.what {
        Condition::Waiting { container, .. } => Some(container.as_str()),
        _ => None,
    };
    trigger.signature.place = story(&condition.pod, container, facts);
    trigger.location = of(&condition.pod);
    trigger.only_joins = trouble == Trouble::Failed && facts.is_some_and(a_container_failed);
    Some(trigger)
}

fn trouble(condition: &PodCondition, facts: Option<&PodFacts>) -> Option<Trouble> {
    Some(match &condition.what {
        Condition::Waiting { .. } if condition.again => return None,
        Condition::Waiting { cause, .. } => match cause {
            WaitCause::CrashLoopBackOff => Trouble::CrashLoop,
            WaitCause::ErrImagePull | WaitCause::ImagePullBackOff | WaitCause::InvalidImageName => {
                Trouble::Image
            }
            WaitCause::CreateContainerConfigError => Trouble::Start,
            WaitCause::Other(name) if name.contains("Image") => Trouble::Image,
            WaitCause::Other(_) => Trouble::Start,
        },
        // What holds it up has been told.
        Condition::PendingLong { .. } if facts.is_some_and(is_held_up) => return None,
        Condition::PendingLong { .. } => Trouble::Pending,
        Condition::Disrupted { reason } if reason == WANTED => return None,
        Condition::Disrupted { .. } => Trouble::Disrupted,
        Condition::Evicted => Trouble::Evicted,
        Condition::DeadlineExceeded => Trouble::Deadline,
        Condition::Failed { .. } => Trouble::Failed,
        Condition::Deleting(_) | Condition::Gone { .. } => return None,
    })
}

fn is_held_up(facts: &PodFacts) -> bool {
    facts
        .containers
        .iter()
        .any(|container| match &container.state {
            ContainerState::Waiting {
                reason: Some(reason),
            } => WaitCause::of(reason).is_some(),
            _ => false,
        })
}

/// Then that end is the incident, and the pod's failure what follows from it.
fn a_container_failed(facts: &PodFacts) -> bool {
    facts.containers.iter().any(
        |container| matches!(&container.state, ContainerState::Ended(end) if end.exit_code != 0),
    )
}

pub(super) fn node(record: &Record, id: RecordId, event: &KubeEvent) -> Option<Trigger> {
    if event.pod.is_some() || !PRESSURE.contains(&event.reason.as_str()) {
        return None;
    }
    let about = About::Node(Arc::new(event.clone()));
    let mut trigger = Trigger::new(record, id, about, Reason::Trouble(Trouble::Node));
    trigger.signature.place = Place::Plain(event.reason.clone());
    Some(trigger)
}

fn of(pod: &PodIdentity) -> Location {
    Location {
        container: None,
        pod_uid: Some(pod.uid.clone()),
        pod: Some(pod.pod.clone()),
    }
}
