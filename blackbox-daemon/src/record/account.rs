//! What the recorder says of itself: classes and lanes to count by, losses, and the states of its sources.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of record, for counting and for losses. One row each in a report's completeness table.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Exec,
    Exit,
    Signal,
    Oom,
    /// Stacks of threads that faulted.
    CrashStack,
    /// What processes wrote to their standard output and error.
    Words,
    /// The calls threads were in at their end.
    LastCall,
    CgroupLifecycle,
    FailedCall,
    /// Calls of armed containers.
    Call,
    CallCounts,
    NodeSample,
    /// Samples of cgroups, and of the processes in those that are near their memory limit.
    CgroupSample,
    /// What sidecars measured.
    Telemetry,
    /// Incidents that sidecars reported.
    Reported,
    /// What pods are, by the API server.
    Pod,
    /// Ends of containers, by the API server.
    ContainerEnded,
    /// What came to be so with pods, by the API server.
    PodCondition,
    /// The cluster's own events about this node and its pods.
    KubeEvent,
    /// What the recorder says of itself: tallies, gaps, source states.
    Recorder,
}

impl Class {
    /// Every class, in the order reports list them.
    pub const ALL: [Self; 20] = [
        Self::Exec,
        Self::Exit,
        Self::Signal,
        Self::Oom,
        Self::CrashStack,
        Self::Words,
        Self::LastCall,
        Self::CgroupLifecycle,
        Self::FailedCall,
        Self::Call,
        Self::CallCounts,
        Self::NodeSample,
        Self::CgroupSample,
        Self::Telemetry,
        Self::Reported,
        Self::Pod,
        Self::ContainerEnded,
        Self::PodCondition,
        Self::KubeEvent,
        Self::Recorder,
    ];

    /// The name used in reports and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Oom => "oom",
            Self::CrashStack => "crash_stack",
            Self::Words => "words",
            Self::CgroupLifecycle => "cgroup_lifecycle",
            Self::LastCall => "last_call",
            Self::FailedCall => "failed_call",
            Self::Call => "call",
            Self::CallCounts => "call_counts",
            Self::NodeSample => "node_sample",
            Self::CgroupSample => "cgroup_sample",
            Self::Telemetry => "telemetry",
            Self::Reported => "reported",
            Self::Pod => "pod",
            Self::ContainerEnded => "container_ended",
            Self::PodCondition => "pod_condition",
            Self::KubeEvent => "kube_event",
            Self::Recorder => "recorder",
        }
    }

    /// The lane its records live in.
    #[must_use]
    pub fn lane(self) -> LaneName {
        match self {
            Self::Exec
            | Self::Exit
            | Self::Signal
            | Self::Oom
            | Self::CrashStack
            | Self::Words
            | Self::LastCall
            | Self::CgroupLifecycle
            | Self::Reported
            | Self::Pod
            | Self::ContainerEnded
            | Self::PodCondition
            | Self::KubeEvent
            | Self::Recorder => LaneName::Decisive,
            Self::FailedCall
            | Self::Call
            | Self::CallCounts
            | Self::NodeSample
            | Self::CgroupSample
            | Self::Telemetry => LaneName::Bulk,
        }
    }
}

/// The two lanes of the window (and of the feed). Bulk records can never evict decisive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneName {
    Decisive,
    Bulk,
}

/// Where records come from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SourceName {
    Ebpf,
    Procfs,
    Cgroup,
    Kube,
    Sidecar,
}

impl SourceName {
    /// The name used in reports, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::Procfs => "procfs",
            Self::Cgroup => "cgroup",
            Self::Kube => "kube",
            Self::Sidecar => "sidecar",
        }
    }
}

/// Whether a part works. A part that fails is degraded by name; it never ends the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "state", content = "why")]
pub enum Health {
    Ok,
    /// Works, less well than it could.
    Degraded(String),
    /// Switched off.
    Disabled(String),
    Failed(String),
}

/// A source's state from this instant on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    pub source: SourceName,
    #[serde(with = "StoredHealth")]
    pub health: Health,
}

/// [`Health`] as records keep it. The `state`/`why` form of reports needs a format that names its fields; what
/// it writes to postcard cannot be read again.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Health")]
enum StoredHealth {
    Ok,
    Degraded(String),
    Disabled(String),
    Failed(String),
}

/// Records that were made and are not in the window, since the previous gap of the same kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub class: Class,
    pub cause: LossCause,
    /// How many, exactly.
    pub count: u64,
}

impl Gap {
    /// Whether a verdict could be another one with these records. Not for stacks of faults that a program handles, and
    /// not for further threads of a process or what was written: no verdict is made from what is not there of them.
    #[must_use]
    pub fn matters(&self) -> bool {
        let spared = matches!(
            (self.class, self.cause),
            (Class::CrashStack | Class::LastCall, LossCause::Throttled)
                | (Class::Words, LossCause::NoPlace)
        );
        self.class.lane() == LaneName::Decisive && !spared
    }
}

/// Whether such losses are also counted by cgroup ([`CallCounts`](super::CallCounts)): then only a cgroup's own matter to it.
#[must_use]
pub fn is_counted_by_cgroup(class: Class, cause: LossCause) -> bool {
    class == Class::FailedCall && matches!(cause, LossCause::Throttled | LossCause::RingFull)
}

/// Why a record is missing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LossCause {
    /// Its cgroup (of handled faults: its processor; of last calls: its process) had used up its rate; the counts went on.
    Throttled,
    /// The kernel ring was full.
    RingFull,
    /// The queue to the recorder was full.
    FeedFull,
    /// It did not decode.
    Malformed,
    /// Its cgroup had used up its share of the window.
    Share,
    /// The kernel's table of cgroups was full: what this cgroup's processes wrote, or how their calls failed, was not
    /// kept. Counted by write or call.
    NoPlace,
    /// It was read from the kernel by a daemon that died before it was written to the journal.
    Died,
    /// The daemon was above its soft limit of memory.
    Memory,
}

impl LossCause {
    /// Every cause.
    pub const ALL: [Self; 8] = [
        Self::Throttled,
        Self::RingFull,
        Self::FeedFull,
        Self::Malformed,
        Self::Share,
        Self::NoPlace,
        Self::Died,
        Self::Memory,
    ];

    /// The name used in reports and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::RingFull => "ring_full",
            Self::FeedFull => "feed_full",
            Self::Malformed => "malformed",
            Self::Share => "share",
            Self::NoPlace => "no_place",
            Self::Died => "died",
            Self::Memory => "memory",
        }
    }
}
