//! Records: one fact, at one instant of boot time, about one subject. The words every other part speaks.
//!
//! Made by the sources, kept (postcard-encoded) by the window, read again by verdict and report. A record
//! holds what was observed and nothing concluded. What was not observed is `None`, never 0.

mod account;
mod began;
mod calls;
mod crash;
mod kernel;
mod kube;
mod sample;
mod sidecar;
mod subject;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use account::{
    Class, Gap, Health, LaneName, LossCause, SourceName, SourceState, is_counted_by_cgroup,
};
pub use began::{Began, LifeEnd};
pub use calls::{Arming, Call, CallCounts, FailedCall, LastCall, TailRead};
pub use crash::{CrashStack, FilePlace, RawFrame, Registers, Stream, Words};
pub use kernel::{
    Exec, Exit, KernelTally, MemoryLevel, Oom, Signal, SignalSent, TallyRow, WaitStatus,
};
pub use kube::{
    Condition, ContainerEnded, ContainerFacts, ContainerKind, ContainerState, Deletion, Disruption,
    End, KubeEvent, LoggedPod, Owner, Phase, PodCondition, PodFacts, PodIdentity, Qos, Resources,
    RestartPolicy, WaitCause, Wishes,
};
pub use sample::{
    CgroupSample, CpuTimes, CpuUsage, DiskCounters, IoCounters, MemoryUse, NetworkCounters,
    NodeCpu, NodeDisks, NodeLoad, NodeMemory, NodeNetwork, Pids, Pressure, ProcessMemory, Resident,
    Stall, Throttling,
};
pub use sidecar::{PodName, Reported, Severity, Submission, Telemetry, same_container};
pub use subject::{CgroupId, Comm, Process, ProcessKey, Subject};

/// An instant of `CLOCK_BOOTTIME`, in nanoseconds. The only time used for order and retention.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BootTime(pub u64);

impl BootTime {
    /// This instant minus `by`, not before boot.
    #[must_use]
    pub fn minus(self, by: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(nanos(by)))
    }

    /// This instant plus `by`.
    #[must_use]
    pub fn plus(self, by: std::time::Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }

    /// Time from `earlier` to this instant; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A record's number in its window, from 1, in order of arrival. What a verdict cites. Shown (and serialised) as
/// `r17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, example = "r17")]
pub struct RecordId(pub u64);

impl Serialize for RecordId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that names no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record id; they look like r17")]
pub struct NotARecordId;

impl FromStr for RecordId {
    type Err = NotARecordId;

    fn from_str(text: &str) -> Result<Self, NotARecordId> {
        let digits = text.strip_prefix('r').ok_or(NotARecordId)?;
        // Not what `parse` takes beside digits: a sign.
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| plain);
        number.map(Self).ok_or(NotARecordId)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// One fact, at one instant, about one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it happened (not when it arrived).
    pub at: BootTime,
    /// Who it is about.
    pub subject: Subject,
    /// What happened.
    pub event: Event,
}

/// What happened. The one list of everything the recorder can hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The subject replaced its program.
    Exec(Exec),
    /// The subject died.
    Exit(Exit),
    /// The subject was sent a signal.
    Signal(SignalSent),
    /// The OOM killer chose the subject.
    Oom(Oom),
    /// A thread of the subject faulted, or aborted.
    CrashStack(Box<CrashStack>),
    /// The subject wrote to its standard output or error.
    Words(Box<Words>),
    /// A cgroup was created (or found at start), with its path in the watched hierarchy.
    CgroupCreated { path: String },
    /// A cgroup was removed.
    CgroupRemoved { path: String },
    /// A system call of the subject failed.
    FailedCall(FailedCall),
    /// A cgroup's failing system calls by error since its previous such record.
    CallCounts(CallCounts),
    /// The node's processors.
    NodeCpu(NodeCpu),
    /// The node's memory.
    NodeMemory(NodeMemory),
    /// The node's interfaces.
    NodeNetwork(NodeNetwork),
    /// The node's disks.
    NodeDisks(NodeDisks),
    /// The node's load, processes and open files.
    NodeLoad(NodeLoad),
    /// The node's pressure stall information.
    NodePressure(Pressure),
    /// A cgroup's resources.
    Cgroup(Box<CgroupSample>),
    /// The processes of a cgroup, by memory.
    ProcessMemory(Box<ProcessMemory>),
    /// What a sidecar measured.
    Telemetry(Box<Telemetry>),
    /// An incident that a sidecar reported.
    Reported(Box<Reported>),
    /// A pod of this node, as it is from now on.
    Pod(Box<PodFacts>),
    /// A pod of this node, by its log directories.
    LoggedPod(Box<LoggedPod>),
    /// An instance of a container ended, by the kubelet's word.
    ContainerEnded(Box<ContainerEnded>),
    /// Something came to be so with a pod.
    PodCondition(Box<PodCondition>),
    /// One of the cluster's own events.
    KubeEvent(Box<KubeEvent>),
    /// What the kernel programs counted since they were loaded.
    KernelTally(KernelTally),
    /// Records that are missing.
    Gap(Gap),
    /// A source changed its state.
    Source(SourceState),
    /// A system call of the subject returned, in an armed container.
    Call(Call),
    /// Where a thread of the subject was at its end.
    LastCall(LastCall),
    /// The calls of the subject, an armed container, were read.
    TailRead(TailRead),
    /// The subject was armed or disarmed.
    Arming(Arming),
    /// The recorder began, and found traces of its former life.
    Began(Box<Began>),
}

impl Event {
    /// The pod that a statement of the API server is about.
    #[must_use]
    pub fn kube_pod(&self) -> Option<&PodName> {
        match self {
            Self::Pod(facts) => Some(&facts.pod),
            Self::LoggedPod(logged) => Some(&logged.pod.pod),
            Self::ContainerEnded(ended) => Some(&ended.pod.pod),
            Self::PodCondition(condition) => Some(&condition.pod.pod),
            Self::KubeEvent(event) => event.pod.as_ref().map(|of| &of.pod),
            _ => None,
        }
    }

    /// The uid of that pod.
    #[must_use]
    pub fn kube_uid(&self) -> Option<&str> {
        match self {
            Self::Pod(facts) => Some(&facts.uid),
            Self::LoggedPod(logged) => Some(&logged.pod.uid),
            Self::ContainerEnded(ended) => Some(&ended.pod.uid),
            Self::PodCondition(condition) => Some(&condition.pod.uid),
            Self::KubeEvent(event) => event.pod.as_ref().map(|of| &*of.uid),
            _ => None,
        }
    }

    /// The class it is counted under.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Exec(_) => Class::Exec,
            Self::Exit(_) => Class::Exit,
            Self::Signal(_) => Class::Signal,
            Self::Oom(_) => Class::Oom,
            Self::CrashStack(_) => Class::CrashStack,
            Self::Words(_) => Class::Words,
            Self::CgroupCreated { .. } | Self::CgroupRemoved { .. } => Class::CgroupLifecycle,
            Self::FailedCall(_) => Class::FailedCall,
            Self::CallCounts(_) => Class::CallCounts,
            Self::Call(_) => Class::Call,
            Self::LastCall(_) => Class::LastCall,
            Self::NodeCpu(_)
            | Self::NodeMemory(_)
            | Self::NodeNetwork(_)
            | Self::NodeDisks(_)
            | Self::NodeLoad(_)
            | Self::NodePressure(_) => Class::NodeSample,
            Self::Cgroup(_) | Self::ProcessMemory(_) => Class::CgroupSample,
            Self::Telemetry(_) => Class::Telemetry,
            Self::Reported(_) => Class::Reported,
            Self::Pod(_) | Self::LoggedPod(_) => Class::Pod,
            Self::ContainerEnded(_) => Class::ContainerEnded,
            Self::PodCondition(_) => Class::PodCondition,
            Self::KubeEvent(_) => Class::KubeEvent,
            Self::KernelTally(_)
            | Self::Gap(_)
            | Self::Source(_)
            | Self::TailRead(_)
            | Self::Arming(_)
            | Self::Began(_) => Class::Recorder,
        }
    }
}
