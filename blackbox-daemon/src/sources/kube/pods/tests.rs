//! The pods of a node, from lists and changes.

use serde_json::{Value, json};

use super::*;
use crate::record::PodName;

const WALL: i64 = 1_800_000_000_000_000_000;

fn at(seconds: u64) -> Moment {
    Moment {
        now: BootTime(seconds * 1_000_000_000),
        wall: WallOffset::from_nanos(WALL),
    }
}

fn pods(seen: Option<Seen>) -> Pods {
    Pods::new("n".to_owned(), Duration::from_secs(300), seen, at(0))
}

fn pod(uid: &str, version: u64, phase: &str) -> Pod {
    serde_json::from_value(object(uid, version, phase)).unwrap()
}

fn object(uid: &str, version: u64, phase: &str) -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": uid, "resourceVersion": version.to_string()},
        "spec": {"nodeName": "n", "containers": [{"name": "app"}]},
        "status": {"phase": phase},
    })
}

fn dead(uid: &str, version: u64, id: &str) -> Pod {
    let mut object = object(uid, version, "Running");
    object["status"]["containerStatuses"] = json!([{
        "name": "app", "restartCount": 0, "containerID": id,
        "state": {"terminated": {"exitCode": 1, "containerID": id, "finishedAt": "2020-01-01T00:00:00Z"}},
    }]);
    serde_json::from_value(object).unwrap()
}

fn said(records: &[Record]) -> Vec<String> {
    let say = |record: &Record| match &record.event {
        Event::Pod(facts) => format!("pod {} {:?}", facts.uid, facts.phase),
        Event::ContainerEnded(ended) => format!("end {}", ended.pod.uid),
        Event::PodCondition(condition) => format!("{} {:?}", condition.pod.uid, condition.what),
        other => panic!("{other:?}"),
    };
    records.iter().map(say).collect()
}

#[test]
fn who_is_not_in_a_fresh_list_is_gone() {
    let mut pods = pods(None);
    pods.listed(&[pod("a", 1, "Running"), pod("b", 2, "Running")], at(1));
    let told = pods.listed(&[pod("b", 2, "Running"), pod("c", 9, "Running")], at(2));
    assert_eq!(said(&told), ["a Gone { unseen: true }", "pod c Running"]);
    assert_eq!(pods.len(), 2);
    let name = PodName {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
    };
    assert_eq!(pods.identity("a").map(|gone| gone.pod), Some(name));
}

#[test]
fn changes_that_come_late_are_nothing() {
    let mut pods = pods(None);
    pods.listed(&[], at(1));
    assert_eq!(
        said(&pods.applied(&pod("a", 5, "Running"), at(2))),
        ["pod a Running"]
    );
    assert!(pods.applied(&pod("a", 4, "Pending"), at(3)).is_empty());
    let told = pods.deleted(&dead("a", 6, "x"), at(4));
    assert_eq!(
        said(&told),
        ["pod a Running", "end a", "a Gone { unseen: false }"]
    );
    assert!(pods.applied(&pod("a", 7, "Running"), at(5)).is_empty());
    assert!(pods.deleted(&pod("a", 8, "Running"), at(6)).is_empty());
    // A pod of the same name is another one.
    assert_eq!(
        said(&pods.applied(&pod("b", 9, "Running"), at(7))),
        ["pod b Running"]
    );
}

#[test]
fn other_nodes_pods_are_none_of_ours() {
    let mut pods = pods(None);
    let mut other = object("a", 1, "Running");
    other["spec"]["nodeName"] = json!("m");
    pods.listed(&[serde_json::from_value(other).unwrap()], at(1));
    assert_eq!(pods.len(), 0);
}

#[test]
fn a_first_list_is_old_without_a_memory_and_news_with_one() {
    let shown = [dead("a", 1, "x")];
    assert_eq!(said(&pods(None).listed(&shown, at(1))), ["pod a Running"]);
    let mut remembers = pods(Some(Seen::default()));
    assert_eq!(
        said(&remembers.listed(&shown, at(1))),
        ["pod a Running", "end a"]
    );
    // The next daemon has that memory.
    let text = remembers.seen.take_changes().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = super::super::seen::Store::new(directory.path());
    store.save(&text).unwrap();
    let mut next = pods(store.load().unwrap());
    assert_eq!(said(&next.listed(&shown, at(1))), ["pod a Running"]);
}

#[test]
fn a_pod_that_is_pending_for_long_is_told_once() {
    let mut pods = pods(None);
    pods.listed(&[], at(10));
    pods.applied(&pod("a", 1, "Pending"), at(10));
    assert!(pods.tick(at(309)).is_empty());
    assert_eq!(
        said(&pods.tick(at(310))),
        ["a PendingLong { seconds: 300 }"]
    );
    assert!(pods.tick(at(900)).is_empty());
    pods.applied(&pod("b", 2, "Pending"), at(900));
    pods.applied(&pod("b", 3, "Running"), at(901));
    assert!(pods.tick(at(9000)).is_empty());
}
