//! Stops: which are meant, which are incidents, and for what the kubelet stopped a container.

use super::*;

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
