//! What the API server says, in reports of deaths the kernel saw: names, and its words about this pod only.

use blackbox_daemon::record::{
    CgroupId, ContainerEnded, ContainerKind, End, Event, PodFacts, Record, Subject,
};
use serde_json::json;

use super::pods;
use super::support::{
    SI_USER, SIGKILL, cases, death_by, entries, json, killer, noted, process, signal,
};

const ID: &str = "3f2a91b0c4d53f2a91b0c4d53f2a91b0c4d53f2a91b0c4d53f2a91b0c4d5abcd";
const UID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
const CONTAINER: CgroupId = CgroupId(40);

fn facts(uid: &str, id: &str) -> PodFacts {
    let mut facts = pods::facts();
    facts.uid = uid.to_owned();
    facts.containers.truncate(1);
    facts.containers[0].id = Some(id.to_owned());
    facts
}

fn told(ms: u64, facts: PodFacts) -> Record {
    noted(Subject::Pod, ms, Event::Pod(Box::new(facts)))
}

fn ended(ms: u64, facts: &PodFacts) -> Record {
    let ended = ContainerEnded {
        pod: facts.identity(),
        container: "app".to_owned(),
        kind: ContainerKind::Main,
        end: End {
            container_id: Some(ID.to_owned()),
            exit_code: 137,
            signal: None,
            reason: Some("Error".to_owned()),
            started: None,
            finished: None,
        },
        message: Some("its last words".to_owned()),
        restarts: 0,
        unseen: 0,
    };
    noted(Subject::Pod, ms, Event::ContainerEnded(Box::new(ended)))
}

#[test]
fn a_death_is_named_by_the_api_server_and_has_its_words() {
    let path = format!("/kubepods/pod{UID}/{ID}");
    let mine = facts(UID, ID);
    // A former pod of the same name is another pod.
    let former = facts("99999999-4b5a-6978-8796-a5b4c3d2e1f0", &"9".repeat(64));
    let mut records = vec![
        noted(Subject::Cgroup(CONTAINER), 1, Event::CgroupCreated { path }),
        told(5, former.clone()),
        told(10, mine.clone()),
        ended(500, &former),
    ];
    let app = process(300, "app", CONTAINER);
    records.extend(death_by(
        app,
        1_000,
        signal(1_000, killer(), SIGKILL, SI_USER),
    ));
    records.push(ended(1_200, &mine));
    let report = json(&cases(&records)[0]);
    assert_eq!(
        report["pod"],
        json!({"uid": UID, "name": "checkout", "namespace": "shop", "qos": "Burstable",
            "owners": [{"kind": "Deployment", "name": "checkout", "inferred": true}]})
    );
    assert_eq!(report["incident"]["pod_name"], "checkout");
    let container = &report["containers"][0];
    assert_eq!(container["container_name"], "app");
    assert_eq!(container["image"], "registry/checkout:1");
    let ends = entries(&report, "container_ended");
    assert_eq!(ends.len(), 1);
    assert_eq!(
        ends[0]["value"],
        "container app of pod shop/checkout ended with exit code 137, Error (restarts: 0): its last words"
    );
    assert_eq!(ends[0]["tags"]["pod_name"], "checkout");
    assert_eq!(entries(&report, "pod").len(), 1);
    let notes = report["completeness"]["notes"].to_string();
    assert!(!notes.contains("what its sidecar says"), "{notes}");
}
