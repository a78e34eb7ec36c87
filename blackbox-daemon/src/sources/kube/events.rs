//! The cluster's own events → records, if they are about this node or a pod of it. Pure.

use super::COMPONENT;
use super::facts::{MESSAGE, NAME, cut};
use super::object::{ClusterEvent, Involved};
use super::pods::{Moment, Pods};
use crate::record::{Event, KubeEvent, PodIdentity, PodName, Record, Subject};
use crate::sources::sidecar::claimed;

/// The record of an event. `None`: it is about something else.
pub(super) fn record(event: &ClusterEvent, node: &str, pods: &Pods, at: Moment) -> Option<Record> {
    let about = &event.involved_object;
    let pod = match about.kind.as_str() {
        "Node" if about.name == node => None,
        "Pod" => Some(pod(event, node, pods)?),
        _ => return None,
    };
    let series = &event.series;
    let last = [
        series.last_observed_time,
        event.last_timestamp,
        event.event_time,
    ];
    let component = match event.reporting_component.is_empty() {
        true => &event.source.component,
        false => &event.reporting_component,
    };
    if component == COMPONENT {
        return None;
    }
    let subject = match &pod {
        Some(_) => Subject::Pod,
        None => Subject::Node,
    };
    let told = KubeEvent {
        pod,
        container: container(about),
        warning: event.kind == "Warning",
        reason: cut(&event.reason, NAME),
        message: cut(&event.message, MESSAGE),
        component: cut(component, NAME),
        count: series.count.or(event.count).unwrap_or(1),
        first: event.first_timestamp.or(event.event_time).map(claimed),
        last: last.into_iter().flatten().next().map(claimed),
    };
    Some(Record {
        at: at.now,
        subject,
        event: Event::KubeEvent(Box::new(told)),
    })
}

/// A pod of this node: one that is known, or one that this node's kubelet speaks of.
fn pod(event: &ClusterEvent, node: &str, pods: &Pods) -> Option<PodIdentity> {
    let about = &event.involved_object;
    if let Some(known) = pods.identity(&about.uid) {
        return Some(known);
    }
    let ours = event.source.host == node || event.reporting_instance == node;
    ours.then(|| PodIdentity {
        uid: cut(&about.uid, NAME),
        pod: PodName {
            namespace: cut(&about.namespace, NAME),
            name: cut(&about.name, NAME),
        },
    })
}

/// `spec.containers{app}` → `app`.
fn container(about: &Involved) -> Option<String> {
    let (_, name) = about.field_path.as_deref()?.split_once('{')?;
    Some(cut(name.strip_suffix('}')?, NAME))
}
