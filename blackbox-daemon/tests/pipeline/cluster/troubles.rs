//! What only the cluster knows: evictions, containers that are held up, pods that fail, who opted out, stories.

use super::*;

#[test]
fn an_eviction_is_one_incident_with_the_ends_of_its_containers() {
    let disruption = Condition::Disrupted {
        reason: "TerminationByKubelet".to_owned(),
    };
    let message =
        "The node was low on resource: memory. Container app was using 200Mi, request is 32Mi";
    let mut records = vec![became(1_000, disruption, "the node is short of memory")];
    records.extend(killed(1_500, APP, SIGKILL));
    records.extend(killed(1_600, HELPER, SIGTERM));
    records.push(became(2_000, Condition::Evicted, message));
    records.push(ended(2_000, 137, "Error", 0));
    let report = one(&records);
    check(
        &report,
        "evicted",
        "proven",
        "The node was low on resource: memory",
    );
    assert_eq!(report["incident"]["severity"], "critical");
    statement(
        &report,
        "the kernel saw app (pid 340) died of SIGKILL, sent by containerd-shim",
    );
    // Its containers have their time to end.
    let disruption = Condition::Disrupted {
        reason: "PreemptionByScheduler".to_owned(),
    };
    let mut records = vec![became(1_000, disruption, "")];
    records.extend(killed(8_000, APP, SIGTERM));
    let report = one(&records);
    check(&report, "disrupted", "proven", "make room");
    statement(&report, "died of SIGTERM, sent by containerd-shim");
    // Told at its end only, with the kills before: those waited for the cluster's word.
    let mut records = killed(1_500, APP, SIGKILL);
    records.push(became(2_000, Condition::Evicted, message));
    let report = one(&records);
    check(&report, "evicted", "proven", "the kubelet evicted pod");
    statement(&report, "sent by containerd-shim (pid 71)");
}

#[test]
fn what_holds_a_container_up_is_told_once() {
    let records = [
        ended(1_000, 3, "Error", 1),
        waiting(4_000, WaitCause::CrashLoopBackOff, false),
        waiting(14_000, WaitCause::CrashLoopBackOff, true),
    ];
    let (reports, _) = told(&records);
    assert_eq!(reports.len(), 2, "the death, and the back-off");
    check(&reports[1], "crash_loop", "proven", "keeps ending");
    statement(&reports[1], "container app ended with exit code 3, Error");
    let report = one(&[
        waiting(1_000, WaitCause::ErrImagePull, false),
        waiting(9_000, WaitCause::ImagePullBackOff, true),
    ]);
    check(
        &report,
        "image_pull",
        "proven",
        "registry/checkout:1 cannot be had",
    );
    assert_eq!(report["incident"]["type"], "error");
    let report = one(&[waiting(1_000, WaitCause::CreateContainerConfigError, false)]);
    check(
        &report,
        "config",
        "proven",
        "its configuration cannot be used",
    );
    let report = one(&[became(1_000, Condition::PendingLong { seconds: 300 }, "")]);
    check(&report, "pending", "proven", "pending for 300 s");
}

#[test]
fn success_is_no_incident_until_it_is_repeated_too_often() {
    assert_eq!(told(&[ended(1_000, 0, "Completed", 0)]).0.len(), 0);
    assert_eq!(told(&[ended(1_000, 0, "Completed", 2)]).0.len(), 0);
    for (restarts, severity) in [(3, "medium"), (5, "high"), (10, "critical")] {
        let report = one(&[ended(1_000, 0, "Completed", restarts)]);
        check(&report, "restarts", "likely", "started again");
        assert_eq!(report["incident"]["severity"], severity);
    }
}

#[test]
fn who_looks_around_in_a_pod_leaves_no_incident() {
    let mut looking = facts();
    looking.containers[0].kind = ContainerKind::Ephemeral;
    let mut records = vec![pod(500, looking)];
    records.push(about(app(), 1_000, Event::Exit(main_exit(130))));
    let mut end = ended(1_500, 130, "Error", 0);
    if let Event::ContainerEnded(ended) = &mut end.event {
        ended.kind = ContainerKind::Ephemeral;
    }
    records.push(end);
    assert_eq!(told(&records).0.len(), 0);
}

#[test]
fn a_pod_that_fails_because_its_container_did_is_one_incident() {
    let failed = || {
        let mut failed = facts();
        failed.phase = Phase::Failed;
        let end = End {
            container_id: Some(id(APP)),
            exit_code: 1,
            signal: None,
            reason: None,
            started: None,
            finished: None,
        };
        failed.containers[0].state = ContainerState::Ended(end);
        pod(2_000, failed)
    };
    let became_failed = became(2_000, Condition::Failed { reason: None }, "");
    let records = [failed(), ended(2_000, 1, "Error", 0), became_failed.clone()];
    check(&one(&records), "exit_code", "likely", "exit code 1");
    // Without such an end the failure is the story.
    check(
        &one(&[became_failed]),
        "pod_failed",
        "proven",
        "pod shop/checkout failed",
    );
}

#[test]
fn who_opted_out_and_what_is_out_of_scope_has_none() {
    let opted = PodFacts {
        wishes: Wishes {
            no_incidents: true,
            ..Wishes::default()
        },
        ..facts()
    };
    let mut records = vec![pod(500, opted)];
    records.extend(out_of_memory(1_000));
    records.push(ended(2_000, 137, "OOMKilled", 0));
    assert_eq!(told(&records).0.len(), 0);
    for (scope, incidents) in [
        (
            Scope {
                exclude_namespaces: vec!["sh*".to_owned()],
                ..Scope::default()
            },
            0,
        ),
        (
            Scope {
                include_pods: vec!["other".to_owned()],
                ..Scope::default()
            },
            0,
        ),
        (
            Scope {
                include_pods: vec!["shop/check*".to_owned()],
                ..Scope::default()
            },
            1,
        ),
    ] {
        let rules = Rules {
            scope,
            ..Rules::default()
        };
        let config = recorder::Config { rules, ..config() };
        assert_eq!(told_with(config, &records[1..]).0.len(), incidents);
    }
}

/// What the API server says of another pod of the same owner, and the death of its container.
fn of_a_sibling(records: &[Record], uid: &str, cgroup: CgroupId) -> Vec<Record> {
    let path = format!("/kubepods/burstable/pod{uid}/{}", id(cgroup));
    let mut facts = facts();
    facts.uid = uid.to_owned();
    facts.pod.name = format!("checkout-{uid}");
    facts.containers = vec![container("app", cgroup)];
    let mut all = vec![
        noted(Subject::Cgroup(cgroup), 10, Event::CgroupCreated { path }),
        pod(20, facts),
    ];
    all.extend(records.iter().cloned().map(|mut record| {
        if let Subject::Process(process) = &mut record.subject {
            process.cgroup = cgroup;
            process.key.tgid += u32::try_from(cgroup.0).expect("a small id");
        }
        record
    }));
    all
}

#[test]
fn pods_of_one_owner_that_die_of_one_cause_are_one_story() {
    let mut records = out_of_memory(1_000);
    for (number, uid) in ["1111", "2222", "3333"].into_iter().enumerate() {
        let uid = format!("{uid}2d3c-4b5a-6978-8796-a5b4c3d2e1f0");
        let cgroup = CgroupId(100 + number as u64);
        let ms = 1_200 + 200 * number as u64;
        records.extend(of_a_sibling(&out_of_memory(ms), &uid, cgroup));
    }
    let report = one(&records);
    assert_eq!(report["incident"]["repeats"], 3);
    // Another cause is another story.
    let mut records = out_of_memory(1_000);
    let crash = vec![about(app(), 1_100, Event::Exit(main_exit(3)))];
    let uid = "44442d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    records.extend(of_a_sibling(&crash, uid, CgroupId(120)));
    assert_eq!(told(&records).0.len(), 2);
}
