//! What sidecars say, in reports: of their own incidents, and of deaths the kernel saw.

use blackbox_daemon::record::{
    CgroupId, Event, PodName, Process, Record, Reported, Severity, Subject, Submission, Telemetry,
};
use serde_json::{Value, json};

use super::support::{
    SETTLE, SI_USER, SIGKILL, at, cases, cited, config, core, death_by, entries, json, killer,
    list, listed, noted, process, signal, take, wall,
};

const ID: &str = "3f2a91b0c4d53f2a91b0c4d53f2a91b0c4d53f2a91b0c4d53f2a91b0c4d5abcd";
const UID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
const CONTAINER: CgroupId = CgroupId(40);

/// A process in a container of a pod.
fn app() -> Process {
    process(300, "app", CONTAINER)
}

fn created() -> Record {
    let path = format!("/kubepods/pod{UID}/{ID}");
    noted(Subject::Cgroup(CONTAINER), 1, Event::CgroupCreated { path })
}

fn pod(namespace: &str) -> PodName {
    PodName {
        namespace: namespace.to_owned(),
        name: "checkout".to_owned(),
    }
}

fn submission(ms: u64, uid: Option<&str>) -> Submission {
    Submission {
        by: "default".to_owned(),
        proven_uid: uid.map(str::to_owned),
        received: at(ms),
        claimed: None,
    }
}

fn telemetry(ms: u64, namespace: &str, uid: Option<&str>, container: Option<&str>) -> Record {
    let telemetry = Telemetry {
        entry: ms,
        pod: pod(namespace),
        container_id: container.map(str::to_owned),
        runtime: "jvm".to_owned(),
        submission: submission(ms, uid),
        tags: Vec::new(),
        data: format!(r#"{{"heap_of_{namespace}":1}}"#),
    };
    noted(Subject::Pod, ms, Event::Telemetry(Box::new(telemetry)))
}

fn reported(ms: u64, id: &str, container: Option<&str>) -> Record {
    let reported = Reported {
        id: id.to_owned(),
        pod: Some(pod("shop")),
        container_id: container.map(str::to_owned),
        severity: Severity::High,
        kind: "timeout".to_owned(),
        message: "payment did not answer".to_owned(),
        submission: submission(ms, None),
        tags: vec![("team".to_owned(), "pay".to_owned())],
        context: r#"{"order":7,"pod":"a lie"}"#.to_owned(),
    };
    noted(Subject::Pod, ms, Event::Reported(Box::new(reported)))
}

fn killed(ms: u64) -> Vec<Record> {
    death_by(app(), ms, signal(ms, killer(), SIGKILL, SI_USER))
}

/// The reports about these records: of deaths first.
fn reports(records: Vec<Record>) -> Vec<Value> {
    let mut all = vec![created()];
    all.extend(records);
    let mut reports: Vec<Value> = cases(&all).iter().map(json).collect();
    reports.sort_by_key(|report| report["verdict"]["cause"] == "reported");
    reports
}

#[test]
fn a_report_cites_the_death_in_its_container_and_stays_unknown() {
    let mut records = vec![
        telemetry(10, "shop", None, Some(ID)),
        telemetry(11, "other", None, None),
    ];
    records.extend(killed(1_000));
    records.push(reported(1_500, "mine", Some(&ID[..12])));
    let reports = reports(records);
    assert_eq!(reports.len(), 2, "the death, and what was reported");
    let report = &reports[1];
    let (incident, verdict) = (&report["incident"], &report["verdict"]);
    assert_eq!(
        (&incident["id"], &incident["type"]),
        (&json!("mine"), &json!("timeout"))
    );
    assert_eq!(
        (&incident["severity"], &incident["namespace"]),
        (&json!("high"), &json!("shop"))
    );
    assert_eq!(incident["message"], "payment did not answer");
    let context = &incident["context"];
    assert_eq!(
        (&context["order"], &context["tag_team"]),
        (&json!(7), &json!("pay"))
    );
    assert_eq!(
        context["pod"], "shop/checkout",
        "facts of ours win over what was given"
    );
    assert_eq!(
        (&verdict["grade"], &verdict["cause"]),
        (&json!("unknown"), &json!("reported"))
    );
    let said = verdict["statements"].to_string();
    assert!(said.contains("before the report, app (pid 300)"), "{said}");
    assert_eq!(entries(report, "heap_of_shop").len(), 1);
    assert!(entries(report, "heap_of_other").is_empty());
    let exits = entries(report, "process_exit");
    assert_eq!(exits.len(), 1);
    assert!(cited(report).is_subset(&listed(report, "telemetry")));
}

#[test]
fn without_a_container_it_says_what_is_not_here() {
    let mut records = killed(1_000);
    records.push(reported(1_500, "mine", None));
    let reports = reports(records);
    let said = reports[1]["verdict"]["statements"].to_string();
    assert!(said.contains("no container id was given"), "{said}");
    assert!(entries(&reports[1], "process_exit").is_empty());
}

#[test]
fn a_report_that_is_sent_again_is_the_same() {
    let mut core = core(config());
    let sent = |ms| vec![reported(ms, "mine", None)];
    let now = take(&mut core, &sent(1_000));
    let first = core.turn(now.plus(SETTLE), wall(), false);
    let now = take(&mut core, &sent(5_000));
    let again = core.turn(now.plus(SETTLE), wall(), true);
    assert_eq!((first.len(), again.len()), (1, 0));
}

#[test]
fn sixty_reports_at_once_are_told_each() {
    let records: Vec<Record> = (0..60)
        .map(|number| reported(1_000 + number, &format!("id-{number}"), None))
        .collect();
    assert_eq!(cases(&records).len(), 60);
}

#[test]
fn a_death_has_its_pods_name_as_claimed_or_as_proven() {
    for (uid, container, claimed) in [(None, Some(ID), true), (Some(UID), None, false)] {
        let mut records = vec![telemetry(10, "shop", uid, container)];
        records.extend(killed(1_000));
        let reports = reports(records);
        let report = &reports[0];
        assert_eq!(
            report["pod"],
            json!({"uid": UID, "name": "checkout", "namespace": "shop"})
        );
        assert_eq!(report["incident"]["pod_name"], "checkout");
        assert_eq!(entries(report, "heap_of_shop").len(), 1);
        let notes = list(&report["completeness"]["notes"]);
        let note = notes
            .iter()
            .any(|note| note.to_string().contains("what its sidecar says"));
        assert_eq!(note, claimed, "{notes:?}");
    }
}

#[test]
fn a_sidecar_that_proved_to_be_another_pod_names_nothing() {
    let mut records = vec![telemetry(10, "evil", Some("another-uid"), Some(ID))];
    records.extend(killed(1_000));
    let reports = reports(records);
    assert!(reports[0]["incident"].get("pod_name").is_none());
    assert!(
        entries(&reports[0], "heap_of_evil").is_empty(),
        "data of a pod that is not this one"
    );
}
