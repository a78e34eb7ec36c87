//! The table: which life each pod has, what it is to leave in the window, and which incidents it is.

use crate::lives::{self, Step};
use crate::pods::Instances;
use crate::stage::{ELSEWHERE, NODE};

/// Severity, type, and what is to be in the headline.
pub(crate) type Incident = (&'static str, &'static str, &'static str);

/// A pod's life, and what is to be known of it.
pub(crate) struct Walk {
    pub(crate) pod: &'static str,
    pub(crate) node: &'static str,
    pub(crate) restart_policy: &'static str,
    pub(crate) steps: fn(Instances) -> Vec<Step>,
    /// Ends of containers, each in the words of the window.
    pub(crate) ends: &'static [&'static str],
    /// Conditions that began, likewise.
    pub(crate) conditions: &'static [&'static str],
    /// Events about it.
    pub(crate) events: usize,
    /// In the order in which they were opened.
    pub(crate) incidents: &'static [Incident],
}

/// All of them, in the order in which they are played.
pub(crate) fn walks() -> Vec<Walk> {
    let walk = Walk {
        pod: "",
        node: NODE,
        restart_policy: "Always",
        steps: |_| Vec::new(),
        ends: &[],
        conditions: &[],
        events: 0,
        incidents: &[],
    };
    vec![
        Walk {
            pod: "oom",
            steps: lives::oom,
            ends: &[
                "exit code 137, OOMKilled (restarts: 0)",
                "exit code 137, OOMKilled (restarts: 1)",
            ],
            conditions: &["waits: CrashLoopBackOff"],
            incidents: &[
                ("critical", "oom", "memory"),
                ("critical", "oom", "memory"),
                ("high", "crash", "CrashLoopBackOff"),
            ],
            ..walk
        },
        Walk {
            pod: "skipped",
            steps: lives::skipped,
            ends: &["exit code 3, Error (restarts: 1)"],
            incidents: &[("high", "crash", "code 3")],
            ..walk
        },
        Walk {
            pod: "image",
            steps: lives::image,
            conditions: &[
                "waits: ErrImagePull",
                "waits: ImagePullBackOff",
                "waits: ErrImagePull",
            ],
            incidents: &[("high", "error", "image")],
            ..walk
        },
        Walk {
            pod: "config",
            steps: lives::config,
            conditions: &["waits: CreateContainerConfigError"],
            incidents: &[("high", "error", "secret")],
            ..walk
        },
        Walk {
            pod: "evicted",
            steps: lives::evicted,
            ends: &["exit code 137, ContainerStatusUnknown"],
            conditions: &["was evicted by the kubelet: The node was low on resource: memory."],
            events: 1,
            incidents: &[("critical", "crash", "the kubelet evicted pod shop/evicted")],
            ..walk
        },
        Walk {
            pod: "late",
            restart_policy: "Never",
            steps: lives::late,
            ends: &["exit code 143, Error"],
            conditions: &["ran for longer than its deadline"],
            incidents: &[("critical", "crash", "activeDeadlineSeconds")],
            ..walk
        },
        Walk {
            pod: "replaced",
            steps: lives::replaced,
            ends: &["exit code 143, Error"],
            conditions: &[
                // That the kubelet is done and takes back what is left of the 30 s is no other deletion.
                "is being deleted, grace period 30 s",
                "is gone",
            ],
            events: 1,
            ..walk
        },
        Walk {
            pod: "stubborn",
            steps: lives::stubborn,
            ends: &["exit code 137, Error"],
            conditions: &["is being deleted, grace period 2 s", "is gone"],
            events: 1,
            incidents: &[("high", "crash", "grace period of 2 s")],
            ..walk
        },
        Walk {
            pod: "done",
            restart_policy: "Never",
            steps: lives::done,
            ends: &["exit code 0, Completed"],
            ..walk
        },
        Walk {
            pod: "probed",
            steps: lives::probed,
            ends: &["exit code 137, Error (restarts: 0)"],
            events: 2,
            incidents: &[("high", "crash", "liveness probe")],
            ..walk
        },
        Walk {
            pod: "far",
            node: ELSEWHERE,
            steps: lives::oom,
            ..walk
        },
    ]
}
