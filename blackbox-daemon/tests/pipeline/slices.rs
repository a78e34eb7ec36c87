//! What a report holds of the window: the minute before the death, of those it concerns, and nothing else.

use blackbox_daemon::record::{
    CallCounts, CgroupSample, Event, NodeLoad, Pids, Record, SourceName, Subject,
};
use serde_json::Value;

use super::support::{
    DEMO, OTHER, SETTLE, SI_USER, SIGKILL, UNIT, WINDOW, about, at, config, core, death_by,
    entries, exit, failed_call, json, killer, listed, noted, process, report, signal, take, victim,
    wall,
};

fn load(ms: u64) -> Record {
    let load = NodeLoad {
        one: 1.0,
        five: 1.0,
        fifteen: 1.0,
        processes: Some(ms),
        open_files: None,
    };
    noted(Subject::Node, ms, Event::NodeLoad(load))
}

fn pids(cgroup: blackbox_daemon::record::CgroupId, current: u64) -> Record {
    let sample = CgroupSample {
        pids: Some(Pids { current, max: None }),
        ..CgroupSample::default()
    };
    noted(Subject::Cgroup(cgroup), 1, Event::Cgroup(Box::new(sample)))
}

fn values(report: &Value, name: &str) -> Vec<Value> {
    let found = entries(report, name);
    found.iter().map(|entry| entry["value"].clone()).collect()
}

#[test]
fn calls_of_others_are_in_no_report() {
    let stranger = process(90, "stranger", OTHER);
    let counts = |cgroup| {
        let counts = CallCounts {
            attempted: 1,
            by_errno: vec![(2, 1)],
            ..CallCounts::default()
        };
        noted(Subject::Cgroup(cgroup), 1, Event::CallCounts(counts))
    };
    let mut records = vec![
        load(1),
        failed_call(victim(), 1, 2),
        failed_call(stranger, 1, 2),
        failed_call(killer(), 1, 2),
        counts(DEMO),
        counts(OTHER),
        counts(UNIT),
        pids(DEMO, 1),
        pids(OTHER, 2),
        pids(UNIT, 3),
        about(stranger, 1, Event::Exit(exit(0))),
    ];
    records.extend(death_by(victim(), 2, signal(2, killer(), SIGKILL, SI_USER)));
    let report = report(&records);

    let calls = entries(&report, "syscall_failed");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["tags"]["comm"], "victim");
    assert_eq!(report["failed_calls"][0]["count"], 1);
    assert_eq!(report["failed_calls"][1], Value::Null);
    let counted = entries(&report, "syscall_errors");
    assert_eq!(counted.len(), 1);
    assert_eq!(counted[0]["tags"]["cgroup"], "cgroup /demo");
    // The sender's resources may matter; a stranger's don't.
    assert_eq!(values(&report, "container_pids_current"), [1, 3]);
    assert_eq!(values(&report, "processes_total"), [1]);
    assert!(!report["telemetry"].to_string().contains("stranger"));
    let concerned: Vec<&Value> = report["containers"].as_array().unwrap().iter().collect();
    assert_eq!(concerned[0]["role"], "subject");
    assert_eq!(concerned[1]["role"], "sender");
    assert_eq!(concerned[1]["unit"], "killer.service");
}

#[test]
fn nothing_before_the_window_and_nothing_after_the_end() {
    let mut roomy = config();
    roomy.storage.retention = WINDOW * 2;
    let mut core = core(roomy);
    let death = 100_000;
    let start = death - WINDOW.as_millis() as u64;
    let end = death + SETTLE.as_millis() as u64;
    let times = [start - 1, start, death - 1, death + 1, end, end + 1];
    let mut records: Vec<Record> = times[..3].iter().map(|ms| load(*ms)).collect();
    records.push(about(victim(), death, Event::Exit(exit(SIGKILL))));
    records.extend(times[3..].iter().map(|ms| load(*ms)));
    records.push(about(victim(), end + 1, Event::Exit(exit(0))));
    take(&mut core, &records);

    let told = core.turn(at(end), wall(), false);
    let report = json(&told[0]);
    assert_eq!(values(&report, "processes_total"), times[1..5]);
    assert_eq!(entries(&report, "process_exit").len(), 1);
    let completeness = &report["completeness"];
    assert_eq!(
        completeness["window_requested_start"],
        "2026-03-04T05:06:47Z"
    );
    assert_eq!(completeness["window_end"], "2026-03-04T05:07:49Z");
    assert_eq!(report["generated_at"], "2026-03-04T05:07:49Z");
    assert_eq!(report["incident"]["timestamp"], "2026-03-04T05:07:47Z");
}

#[test]
fn telemetry_is_in_order_of_time_however_late_it_came() {
    let mut records = vec![about(victim(), 500, Event::Exit(exit(SIGKILL)))];
    records.extend([400, 300, 600, 100, 200].map(load));
    let report = report(&records);
    let telemetry = report["telemetry"].as_array().unwrap();
    let times: Vec<u64> = telemetry
        .iter()
        .map(|entry| entry["metadata"]["boottime_ns"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(
        values(&report, "processes_total"),
        [100, 200, 300, 400, 600]
    );
}

#[test]
fn an_outage_freezes_the_window() {
    let mut core = core(config());
    take(&mut core, &[load(1), failed_call(victim(), 2, 2)]);
    take(&mut core, &[about(victim(), 3, Event::Exit(exit(SIGKILL)))]);
    // Nothing arrives for an hour: the report has the minute before the death all the same.
    let told = core.turn(at(3_600_000), wall(), false);
    let report = json(&told[0]);
    assert_eq!(values(&report, "processes_total"), [1]);
    assert_eq!(entries(&report, "syscall_failed").len(), 1);
    assert_eq!(
        entries(&report, "source_state").len(),
        1,
        "{:?}",
        SourceName::Ebpf
    );
}

#[test]
fn what_a_report_holds_does_not_change_with_what_comes_after_it_was_closed() {
    let mut core = core(config());
    take(&mut core, &[about(victim(), 0, Event::Exit(exit(SIGKILL)))]);
    let told = core.turn(at(0).plus(SETTLE), wall(), false);
    let before = json(&told[0]);
    for ms in 3_000..10_000 {
        take(&mut core, &[load(ms), failed_call(victim(), ms, 2)]);
    }
    let after = json(&told[0]);
    assert_eq!(listed(&before, "telemetry"), listed(&after, "telemetry"));
    assert_eq!(before, after);
}
