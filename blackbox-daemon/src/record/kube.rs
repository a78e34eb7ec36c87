//! What the API server says of this node's pods: what they are, which of their containers ended, what holds them up,
//! and the cluster's own events about them.
//!
//! Statements of kubelet and API server, kept as such. Times in them are theirs: wall time, nanoseconds after 1970,
//! whole seconds where Kubernetes keeps no more. Texts are bounded where they are read, and otherwise as they came.

use serde::{Deserialize, Serialize};

use super::PodName;

/// A pod as it is known from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodFacts {
    pub uid: String,
    pub pod: PodName,
    /// The uid in its cgroup's path, when that is another one: a static pod's (`kubernetes.io/config.mirror`).
    pub static_uid: Option<String>,
    pub node: Option<String>,
    /// Who made it, nearest first. The API server says the first; a Deployment behind a ReplicaSet is inferred from
    /// the pod-template hash in its name.
    pub owners: Vec<Owner>,
    pub phase: Phase,
    pub reason: Option<String>,
    pub message: Option<String>,
    pub qos: Option<Qos>,
    pub restart_policy: Option<RestartPolicy>,
    /// Its own grace period, seconds: what a stop allows that says nothing else.
    pub grace_seconds: Option<i64>,
    pub created: Option<i64>,
    /// It is being deleted.
    pub deletion: Option<Deletion>,
    /// Why something is about to end it (the condition `DisruptionTarget`).
    pub disruption: Option<Disruption>,
    /// What its annotations ask of the recorder.
    pub wishes: Wishes,
    /// In the order of the pod's spec: init, main, ephemeral.
    pub containers: Vec<ContainerFacts>,
}

impl PodFacts {
    /// Which pod, for records that say more of it.
    #[must_use]
    pub fn identity(&self) -> PodIdentity {
        PodIdentity {
            uid: self.uid.clone(),
            pod: self.pod.clone(),
        }
    }

    /// The container of that name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerFacts> {
        self.containers.iter().find(|one| one.name == name)
    }
}

/// What a pod's annotations ask of the recorder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// `blackbox.dev/incidents: "off"`: nothing about it is to be an incident.
    pub no_incidents: bool,
    /// `blackbox.dev/last-words: "off"`: what it writes to its standard output and error is not to be kept.
    pub no_last_words: bool,
    /// `blackbox.dev/calls: "on"`: every call of its containers is to be kept.
    pub every_call: bool,
}

/// A pod by uid, with its name for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodIdentity {
    pub uid: String,
    pub pod: PodName,
}

/// An object that made another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `ReplicaSet`, `Job`, `Node` …
    pub kind: String,
    pub name: String,
    /// `None`: inferred, nobody said so.
    pub uid: Option<String>,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
    #[default]
    Unknown,
}

/// `status.qosClass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl Qos {
    /// As Kubernetes calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// `spec.restartPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

/// A deletion that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// When its grace period ends (`deletionTimestamp`).
    pub deadline: i64,
    /// The grace period it was given, seconds; 0 is a forced deletion.
    pub grace_seconds: Option<i64>,
}

impl Deletion {
    /// When it was asked for: the API server sets the deadline to that time plus the grace period.
    #[must_use]
    pub fn began(&self) -> i64 {
        let grace = self.grace_seconds.unwrap_or(0).max(0);
        self.deadline
            .saturating_sub(grace.saturating_mul(1_000_000_000))
    }
}

/// A disruption that was announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disruption {
    /// `EvictionByEvictionAPI`, `PreemptionByScheduler`, `TerminationByKubelet` …
    pub reason: String,
    pub message: Option<String>,
}

/// A container of a pod: what it may use, and its newest instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerFacts {
    pub name: String,
    pub kind: ContainerKind,
    /// Of its newest instance, without the runtime's scheme; that may have ended.
    pub id: Option<String>,
    pub image: Option<String>,
    /// `sha256:…`, as the runtime resolved the image.
    pub image_digest: Option<String>,
    pub limits: Resources,
    pub requests: Resources,
    pub restarts: Option<u32>,
    pub state: ContainerState,
    /// How the instance before the newest one ended (or the newest, while it waits to be restarted).
    pub last_end: Option<End>,
}

/// Part of a pod's life a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerKind {
    Main,
    Init,
    /// An init container that is restarted for as long as the pod lives.
    Sidecar,
    Ephemeral,
}

/// Amounts of a spec; `None`: not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu_millis: Option<u64>,
    pub memory_bytes: Option<u64>,
}

/// `state` of a container's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// No kubelet has said anything yet.
    Unknown,
    Waiting {
        reason: Option<String>,
    },
    Running {
        started: Option<i64>,
    },
    Ended(End),
}

/// How an instance of a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Without the runtime's scheme; `None` where the kubelet has lost it.
    pub container_id: Option<String>,
    pub exit_code: i32,
    /// Only if the runtime tells; most never do.
    pub signal: Option<u32>,
    /// `OOMKilled`, `Error`, `Completed`, `ContainerStatusUnknown` …
    pub reason: Option<String>,
    pub started: Option<i64>,
    pub finished: Option<i64>,
}

/// An instance of a container ended. Made once for each, however often the API server shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEnded {
    pub pod: PodIdentity,
    pub container: String,
    pub kind: ContainerKind,
    pub end: End,
    /// The container's last words (its termination message), at most 4 KiB.
    pub message: Option<String>,
    /// Restarts of the container when this was said.
    pub restarts: u32,
    /// Ends before this one that the API server never showed: it keeps only the last two.
    pub unseen: u32,
}

/// Something came to be so with a pod. Made when it begins, not for as long as it lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodCondition {
    pub pod: PodIdentity,
    pub what: Condition,
    /// The API server's words, at most 1 KiB.
    pub message: Option<String>,
    /// It was so before, and is so again: containers go in and out of back-off for as long as they fail.
    pub again: bool,
}

/// What came to be so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// A container cannot start, or start again.
    Waiting { container: String, cause: WaitCause },
    /// It has been pending for longer than the limit.
    PendingLong { seconds: u64 },
    /// Something announced that it will end the pod.
    Disrupted { reason: String },
    /// Its deletion has begun.
    Deleting(Deletion),
    /// The kubelet evicted it.
    Evicted,
    /// It ran for longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
    /// Phase Failed, for another reason or for none.
    Failed { reason: Option<String> },
    Gone {
        /// A fresh list did not have it any more: what it was like at its end was not seen.
        unseen: bool,
    },
}

/// Why a container waits, when that is not a step on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitCause {
    CrashLoopBackOff,
    ImagePullBackOff,
    ErrImagePull,
    InvalidImageName,
    CreateContainerConfigError,
    /// Any other the kubelet names.
    Other(String),
}

impl WaitCause {
    /// As the kubelet calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::CrashLoopBackOff => "CrashLoopBackOff",
            Self::ImagePullBackOff => "ImagePullBackOff",
            Self::ErrImagePull => "ErrImagePull",
            Self::InvalidImageName => "InvalidImageName",
            Self::CreateContainerConfigError => "CreateContainerConfigError",
            Self::Other(name) => name,
        }
    }

    /// The cause of that name. `None`: a step on the way of every container.
    #[must_use]
    pub fn of(reason: &str) -> Option<Self> {
        Some(match reason {
            "" | "ContainerCreating" | "PodInitializing" => return None,
            "CrashLoopBackOff" => Self::CrashLoopBackOff,
            "ImagePullBackOff" => Self::ImagePullBackOff,
            "ErrImagePull" => Self::ErrImagePull,
            "InvalidImageName" => Self::InvalidImageName,
            "CreateContainerConfigError" => Self::CreateContainerConfigError,
            other => Self::Other(other.to_owned()),
        })
    }
}

/// What the kubelet's log directories on this node say of a pod: its name, and its containers' ids. Read where the API
/// server cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedPod {
    /// The uid in its cgroups' paths.
    pub pod: PodIdentity,
    /// Ids of its containers that have a log, with the containers' names.
    pub containers: Vec<(String, String)>,
}

/// One of the cluster's own events, about a pod of this node or the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeEvent {
    /// `None`: about the node.
    pub pod: Option<PodIdentity>,
    /// The container in question, where the event says.
    pub container: Option<String>,
    /// `Warning` and not `Normal`.
    pub warning: bool,
    /// `Killing`, `Unhealthy`, `BackOff`, `Evicted` …
    pub reason: String,
    /// At most 1 KiB.
    pub message: String,
    /// Who says so: `kubelet`, `default-scheduler` …
    pub component: String,
    /// How often it was said so far.
    pub count: u32,
    pub first: Option<i64>,
    pub last: Option<i64>,
}
