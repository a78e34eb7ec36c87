//! A pod of two containers, and what kernel, kubelet, API server and sidecar tell of it.

use blackbox_daemon::record::{
    CgroupId, Condition, ContainerEnded, ContainerFacts, ContainerKind, ContainerState, Deletion,
    End, Event, KubeEvent, Owner, Phase, PodCondition, PodFacts, PodName, Process, Qos, Record,
    Reported, Resources, RestartPolicy, Severity, Subject, Submission, WaitCause, Wishes,
};

use super::support::{
    MIB, SI_USER, SIGTERM, UNIT, WALL, about, at, death_by, level, main_exit, noted, oom,
    oom_death, process, sent, signal,
};

pub(crate) const UID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
pub(crate) const APP: CgroupId = CgroupId(40);
pub(crate) const HELPER: CgroupId = CgroupId(41);
pub(crate) const SECOND: i64 = 1_000_000_000;

pub(crate) fn id(cgroup: CgroupId) -> String {
    format!("{:064x}", cgroup.0)
}

pub(crate) fn wall_ns(ms: u64) -> i64 {
    WALL + at(ms).0.cast_signed()
}

pub(crate) fn container(name: &str, cgroup: CgroupId) -> ContainerFacts {
    ContainerFacts {
        name: name.to_owned(),
        kind: ContainerKind::Main,
        id: Some(id(cgroup)),
        image: Some("registry/checkout:1".to_owned()),
        image_digest: None,
        limits: Resources {
            memory_bytes: Some(64 * MIB),
            cpu_millis: None,
        },
        requests: Resources {
            memory_bytes: Some(32 * MIB),
            cpu_millis: None,
        },
        restarts: Some(0),
        state: ContainerState::Running { started: None },
        last_end: None,
    }
}

pub(crate) fn facts() -> PodFacts {
    PodFacts {
        uid: UID.to_owned(),
        pod: PodName {
            namespace: "shop".to_owned(),
            name: "checkout".to_owned(),
        },
        static_uid: None,
        node: None,
        owners: vec![Owner {
            kind: "Deployment".to_owned(),
            name: "checkout".to_owned(),
            uid: None,
        }],
        phase: Phase::Running,
        reason: None,
        message: None,
        qos: Some(Qos::Burstable),
        restart_policy: Some(RestartPolicy::Always),
        grace_seconds: Some(30),
        created: None,
        deletion: None,
        disruption: None,
        wishes: Wishes::default(),
        containers: vec![container("app", APP), container("helper", HELPER)],
    }
}

pub(crate) fn deleting(ms: u64, grace: i64) -> Vec<Record> {
    let deletion = Deletion {
        // The API server cuts to whole seconds.
        deadline: (wall_ns(ms) + grace * SECOND) / SECOND * SECOND,
        grace_seconds: Some(grace),
    };
    let facts = PodFacts {
        deletion: Some(deletion),
        ..facts()
    };
    vec![
        pod(ms, facts),
        became(ms, Condition::Deleting(deletion), ""),
    ]
}

pub(crate) fn pod(ms: u64, facts: PodFacts) -> Record {
    noted(Subject::Pod, ms, Event::Pod(Box::new(facts)))
}

pub(crate) fn became(ms: u64, what: Condition, message: &str) -> Record {
    let condition = PodCondition {
        pod: facts().identity(),
        what,
        message: (!message.is_empty()).then(|| message.to_owned()),
        again: false,
    };
    noted(Subject::Pod, ms, Event::PodCondition(Box::new(condition)))
}

pub(crate) fn waiting(ms: u64, cause: WaitCause, again: bool) -> Record {
    let condition = PodCondition {
        pod: facts().identity(),
        what: Condition::Waiting {
            container: "app".to_owned(),
            cause,
        },
        message: Some("as the kubelet says".to_owned()),
        again,
    };
    noted(Subject::Pod, ms, Event::PodCondition(Box::new(condition)))
}

pub(crate) fn ended(ms: u64, code: i32, reason: &str, restarts: u32) -> Record {
    let ended = ContainerEnded {
        pod: facts().identity(),
        container: "app".to_owned(),
        kind: ContainerKind::Main,
        end: End {
            container_id: Some(id(APP)),
            exit_code: code,
            signal: None,
            reason: Some(reason.to_owned()),
            started: None,
            finished: Some(wall_ns(ms) / SECOND * SECOND),
        },
        message: None,
        restarts,
        unseen: 0,
    };
    noted(Subject::Pod, ms, Event::ContainerEnded(Box::new(ended)))
}

pub(crate) fn says(ms: u64, reason: &str, message: &str) -> Record {
    let event = KubeEvent {
        pod: Some(facts().identity()),
        container: Some("app".to_owned()),
        warning: reason != "Killing",
        reason: reason.to_owned(),
        message: message.to_owned(),
        component: "kubelet".to_owned(),
        count: 3,
        first: None,
        last: None,
    };
    noted(Subject::Pod, ms, Event::KubeEvent(Box::new(event)))
}

pub(crate) fn reported(ms: u64) -> Record {
    let reported = Reported {
        id: "from-the-sidecar".to_owned(),
        pod: Some(facts().pod),
        container_id: None,
        severity: Severity::High,
        kind: "crash".to_owned(),
        message: "unhandled exception".to_owned(),
        submission: Submission {
            by: "default".to_owned(),
            proven_uid: None,
            received: at(ms),
            claimed: None,
        },
        tags: Vec::new(),
        context: "{}".to_owned(),
    };
    noted(Subject::Pod, ms, Event::Reported(Box::new(reported)))
}

/// The container's first process.
pub(crate) fn app() -> Process {
    process(300, "app", APP)
}

/// What the kubelet's runtime keeps beside each container.
pub(crate) fn shim() -> Process {
    process(71, "containerd-shim", UNIT)
}

/// The container's first process dies of a signal of the runtime.
pub(crate) fn killed(ms: u64, cgroup: CgroupId, number: u32) -> Vec<Record> {
    let victim = process(
        300 + u32::try_from(cgroup.0).expect("a small id"),
        "app",
        cgroup,
    );
    death_by(victim, ms, signal(ms, shim(), number, SI_USER))
        .into_iter()
        .map(first_of_namespace)
        .collect()
}

pub(crate) fn first_of_namespace(mut record: Record) -> Record {
    if let Event::Exit(exit) = &mut record.event {
        (exit.ns_pid, exit.ns_level) = (1, 1);
    }
    record
}

/// SIGTERM that the application handles, and its end by its own exit.
pub(crate) fn asked_and_ended(ms: u64, code: u32) -> Vec<Record> {
    vec![
        sent(app(), ms, signal(ms, shim(), SIGTERM, SI_USER), false),
        about(app(), ms + 100, Event::Exit(main_exit(code))),
    ]
}

pub(crate) fn out_of_memory(ms: u64) -> Vec<Record> {
    let levels = vec![level(APP, 64 * MIB, Some(64 * MIB))];
    let records = oom_death(app(), ms, oom(app(), levels)).into_iter();
    records.map(first_of_namespace).collect()
}
