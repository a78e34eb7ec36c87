//! Ends in Kubernetes, as kernel, kubelet and API server tell them: which are incidents, how many, and why it says they
//! happened.

mod stops;
mod troubles;

use blackbox_daemon::incident::trigger::{Rules, Scope};
use blackbox_daemon::record::{
    CgroupId, Condition, ContainerKind, ContainerState, Deletion, End, Event, Exit, Health, Phase,
    PodFacts, Record, SourceName, Subject, WaitCause, Wishes,
};
use blackbox_daemon::recorder;
use serde_json::Value;

use crate::pods::{
    APP, HELPER, SECOND, UID, app, asked_and_ended, became, container, deleting, ended, facts,
    first_of_namespace, id, killed, out_of_memory, pod, reported, says, shim, waiting,
};
use crate::support::{
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
