//! Ends in Kubernetes, as kernel, kubelet and API server tell them: which are incidents, how many, and why it says they
//! happened.

use blackbox_daemon::incident::trigger::{Rules, Scope};
use blackbox_daemon::record::{
    CgroupId, Condition, ContainerKind, ContainerState, Deletion, End, Event, Exit, Health, Phase,
    PodFacts, Record, SourceName, Subject, WaitCause, Wishes,
};
use blackbox_daemon::recorder;
use serde_json::Value;

use super::pods::{
    APP, HELPER, SECOND, UID, app, asked_and_ended, became, container, deleting, ended, facts,
    first_of_namespace, id, killed, out_of_memory, pod, reported, says, shim, waiting,
};
use super::support::{
    SI_USER, SIGKILL, SIGSEGV, SIGTERM, about, at, config, core, death_by, deaths_told, exit, json,
    main_exit, noted, sent, signal, source, statement, take, wall,
};

/// What a recorder that follows the API server makes of these records: its reports, in the order of their closing, and
/// how many ends it took for meant.
fn told_with(config: recorder::Config, records: &[Record]) -> (Vec<Value>, u64) {
    let mut core = core(config);
    let uid = UID;
    let mut known = vec![source(0, SourceName::Kube, Health::Ok)];
    for cgroup in [APP, HELPER] {
        let path = format!("/kubepods/burstable/pod{uid}/{}", id(cgroup));
        known.push(noted(
            Subject::Cgroup(cgroup),
            1,
            Event::CgroupCreated { path },
        ));
    }
    known.push(pod(2, facts()));
    take(&mut core, &known);
    let end = records.iter().map(|record| record.at).max();
    let end = end.expect("records");
    let mut records = records.to_vec();
    records.sort_by_key(|record| record.at);
    let mut records = records.into_iter().peekable();
    let (mut closed, mut ms) = (Vec::new(), 0);
    while at(ms) < end.plus(std::time::Duration::from_secs(20)) {
        while let Some(record) = records.next_if(|record| record.at <= at(ms)) {
            core.take(&record, at(ms), wall());
        }
        closed.extend(core.turn(at(ms), wall(), false));
        ms += 50;
    }
    let meant = core.status(at(ms)).ends_meant;
    assert_eq!(core.status(at(ms)).open_incidents, 0);
    let deaths = deaths_told(&closed);
    let reports: Vec<Value> = closed.iter().map(json).collect();
    assert!(deaths >= reports.len() as u64);
    (reports, meant)
}

fn told(records: &[Record]) -> (Vec<Value>, u64) {
    told_with(config(), records)
}

/// The one report about these records.
#[track_caller]
fn one(records: &[Record]) -> Value {
    let (mut reports, _) = told(records);
    let heads: Vec<_> = reports
        .iter()
        .map(|it| it["incident"].to_string())
        .collect();
    assert_eq!(reports.len(), 1, "{heads:#?}");
    reports.remove(0)
}

#[track_caller]
fn check(report: &Value, cause: &str, grade: &str, headline: &str) {
    let verdict = &report["verdict"];
    let text = verdict["headline"].as_str().expect("a headline");
    assert_eq!(verdict["cause"], cause, "{text}");
    assert_eq!(verdict["grade"], grade, "{text}");
    assert!(text.contains(headline), "{text}");
    assert_eq!(report["pod"]["uid"], UID);
}

#[test]
fn one_death_that_kernel_kubelet_and_sidecar_tell_is_one_incident() {
    let mut records = vec![reported(900)];
    records.extend(out_of_memory(1_000));
    records.push(ended(2_500, 137, "OOMKilled", 0));
    let report = one(&records);
    check(
        &report,
        "memory_limit",
        "proven",
        "reached its memory limit",
    );
    let incident = &report["incident"];
    assert_eq!(incident["id"], "from-the-sidecar");
    assert_eq!(
        (&incident["type"], &incident["severity"]),
        (&"oom".into(), &"critical".into())
    );
    assert_eq!(incident["context"]["exit_code"], 137);
    assert_eq!(
        incident["context"]["reported_message"],
        "unhandled exception"
    );
    statement(
        &report,
        "the kubelet says that container app of pod shop/checkout ended",
    );
    statement(&report, "has a memory limit of 64.0 MiB by its spec");
}

#[test]
fn the_order_in_which_it_is_told_does_not_matter() {
    let mut records = vec![ended(990, 137, "OOMKilled", 0)];
    records.extend(out_of_memory(1_000));
    let report = one(&records);
    check(
        &report,
        "memory_limit",
        "proven",
        "reached its memory limit",
    );
    // The kubelet is late, and the report was made without its word.
    let mut records = out_of_memory(1_000);
    records.push(ended(30_000, 137, "OOMKilled", 0));
    one(&records);
}

#[test]
fn an_end_that_only_the_kubelet_tells_is_likely() {
    let report = one(&[ended(1_000, 137, "OOMKilled", 0)]);
    check(&report, "oom", "likely", "memory had run out");
    let report = one(&[ended(1_000, 3, "Error", 1)]);
    check(
        &report,
        "exit_code",
        "likely",
        "ended itself with exit code 3",
    );
    let incident = &report["incident"];
    let name = incident["id"].as_str().unwrap();
    assert!(
        name.starts_with("container-failed-checkout-app-1772600768-"),
        "{name}"
    );
    assert_eq!(
        (&incident["severity"], &incident["type"]),
        (&"high".into(), &"crash".into())
    );
    let report = one(&[ended(1_000, 137, "Error", 0)]);
    check(&report, "unknown", "unknown", "who sent it is not recorded");
    let report = one(&[ended(1_000, 1, "Error", 10)]);
    assert_eq!(report["incident"]["severity"], "critical", "ten restarts");
}

#[test]
fn a_stop_of_a_pod_that_is_deleted_is_no_incident() {
    for mut records in [
        asked_and_ended(1_500, 143),
        asked_and_ended(1_500, 0),
        asked_and_ended(1_500, 1),
        // It blocks SIGTERM and waits for it: its default action would be to die.
        asked_and_ended(1_500, 143)
            .into_iter()
            .map(|mut record| {
                if let Event::Signal(sent) = &mut record.event {
                    sent.fatal = true;
                }
                record
            })
            .collect(),
        killed(1_500, APP, SIGTERM),
        // The kernel's records are missing.
        vec![ended(1_500, 143, "Error", 0)],
    ] {
        records.push(ended(3_000, 143, "Error", 0));
        records.extend(deleting(1_000, 30));
        let (reports, meant) = told(&records);
        assert!(reports.is_empty(), "{:#?}", reports[0]["incident"]);
        assert!(meant <= 1);
    }
    // Forced: no grace, and SIGKILL at once.
    let mut records = killed(1_500, APP, SIGKILL);
    records.extend(deleting(1_000, 0));
    assert_eq!(told(&records).0.len(), 0);
}

#[test]
fn the_word_of_a_deletion_may_come_late() {
    let mut records = killed(1_000, APP, SIGTERM);
    records.extend(deleting(1_800, 30).into_iter().map(|mut record| {
        // It was asked for before; the watch was slow.
        let began = |deletion: &mut Deletion| deletion.deadline -= 2 * SECOND;
        match &mut record.event {
            Event::Pod(facts) => facts.deletion.as_mut().map_or((), began),
            Event::PodCondition(condition) => {
                if let Condition::Deleting(deletion) = &mut condition.what {
                    began(deletion);
                }
            }
            _ => {}
        }
        record
    }));
    let (reports, meant) = told(&records);
    assert_eq!((reports.len(), meant), (0, 1));
}

#[test]
fn a_crash_before_or_during_a_deletion_is_an_incident() {
    let mut records = vec![about(app(), 1_000, Event::Exit(main_exit(1)))];
    records.extend(deleting(5_000, 30));
    check(&one(&records), "exit_code", "proven", "exit code 1");
    let fault = Exit {
        ns_pid: 1,
        ns_level: 1,
        ..exit(SIGSEGV)
    };
    let mut records = vec![about(app(), 1_500, Event::Exit(fault))];
    records.extend(deleting(1_000, 30));
    assert_eq!(told(&records).0.len(), 1);
    let mut records = out_of_memory(1_500);
    records.extend(deleting(1_000, 30));
    assert_eq!(told(&records).0.len(), 1);
}

#[test]
fn a_grace_period_that_ran_out_is_said() {
    let mut records = vec![sent(
        app(),
        1_050,
        signal(1_050, shim(), SIGTERM, SI_USER),
        false,
    )];
    records.extend(
        death_by(app(), 31_100, signal(31_100, shim(), SIGKILL, SI_USER))
            .into_iter()
            .map(first_of_namespace),
    );
    records.extend(deleting(1_000, 30));
    let report = one(&records);
    check(
        &report,
        "grace_expired",
        "likely",
        "the grace period of 30 s ran out",
    );
    statement(&report, "SIGTERM had been sent 30.0");
    records.push(says(1_020, "Killing", "Stopping container app"));
    check(&one(&records), "grace_expired", "proven", "containerd-shim");
}

#[test]
fn a_probe_that_failed_is_why() {
    let unhealthy = says(
        1_000,
        "Unhealthy",
        "Liveness probe failed: HTTP probe failed with statuscode: 500",
    );
    let killing = says(
        1_100,
        "Killing",
        "Container app failed liveness probe, will be restarted",
    );
    let mut records = killed(1_200, APP, SIGKILL);
    records.push(unhealthy);
    records.push(ended(2_000, 137, "Error", 0));
    let report = one(&records);
    check(&report, "probe_failed", "likely", "probe had failed");
    records.push(killing);
    let report = one(&records);
    check(
        &report,
        "probe_failed",
        "proven",
        "because its liveness probe failed",
    );
    statement(&report, "statuscode: 500");
    assert_eq!(report["incident"]["severity"], "high");
    // A kill from another pod's container is not the kubelet's.
    let path = format!(
        "/kubepods/podffffffff-4b5a-6978-8796-a5b4c3d2e1f0/{:064x}",
        99
    );
    let other = CgroupId(99);
    records.push(noted(
        Subject::Cgroup(other),
        10,
        Event::CgroupCreated { path },
    ));
    for record in &mut records {
        match &mut record.event {
            Event::Exit(exit) => {
                let signal = exit.killer.as_mut().unwrap();
                signal.sender.cgroup = other;
            }
            Event::Signal(sent) => sent.signal.sender.cgroup = other,
            _ => {}
        }
    }
    let report = one(&records);
    check(&report, "killed_by_signal", "proven", "of pod ffffffff");
    statement(&report, "the signal came from elsewhere");
}

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
