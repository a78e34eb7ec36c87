//! Triggers: looks at one record and says "this is worth keeping". Pure rules over one record and the names it needs.
//!
//! `process` judges what the kernel saw: OOM kills and fatal signals everywhere, a non-zero exit where something ended
//! that was to go on. `cluster` judges what the API server says: ends of containers, and what holds pods up. What a
//! sidecar reports is always worth keeping.

mod cluster;
mod process;
mod recorder;
mod scope;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::identity::{Names, Place};
use crate::record::{
    Began, BootTime, Comm, Condition, ContainerEnded, Event, KubeEvent, PodCondition, PodFacts,
    PodIdentity, PodName, Process, ProcessKey, Record, RecordId, Reported,
};
pub use scope::Scope;

/// What is watched beyond the defaults, and what is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Cgroup paths; `*` stands for any characters but `/`. A cgroup below a match is watched too.
    pub watch: Vec<String>,
    /// The pods that may have incidents.
    pub scope: Scope,
}

impl Rules {
    /// Whether a cgroup is watched, or lies below one that is.
    #[must_use]
    pub fn watches(&self, path: &str) -> bool {
        let fits = |pattern: &String| process::matches(pattern, path);
        self.watch.iter().any(fits)
    }
}

/// Why an incident is opened, or what joins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The OOM killer chose it.
    Oom,
    /// It died of a signal.
    Signal(u32),
    /// It exited with a code that is not zero.
    ExitCode(u32),
    /// It ended well, and had to be started again, as often as this.
    Restarts(u32),
    /// Something is wrong with a pod or the node, without a death.
    Trouble(Trouble),
    /// A sidecar reported it.
    Reported,
}

/// What can be wrong with a pod or the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trouble {
    /// The kubelet holds back a container that ended too often.
    CrashLoop,
    /// Its image cannot be had.
    Image,
    /// A container cannot be made or started.
    Start,
    /// It has been pending for too long.
    Pending,
    /// The kubelet evicted it.
    Evicted,
    /// It was to make room, or its node was lost to it.
    Disrupted,
    /// It ran for longer than it may.
    Deadline,
    /// It failed, for another reason.
    Failed,
    /// The node is short of something.
    Node,
    /// The recorder died.
    Recorder,
    /// The node went down.
    NodeDown,
}

impl Trouble {
    /// Whether it ends the whole pod.
    #[must_use]
    pub fn ends_pod(self) -> bool {
        matches!(
            self,
            Self::Evicted | Self::Disrupted | Self::Deadline | Self::Failed
        )
    }

    /// As ids have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CrashLoop => "crash-loop",
            Self::Image => "image-pull",
            Self::Start => "start-failed",
            Self::Pending => "pod-pending",
            Self::Evicted => "pod-evicted",
            Self::Disrupted => "pod-disrupted",
            Self::Deadline => "pod-deadline",
            // v1's name for a pod whose phase is Failed.
            Self::Failed => "pod-crash",
            Self::Node => "node",
            Self::Recorder => "daemon-crash",
            Self::NodeDown => "node-unclean-reboot",
        }
    }
}

/// What an incident is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum About {
    /// A process that died or is about to.
    Process(Process),
    /// The end of a container that only the kubelet has told of.
    Container(Arc<ContainerEnded>),
    /// Something that came to be so with a pod.
    Pod(Arc<PodCondition>),
    /// What the cluster says of this node.
    Node(Arc<KubeEvent>),
    /// What a sidecar reported.
    Reported(Arc<Reported>),
    /// The end of the recorder's former life.
    Recorder(Arc<Began>),
}

impl About {
    /// The process it is about.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        match self {
            Self::Process(process) => Some(process),
            _ => None,
        }
    }

    /// The end it is about, by the kubelet's word.
    #[must_use]
    pub fn ended(&self) -> Option<&ContainerEnded> {
        match self {
            Self::Container(ended) => Some(ended),
            _ => None,
        }
    }

    /// What no other death or report has.
    #[must_use]
    pub fn identity(&self) -> Identity {
        match self {
            Self::Process(process) => Identity::Process(process.key),
            Self::Container(ended) => Identity::Container(instance(ended)),
            Self::Pod(condition) => Identity::Pod {
                uid: condition.pod.uid.clone(),
                what: what(&condition.what),
            },
            Self::Node(event) => Identity::Node {
                reason: event.reason.clone(),
                first: event.first,
            },
            Self::Reported(reported) => Identity::Reported {
                id: reported.id.clone(),
                pod: reported.pod.clone(),
            },
            Self::Recorder(began) => Identity::Life(began.last),
        }
    }
}

/// An instance of a container: its id, or pod, name and end where the kubelet has lost that.
fn instance(ended: &ContainerEnded) -> String {
    match &ended.end.container_id {
        Some(id) => id.clone(),
        None => {
            let finished = ended.end.finished.unwrap_or(0);
            format!("{}/{}@{finished}", ended.pod.uid, ended.container)
        }
    }
}

/// A condition, with the container it is about. A pod ends once, however many words there are for it.
fn what(condition: &Condition) -> String {
    match condition {
        Condition::Waiting { container, cause } => format!("{} {container}", cause.name()),
        Condition::PendingLong { .. } => "pending".to_owned(),
        Condition::Deleting(_)
        | Condition::Disrupted { .. }
        | Condition::Evicted
        | Condition::DeadlineExceeded
        | Condition::Failed { .. }
        | Condition::Gone { .. } => "end".to_owned(),
    }
}

/// Triggers of one identity are about the same death or report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    Process(ProcessKey),
    /// An instance of a container.
    Container(String),
    /// A pod by uid, and what is wrong with it.
    Pod {
        uid: String,
        what: String,
    },
    /// What the cluster says of the node; it says so again and again, of the same beginning.
    Node {
        reason: String,
        first: Option<i64>,
    },
    /// The id a reporter chose, and its pod: a report that is sent twice is one.
    Reported {
        id: String,
        pod: Option<PodName>,
    },
    /// A life of the recorder, by when it wrote last.
    Life(BootTime),
}

/// Deaths that are the same story: the same place, program and reason. In a pod that an owner made, the place is the
/// container of that owner, in whichever of its pods.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signature {
    place: Place,
    comm: Comm,
    reason: Reason,
}

/// Where something happened, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The container, by its whole id, or as a sidecar gave it.
    pub container: Option<String>,
    /// The pod's uid as the API server gives it, or its cgroups' paths.
    pub pod_uid: Option<String>,
    pub pod: Option<PodName>,
}

/// One record worth keeping.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trigger {
    pub record: RecordId,
    pub at: BootTime,
    pub about: About,
    pub reason: Reason,
    pub signature: Signature,
    pub location: Location,
    /// Its death is over: the exit was seen.
    pub dead: bool,
    /// It is the end of a whole container.
    pub ends_container: bool,
    /// The signal came from outside its container: somebody stopped it.
    pub from_outside: bool,
    /// The process in whose context the kernel killed it, when the kernel did.
    pub killed_by_kernel_for: Option<ProcessKey>,
    /// It can only be part of another incident: pid 1 of its namespace ended, and the kernel killed the rest; or a pod
    /// failed because a container of it did. If that end was no incident, neither is this.
    pub only_joins: bool,
}

impl Trigger {
    fn new(record: &Record, id: RecordId, about: About, reason: Reason) -> Self {
        Self {
            record: id,
            at: record.at,
            about,
            reason,
            signature: Signature {
                place: Place::Root,
                comm: Comm::from_text(""),
                reason,
            },
            location: Location::default(),
            dead: true,
            ends_container: false,
            from_outside: false,
            killed_by_kernel_for: None,
            only_joins: false,
        }
    }
}

/// Looks at one record.
#[must_use]
pub fn inspect(record: &Record, id: RecordId, names: &Names, rules: &Rules) -> Option<Trigger> {
    let trigger = match &record.event {
        // Whoever reports wants an incident, whatever the scope.
        Event::Reported(reported) => return Some(reported_trigger(record, id, reported)),
        Event::Began(began) => return recorder::inspect(record, id, began),
        Event::ContainerEnded(ended) => cluster::ended(record, id, ended, names)?,
        Event::PodCondition(condition) => cluster::condition(record, id, condition, names)?,
        Event::KubeEvent(event) => cluster::node(record, id, event)?,
        _ => process::inspect(record, id, names, rules)?,
    };
    let facts = facts_of(&trigger.location, names);
    let opted_out = facts.is_some_and(|facts| facts.wishes.no_incidents);
    let pod = trigger.location.pod.as_ref();
    (!opted_out && pod.is_none_or(|pod| rules.scope.has(pod))).then_some(trigger)
}

/// What the API server says of the pod where something happened.
pub(super) fn facts_of<'a>(location: &Location, names: &'a Names) -> Option<&'a PodFacts> {
    names.pod_by_uid(location.pod_uid.as_ref()?)
}

/// Every report of a sidecar is a story of its own: whoever sent it waits for its incident. The API limits how many
/// there are.
fn reported_trigger(record: &Record, id: RecordId, reported: &Reported) -> Trigger {
    let pod = reported.pod.as_ref().map(PodName::to_string);
    let place = Place::Plain(format!("{} {}", pod.unwrap_or_default(), reported.id));
    let about = About::Reported(Arc::new(reported.clone()));
    let mut trigger = Trigger::new(record, id, about, Reason::Reported);
    trigger.signature.place = place;
    trigger.location = Location {
        container: reported.container_id.clone(),
        pod_uid: reported.submission.proven_uid.clone(),
        pod: reported.pod.clone(),
    };
    trigger
}

/// The place of a story in a pod: the container of the pod's owner, so that a pod which replaces another one goes on
/// with its story. Without an owner, that of the pod.
fn story(pod: &PodIdentity, container: Option<&str>, facts: Option<&PodFacts>) -> Place {
    let container = container.unwrap_or_default();
    let owner = facts.and_then(|facts| facts.owners.last());
    Place::Plain(match owner {
        Some(owner) => {
            let namespace = &pod.pod.namespace;
            format!("{} {namespace}/{} {container}", owner.kind, owner.name)
        }
        None => format!("{} {container}", pod.uid),
    })
}
